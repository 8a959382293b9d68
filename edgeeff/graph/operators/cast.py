"""Cast, and CastLike: everything that depends on the image is float32 here."""

from __future__ import annotations

import numpy as np
import onnx

from edgeeff.graph.model import Array
from edgeeff.graph.operators import Operator, _sizes
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

_FLOATS = (
    *(onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16),
    *(onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16),
)


def cast(step: Step) -> View:
    """Cast between floating-point types, or of the pixels to one: everything is float32 here."""
    if step.attribute("to", 0) not in _FLOATS:
        step.refuse("it makes integers of a tensor that depends on the image")
    return step.view(0)


def cast_like(step: Step) -> View | Array:
    """CastLike, likewise; one of its inputs may be a constant."""
    value, like = step.inputs
    if isinstance(like, np.ndarray) and like.dtype.kind != "f":
        step.refuse("it makes integers of a tensor that depends on the image")
    return value.astype(np.float32) if isinstance(value, np.ndarray) else step.view(0)


OPERATORS = (
    Operator("Cast", translate=cast, most=_sizes.as_read),
    Operator("CastLike", translate=cast_like, most=_sizes.as_read),
)
