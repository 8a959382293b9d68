"""Resize of height and width, to the nearest pixel or bilinear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.lowering import Builder, Kept, Options, attribute
from edgeeff.graph.model import constant, node_label
from edgeeff.graph.operators import Operator, Traits, _axes, _padding, _rearranging, as_first
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor

F32 = npt.NDArray[np.float32]
_COORDINATES = ("align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn")
_DOUBTFUL = 1e-4  # of a pixel
_NEAREST = ("ceil", "floor", "round_prefer_ceil", "round_prefer_floor")


@dataclass(frozen=True)
class Sampling:
    """Where a pixel of the result comes from.

    Args:
        mode: ``nearest`` or ``linear``.
        coordinates: ``coordinate_transformation_mode`` of ONNX.
        nearest: ``nearest_mode`` of ONNX.
    """

    mode: str
    coordinates: str
    nearest: str

    def matrix(self, size: int, made: int, scale: float) -> F32:
        """What each pixel of the result takes of each of the image's, along one axis: [made, size]."""
        at = np.arange(made, dtype=np.float32)
        factor = np.float32(scale)
        if self.coordinates == "align_corners":
            at = at * np.float32(size - 1) / np.float32(max(made - 1, 1))
        elif self.coordinates == "asymmetric":
            at = at / factor
        elif self.coordinates == "tf_half_pixel_for_nn":
            at = (at + np.float32(0.5)) / factor
        elif self.coordinates == "pytorch_half_pixel" and made == 1:
            at = at * 0
        else:
            at = (at + np.float32(0.5)) / factor - np.float32(0.5)
        found = np.zeros((made, size), np.float32)
        rows = np.arange(made)
        if self.mode == "nearest":
            exact = at.astype(np.float64)  # half a pixel less or more is exact there
            rounded = {
                "ceil": np.ceil(exact),
                "floor": np.floor(exact),
                "round_prefer_ceil": np.floor(exact + 0.5),
                "round_prefer_floor": np.ceil(exact - 0.5),
            }[self.nearest]
            found[rows, np.clip(rounded, 0, size - 1).astype(int)] = 1
            return found
        at = np.clip(at, 0, size - 1)
        low = np.floor(at).astype(int)
        part = at - low.astype(np.float32)
        np.add.at(found, (rows, low), 1 - part)
        np.add.at(found, (rows, np.minimum(low + 1, size - 1)), part)
        return found


def translate(step: Step) -> View:
    """With constant scales or sizes; what it does to other axes than height and width is refused."""
    x = _padding.whole(step, 0)
    sampling = _sampling(step)
    axes = step.attribute("axes", list(range(len(x.shape))))
    scales, sizes = step.constant(2), step.constant(3)
    by_scales = scales is not None and scales.size > 0
    given = scales if by_scales else sizes
    if step.opset < 11 or given is None or len(given) != len(axes):
        step.refuse("it says neither scales nor sizes for its axes as constants")
    if step.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        step.refuse("it keeps the aspect ratio, so that its size depends on the image's")
    changed: dict[int, tuple[int, int]] = {}
    by = {2: 1.0, 3: 1.0}
    for axis, number in zip(axes, given.reshape(-1).tolist(), strict=True):
        axis = _axes.counted(step, x, axis)
        size = _scaled(step, x.shape[axis], number) if by_scales else int(number)
        if size == x.shape[axis] and (not by_scales or number == 1):
            continue
        dimension = _axes.dimension(step, x, axis)
        if dimension not in by or size < 1:
            step.refuse(f"it resizes axis {axis} of {list(x.shape)} to {size}")
        by[dimension] = float(number) if by_scales else size / x.shape[axis]
        changed[axis] = (dimension, size)
    if step.attribute("antialias", 0) and min(by.values()) < 1:
        step.refuse("it makes the image smaller with antialias, which no runtime has")
    if not changed:
        return x
    if not by_scales:
        step.writer.sized.append(
            (f"{node_label(step.node)} resizes to a size of its own", tuple(by.values()))
        )
    return _written(step, x, sampling, changed, by)


def _scaled(step: Step, size: int, scale: float) -> int:
    """The size that a scale makes, where rounding their product leaves no doubt of it.

    Just below a whole number onnxruntime, OpenVINO and ONNX's shape inference round in different ways.
    """
    made = size * float(np.float32(scale))
    if 0 < round(made) - made < _DOUBTFUL:
        step.refuse(
            f"its scale {scale:.7g} makes {floor(made)} or {round(made)} of {size}, as that is rounded"
        )
    return floor(made)


