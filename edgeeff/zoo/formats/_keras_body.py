"""Whether the network within a Keras model computes what its layers' names say.

Weights go by names, and names say nothing of an activation that was replaced, a padding, a layer put between.
So each layer gets a number for what it computes from what (equal numbers, equal results), and the numbers of
the network of keras.applications are held against them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from edgeeff.errors import CheckpointError
from edgeeff.graph.padding import same_padding
from edgeeff.zoo.formats import _keras_values
from edgeeff.zoo.formats._keras_graph import Graph, Node

Pads = tuple[tuple[int, int], tuple[int, int]]  # (above, below), (left, right)
Zeros = tuple[str, int, Pads]

_STEM, _TOP = "stem_conv", "top_conv"
_BLOCK = re.compile(r"(?P<block>block(?P<stage>\d+)(?P<letter>[a-z])_)project_conv")
_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of each stage's first block, in every variant (Tan & Le 2019, 2021)
_STRIDED = 5  # layers of stride 2
_MERGES = ("Add", "Multiply")
#: A network whose every strided layer reads even sides, as Keras takes an unknown side to be.
_EVEN = 256
_SIDES = range(32, 1025)


@dataclass(frozen=True)
class Body:
    """The network within a model.

    Args:
        start: The node that its stem reads.
        end: The node that gives its features.
        layers: The names of its layers.
        first: Whether channels come before rows and columns.
        epsilons: Of each batch normalisation.
        zeros: What padding layers add before its strided convolutions: layer, kernel's side, zeros. Empty
            where the convolutions count SAME's zeros themselves.
    """

    start: int
    end: int
    layers: frozenset[str]
    first: bool
    epsilons: Mapping[str, float]
    zeros: tuple[Zeros, ...]


def find(graph: Graph, origin: str) -> Body | None:
    """The EfficientNet of a model; None if it holds none by its layers' names.

    Args:
        graph: The model's.
        origin: Names the file in messages.

    Raises:
        CheckpointError: A layer of it is not what its name says.
    """
    named = {node.name: i for i, node in enumerate(graph.nodes)}
    if _STEM not in named or _TOP not in named:
        return None
    check = _Check(graph, named, origin)
    top = check.network()
    end = next(i for i in range(len(graph.nodes)) if check.ids[i] == top)
    epsilons = {
        node.name: _keras_values.number(node.config.get("epsilon"), 1e-3)
        for node in graph.nodes
        if node.kind == "BatchNormalization" and node.name in check.layers
    }
    first = graph.nodes[named[_STEM]].config.get("data_format") == "channels_first"
    return Body(check.start, end, frozenset(check.layers), first, epsilons, tuple(check.zeros))


def static(body: Body, size: tuple[int, int] | None, origin: str) -> tuple[int, int] | None:
    """The size of images that the padding layers' zeros were counted for; None where they are SAME's for
    images of ``size`` (height, width), as the model has them.

    Keras counts them when the network is made, and takes a side that is not known for an even one
    (keras/src/applications/imagenet_utils.py, ``correct_pad``).

    Raises:
        CheckpointError: They are those of no size.
    """
    if not body.zeros or (size is not None and all(_fits(body.zeros, size[axis], axis) for axis in (0, 1))):
        return None
    height, width = (
        next((side for side in (_EVEN, *_SIDES) if _fits(body.zeros, side, axis)), None) for axis in (0, 1)
    )
    if height is None or width is None or len(body.zeros) != _STRIDED:
        raise CheckpointError(
            f"{origin}: the zeros of the padding layers before {', '.join(name for name, *_ in body.zeros)} "
            "are those of no image size",
            mend="export the model to ONNX and pass that",
        )
    return height, width


def _fits(zeros: Sequence[Zeros], side: int, axis: int) -> bool:
    """Whether these are SAME's zeros for images of that side, which each strided layer halves."""
    for _, kernel, pads in zeros:
        if pads[axis] != same_padding(side, kernel, 2):
            return False
        side = (side + 1) // 2
    return True


