"""A Keras model's config as one graph of layers: models within models unfolded, nothing built or run.

Functional configs of Keras 2 list a layer's inputs as ``["name", node, tensor, {…}]``, those of Keras 3 as
``__keras_tensor__`` with a history (keras/src/models/functional.py, ``serialize_node``); the layers of a
Sequential follow each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import BRING, _keras_order

_DEEPEST = 24  # models within models
_MODELS = ("Functional", "Sequential", "Model")
_TENSOR = "__keras_tensor__"


@dataclass(frozen=True)
class Node:
    """One layer, applied once.

    Args:
        kind: Its class; of a class that is not Keras' own with ``custom>`` before it.
        name: Its name in the file.
        config: Its settings.
        inputs: The nodes that it reads.
        constants: What else it is called with, by place or by name.
        training: Whether it is called as in training, also at inference (Keras 2 keeps that; Keras 3 has the
            whole model's mode go before it).
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    inputs: tuple[int, ...] = ()
    constants: Mapping[int | str, Any] = field(default_factory=dict)
    training: bool = False

    @property
    def shown(self) -> str:
        """As messages call it."""
        return f"{self.name} ({self.kind})"


@dataclass(frozen=True)
class Graph:
    """All layers of a model, each after those that it reads.

    Args:
        nodes: The layers.
        outputs: Those that give the model's outputs.
        classes: Models that are of the user's own class: their layers are taken as the config lists them.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
    classes: tuple[str, ...] = ()

    def readers(self, node: int) -> list[int]:
        """The nodes that read one."""
        return [i for i, other in enumerate(self.nodes) if node in other.inputs]

    def find(self, name: str) -> int | None:
        """The node of a layer."""
        return next((i for i, node in enumerate(self.nodes) if node.name == name), None)


def of(config: Any, origin: str) -> Graph | None:
    """The graph of a model's config; None if it lists no layers (a model of the user's own class).

    Raises:
        CheckpointError: The config is damaged, or a part of it cannot be understood.
    """
    if not _keras_order.layers(config):
        return None
    graph = _Unfolded()
    try:
        outputs = graph.model(config, None, 0)
    except _TwiceError as error:
        raise CheckpointError(
            f"{origin}: the model {error} is applied more than once", mend="export the network to ONNX"
        ) from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise CheckpointError(
            f"{origin}: its model config is damaged: the layers' connections lead nowhere", mend=BRING
        ) from None
    return Graph(tuple(graph.nodes), tuple(outputs), tuple(graph.classes))


class _TwiceError(Exception):
    """A model within the model that is applied more than once."""


class _Unfolded:
    """The nodes found so far."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.classes: list[str] = []

    def model(self, config: Mapping[str, Any], given: list[int] | None, depth: int) -> list[int]:
        """Add a model's layers, which read the nodes ``given``; returns the nodes of its outputs."""
        if depth > _DEEPEST:
            raise ValueError
        own = kind(config)
        if own not in _MODELS and isinstance(config.get("class_name"), str):
            self.classes.append(own.removeprefix("custom>"))
        layers = _keras_order.layers(config)
        if any(layer.get("inbound_nodes") for layer in layers):
            return self._functional(config["config"], layers, given, depth)
        here = given or self._add(Node("InputLayer", "input", layers[0]["config"] if layers else {}))
        for layer in layers:
            if kind(layer) != "InputLayer":
                here = self._apply(layer, here, {}, False, depth)
        return here

    def _functional(
        self, held: Mapping[str, Any], layers: list[dict[str, Any]], given: list[int] | None, depth: int
    ) -> list[int]:
        made: dict[str, list[list[int]]] = {}  # layer → the outputs of each of its applications
        inputs = list(_references(held["input_layers"]))
        if given is not None and len(given) != len(inputs):
            raise ValueError
        for i, (name, _, _) in enumerate(inputs):
            layer = next(layer for layer in layers if layer["config"]["name"] == name)
            made[name] = [
                [given[i]] if given is not None else self._add(Node("InputLayer", name, layer["config"]))
            ]
        for layer in layers:
            if _keras_order.layers(layer) and len(layer.get("inbound_nodes") or []) > 1:
                raise _TwiceError(layer["config"]["name"])
        waiting = [
            (layer, call) for layer in layers if layer["config"]["name"] not in made
            for call in layer.get("inbound_nodes") or []
        ]  # fmt: skip
        while waiting:
            later = []
            for layer, call in waiting:
                read, constants, training = _called(call)
                nodes = [node for reference in read if (node := _made(made, reference)) is not None]
                if len(nodes) == len(read):
                    applied = self._apply(layer, nodes, constants, training, depth)
                    made.setdefault(layer["config"]["name"], []).append(applied)
                else:
                    later.append((layer, call))
            if len(later) == len(waiting):
                raise ValueError
            waiting = later
        outputs = [_made(made, reference) for reference in _references(held["output_layers"])]
        if None in outputs:
            raise ValueError
        return [node for node in outputs if node is not None]

    def _apply(
        self,
        layer: Mapping[str, Any],
        inputs: list[int],
        constants: Mapping[int | str, Any],
        training: bool,
        depth: int,
    ) -> list[int]:
        if _keras_order.layers(layer):
            first = len(self.nodes)
            outputs = self.model(layer, inputs, depth + 1)
            if training:
                self.nodes[first:] = [_trained(node) for node in self.nodes[first:]]
            return outputs
        config = layer["config"]
        return self._add(Node(kind(layer), config["name"], config, tuple(inputs), constants, training))

    def _add(self, node: Node) -> list[int]:
        self.nodes.append(node)
        return [len(self.nodes) - 1]


