"""What rearranges values for TFLite, whose images are [N, H, W, C] where ONNX has [N, C, H, W]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import onnx

from edgeeff.graph.lowering import Builder, Kept, Options, Tensor

_T = TypeVar("_T")
_TO_NHWC, _TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def axis_of(axis: int, rank: int) -> int:
    """An axis of ONNX in TFLite's order."""
    axis %= rank
    return _TO_NHWC.index(axis) if rank == 4 else axis


def ordered(values: Sequence[_T], rank: int) -> list[_T]:
    """One number for each axis of ONNX, in TFLite's order."""
    return [values[axis] for axis in _TO_NHWC] if rank == 4 else list(values)


def transposed(source: Tensor, order: Sequence[int], name: str, builder: Builder) -> Tensor:
    """The axes of a tensor of TFLite in another order; itself where nothing moves."""
    moving = [axis for axis in order if source.shape[axis] > 1]
    shape = tuple(source.shape[axis] for axis in order)
    if moving == sorted(moving) and shape == source.shape:
        return source
    target = builder.tensor(name, shape, source.type, source.quantization)
    operands = [source, builder.integers(f"{name}/order", list(order))]
    return builder.add("TRANSPOSE", operands, target, Options("TransposeOptions"))


def reshape(node: onnx.NodeProto, builder: Builder) -> None:
    """RESHAPE, between TRANSPOSEs where the channels do not lie last on both sides of it.

    Nothing at all where a FULLY_CONNECTED reads it, which flattens a vector by itself.
    """
    output = node.output[0]
    kept = builder.keeping(node, selects=True)
    source, shape = kept.source, kept.shape
    vector = source.shape[-1] == math.prod(source.shape[1:]) and source.shape[-1] == shape[-1]
    if not vector:
        if len(source.shape) == 4 and _moves(source.shape, _TO_NCHW):
            source = transposed(source, _TO_NCHW, f"{output}/channels_first", builder)
        onnx_shape = builder.shapes[output]
        if len(shape) == 4 and _moves(onnx_shape, _TO_NHWC):
            plain = reshaped(source, onnx_shape, f"{output}/channels_first_reshaped", builder)
            order = builder.integers(f"{output}/order", list(_TO_NHWC))
            builder.keep(kept, "TRANSPOSE", [plain, order], Options("TransposeOptions"))
            return
    readers = builder.consumers.get(output, [])
    if (
        vector
        and readers
        and output not in builder.outputs
        and all(reader.op_type == "Gemm" for reader in readers)
    ):
        builder.store(output, source)
        return
    sizes = _sizes(shape, builder)
    dimensions = builder.integers(f"{output}/shape", sizes)
    builder.keep(
        kept, "RESHAPE", [source, dimensions], Options("ReshapeOptions", {"newShape": sizes}), version=1
    )


def reshape_as_it_lies(last: onnx.NodeProto, node: onnx.NodeProto, builder: Builder) -> None:
    """RESHAPE of what a Transpose reads that puts channels last: those of TFLite's tensors lie so.

    Args:
        last: The Transpose, of four axes.
        node: A Reshape of what it makes, to another number of axes.
        builder: What is written.
    """
    source = builder.stored(last.input[0])
    builder.store(last.output[0], source)
    kept = builder.keeping(node, selects=True)
    sizes = _sizes(kept.shape, builder)
    operands = [kept.source, builder.integers(f"{kept.name}/shape", sizes)]
    builder.keep(kept, "RESHAPE", operands, Options("ReshapeOptions", {"newShape": sizes}), version=1)
    builder.absorb(node)


def reshaped(source: Tensor, shape: Sequence[int], name: str, builder: Builder) -> Tensor:
    """A tensor of TFLite in another shape of as many values."""
    sizes = _sizes(shape, builder)
    target = builder.tensor(name, shape, source.type, source.quantization)
    operands = [source, builder.integers(f"{name}/shape", sizes)]
    return builder.add("RESHAPE", operands, target, Options("ReshapeOptions", {"newShape": sizes}), version=1)


def sliced(kept: Kept, taken: Sequence[range], builder: Builder) -> None:
    """SLICE, or STRIDED_SLICE, of what is taken of each axis in TFLite's order; of the images always all."""
    starts = [r.start for r in taken]
    if all(r.step == 1 for r in taken):
        sizes = [-1 if builder.any_batch else len(taken[0]), *(len(r) for r in taken[1:])]  # −1: to the end
        parts: dict[str, list[int]] = {"starts": starts, "sizes": sizes}
        code, options = "SLICE", Options("SliceOptions")
    else:
        # A bit of a mask: from the first, or to the last, whatever is said.
        masks = {
            "beginMask": 1,
            "endMask": sum(1 << axis for axis, r in enumerate(taken) if axis == 0 or r.stop < 0),
        }
        parts = {"starts": starts, "ends": [r.stop for r in taken], "steps": [r.step for r in taken]}
        code, options = "STRIDED_SLICE", Options("StridedSliceOptions", masks)
    numbers = [builder.integers(f"{kept.name}/{what}", values) for what, values in parts.items()]
    builder.keep(kept, code, [kept.source, *numbers], options)


def _sizes(shape: Sequence[int], builder: Builder) -> list[int]:
    return [-1 if builder.any_batch else int(shape[0]), *(int(size) for size in shape[1:])]


def _moves(shape: Sequence[int], order: Sequence[int]) -> bool:
    """Whether another order of the axes is another order of the values."""
    moving = [axis for axis in order if shape[axis] > 1]
    return moving != sorted(moving)
