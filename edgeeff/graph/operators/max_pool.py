"""MaxPool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, attribute
from edgeeff.graph.model import ints
from edgeeff.graph.operators import Operator, Traits, _padding, _pooling, as_first, selects
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor


#: Rows or columns, at most, that are written once more each: of more XNNPACK takes no CONCATENATION.
_REPEATED = 4


def translate(step: Step) -> View:
    """With explicit padding, of no value: the largest of a window is of the image."""
    x = _padding.whole(step, 0)
    window = _pooling.window(step, x)
    return _pooling.written(step, x, "MaxPool", window, window.pads)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """Padded with what is less than any value."""
    from torch.nn import functional as F

    images = _pooling.padded(node, x[0], float("-inf"))
    kernel, strides = ints(node, "kernel_shape", [1, 1]), ints(node, "strides", [1, 1])
    dilations = ints(node, "dilations", [1, 1])
    return F.max_pool2d(images, tuple(kernel), tuple(strides), 0, tuple(dilations))


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """MAX_POOL_2D; for other padding than SAME the pixels at the border are repeated before it.

    Where 0 is the smallest value that there is it is a PAD, and where much is padded a PADV2 of the smallest.
    """
    if attribute(node, "ceil_mode", 0) or list(attribute(node, "dilations", [1, 1])) != [1, 1]:
        raise GraphError(
            f"MaxPool {node.name!r} has dilations or rounds its size up",
            mend="TFLite has neither: export it with explicit pads",
        )
    kept = builder.keeping(node, selects=True)
    options, pads = _pooling.options(node, kept.source)
    source = kept.source
    if pads is not None:
        lowest = source.quantization is not None and int(source.quantization.zero_point[0]) == -128
        if lowest or max(pads[0] + pads[2], pads[1] + pads[3]) > _REPEATED:
            source = _padding.around(source, pads, builder, value=float("-inf"))
        else:
            source = _padding.repeated(source, pads, builder)
    builder.keep(kept, "MAX_POOL_2D", [source], options)


OPERATORS = (
    Operator(
        "MaxPool",
        translate=translate,
        execute=execute,
        traits=Traits(selects=selects, nonnegative=as_first),
        lower=lower,
    ),
)