def _sampling(step: Step) -> Sampling:
    mode = step.attribute("mode", "nearest")
    coordinates = step.attribute("coordinate_transformation_mode", "half_pixel")
    nearest = step.attribute("nearest_mode", "round_prefer_floor")
    if mode not in ("nearest", "linear") or nearest not in _NEAREST or step.attribute("exclude_outside", 0):
        step.refuse(f"its mode is {mode}, {nearest}")
    if coordinates not in _COORDINATES:
        step.refuse(f"its coordinate_transformation_mode is {coordinates}")
    return Sampling(mode, coordinates, nearest)


def _written(
    step: Step, x: View, sampling: Sampling, changed: dict[int, tuple[int, int]], by: dict[int, float]
) -> View:
    dims = [*x.dims]
    for dimension, size in changed.values():
        dims[dimension] = size
    factors = np.asarray([1, 1, by[2], by[3]], np.float32)
    attributes = {"mode": sampling.mode, "coordinate_transformation_mode": sampling.coordinates}
    if sampling.mode == "nearest":
        attributes["nearest_mode"] = sampling.nearest
    none = step.writer.constant(np.zeros(0, np.float32))
    operands: list[ir.Value | None] = [x.value, none]
    if all(floor(x.dims[d] * float(factors[d])) == dims[d] for d in (2, 3)):
        operands.append(step.writer.constant(factors))
    else:  # no scale in float32 makes just this size
        operands += [None, step.writer.constant(np.asarray([1, *dims[1:]], np.int64))]
    value = step.write("Resize", operands, dims[1], (dims[2], dims[3]), attributes)
    return _axes.resized(x, value, changed)


def execute(node: ir.Node, x: list[Tensor]) -> Tensor:
    """Each axis by a matrix, or by the pixels that it chooses."""
    import torch

    numbers = constant(node.inputs[2])
    if numbers is None or not numbers.size:
        sizes = constant(node.inputs[3])
        assert sizes is not None
        numbers = np.asarray([1.0, *(sizes[1:] / np.asarray(x[0].shape[1:]))])
        made = [x[0].shape[0], *sizes[1:].tolist()]
    else:
        made = [floor(size * scale) for size, scale in zip(x[0].shape, numbers.tolist(), strict=True)]
    sampling = Sampling(
        node.attributes.get_string("mode", "nearest"),
        node.attributes.get_string("coordinate_transformation_mode", "half_pixel"),
        node.attributes.get_string("nearest_mode", "round_prefer_floor"),
    )
    result = x[0]
    for axis, scale in enumerate(numbers.reshape(-1).tolist()):
        if scale == 1:
            continue
        matrix = sampling.matrix(x[0].shape[axis], made[axis], scale)
        if sampling.mode == "nearest":
            result = result.index_select(axis, torch.from_numpy(matrix.argmax(1)))
        else:
            result = (result.movedim(axis, -1) @ torch.from_numpy(matrix.T.copy())).movedim(-1, axis)
    return result


def lower(node: onnx.NodeProto, builder: Builder) -> None:
    """Pixels that are repeated, else RESIZE_NEAREST_NEIGHBOR or RESIZE_BILINEAR.

    Each pixel twice, or four times, along both axes is written as copies of the channels that DEPTH_TO_SPACE
    puts beside each other: XNNPACK takes that, and no RESIZE_NEAREST_NEIGHBOR. Of the other two that of
    their ways is written that takes the same pixels. Nearest pixels that none of them takes are gathered,
    row by row and column by column.
    """
    mode = attribute(node, "mode", b"nearest").decode()
    kept = builder.keeping(node, selects=mode == "nearest")
    matrices = _matrices(node, mode, kept, builder)
    if mode == "nearest" and (times := _repetitions(matrices)):
        _repeated(kept, times, builder)
        return
    sizes = builder.integers(f"{kept.name}/size", kept.shape[1:3])
    code = "RESIZE_NEAREST_NEIGHBOR" if mode == "nearest" else "RESIZE_BILINEAR"
    table = "ResizeNearestNeighborOptions" if mode == "nearest" else "ResizeBilinearOptions"
    for align, half in ((False, False), (False, True), (True, False)):
        theirs = [_tflite(kept, axis, mode, align=align, half=half) for axis in (1, 2)]
        if all(np.allclose(a, b, atol=1e-5) for a, b in zip(matrices, theirs, strict=True)):
            version = 3 if align or half else None
            options = Options(table, {"alignCorners": align, "halfPixelCenters": half})
            builder.keep(kept, code, [kept.source, sizes], options, version=version)
            return
    if mode != "nearest":
        raise GraphError(
            f"Resize {node.name!r} interpolates in a way that TFLite has not",
            mend="use half_pixel, asymmetric or align_corners",
        )
    _gathered(kept, matrices, builder)


