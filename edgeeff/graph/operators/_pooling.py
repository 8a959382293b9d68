"""Pooling: windows over height and width, and the mean over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from edgeeff.graph.lowering import SAME, VALID, Options, Tensor, attribute
from edgeeff.graph.model import ints
from edgeeff.graph.operators import _windows
from edgeeff.graph.padding import same_padding
from edgeeff.graph.views import Pads, View, nchw
from edgeeff.graph.writer import Padding, Step

if TYPE_CHECKING:
    from torch import Tensor as Torch


@dataclass(frozen=True)
class Window:
    """A window that slides over an image.

    Args:
        kernel: Its height and width.
        strides: Of both.
        dilations: Of both.
        own: The padding that the node says: top, left, bottom, right.
        extra: What more a last window reaches over the border below and on the right, with ``ceil_mode``.
        sides: Height and width of what comes out.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    own: Pads
    extra: tuple[int, int]
    sides: tuple[int, int]

    @property
    def pads(self) -> Pads:
        """All that is put around."""
        return (self.own[0], self.own[1], self.own[2] + self.extra[0], self.own[3] + self.extra[1])


def pooled(step: Step, x: View) -> View:
    """A GlobalAveragePool of a tensor."""
    value = step.write("GlobalAveragePool", [x.value], x.dims[1], (1, 1))
    return nchw(value, (x.dims[0], x.dims[1], 1, 1))


def window(step: Step, x: View) -> Window:
    """What a pooling node slides over an image [N, C, H, W]."""
    kernel = step.attribute("kernel_shape", [0][:0])
    if not x.is_nchw or len(kernel) != 2 or not all(0 < side < 2**16 for side in kernel):
        step.refuse(f"its window is {list(kernel)} on {list(x.shape)}")
    strides, dilations = _windows.pair(step, "strides"), _windows.pair(step, "dilations")
    reach = ((kernel[0] - 1) * dilations[0] + 1, (kernel[1] - 1) * dilations[1] + 1)
    own = _windows.pads(step, x.dims[2:], reach, strides)
    if any(pad >= reach[i % 2] for i, pad in enumerate(own)):
        step.refuse(f"it pads {list(own)}, so that a window of {list(reach)} lies outside of the image")
    if step.attribute("auto_pad", "NOTSET") in ("NOTSET", "VALID"):
        size = (x.dims[2], x.dims[3])
        step.writer.paddings.append(Padding(step.node.name, size, reach, strides, own))
    up = bool(step.attribute("ceil_mode", 0)) and step.attribute("auto_pad", "NOTSET") == "NOTSET"
    sides, extra = [], []
    for i in range(2):
        given = x.dims[2 + i] + own[i] + own[2 + i]
        steps = (given - reach[i]) / strides[i]
        count = (ceil(steps) if up else int(steps // 1)) + 1
        if up and (count - 1) * strides[i] >= x.dims[2 + i] + own[i]:
            count -= 1  # a window that would begin behind the image is left out
        sides.append(count)
        extra.append(max((count - 1) * strides[i] + reach[i] - given, 0))
    return Window((kernel[0], kernel[1]), strides, dilations, own, (extra[0], extra[1]), (sides[0], sides[1]))


def written(step: Step, x: View, operator: str, window: Window, pads: Pads) -> View:
    """The pooling node of our graph, with explicit padding, which no mean counts."""
    attributes = {"kernel_shape": list(window.kernel), "pads": list(pads), "strides": list(window.strides)}
    if window.dilations != (1, 1):
        attributes["dilations"] = list(window.dilations)
    value = step.write(operator, [x.value], x.dims[1], window.sides, attributes)
    return nchw(value, (x.dims[0], x.dims[1], *window.sides))


def padded(node: ir.Node, images: Torch, value: float) -> Torch:
    """Images with a node's padding around them."""
    from torch.nn import functional as F

    top, left, bottom, right = ints(node, "pads", [0, 0, 0, 0])
    return F.pad(images, (left, right, top, bottom), value=value) if top + left + bottom + right else images


def options(node: onnx.NodeProto, source: Tensor) -> tuple[Options, list[int] | None]:
    """The options of MAX_POOL_2D and AVERAGE_POOL_2D, and the padding that they do not have, still to do."""
    kernel = attribute(node, "kernel_shape", [1, 1])
    strides, pads = attribute(node, "strides", [1, 1]), list(attribute(node, "pads", [0, 0, 0, 0]))
    both = [same_padding(source.shape[1 + i], kernel[i], strides[i]) for i in range(2)]
    same = pads == [both[0][0], both[1][0], both[0][1], both[1][1]]
    fields = {
        "padding": SAME if same and any(pads) else VALID,
        "strideH": strides[0],
        "strideW": strides[1],
        "filterHeight": kernel[0],
        "filterWidth": kernel[1],
        "fusedActivationFunction": 0,
    }
    return Options("Pool2DOptions", fields), None if same or not any(pads) else pads
