"""How the parts of edgeeff are installed: the one place that says so.

No package index has edgeeff yet, so an install line names what its reader has: a checkout, or a wheel.
"""

from __future__ import annotations

from edgeeff.errors import MissingRuntimeError

#: What is installed until there is an index to take it from.
SOURCE = "<checkout or wheel>"

#: The modules that each extra of ``pyproject.toml`` brings and that are imported here.
EXTRAS = {
    "build": (
        *("torch", "onnx", "onnx_ir", "onnxsim", "onnxruntime", "safetensors", "h5py", "huggingface_hub"),
        *("httpx2", "google"),  # google.protobuf
    ),
    "openvino": ("openvino",),
    "tflite": ("ai_edge_litert", "flatbuffers"),
    "mcu": ("tflite_micro",),
    "tensorrt-rtx": ("tensorrt_rtx",),
    "video": ("av",),
    "detection": ("hotcoco",),
    "gate": ("scipy", "junitparser"),
    "history": ("sqlalchemy", "alembic", "ruptures"),
    "postgresql": ("psycopg",),
    "parquet": ("pyarrow",),
    "report": ("jinja2", "markupsafe"),
    "matrix": ("distributed", "dask", "cryptography"),
}


def install_line(extra: str) -> str:
    """The command that installs an extra, such as ``build``."""
    return f"pip install '{SOURCE}[{extra}]'"


def missing_module(error: ModuleNotFoundError, what: str) -> MissingRuntimeError | None:
    """The error of something that needs an extra which is not installed; None if no extra brings the module.

    Args:
        error: What Python raised.
        what: What was wanted, such as ``edgeeff lint``.
    """
    module = (error.name or "").partition(".")[0]
    extra = next((name for name, modules in EXTRAS.items() if module in modules), None)
    if extra is None:
        return None
    return MissingRuntimeError(
        f"{what} needs {module}, which is not installed", mend=f"install it: {install_line(extra)}"
    )