def _matrices(node: onnx.NodeProto, mode: str, kept: Kept, builder: Builder) -> list[F32]:
    sampling = Sampling(
        mode,
        attribute(node, "coordinate_transformation_mode", b"half_pixel").decode(),
        attribute(node, "nearest_mode", b"round_prefer_floor").decode(),
    )
    given = builder.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else None
    known = sampling.mode in ("nearest", "linear") and sampling.coordinates in _COORDINATES
    if not known or len(kept.shape) != 4 or kept.shape[3] != kept.source.shape[3]:
        raise GraphError(
            f"Resize {node.name!r} is neither nearest nor linear, or resizes more than height and width",
            mend="export it as nearest or linear, of height and width",
        )
    found = []
    for axis in (1, 2):
        size, made = kept.source.shape[axis], kept.shape[axis]
        scale = float(given.reshape(-1)[axis + 1]) if given is not None and given.size == 4 else made / size
        found.append(sampling.matrix(size, made, scale))
    return found


def _tflite(kept: Kept, axis: int, mode: str, *, align: bool, half: bool) -> F32:
    """What TFLite takes for each pixel along an axis (kernels/internal/reference/resize_*.h)."""
    size, made = kept.source.shape[axis], kept.shape[axis]
    if align and made > 1:
        return Sampling(mode, "align_corners", "round_prefer_ceil").matrix(size, made, made / size)
    nearest = "tf_half_pixel_for_nn" if mode == "nearest" else "half_pixel"
    return Sampling(mode, nearest if half else "asymmetric", "floor").matrix(size, made, made / size)


def _repetitions(matrices: list[F32]) -> int:
    """How often each pixel stands along both axes: 2 or 4, where the last may stand fewer times; else 0.

    The fewer are those of a size that was halved and rounded up: 3 pixels become 5.
    """
    for times in (2, 4):
        if all(np.array_equal(m.argmax(1), np.arange(len(m)) // times) for m in matrices):
            return times
    return 0


def _repeated(kept: Kept, times: int, builder: Builder) -> None:
    """CONCATENATION of a tensor with itself and DEPTH_TO_SPACE for each doubling, then SLICE to the size."""
    source, wanted = kept.source, kept.shape
    while times > 1:
        times //= 2
        n, height, width, channels = source.shape
        copies = builder.tensor(
            f"{kept.name}/copies", (n, height, width, 4 * channels), source.type, source.quantization
        )
        fields = {"axis": 3, "fusedActivationFunction": 0}
        builder.add("CONCATENATION", [source] * 4, copies, Options("ConcatenationOptions", fields))
        options, doubled = (
            Options("DepthToSpaceOptions", {"blockSize": 2}),
            (n, 2 * height, 2 * width, channels),
        )
        if times == 1 and doubled == wanted:
            builder.keep(kept, "DEPTH_TO_SPACE", [copies], options, version=1)
            return
        source = builder.tensor(f"{kept.name}/doubled", doubled, source.type, source.quantization)
        builder.add("DEPTH_TO_SPACE", [copies], source, options, version=1)
    _rearranging.sliced(replace(kept, source=source), [range(size) for size in wanted], builder)


def _gathered(kept: Kept, matrices: list[F32], builder: Builder) -> None:
    rows, columns = (
        builder.integers(f"{kept.name}/{n}", m.argmax(1)) for n, m in zip("yx", matrices, strict=True)
    )
    source = kept.source
    shape = (source.shape[0], kept.shape[1], *source.shape[2:])
    between = builder.tensor(f"{kept.name}/rows", shape, source.type, source.quantization)
    builder.add("GATHER", [source, rows], between, Options("GatherOptions", {"axis": 1}))
    builder.keep(kept, "GATHER", [between, columns], Options("GatherOptions", {"axis": 2}))


def selects(node: ir.Node) -> bool:
    """The nearest pixels are the image's own."""
    return node.attributes.get_string("mode", "nearest") == "nearest"


OPERATORS = (
    Operator(
        "Resize",
        translate=translate,
        execute=execute,
        traits=Traits(selects=selects, scale="of input", nonnegative=as_first, ends_in_float=True),
        lower=lower,
    ),
)
