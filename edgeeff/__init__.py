"""edgeeff: trained EfficientNet in, verified INT8 artifacts out, from one calibration.

The names below are the public interface, with those that docs/ gives of ``edgeeff.errors``, ``edgeeff.gate``,
``edgeeff.harness`` and ``edgeeff.history``. They load lazily: ``import edgeeff`` on a board touches neither
torch nor onnx.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeeff.bundle import Bundle
    from edgeeff.devices import open_device
    from edgeeff.errors import EdgeeffWarning
    from edgeeff.harness.accuracy import evaluate, evaluate_all
    from edgeeff.harness.latency import benchmark
    from edgeeff.pipeline.build import build
    from edgeeff.pipeline.request import BuildRequest
    from edgeeff.predictor import Predictor
    from edgeeff.target import Target
    from edgeeff.tasks import Prediction
    from edgeeff.training.finetune import Finetuned, finetune

# onnxruntime reads this when it is imported: else it leaves a file in the temporary folder, and calls home.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "BuildRequest",
    "Bundle",
    "EdgeeffWarning",
    "Finetuned",
    "Prediction",
    "Predictor",
    "Target",
    "benchmark",
    "build",
    "evaluate",
    "evaluate_all",
    "finetune",
    "open_device",
]
__version__ = "0.1.0"

_HOME = {
    "BuildRequest": "edgeeff.pipeline.request",
    "Bundle": "edgeeff.bundle",
    "EdgeeffWarning": "edgeeff.errors",
    "Finetuned": "edgeeff.training.finetune",
    "Prediction": "edgeeff.tasks",
    "Predictor": "edgeeff.predictor",
    "Target": "edgeeff.target",
    "benchmark": "edgeeff.harness.latency",
    "build": "edgeeff.pipeline.build",
    "evaluate": "edgeeff.harness.accuracy",
    "evaluate_all": "edgeeff.harness.accuracy",
    "finetune": "edgeeff.training.finetune",
    "open_device": "edgeeff.devices",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'edgeeff' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