class _Check:
    """Numbers for what each node computes, and for what it should."""

    def __init__(self, graph: Graph, named: Mapping[str, int], origin: str) -> None:
        self.graph, self.named, self.origin = graph, named, origin
        self.layers: set[str] = set()
        self.start = -1
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._format = graph.nodes[named[_STEM]].config.get("data_format") or "channels_last"
        self.ids: list[int] = []
        for i, node in enumerate(graph.nodes):
            read = [self.ids[j] for j in node.inputs]
            for signature in self._signatures(i, node):
                read = [self._number(signature, *read)]
            self.ids.append(read[0])
        self._good: set[int] = set()
        self.zeros: list[Zeros] = []

    def network(self) -> int:
        """The number of the features; raises CheckpointError where a layer deviates."""
        act = "silu" if any(name.endswith("_se_reduce") for name in self.named) else "relu6"
        node, pads = self._padded(_STEM)
        self.start = (self.graph.nodes[node.inputs[0]] if pads else node).inputs[0]
        here = self.ids[self.start]
        self._good.add(here)
        here = self._act(self._norm("stem_bn", self._conv(_STEM, here, 2)), act)
        channels = node.config.get("filters", -1)
        for block, stage, letter in self._blocks():
            stride = _STRIDES[stage - 1] if letter == "a" and stage <= len(_STRIDES) else 1
            entry = here
            spatial = next((n for n in ("dwconv", "dwconv2") if f"{block}{n}" in self.named), None)
            expands = f"{block}expand_conv" in self.named
            if expands:
                here = self._conv(f"{block}expand_conv", here, 1 if spatial else stride)
                here = self._act(self._norm(f"{block}expand_bn", here), act)
            if spatial:
                here = self._conv(f"{block}{spatial}", here, stride)
                here = self._act(self._norm(f"{block}bn", here), act)
            here = self._squeezed(block, here, act)
            plain = not (expands or spatial)
            here = self._conv(f"{block}project_conv", here, stride if plain else 1)
            here = self._norm(f"{block}project_bn", here)
            here = self._act(here, act) if plain else here
            filters = self._node(f"{block}project_conv").config.get("filters")
            if stride == 1 and filters == channels:
                here = self._keep(self._number(("Add",), here, entry))
            channels = filters
        here = self._act(self._norm("top_bn", self._conv(_TOP, here, 1)), act)
        if here not in self.ids:
            top = self.named["top_bn"]
            self._refuse(next(iter(self.graph.readers(top)), top))
        return here

    def _blocks(self) -> Iterator[tuple[str, int, str]]:
        found = [match for node in self.graph.nodes if (match := _BLOCK.fullmatch(node.name))]
        for match in found:
            yield match["block"], int(match["stage"]), match["letter"]

    def _squeezed(self, block: str, here: int, act: str) -> int:
        if f"{block}se_reduce" not in self.named:
            return here
        gate = self._keep(self._number(("mean",), here))
        gate = self._conv(f"{block}se_reduce", gate, 1, act)
        gate = self._conv(f"{block}se_expand", gate, 1, "sigmoid")
        return self._keep(self._number(("Multiply",), here, gate))

    def _conv(self, name: str, here: int, stride: int, activation: str | None = None) -> int:
        node, pads = self._padded(name)
        if pads is not None:
            here = self._keep(self._number(("pad", pads), here))
            kernel = _keras_values.pair(node.config["kernel_size"]) or (0, 0)
            self.zeros.append((name, kernel[0], pads))
        padding = "same" if pads is None else "valid"
        steps: list[tuple[Any, ...]] = [(node.kind, name, (stride, stride), padding)]
        return self._named(name, here, [*steps, ("act", activation)] if activation else steps)

    def _norm(self, name: str, here: int) -> int:
        return self._named(name, here, [("norm", name)]) if name in self.named else here

    def _act(self, here: int, activation: str) -> int:
        return self._keep(self._number(("act", activation), here))

    def _named(self, name: str, here: int, steps: list[tuple[Any, ...]]) -> int:
        """The number that a layer should have; raises CheckpointError if it has another."""
        for signature in steps:
            here = self._number(signature, here)
        at = self.named[name]
        if self.ids[at] != here or sum(node.name == name for node in self.graph.nodes) > 1:
            self._refuse(at)
        self.layers.add(name)
        return self._keep(here)

    def _padded(self, name: str) -> tuple[Node, Pads | None]:
        """A convolution, and the zeros of the padding layer before it, if it has one."""
        node = self._node(name)
        if node.config.get("padding") != "valid" or _keras_values.pair(node.config["kernel_size"]) == (1, 1):
            return node, None
        before = self.graph.nodes[node.inputs[0]] if node.inputs else node
        pads = _pads(before)
        ok = pads is not None and before.config.get("data_format") in (None, self._format)
        return node, pads if ok else None

    def _node(self, name: str) -> Node:
        return self.graph.nodes[self.named[name]]

    def _keep(self, number: int) -> int:
        self._good.add(number)
        return number

    def _number(self, signature: tuple[Any, ...], *read: int) -> int:
        inputs = tuple(sorted(read)) if signature[0] in _MERGES else read
        return self._numbers.setdefault((*signature, inputs), len(self._numbers))

    def _signatures(self, at: int, node: Node) -> list[tuple[Any, ...]]:
        """What a layer does, step by step; empty if it does nothing at inference."""
        unknown = [("other", at)]
        config = node.config
        if not node.inputs or node.training or config.get("data_format") not in (None, self._format):
            return unknown
        if _keras_values.idle(node):
            return []
        if node.kind in ("Conv2D", "DepthwiseConv2D"):
            return _convolution(node) or unknown
        if node.kind == "BatchNormalization":
            axis = _keras_values.axis(config.get("axis", -1))
            return [("norm", node.name)] if axis in self._axes() else unknown
        if node.kind == "ZeroPadding2D":
            return [("pad", _pads(node))]
        if node.kind == "GlobalAveragePooling2D":
            return [("mean",)]
        if node.kind == "Reshape" and self._flat(config.get("target_shape")):
            return []
        if node.kind in _MERGES and len(node.inputs) == 2 and not node.constants:
            return [(node.kind,)]
        activation = _keras_values.activation_of(node)
        return [("act", activation)] if activation else unknown

    def _axes(self) -> tuple[int, ...]:
        return (-1, 3) if self._format == "channels_last" else (1, -3)

    def _flat(self, shape: Any) -> bool:
        """Whether a shape is that of one pixel, as squeeze-and-excite reads it."""
        sides = _keras_values.listed(shape)
        return len(sides) == 3 and (sides[:2] if self._format == "channels_last" else sides[1:]) == [1, 1]

    def _refuse(self, at: int) -> NoReturn:
        """Name the layer at fault: the first before ``at`` that computes something else."""
        while strange := [i for i in self.graph.nodes[at].inputs if self.ids[i] not in self._good]:
            at = strange[0]
        raise CheckpointError(
            f"{self.origin}: the layer {self.graph.nodes[at].shown} within the network is not what "
            "keras.applications has in its place, and what it does cannot be kept",
            mend="export the model to ONNX and pass that, or restore the layer",
        )


def _convolution(node: Node) -> list[tuple[Any, ...]] | None:
    """A convolution's step, and its activation's."""
    config = node.config
    kernel, strides = (_keras_values.pair(config.get(key)) for key in ("kernel_size", "strides"))
    plain = (
        _keras_values.pair(config.get("dilation_rate", 1)) == (1, 1)
        and config.get("groups", 1) == 1
        and config.get("depth_multiplier", 1) == 1
    )
    activation = _keras_values.activation(config.get("activation"))
    if kernel is None or strides is None or not plain or activation is None:
        return None
    padding = "same" if kernel == (1, 1) else config.get("padding")
    step = (node.kind, node.name, strides, padding)
    return [step] if activation == "linear" else [step, ("act", activation)]


def _pads(node: Node) -> Pads | None:
    """The zeros that a ZeroPadding2D adds."""
    if node.kind != "ZeroPadding2D":
        return None
    rows, columns = map(_keras_values.pair, _keras_values.listed(node.config["padding"]))
    return None if rows is None or columns is None else (rows, columns)
