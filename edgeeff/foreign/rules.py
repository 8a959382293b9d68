"""The hub graph's rules (docs/architecture.md), which a graph from elsewhere must keep; and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from typing import Any

import onnx

from edgeeff import foreign_ends
from edgeeff.batch import LARGEST, ONE, Batch
from edgeeff.detection import Detection
from edgeeff.errors import GraphError, OptionError
from edgeeff.graph import operators
from edgeeff.graph.batch import of_graph, with_batch
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.options import Options
from edgeeff.pipeline.request import parts as request_parts
from edgeeff.pipeline.resolve.meaning import resolve_meaning, task_warnings
from edgeeff.pipeline.resolve.preprocessing import prepared
from edgeeff.preprocess import Preprocess
from edgeeff.tasks import EMBEDDING, FEATURES_TASK, Meaning, checked_threshold
from edgeeff.zoo.sources import Identity
from edgeeff.zoo.taps import Tapped

#: The largest input and the most values (classes, channels) of an output that anything is allocated for.
_LARGEST, _MOST_CLASSES = 4096, 1 << 20
#: What a hub graph is made of: what every runtime has, and TFLite the fewest.
OPERATORS = frozenset(name for name, operator in operators.discover().items() if operator.lower is not None)


def batch_of(graph: onnx.ModelProto, path: Path, asked: int | str | None, context: Context) -> Batch:
    """How many images a run of the artifact takes: those asked for, else the graph's own.

    Raises:
        GraphError: The graph's own are more than any runtime takes.
    """
    if asked is not None:
        return Batch.read(asked)
    own, tell = of_graph(graph), context.progress.tell
    if own.dynamic:
        tell("batch    one image in a run; the graph takes any number: --batch 4, --batch dynamic")
        return ONE
    if own.size > LARGEST:
        raise GraphError(
            f"{path}: its input is of {own.size} images", mend=f"say --batch, a number from 1 to {LARGEST}"
        )
    if own != ONE:
        tell(f"batch    {own} images in a run, as the graph has it; --batch 1 makes it one")
    return own


def of_one(graph: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The graph with one image in a run, as all that is asked of it here wants it."""
    refuse_operators(graph, path)
    try:
        return with_batch(graph, ONE)
    except GraphError as error:
        raise GraphError(f"{path}: {error.what}", mend=error.mend) from None


def identity_of(graph: onnx.ModelProto, path: Path, changed: Mapping[str, Any], task: str | None) -> Identity:
    """What the graph says of itself, and the preprocessing that the user says.

    Of features the outputs are given their names here, in the graph too.

    Raises:
        GraphError: It breaks one of the hub's outward rules.
    """
    channels, size, classes = _hub_shape(graph, path, task == FEATURES_TASK)
    own = Preprocess(size=size, mean=(0.0,) * channels, std=(1.0,) * channels)
    preprocess = prepared(own, None, changed)
    if task == FEATURES_TASK:
        tapped = named(graph, size)
        sizes = dict(shapes(graph.graph.output))
        notes = [f"{tap.name} is its tensor {tap.tap!r}, {sizes[tap.name]}" for tap in tapped]
        return Identity(
            *("foreign", str(path), path.stem, "", preprocess, 0), outputs=tapped, notes=tuple(notes)
        )
    ends_in = foreign_ends.made(graph, str(path))
    return Identity("foreign", str(path), path.stem, "", preprocess, classes, ends_in=ends_in)


def named(graph: onnx.ModelProto, size: tuple[int, int]) -> tuple[Tapped, ...]:
    """Call each output by its stride, ``features_8``, or ``embedding``, as a build does, in place.

    A second one of a kind gets a number.
    """
    found: dict[str, str] = {}
    kept = {name for node in graph.graph.node for name in (*node.input, *node.output)}
    for name, shape in shapes(graph.graph.output):
        wish = f"features_{2 ** round(log2(size[0] / shape[2]))}" if len(shape) == 4 else EMBEDDING
        names = (wish, *(f"{wish}_{i}" for i in range(2, len(graph.graph.output) + 2)))
        found[name] = next(n for n in names if n not in found.values() and (n == name or n not in kept))
    rename(graph, found)
    return tuple(Tapped(name, tensor) for tensor, name in found.items())


