"""Convolution, and the zeros around what it reads."""

from __future__ import annotations

import numpy as np

from edgeeff.graph.importing.views import HEIGHT, WIDTH, Pads, View, nchw
from edgeeff.graph.importing.writer import Padding, Step
from edgeeff.graph.padding import same_padding


def conv(step: Step) -> View:
    """Conv with constant weights, on [N, C, H, W]; its padding becomes explicit."""
    x = step.view(0)
    weight = step.required(1)
    if not x.is_nchw or weight.ndim != 4:
        step.refuse(f"it convolves a tensor of {list(x.shape)} with weights of {list(weight.shape)}")
    group = step.attribute("group", 1)
    outputs, inputs, *window = weight.shape
    kernel = (window[0], window[1])
    if group < 1 or inputs * group != x.dims[1] or outputs % group or min(weight.shape) < 1:
        step.refuse(f"weights of {list(weight.shape)} in {group} groups do not fit {x.dims[1]} channels")
    if step.attribute("kernel_shape", list(kernel)) != list(kernel):
        step.refuse(f"its kernel_shape is not that of its weights, {list(kernel)}")
    strides, dilations = _pair(step, "strides"), _pair(step, "dilations")
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    own = _pads(step, x.dims[2:], (reach[0], reach[1]), strides)
    pads = (own[0] + x.pads[0], own[1] + x.pads[1], own[2] + x.pads[2], own[3] + x.pads[3])
    sides = tuple((x.dims[2 + i] + own[i] + own[2 + i] - reach[i]) // strides[i] + 1 for i in range(2))
    bias = step.constant(2)
    if bias is not None and bias.shape != (outputs,):
        step.refuse(f"it has biases of {list(bias.shape)} for {outputs} channels")
    unpadded = (x.dims[2] - x.pads[0] - x.pads[2], x.dims[3] - x.pads[1] - x.pads[3])
    if step.attribute("auto_pad", "NOTSET") in ("NOTSET", "VALID"):
        step.writer.paddings.append(Padding(step.node.name, unpadded, (reach[0], reach[1]), strides, pads))
    # Always with a bias: our own convolutions have one once batch normalisation is folded.
    bias = np.zeros(outputs, np.float32) if bias is None else bias
    operands = [x.value, *(step.writer.constant(step.finite(array)) for array in (weight, bias))]
    value = step.write(
        "Conv",
        operands,
        outputs,
        (sides[0], sides[1]),
        {
            "dilations": list(dilations),
            "group": group,
            "kernel_shape": list(kernel),
            "pads": list(pads),
            "strides": list(strides),
        },
    )
    return nchw(value, (x.dims[0], outputs, sides[0], sides[1]))


def pad(step: Step) -> View:
    """Pad with zeros around height and width: left to the convolution that reads it."""
    x = step.view(0)
    amounts = [int(amount) for amount in step.required(1).reshape(-1)]
    axes = step.axes(3, len(x.shape), since=18) if step.opset >= 18 else None
    axes = list(range(len(x.shape))) if axes is None else axes
    filling = step.constant(2)
    if step.attribute("mode", "constant") != "constant" or (filling is not None and filling.any()):
        step.refuse("it pads with something else than zeros")
    if len(amounts) != 2 * len(axes) or min(amounts, default=0) < 0:
        step.refuse(f"it pads {len(axes)} axes by {amounts}")
    before, after = [0] * 4, [0] * 4
    shape = list(x.shape)
    for axis, first, last in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        if not first and not last:
            continue
        dimension = _dimension(x, axis)
        if dimension not in (HEIGHT, WIDTH):
            step.refuse("it pads something else than height and width")
        before[dimension], after[dimension] = first, last
        shape[axis] += first + last
    return _grown(x, shape, (before[HEIGHT], before[WIDTH], after[HEIGHT], after[WIDTH]))


def _dimension(x: View, axis: int) -> int | None:
    """Which of N, C, H, W an axis is; one of a single element is told by its place among the others."""
    if len(x.axes[axis]) == 1:
        return x.axes[axis][0]
    for order in ((0, 1, 2, 3), (0, 2, 3, 1)):
        if len(x.shape) == 4 and all(x.runs_over(i, dimension) for i, dimension in enumerate(order)):
            return order[axis]
    return None


def _grown(x: View, shape: list[int], pads: Pads) -> View:
    top, left, bottom, right = pads
    batch, channels, height, width = x.dims
    dims = (batch, channels, height + top + bottom, width + left + right)
    total = (x.pads[0] + top, x.pads[1] + left, x.pads[2] + bottom, x.pads[3] + right)
    # An axis of one element that grew runs over height or width from now on.
    axes = tuple(
        _dimension_of(x, axis) if size > 1 and x.shape[axis] == 1 else x.axes[axis]
        for axis, size in enumerate(shape)
    )
    return View(x.value, dims, tuple(shape), axes, total)


def _dimension_of(x: View, axis: int) -> tuple[int, ...]:
    dimension = _dimension(x, axis)
    return () if dimension is None else (dimension,)


def _pair(step: Step, name: str) -> tuple[int, int]:
    values = step.attribute(name, [1, 1])
    if len(values) != 2 or not all(0 < value < 2**16 for value in values):
        step.refuse(f"its {name} are {list(values)}")
    return values[0], values[1]


def _pads(step: Step, size: tuple[int, ...], reach: tuple[int, int], strides: tuple[int, int]) -> Pads:
    """The zeros before and after each axis, also where the file only says how to find them (auto_pad)."""
    mode = step.attribute("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = step.attribute("pads", [0, 0, 0, 0])
        if len(pads) != 4 or not all(0 <= amount < 2**16 for amount in pads):
            step.refuse(f"its pads are {list(pads)}")
        return pads[0], pads[1], pads[2], pads[3]
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        step.refuse(f"its auto_pad is {mode}")
    both = [same_padding(size[i], reach[i], strides[i]) for i in range(2)]
    if mode == "SAME_LOWER":
        both = [(after, before) for before, after in both]
    return both[0][0], both[1][0], both[0][1], both[1][1]


OPERATORS = {"Conv": conv, "Pad": pad}
