"""What building needs beside the runtimes, and what of it this machine lacks."""

from __future__ import annotations

from importlib.util import find_spec

from edgeeff.installing import install_line

#: What building needs beside the runtimes; a device needs none of it.
BUILD_WING = ("torch", "onnx", "onnx_ir", "onnxsim", "onnxruntime", "safetensors", "h5py", "huggingface_hub")
INSTALL_BUILD_WING = install_line("build")


def missing_for_build() -> list[str]:
    """The modules that building needs and this machine has not."""
    return [module for module in BUILD_WING if find_spec(module) is None]