def rename(graph: onnx.ModelProto, names: Mapping[str, str]) -> None:
    """Call outputs of a graph otherwise, in place; no other tensor has such a name."""
    for node in graph.graph.node:
        for place in (node.input, node.output):
            place[:] = [names.get(name, name) for name in place]
    for value in (*graph.graph.output, *graph.graph.value_info):
        value.name = names.get(value.name, value.name)


def input_of(graph: onnx.ModelProto, path: Path) -> tuple[int, tuple[int, int]]:
    """Channels, and height and width, of a graph's only input.

    Raises:
        GraphError: It is no image.
    """
    constants = {tensor.name for tensor in graph.graph.initializer}
    inputs = [shape for name, shape in shapes(graph.graph.input) if name not in constants]
    match inputs:
        case [[1, (1 | 3 | 4) as channels, height, width]] if min(height, width) > 0:
            if max(height, width) <= _LARGEST:
                return channels, (height, width)
    raise GraphError(
        f"{path}: its inputs are {inputs}",
        mend="export one input [N, 3, H, W] (or of 1 or 4 channels), with static shapes but for N",
    )


def shapes(values: Sequence[onnx.ValueInfoProto]) -> list[tuple[str, list[int]]]:
    """Names and shapes of inputs or outputs."""
    return [(v.name, [dimension.dim_value for dimension in v.type.tensor_type.shape.dim]) for v in values]


def meaning_of(
    identity: Identity,
    said: request_parts.Meaning,
    context: Context,
    detection: Detection | None = None,
) -> Meaning:
    """What the outputs mean; ``detection`` holds a detector's facts.

    Raises:
        OptionError: They cannot mean what was asked for.
    """
    options = Options(
        task=said.task,
        threshold=None if said.threshold is None else checked_threshold(said.threshold),
        probabilities=bool(identity.ends_in),
    )
    meaning = resolve_meaning(options, identity, detection)
    context.warn_all(task_warnings(meaning, identity, said.task))
    if identity.ends_in == "sigmoid" and meaning.exclusive:
        raise OptionError(
            f"--task {meaning.task}, and {identity.source} ends in a sigmoid", mend="leave out --task"
        )
    if meaning.decides and not meaning.exclusive and detection is None:
        context.progress.tell(
            f"task     {meaning.task}: a label is there if its sigmoid is {meaning.threshold:g} or more"
        )
    return meaning


def refuse_operators(graph: onnx.ModelProto, path: Path) -> None:
    """Refuse a graph with an operator that not every runtime's ``emit`` knows.

    Raises:
        GraphError: It has one.
    """
    for node in graph.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise GraphError(
                f"{path}: operator {operator} of node {node.name!r} is known to no backend",
                mend=f"a hub graph is made of {', '.join(sorted(OPERATORS))}",
            )


def _hub_shape(graph: onnx.ModelProto, path: Path, features: bool) -> tuple[int, tuple[int, int], int]:
    """Input channels, height and width, and the classes, if the graph keeps the hub's outward rules."""
    constants = {tensor.name for tensor in graph.graph.initializer}
    inputs = [shape for name, shape in shapes(graph.graph.input) if name not in constants]
    outputs = [shape for _, shape in shapes(graph.graph.output)]
    wanted = "one output [N, classes]"
    if features:
        wanted = "outputs [N, C, H, W] and [N, C]"
    match inputs:
        case [[1, (1 | 3 | 4) as channels, height, width]] if min(height, width) > 0:
            if max(height, width) <= _LARGEST and all(_is_output(shape, features) for shape in outputs):
                if features and outputs:
                    return channels, (height, width), 0
                if len(outputs) == 1:
                    return channels, (height, width), outputs[0][1]
    mend = f"export one input [N, 3, H, W] (or of 1 or 4 channels) and {wanted}, with static shapes but for N"
    if outputs and not features and all(_is_output(shape, True) for shape in outputs):
        mend = f"if these are feature maps and vectors, say --task features; else {mend}"
    raise GraphError(
        f"{path}: inputs and outputs are {[*inputs, *outputs]}",
        mend=mend,
    )


def _is_output(shape: Sequence[int], features: bool) -> bool:
    """Whether an output is [1, classes]; of features a vector [1, C] or a map [1, C, H, W]."""
    ranks = (2, 4) if features else (2,)
    return len(shape) in ranks and shape[0] == 1 and min(shape) > 0 and shape[1] <= _MOST_CLASSES
