"""What changes how a tensor is seen and not what is in it: all of it is a view, or vanishes."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx

from edgeeff.graph.importing.views import View, reshaped, transposed
from edgeeff.graph.importing.writer import Step
from edgeeff.graph.model import Array

_FLOATS = (
    *(onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16),
    *(onnx.TensorProto.DOUBLE, onnx.TensorProto.BFLOAT16),
)


def identity(step: Step) -> View:
    """Identity; Dropout at inference; the output is the input."""
    return step.view(0)


def dropout(step: Step) -> View:
    """Dropout, which does nothing at inference."""
    training = step.constant(2)
    if training is not None and training.any():
        step.refuse("it drops values: the network was exported in training mode")
    return step.view(0)


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


def transpose(step: Step) -> View:
    """Transpose."""
    x = step.view(0)
    return transposed(x, step.attribute("perm", list(reversed(range(len(x.shape))))))


def reshape(step: Step) -> View:
    """Reshape to a constant shape, in which 0 copies and −1 is what is left."""
    x = step.unpadded(0)
    wanted = [int(size) for size in step.required(1).reshape(-1)]
    if not step.attribute("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        wanted[wanted.index(-1)] = prod(x.shape) // max(-prod(wanted), 1)
    return reshaped(x, wanted)


def flatten(step: Step) -> View:
    """Flatten: the axes before ``axis`` run together, and those from it on."""
    x = step.unpadded(0)
    axis = step.attribute("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return reshaped(x, [prod(x.shape[:axis]), prod(x.shape[axis:])])


def squeeze(step: Step) -> View:
    """Squeeze: axes of one element go."""
    x = step.unpadded(0)
    axes = step.axes(1, len(x.shape), since=13)
    gone = [i for i, size in enumerate(x.shape) if size == 1] if axes is None else axes
    if any(x.shape[axis] != 1 for axis in gone):
        step.refuse(f"it takes the axes {gone} out of {list(x.shape)}")
    return reshaped(x, [size for i, size in enumerate(x.shape) if i not in gone])


def unsqueeze(step: Step) -> View:
    """Unsqueeze: axes of one element come in."""
    x = step.unpadded(0)
    given = step.required(1).size if step.opset >= 13 else len(step.attribute("axes", [0][:0]))
    axes = step.axes(1, len(x.shape) + given, since=13) or []
    left = iter(x.shape)
    return reshaped(x, [1 if i in axes else next(left) for i in range(len(x.shape) + len(axes))])


def shape(step: Step) -> Array:
    """Shape, of a tensor whose size we know."""
    found = step.view(0).shape
    start, end = step.attribute("start", 0), step.attribute("end", len(found))
    return np.asarray(found[start:end], np.int64)


OPERATORS = {
    "Cast": cast,
    "CastLike": cast_like,
    "Dropout": dropout,
    "Flatten": flatten,
    "Identity": identity,
    "Reshape": reshape,
    "Shape": shape,
    "Squeeze": squeeze,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
