"""TensorRT-RTX: engines for NVIDIA RTX GPUs, compiled ahead of time on a machine that has none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgeeff.backends import Runtime
from edgeeff.installing import install_line


def _refuse(properties: Mapping[str, str]) -> None:
    """Refuse compute capabilities that the installed compiler does not take, before anything is built.

    Raises:
        OptionError: There is such a one.
    """
    if "compute_capabilities" in properties:
        from edgeeff.backends.tensorrt import rtx

        rtx.capabilities(properties)


RUNTIME = Runtime(
    name="tensorrt_rtx",
    package=__name__,
    requires=("tensorrt_rtx",),
    install=install_line("tensorrt-rtx"),
    inputs=("float32", "uint8"),
    precisions=("int8", "fp16"),
    probabilities="probabilities",
    batches=("one", "fixed", "dynamic"),
    artifact=(("model.qdq.fp16.onnx", "model.float.fp16.onnx"),),
    run="tensorrt_rtx --loadEngine=measured/model.sm86.engine",  # the tool, with the engine of the GPU there
    properties={"compute_capabilities": re.compile(r"[\w.+, -]{0,200}")},
    refuse=_refuse,
    tensorrt_rules=True,
    no_profile="engines are profiled on the device",
)
