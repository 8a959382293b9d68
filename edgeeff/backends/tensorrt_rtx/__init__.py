"""TensorRT-RTX: engines for NVIDIA RTX GPUs, compiled ahead of time on a machine that has none."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgeeff.installing import install_line

REQUIRES = ("tensorrt_rtx",)
INSTALL = install_line("tensorrt-rtx")
#: Whether its ``emit`` puts the normalisation before an integer input itself; else the hub graph holds it.
NORMALISES_INPUT = False
#: Input types that its artifacts can take.
INPUTS = ("float32", "uint8")
#: Runtime properties: a list of compute capabilities, which ``refuse`` looks at.
PROPERTIES = {"compute_capabilities": re.compile(r"[\w.+, -]{0,200}")}
#: Precisions that its artifacts can have.
PRECISIONS = ("int8", "fp16")
#: The files of a bundle that hold the network (one way of running it; of a tuple the first that is there).
ARTIFACT = (("model.qdq.fp16.onnx", "model.float.fp16.onnx"),)
#: How a bundle is run on the device: TensorRT-RTX's own tool, with the engine of the GPU there.
RUN = "tensorrt_rtx --loadEngine=measured/model.sm86.engine"
#: Why there is no profile of layers.
NO_PROFILE = "engines are profiled on the device"


def refuse(properties: Mapping[str, str]) -> None:
    """Refuse compute capabilities that the installed compiler does not take, before anything is built.

    Raises:
        OptionError: There is such a one.
    """
    if "compute_capabilities" in properties:
        from edgeeff.backends.tensorrt import rtx

        rtx.capabilities(properties)
