# tests/plugin/edgeeff_ortcpu/ort_cpu/emit.py
"""The hub graph as it is."""

from __future__ import annotations

import onnx

from edgeeff.backends import Emission
from edgeeff.errors import OptionError


def emit(graph: onnx.ModelProto, emission: Emission) -> dict[str, bytes]:
    """The artifact's files: ``model.onnx``."""
    if emission.softmax:
        raise OptionError(f"{emission.target.name} ends in logits", mend="leave out --softmax")
    return {"model.onnx": graph.SerializeToString(deterministic=True)}
