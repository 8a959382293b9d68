"""A detector's file: its heads' maps of every level, made two outputs, ``class_logits`` and ``box_codes``.

    class map P3 … P7, box map P3 … P7          10 outputs, as effdet's network gives them; or
    … ─ Transpose ─ Reshape ─ Concat ─ Sigmoid   two, [N, A, C] and [N, A, 4]: zylo117's, and wrappers'

are walked back to the maps themselves, and what brings these into the order of anchors is written anew. The
file is held against it afterwards, with its own Sigmoid and order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.detection.geometry import Geometry
from edgeeff.errors import GraphError
from edgeeff.graph.importing.features import FileTap
from edgeeff.graph.importing.lookup import SAME, Lookup
from edgeeff.graph.model import Array, add_constant, node_label
from edgeeff.graph.views import View

_BOX = 4
#: Boxes at each place: three sizes of three shapes. Of others a graph does not say what they are.
ANCHORS = 9
_FIRST = 3  # level of the finest map, of stride 2³
_LEVELS = range(3, 8)
_RAW = (
    "export the network alone, up to its class and box maps: of effdet `model`, not DetBenchPredict(model); "
    "of zylo117 `model` without its post-processing; two outputs [N, A, classes] and [N, A, 4] will do too"
)
_NMS = ("NonMaxSuppression", "NMS", "TFLite_Detection_PostProcess")


@dataclass(frozen=True)
class _Path:
    """From one output back to the maps that it is made of: one, or those that it puts together."""

    output: str
    maps: tuple[str, ...]
    sigmoid: bool


@dataclass(frozen=True)
class Heads:
    """The heads of a detector in a file.

    Args:
        maps: Tensors of the file, level by level: those of one head, then those of the other.
        outputs: What the file makes of each head's maps, where it puts them together: an output's name.
        sigmoids: Of which of the maps it makes probabilities.
        called: Names that the file has for what is of each half of ``maps``.
        notes: What was read of the file; a phrase each.
        warnings: What of that may be wrong; a sentence each.
        channels_last: Which maps the file has as [N, H, W, C].
        classes: How many there are; of this and what follows nothing is known before the end.
        features: Channels of the pyramid's maps.
        geometry: Anchors of the usual kind for these maps.
    """

    maps: tuple[tuple[str, ...], tuple[str, ...]]
    outputs: tuple[str, str] = ("", "")
    sigmoids: tuple[bool, ...] = ()
    called: tuple[str, str] = ("", "")
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    channels_last: frozenset[str] = frozenset()
    classes: int = 0
    features: int = 0
    geometry: Geometry | None = None

    @property
    def sigmoid(self) -> bool:
        """Whether it makes probabilities of the classes."""
        return any(self.sigmoids)

    @property
    def taps(self) -> tuple[FileTap, ...]:
        """Every map, as a feature that is put out."""
        return tuple(FileTap(tensor) for head in self.maps for tensor in head)


def find(model: onnx.ModelProto) -> Heads | None:
    """The heads of a detector, by how many outputs there are and what they are put together of.

    None: nothing in the file looks like a detector.

    Raises:
        GraphError: It is a detector, and none with raw maps: boxes are made in it, or it is of another kind.
    """
    _refuse_boxes(model)
    graph = Lookup(model)
    paths = [_walk(graph, str(v.name)) for v in model.graph.output if graph.varies(str(v.name))]
    earlier = {p.output: set().union(*(graph.before(name) for name in p.maps)) for p in paths}
    for path in paths:
        earlier[path.output] |= set(path.maps) if len(path.maps) > 1 else set()
    # What others are computed of is on the way to them: features.
    paths = [p for p in paths if not any(set(p.maps) & earlier[o.output] for o in paths if o is not p)]
    joined = [path for path in paths if len(path.maps) in _LEVELS]
    notes = [f"of its outputs {v.name!r} is no head's, and is not taken" for v in model.graph.output
             if v.name not in [path.output for path in paths]]  # fmt: skip
    if len(joined) == 2 and len(paths) == 2 and len(joined[0].maps) == len(joined[1].maps):
        one, other = joined
        return Heads(
            (one.maps, other.maps),
            (one.output, other.output),
            (*(one.sigmoid for _ in one.maps), *(other.sigmoid for _ in other.maps)),
            called=(_called(graph, one.output, *one.maps), _called(graph, other.output, *other.maps)),
            notes=tuple(notes),
        )
    half = len(paths) // 2
    ranks = {len(v.type.tensor_type.shape.dim) for v in model.graph.output}
    if ranks == {4} and len(paths) == len(model.graph.output) == 2 * half and half in _LEVELS:
        maps = [path.maps[0] for path in paths]
        if all(len(path.maps) == 1 for path in paths) and len(set(maps)) == len(maps):
            return Heads(
                (tuple(maps[:half]), tuple(maps[half:])),
                sigmoids=tuple(path.sigmoid for path in paths),
                called=(_called(graph, *maps[:half]), _called(graph, *maps[half:])),
            )
    _refuse_other(model)
    return None


def _walk(graph: Lookup, output: str, *, part: bool = False) -> _Path:
    """From an output, or a ``part`` of one, back to what is more than another order or a Sigmoid."""
    name, sigmoid = output, False
    for _ in range(len(graph.makers) + 1):
        node = graph.maker(name)
        if node is None or not node.input:
            break
        if node.op_type == "Sigmoid" and not sigmoid:
            sigmoid, name = True, node.input[0]
        elif node.op_type in SAME:
            name = node.input[0]
        elif node.op_type == "Concat" and len(node.input) in _LEVELS and not part:
            parts = [_walk(graph, name, part=True) for name in node.input]
            if all(found.sigmoid == parts[0].sigmoid for found in parts):
                both = sigmoid or parts[0].sigmoid
                return _Path(output, tuple(found.maps[0] for found in parts), both)
            break
        else:
            break
    return _Path(output, (name,), sigmoid)


def _called(graph: Lookup, *names: str) -> str:
    """What tensors are called, and the nodes that make them."""
    makers = [node.name for name in names if (node := graph.maker(name)) is not None]
    return " ".join((*names, *makers)).lower()


def _refuse_boxes(model: onnx.ModelProto) -> None:
    """Refuse a file that makes boxes itself.

    Raises:
        GraphError: It does.
    """
    for node in model.graph.node:
        if node.op_type in _NMS or "NMS" in node.op_type or node.op_type.startswith("DetectionOutput"):
            raise GraphError(
                f"it makes boxes itself, by {node_label(node)} ({node.op_type}): its runtime's kind of "
                "non-maximum suppression is written with the artifact",
                mend=_RAW,
            )


def _refuse_other(model: onnx.ModelProto) -> None:
    """Refuse what is a detector by its outputs, and no EfficientDet with raw maps.

    Raises:
        GraphError: It is.
    """
    shapes = {
        str(v.name): tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in model.graph.output
    }
    names = " ".join(shapes).lower()
    what = ""
    if "pred_logits" in names or {"logits", "pred_boxes"} <= {*shapes}:
        what = "a DETR, by its outputs"
    elif len(shapes) == 1 and (shape := next(iter(shapes.values()))) and len(shape) == 3 and max(shape) > 500:
        what = f"a YOLO, by its output {list(shape)}"
    elif any(len(shape) == 3 and shape[2] == _BOX for shape in shapes.values()) and len(shapes) > 1:
        what = "a detector whose outputs are not put together of maps of 3 to 7 levels"
    if what:
        raise GraphError(
            f"it is {what}: {', '.join(f'{n} {list(s)}' for n, s in shapes.items())}; of detectors "
            "EfficientDet alone is taken",
            mend=_RAW,
        )


def end(graph: ir.Graph, heads: Heads, known: Mapping[str, View | Array], size: tuple[int, int]) -> Heads:
    """Make the outputs of a graph, every map of both heads, ``class_logits`` and ``box_codes``.

    Args:
        graph: Its outputs are the maps [1, C, H, W], in the order of ``heads.taps``; changed in place.
        heads: Of the file.
        known: What each tensor of the file became.
        size: Height and width of the image.

    Returns:
        The heads, that of classes first, with all that is known of them.

    Raises:
        GraphError: The maps are no EfficientDet's: of other levels, or not of nine anchors.
    """
    count = len(heads.maps[0])
    values = list(graph.outputs)
    shapes = [_sides(value) for value in values]
    for value, shape in zip(values, shapes, strict=True):
        if len(shape) != _BOX:
            raise GraphError(f"its head's {value.name!r} is {list(shape)}, and no map", mend=_RAW)
    order = _ordered(heads, shapes, count)
    both = [[values[i] for i in head] for head in order]
    sides = [[shapes[i][2:] for i in head] for head in order]
    channels = [{shapes[i][1] for i in head} for head in order]
    if any(len(found) != 1 for found in channels) or sides[0] != sides[1]:
        raise GraphError(
            "its class and box maps are not of the same levels: "
            + ", ".join(f"{v.name} {list(s)}" for v, s in zip(values, shapes, strict=True)),
            mend=_RAW,
        )
    geometry = Geometry(size, (_FIRST, _FIRST + count - 1))
    if tuple(sides[0]) != geometry.features:
        raise GraphError(
            f"its levels are {sides[0]}, and those of an EfficientDet for {size[0]}×{size[1]} pixels "
            f"{list(geometry.features)}",
            mend="export it for the size that it is to run at, a multiple of 128",
        )
    sigmoids = [{heads.sigmoids[i] for i in head} for head in order]
    first, warnings = _classes_of(heads, [next(iter(found)) for found in channels], sigmoids)
    if len(sigmoids[first]) > 1 or True in sigmoids[1 - first]:
        raise GraphError("it makes a Sigmoid of its box maps, or of some of its class maps alone", mend=_RAW)
    classes = next(iter(channels[first])) // ANCHORS
    graph.outputs.clear()
    for name, place, last in ((LOGITS, first, classes), (CODES, 1 - first, _BOX)):
        graph.outputs.append(_joined(graph, name, both[place], last))
    tensors = [tap.tensor for tap in heads.taps]
    logits, codes = ([tensors[i] for i in order[place]] for place in (first, 1 - first))
    return replace(
        heads,
        maps=(tuple(logits), tuple(codes)),
        outputs=(heads.outputs[first], heads.outputs[1 - first]),
        notes=(*heads.notes, f"heads of {count} levels: {geometry.count} anchors, {classes} classes"),
        warnings=(*heads.warnings, *warnings),
        channels_last=frozenset(name for name in tensors if _is_last(known[name])),
        classes=classes,
        features=_pyramid(both[first][0]),
        geometry=geometry,
    )


def _is_last(found: View | Array) -> bool:
    return isinstance(found, View) and not found.is_vector and not found.is_nchw


def _ordered(heads: Heads, shapes: Sequence[tuple[int, ...]], count: int) -> list[list[int]]:
    """Which maps are of one head and which of the other, each from the finest level on.

    Ten outputs may come head by head or level by level.
    """
    everything = list(range(2 * count))
    halves = [everything[:count], everything[count:]]
    if not heads.outputs[0] and shapes[0][2:] == shapes[1][2:]:
        halves = [everything[::2], everything[1::2]]
    return [sorted(half, key=lambda i: -prod(shapes[i][2:])) for half in halves]


def _classes_of(
    heads: Heads, channels: Sequence[int], sigmoids: Sequence[set[bool]]
) -> tuple[int, tuple[str, ...]]:
    """Which of the two heads is that of classes: 0 or 1; and what is to be warned of.

    Raises:
        GraphError: Neither can be that of boxes.
    """
    box = ANCHORS * _BOX
    boxes = [place for place, count in enumerate(channels) if count == box]
    if not boxes or any(count % ANCHORS for count in channels):
        raise GraphError(
            f"its heads have {channels[0]} and {channels[1]} channels, and none is of {ANCHORS} boxes at "
            f"each place ({box} channels)",
            mend="what other anchors a detector has is not in its graph; pass one of 9 at each place",
        )
    if len(boxes) == 1:
        return 1 - boxes[0], ()
    probable = [place for place in (0, 1) if sigmoids[place] == {True}]
    if len(probable) == 1:
        return probable[0], ()
    said = [place for place, text in enumerate(heads.called) if "box" in text or "regress" in text]
    if len(said) == 1:
        return 1 - said[0], ()
    return 0, (
        "it has four classes, so that both heads have as many channels, and no name says which is which: "
        "the first is taken for that of classes, as effdet gives them; if its boxes are nonsense, export the "
        "heads the other way round",
    )


def _joined(graph: ir.Graph, name: str, maps: Sequence[ir.Value], last: int) -> ir.Value:
    """Maps [1, 9 · last, H, W] of each level as [1, A, last]: level by level, row by row, then anchors."""
    parts, total = [], 0
    for value in maps:
        _, channels, height, width = _sides(value)
        count = height * width * channels // last
        moved = _written(graph, "Transpose", [value], {"perm": [0, 2, 3, 1]}, (1, height, width, channels))
        shape = add_constant(graph, f"{value.name}.shape", np.asarray([1, count, last], np.int64))
        parts.append(_written(graph, "Reshape", [moved, shape], {}, (1, count, last)))
        total += count
    joined = _written(graph, "Concat", parts, {"axis": 1}, (1, total, last))
    joined.name = name
    return joined


def _sides(value: ir.Value) -> tuple[int, ...]:
    """A shape; all sizes are known."""
    return tuple(int(side) for side in list(value.shape or ()))  # type: ignore[arg-type]


def _written(
    graph: ir.Graph,
    kind: str,
    inputs: Sequence[ir.Value],
    attributes: dict[str, object],
    shape: tuple[int, ...],
) -> ir.Value:
    node = ir.node(kind, list(inputs), attributes=attributes)  # type: ignore[arg-type]
    node.name = f"/{inputs[0].name}/{kind}"
    made = node.outputs[0]
    made.name, made.type = f"{inputs[0].name}.{kind.lower()}", inputs[0].type
    made.shape = ir.Shape(shape)
    graph.append(node)
    return made


def _pyramid(value: ir.Value) -> int:
    """Channels of the features that a head's last convolution reads; 0 where that cannot be seen."""
    node = value.producer()
    while node is not None and node.op_type != "Conv":
        node = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    weight = None if node is None else node.inputs[1]
    shape = () if weight is None else _sides(weight)
    return shape[1] if len(shape) == _BOX else 0
