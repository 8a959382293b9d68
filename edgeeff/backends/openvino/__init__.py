"""OpenVINO: INT8 on x86 and ARM CPUs."""

from edgeeff.installing import install_line

REQUIRES = ("openvino",)
INSTALL = install_line("openvino")
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = True
#: Input types that its artifacts can take.
INPUTS = ("float32", "uint8", "int8")
#: Runtime properties, and the values that each can have. A bundle's manifest is anybody's: properties that
#: name files (CACHE_DIR, WEIGHTS_PATH) would let it write wherever OpenVINO can.
PROPERTIES = {
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
}
#: Precisions that its artifacts can have.
PRECISIONS = ("int8", "fp16", "bf16", "fp32")
#: The files of a bundle that hold the network (one way of running it).
ARTIFACT = ("model.xml", "model.bin")
#: How a bundle is run on the device.
RUN = f"{INSTALL} && edgeeff run . photo.jpg"
