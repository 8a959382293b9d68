"""OpenVINO: INT8 on x86 and ARM CPUs."""

import sys

from edgeeff.backends import Runtime
from edgeeff.installing import install_line

# OpenVINO's package tells its makers over the network that it was imported, where this module is installed.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

_INSTALL = install_line("openvino")
RUNTIME = Runtime(
    name="openvino",
    package=__name__,
    requires=("openvino",),
    install=_INSTALL,
    inputs=("float32", "uint8", "int8"),
    precisions=("int8", "fp16", "bf16", "fp32"),
    batches=("one", "fixed", "dynamic"),
    artifact=("model.xml", "model.bin"),
    run=f"{_INSTALL} && edgeeff run . photo.jpg",
    tools=("openvino",),
    normalises_input=True,
    frames=True,
    devices=True,
    nms=("per class", "across"),
    # Properties that name files (CACHE_DIR, WEIGHTS_PATH) would let a manifest write wherever OpenVINO can.
    properties={
        "PERFORMANCE_HINT": ("LATENCY", "THROUGHPUT", "CUMULATIVE_THROUGHPUT"),
        "NUM_STREAMS": ("AUTO", *map(str, range(1, 65))),
        "INFERENCE_PRECISION_HINT": ("f32", "bf16", "f16"),
        "EXECUTION_MODE_HINT": ("PERFORMANCE", "ACCURACY"),
        "SCHEDULING_CORE_TYPE": ("ANY_CORE", "PCORE_ONLY", "ECORE_ONLY"),
        "ENABLE_CPU_PINNING": ("YES", "NO"),
        "ENABLE_HYPER_THREADING": ("YES", "NO"),
        "CPU_DENORMALS_OPTIMIZATION": ("YES", "NO"),
        "LP_TRANSFORMS_MODE": ("YES", "NO"),
        "SNIPPETS_MODE": ("ENABLE", "IGNORE_CALLBACK", "DISABLE"),
    },
)
