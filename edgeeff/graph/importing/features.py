"""The features of a file: which of its tensors are put out, and what stands behind them.

Those that the user names (``--taps``), else all outputs of the file. A map is [N, C, H, W] or [N, H, W, C],
an embedding [N, C]; whatever the file computes behind the last of them is not imported. A vector that the
file divides by its length, or that is to be (``vector:l2``), is imported as it is before that, and divided by
one LpNormalization, which all runtimes compute in float.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import log2

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError, OptionError
from edgeeff.graph.importing.lookup import Lookup
from edgeeff.graph.model import Array
from edgeeff.graph.views import NO_PADS, View, nchw_axes, transposed
from edgeeff.graph.writer import Writer
from edgeeff.tasks import EMBEDDING

_NHWC = [0, 2, 3, 1]
#: Behind a tap: divided by its length.
UNIT = ":l2"


@dataclass(frozen=True)
class FileTap:
    """A tensor of a file that is put out.

    Args:
        tensor: Its name in the file.
        unit: The file's tensor that is this one divided by its length, where that was tapped; else empty.
        channels_last: Whether the file has it as [N, H, W, C].
        name: Of the graph's output: ``features_8``, ``embedding``.
        divided: Whether it is put out divided by its length.
    """

    tensor: str
    unit: str = ""
    channels_last: bool = False
    name: str = ""
    divided: bool = False


def read(model: onnx.ModelProto, taps: Sequence[str]) -> tuple[FileTap, ...]:
    """The tensors that are put out.

    Args:
        model: The file.
        taps: Names of tensors in it; none: all its outputs.

    Raises:
        OptionError: The file has no such tensor.
        GraphError: It has no outputs, or two taps are one tensor.
    """
    graph = Lookup(model)
    outputs = [str(value.name) for value in model.graph.output]
    for name in taps:
        if _tensor(graph, name) not in graph.makers:
            near = get_close_matches(name, graph.makers, n=3, cutoff=0.5)
            also = f"; near it are {', '.join(near)}" if near else ""
            raise OptionError(
                f"--taps: the file has no tensor {name.removesuffix(UNIT)!r}",
                mend=f"its outputs are {', '.join(outputs[:8])}{also}",
            )
    if not taps and not outputs:
        raise GraphError("it has 0 outputs", mend="name tensors with --taps")
    found = [_tap(graph, name) for name in taps or outputs]
    for tap in found:
        if [other.tensor for other in found].count(tap.tensor) > 1:
            raise GraphError(
                f"two of the features are one tensor, {tap.tensor!r}", mend="name each once with --taps"
            )
    return tuple(found)


def end(writer: Writer, known: Mapping[str, View | Array], taps: Sequence[FileTap]) -> None:
    """Make the taps the outputs of the graph that was written.

    Raises:
        GraphError: One is neither a map nor a vector of the image's features.
    """
    for tap in taps:
        found = known[tap.tensor]
        if isinstance(found, np.ndarray) or found.value.is_graph_input():
            raise GraphError(
                f"{tap.tensor!r} is no feature of the image: it is the image, or does not depend on it",
                mend="name others with --taps",
            )
        if found.pads != NO_PADS or not (found.is_vector or found.is_nchw or _is_nhwc(found)):
            raise GraphError(
                f"{tap.tensor!r} has the shape {list(found.shape)}, which is neither a map of features "
                "[N, C, H, W] nor a vector [N, C]",
                mend="name others with --taps",
            )
        if found.value in writer.graph.outputs:
            raise GraphError(
                f"{tap.tensor!r} is another of the features, in another shape",
                mend="name each once with --taps",
            )
        writer.graph.outputs.append(found.value)


def named(
    graph: ir.Graph, taps: Sequence[FileTap], known: Mapping[str, View | Array], size: tuple[int, int]
) -> tuple[FileTap, ...]:
    """The taps with their outputs' names, which the graph's outputs are given."""
    made: list[FileTap] = []
    for value, tap in zip(graph.outputs, taps, strict=True):
        assert value.shape is not None
        sides = [side for side in list(value.shape)[2:] if isinstance(side, int)]
        wish = f"features_{2 ** round(log2(size[0] / sides[0]))}" if len(sides) == 2 else EMBEDDING
        taken = [other.name for other in made]
        name = next(n for n in (wish, *(f"{wish}_{i}" for i in range(2, len(taps) + 2))) if n not in taken)
        value.name = name
        view = known[tap.tensor]
        last = isinstance(view, View) and not view.is_vector and not view.is_nchw
        wanted, vector = tap.divided or bool(tap.unit), len(list(value.shape)) == 2
        if tap.divided and not vector:
            raise OptionError(
                f"--taps: {tap.tensor!r} is a map, {list(value.shape)}, and {UNIT} divides vectors",
                mend="name it without",
            )
        made.append(replace(tap, channels_last=last, name=name, divided=wanted and vector))
    return tuple(made)


def notes(graph: ir.Graph, taps: Iterable[FileTap]) -> list[str]:
    """What is put out, in the file's own terms."""
    shapes = {str(value.name): value.shape for value in graph.outputs}
    found = []
    for tap in taps:
        tensor = tap.unit if tap.unit and tap.divided else tap.tensor
        length = ", of length 1 (L2 norm)" if tap.divided else ""
        found.append(f"{tap.name} is its tensor {tensor!r}, {list(shapes[tap.name] or ())}{length}")
    return found


def warnings(taps: Iterable[FileTap]) -> list[str]:
    """What was cut off that a product may rely on."""
    return [
        f"the file divides {tap.name} by its length (L2 norm), and the artifact does not: cosines are the "
        "same, distances are not; divide it by its length where it is compared"
        for tap in taps
        if tap.unit and not tap.divided
    ]


def _tap(graph: Lookup, name: str) -> FileTap:
    """The tensor itself, or what was divided by its length to make it."""
    tensor = _tensor(graph, name)
    source = _before_unit(graph, graph.behind(tensor))
    if source is None:
        return FileTap(tensor, divided=tensor != name)
    return FileTap(source, unit=tensor, divided=tensor != name)


def _tensor(graph: Lookup, tap: str) -> str:
    """The name in a tap that may end in ``:l2``; so may the name itself."""
    return tap if tap in graph.makers else tap.removesuffix(UNIT)


def _before_unit(graph: Lookup, name: str) -> str | None:
    """x, where a tensor is x / ‖x‖: LpNormalization, or a division by what is made of x alone; else None."""
    node = graph.maker(name)
    if node is None:
        return None
    if node.op_type == "LpNormalization":
        power = next((int(a.i) for a in node.attribute if a.name == "p"), 2)
        return str(node.input[0]) if power == 2 else None
    if node.op_type not in ("Div", "Mul") or len(node.input) != 2:
        return None
    for source, other in (node.input, node.input[::-1]):
        between = {*graph.before(other), other} - graph.before(source) - {source}
        kinds = {maker.op_type for part in between if (maker := graph.maker(part)) is not None}
        if kinds & {"ReduceL2", "ReduceSumSquare"} or {"Sqrt", "ReduceSum"} <= kinds:
            return str(source)
        if node.op_type == "Div":
            return None
    return None


def _is_nhwc(view: View) -> bool:
    dims = view.dims
    return view == transposed(View(view.value, dims, dims, nchw_axes(dims)), _NHWC)
