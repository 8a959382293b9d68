"""What goes in and what comes out: one input of images, its layout and size, and one output of logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx

from edgeeff.errors import GraphError

Layout = Literal["NCHW", "NHWC"]
DType = Literal["float32", "float16", "float64", "uint8"]

LARGEST_SIDE = 4096  # EfficientNet-L2 was trained at 475 and tested at 800
_TYPES: dict[int, DType] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.UINT8: "uint8",
}
_TO_NCHW = [0, 3, 1, 2]
#: Grey, RGB, RGB with transparency or a fourth colour.
CHANNELS = (3, 1, 4)


@dataclass(frozen=True)
class Signature:
    """A file's outward side.

    Args:
        input: The input's name.
        output: The name of the tensor of logits.
        dtype: The input's element type.
        layout: The order of its axes.
        batch: Images in a run; None: any number.
        channels: 1, 3 or 4; 3 where the file leaves it open.
        sides: Height and width; None for one that the file leaves open.
    """

    input: str
    output: str
    dtype: DType
    layout: Layout
    batch: int | None
    channels: int
    sides: tuple[int | None, int | None]

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width, if the file fixes both."""
        height, width = self.sides
        return None if height is None or width is None else (height, width)


def read(model: onnx.ModelProto, output: str) -> Signature:
    """The signature of a model with one input of images, of which ``output`` is the tensor of logits.

    Raises:
        GraphError: It has several inputs, or one that is no batch of images.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise GraphError(
            f"it has {len(inputs)} inputs: {', '.join(repr(v.name) for v in inputs)}",
            mend="export a network with one input, the images",
        )
    kind = inputs[0].type.tensor_type
    if kind.elem_type not in _TYPES:
        known = {number: name for name, number in onnx.TensorProto.DataType.items()}
        raise GraphError(
            f"input {inputs[0].name!r} is of type {known.get(kind.elem_type, kind.elem_type)}",
            mend=f"export it with an input of type {', '.join(_TYPES.values())}",
        )
    # 0 and −1 are how some exporters write a dimension that they leave open.
    dims = [d.dim_value if d.dim_value > 0 else None for d in kind.shape.dim]
    shown = [d if d is not None else "?" for d in dims]
    if len(dims) != 4:
        raise GraphError(
            f"input {inputs[0].name!r} has the shape {shown}",
            mend="export it with an input [N, C, H, W] or [N, H, W, C]",
        )
    layout = _layout(dims, inputs[0].name, model.graph)
    channels, *sides = dims[1:] if layout == "NCHW" else [dims[3], dims[1], dims[2]]
    if channels not in (*CHANNELS, None):
        raise GraphError(
            f"input {inputs[0].name!r} has the shape {shown}: {channels} channels",
            mend="export a network that takes images of 1, 3 or 4 channels: [N, C, H, W] or [N, H, W, C]; "
            "others have no form in which a photo, or a runtime's metadata, could hold them",
        )
    return Signature(
        input=inputs[0].name,
        output=output,
        dtype=_TYPES[kind.elem_type],
        layout=layout,
        batch=dims[0],
        channels=channels or CHANNELS[0],
        sides=(sides[0], sides[1]),
    )


def size_to_write(signature: Signature, size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width of the imported graph: those wanted, else those that the file fixes.

    Raises:
        GraphError: Neither says, or the size is absurd.
    """
    found = size or signature.size
    if found is None:
        raise GraphError("it leaves the input's height and width open", mend="say which, with --size")
    if not all(0 < side <= LARGEST_SIDE for side in found):
        raise GraphError(
            f"its input would be {found[0]}×{found[1]} pixels", mend=f"sides are 1…{LARGEST_SIDE} pixels"
        )
    return found


def _layout(dims: list[int | None], name: str, graph: onnx.GraphProto) -> Layout:
    for count in CHANNELS:
        first, last = dims[1] == count, dims[3] == count
        if first != last:
            return "NCHW" if first else "NHWC"
    # The dimensions do not say: convolutions are NCHW, so an NHWC file has to transpose before the first.
    readers: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        for read_name in node.input:
            readers.setdefault(read_name, node)
    for _ in range(len(graph.node)):
        reader = readers.get(name)
        if reader is None or reader.op_type == "Conv" or not reader.output:
            break
        if reader.op_type == "Transpose":
            return "NHWC" if [list(a.ints) for a in reader.attribute] == [_TO_NCHW] else "NCHW"
        name = reader.output[0]
    return "NCHW"