def _trained(node: Node) -> Node:
    return Node(node.kind, node.name, node.config, node.inputs, node.constants, True)


def kind(layer: Mapping[str, Any]) -> str:
    """A layer's class; a class of the user's own may have the name of one of Keras'."""
    name = str(layer.get("class_name"))
    module = layer.get("module")
    known = not isinstance(module, str) or module.partition(".")[0] in ("keras", "tf_keras", "tensorflow")
    registered = layer.get("registered_name")
    if ">" in name or (isinstance(registered, str) and ">" in registered) or not known:
        return f"custom>{name.rpartition('>')[2]}"
    return name


def _references(value: Any) -> Iterator[tuple[str, int, int]]:
    """Each ``[layer, node, tensor]`` within lists and mappings, in order."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and all(type(v) is int for v in value[1:3]):
            yield value[0], value[1], value[2]
        else:
            for part in value:
                yield from _references(part)


def _made(made: Mapping[str, list[list[int]]], reference: tuple[str, int, int]) -> int | None:
    """The node of a layer's output, None if it is not there yet."""
    name, call, output = reference
    calls = made.get(name, [])
    # The one call of a nested model may be counted as its second: the first is the one that made it.
    at = 0 if len(calls) == 1 else call
    return calls[at][output] if 0 <= at < len(calls) else None


def _called(call: Any) -> tuple[list[tuple[str, int, int]], dict[int | str, Any], bool]:
    """What one application of a layer reads, its other arguments, and whether it trains."""
    if isinstance(call, Mapping):  # Keras 3
        read: list[tuple[str, int, int]] = []
        constants: dict[int | str, Any] = {}
        named: list[tuple[int | str, Any]] = [*enumerate(call["args"]), *call["kwargs"].items()]
        for place, value in named:
            found = list(_histories(value))
            read += found
            if not found:
                constants[place] = value
        return read, constants, False
    read, constants = [], {}
    for name, node, tensor, *rest in [call] if call and isinstance(call[0], str) else call:
        read.append((name, node, tensor))
        for key, value in (rest[0] if rest else {}).items():
            found = list(_references(value))
            read += found
            if not found:
                constants[key] = value
    return read, constants, constants.get("training") is True


def _histories(value: Any) -> Iterator[tuple[str, int, int]]:
    """The tensors within an argument as Keras 3 writes it."""
    if isinstance(value, Mapping):
        if value.get("class_name") == _TENSOR:
            yield from _references(value["config"]["keras_history"])
        else:
            for part in value.values():
                yield from _histories(part)
    elif isinstance(value, list):
        for part in value:
            yield from _histories(part)
