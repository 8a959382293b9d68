"""What a model's activations take at most, and what they would take at another input size.

tflite-micro keeps an activation from the operator that makes it to the last that reads it. What lives at once
in one operator is the least that they need together, wherever they are placed (:mod:`placing`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from edgeeff.backends.tflite.model import Model, Operator
from edgeeff.graph.lowering import SAME, Tensor

#: The interpreter aligns each tensor so.
ALIGNMENT = 16
_WINDOWS = {
    "CONV_2D": ("strideH", "strideW"),
    "DEPTHWISE_CONV_2D": ("strideH", "strideW"),
    "AVERAGE_POOL_2D": ("strideH", "strideW"),
    "MAX_POOL_2D": ("strideH", "strideW"),
}
#: Their result has the shape of what they read, broadcast.
_ELEMENTWISE = frozenset(
    (
        *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "ABS", "QUANTIZE"),
        *("LOGISTIC", "TANH", "HARD_SWISH", "RELU", "RELU6", "LEAKY_RELU", "PRELU", "ELU"),
        *("SOFTMAX", "L2_NORMALIZATION"),
    )
)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Peak:
    """The operator at which most memory is in use.

    Args:
        size: Bytes of the activations that live at once.
        operator: Its place in the model.
        code: What it is.
        name: The tensor that it makes.
        live: Those that live then, with their shapes, the largest first.
    """

    size: int
    operator: int
    code: str
    name: str
    live: tuple[tuple[str, Shape], ...]

    def __str__(self) -> str:
        tensors = " + ".join("×".join(map(str, shape[1:])) for _, shape in self.live)
        return f"{self.name} ({self.code}: {tensors})"


def peak(
    model: Model, shapes: Mapping[str, Shape] | None = None, among: Collection[int] | None = None
) -> Peak:
    """Where a model takes most, with its own shapes or with others, of all operators or among some."""
    shapes = shapes or {name: tensor.shape for name, tensor in model.tensors.items()}
    first, last = lives(model)
    best: Peak | None = None
    for at, operator in enumerate(model.operators):
        if among is not None and at not in among:
            continue
        live = [name for name in first if first[name] <= at <= last[name]]
        size = sum(aligned(model.tensors[name], shapes[name]) for name in live)
        if best is None or size > best.size:
            live.sort(key=lambda name: (-prod(shapes[name]), name))
            held = tuple((name, shapes[name]) for name in live)
            best = Peak(size, at, operator.code, operator.outputs[0], held)
    assert best is not None, "a model has operators"
    return best


def lives(model: Model) -> tuple[dict[str, int], dict[str, int]]:
    """For each activation the operator that makes it, and the last that reads it; outputs stay."""
    first = dict.fromkeys(model.inputs.values(), 0)
    last = dict.fromkeys(model.inputs.values(), 0)
    for at, operator in enumerate(model.operators):
        for name in operator.outputs:
            first[name] = last[name] = at
        for name in operator.inputs:
            if name in first:
                last[name] = at
    return first, last | dict.fromkeys(model.outputs.values(), len(model.operators))


def aligned(tensor: Tensor, shape: Shape) -> int:
    """Bytes of an activation of that shape, as the interpreter takes them."""
    width = 1 if tensor.type in ("int8", "uint8") else 4
    return -(-prod(shape) * width // ALIGNMENT) * ALIGNMENT


def at_size(model: Model, height: int, width: int) -> dict[str, Shape] | None:
    """The shapes of all tensors for another input; None where an operator's are not known to follow."""
    shapes = {name: tensor.shape for name, tensor in model.tensors.items()}
    for name in model.inputs.values():
        one, _, _, channels = shapes[name]
        shapes[name] = (one, height, width, channels)
    for operator in model.operators:
        made = _shape(operator, model.tensors, shapes)
        if made is None:
            return None
        shapes[operator.outputs[0]] = made
    return shapes


def _shape(operator: Operator, tensors: Mapping[str, Tensor], shapes: Mapping[str, Shape]) -> Shape | None:
    own = tensors[operator.outputs[0]].shape
    of = [shapes[name] for name in operator.inputs]
    if len(operator.outputs) != 1:
        return None
    if operator.code in _WINDOWS:
        return _windowed(operator, of, own)
    if operator.code in _ELEMENTWISE:
        return tuple(max(sides) for sides in zip(*of, strict=True)) if len(of) > 1 else of[0]
    if operator.code in ("PAD", "PADV2"):
        pads = tensors[operator.inputs[1]].data
        return None if pads is None else tuple(n + sum(p) for n, p in zip(of[0], pads.tolist(), strict=True))
    if operator.code == "CONCATENATION":
        return (*of[0][:-1], own[-1]) if len(own) == 4 else own
    # Those that hold no map any more are of one size whatever the input is.
    return own if len(own) == 2 or own[1:3] == (1, 1) else None


def _windowed(operator: Operator, of: Sequence[Shape], own: Shape) -> Shape:
    fields = operator.options.fields if operator.options else {}
    kernel = of[1][1:3] if len(of) > 1 else (fields["filterHeight"], fields["filterWidth"])
    dilation = (fields.get("dilationHFactor", 1), fields.get("dilationWFactor", 1))
    sides = []
    for side, name, reach, step in zip(of[0][1:3], _WINDOWS[operator.code], kernel, dilation, strict=True):
        stride = fields.get(name, 1)
        reached = 1 if fields["padding"] == SAME else (reach - 1) * step + 1
        sides.append(-(-(side - reached + 1) // stride))
    return (own[0], *sides, own[3])
