"""What follows the network in a Keras model: pooling, the head's layers in order, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo.checkpoint_options import KINDS
from edgeeff.zoo.formats import _keras_values
from edgeeff.zoo.formats._keras_body import Body
from edgeeff.zoo.formats._keras_graph import Graph, Node
from edgeeff.zoo.heads import Layer

_STRIDE = 32  # pixels of the image a pixel of the features
_ENDS: dict[str, Literal["", "softmax", "sigmoid"]] = {
    "softmax": "softmax",
    "log_softmax": "softmax",
    "sigmoid": "sigmoid",
}
# Keras' names of activations that heads call otherwise; a leaky ReLU named so has this slope (Keras 2 and 3).
_ACTIVATIONS = {"silu": "swish"}
_SLOPE = 0.2
# Keras 2 and 3 compute these two differently under one name.
_AMBIGUOUS = ("hard_sigmoid", "hard_silu")
_PARTS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


@dataclass(frozen=True)
class KerasHead:
    """What follows the network.

    Args:
        layers: From the pooled features to the logits.
        ends_in: ``softmax`` or ``sigmoid``, where the model ends in one.
        names: The Keras layers that hold their tensors.
    """

    layers: tuple[Layer, ...]
    ends_in: Literal["", "softmax", "sigmoid"]
    names: frozenset[str]


def read(
    graph: Graph, body: Body, tensors: Mapping[str, Tensor], size: tuple[int, int] | None, origin: str
) -> KerasHead:
    """The layers after the network, in the order in which they compute.

    Args:
        graph: The model's.
        body: The network within it.
        tensors: By ``<layer>/<variable>``, in torch's layout.
        size: Height and width of the images that reach the network, where the model says them.
        origin: Names the file in messages.

    Raises:
        CheckpointError: A layer cannot be kept, or there is no classifier; the layer is named.
    """
    return _Reader(graph, body, tensors, size, origin).read()


class _Reader:
    """Follows the one path from the features to the output. What is between: rows and columns of features
    (``spatial``), one pixel of them, or a vector."""

    def __init__(
        self,
        graph: Graph,
        body: Body,
        tensors: Mapping[str, Tensor],
        size: tuple[int, int] | None,
        origin: str,
    ) -> None:
        self.graph, self.body, self.tensors, self.origin = graph, body, tensors, origin
        self.features = None if size is None else tuple(-(-side // _STRIDE) for side in size)
        self.dimensions, self.spatial = 4, True
        self.layers: list[Layer] = []
        self.names: set[str] = set()

    def read(self) -> KerasHead:
        for node in self._path():
            if not _keras_values.idle(node):
                self._layer(node)
        ends_in: Literal["", "softmax", "sigmoid"] = ""
        if self.layers and self.layers[-1].kind in _ENDS:
            ends_in = _ENDS[self.layers.pop().kind]
        if self.spatial or not any(layer.kind == "linear" for layer in self.layers):
            last = self.graph.nodes[self.graph.outputs[0]]
            raise CheckpointError(
                f"{self.origin}: the model has no classifier: it ends in {last.shown}"
                + (", a map of features that nothing pools" if self.spatial else ""),
                mend="pass the model with its head, whose last layers are a pooling and a Dense",
            )
        for layer in self.layers:
            if layer.kind not in KINDS or layer.kind in _AMBIGUOUS:
                self._refuse(layer.name, f"its activation is {layer.kind}")
        if self.layers[-1].kind not in ("linear", "norm"):
            self._refuse(self.layers[-1].name, f"the model ends in a {self.layers[-1].kind}")
        return KerasHead(tuple(self.layers), ends_in, frozenset(self.names))

    def _path(self) -> Iterator[Node]:
        if len(self.graph.outputs) != 1:
            shown = ", ".join(self.graph.nodes[i].shown for i in self.graph.outputs[:4])
            raise CheckpointError(
                f"{self.origin}: the model has {len(self.graph.outputs)} outputs: {shown}",
                mend="save a model of one of them: keras.Model(model.input, model.output[0])",
            )
        here = self.body.end
        while here != self.graph.outputs[0]:
            readers = self.graph.readers(here)
            if len(readers) != 1:
                names = ", ".join(self.graph.nodes[i].shown for i in readers) or "nothing"
                self._refuse(self.graph.nodes[here].name, f"more than one layer reads it: {names}")
            here = readers[0]
            node = self.graph.nodes[here]
            if len(node.inputs) != 1:
                self._refuse(node.name, f"a {node.kind} of {len(node.inputs)} inputs")
            yield node

    def _layer(self, node: Node) -> None:
        kind = node.kind
        if node.training:
            self._refuse(node.name, f"a {kind} that is called with training=True")
        elif kind == "GlobalAveragePooling2D":
            self._pooled(node, 4 if node.config.get("keepdims") is True else 2)
        elif kind in ("AveragePooling2D", "AdaptiveAveragePooling2D"):
            self._average(node)
        elif kind in ("Flatten", "Reshape"):
            self._reshaped(node)
        elif kind in ("Dense", "Conv2D"):
            self._linear(node)
        elif kind == "BatchNormalization":
            self._norm(node)
        elif kind in ("Rescaling", "Normalization"):
            self._scaled(node)
        elif kind == "PReLU":
            self._active(node, Layer("prelu", {"weight": self._own(node)["alpha"].flatten()}, name=node.name))
        elif (activation := _keras_values.activation_of(node)) is not None:
            own = _keras_values.layer(node.config.get("activation")) if kind == "Activation" else node
            self._activation(node, activation, own)
        else:
            self._refuse(node.name, f"a {kind}")

    def _pooled(self, node: Node, dimensions: int) -> None:
        if self.dimensions != 4 or not self._is_format(node):
            self._refuse(node.name, f"a {node.kind} of something else than rows and columns of features")
        self.dimensions, self.spatial = dimensions, False

    def _average(self, node: Node) -> None:
        """A pooling that covers all features is global."""
        if node.kind == "AdaptiveAveragePooling2D":
            whole = _keras_values.pair(node.config.get("output_size")) == (1, 1)
        else:
            pooled, steps = (_keras_values.pair(node.config.get(key)) for key in ("pool_size", "strides"))
            once = node.config.get("padding") == "valid" or steps in (None, pooled)
            whole = once and pooled is not None and pooled == self.features
        if not whole:
            self._refuse(node.name, f"a {node.kind} that leaves rows and columns, or of images of any size")
        self._pooled(node, 4)

    def _reshaped(self, node: Node) -> None:
        if self.spatial:
            self._refuse(node.name, f"a {node.kind} of features that no layer has pooled")
        shape = [] if node.kind == "Flatten" else _keras_values.listed(node.config["target_shape"])
        if any(part != 1 for part in (shape[1:] if self.body.first else shape[:-1])):
            self._refuse(node.name, f"a Reshape to {shape}")
        self.dimensions = 1 + (len(shape) or 1)

    def _linear(self, node: Node) -> None:
        own = self._own(node)
        weight = own.get("kernel")
        if node.kind == "Conv2D":
            plain = all(
                _keras_values.pair(node.config.get(key, 1)) == (1, 1)
                for key in ("kernel_size", "strides", "dilation_rate")
            )
            if not plain or node.config.get("groups", 1) != 1 or not self._is_format(node):
                self._refuse(node.name, "a Conv2D that is not 1×1")
        elif self.dimensions != 2 and self.body.first:
            self._refuse(node.name, "a Dense that reads columns, not channels")
        if weight is None or not own.keys() <= {"kernel", "bias"} or not weight.is_floating_point():
            self._refuse(node.name, f"a {node.kind} that holds {', '.join(own) or 'nothing'}")
        tensors = {"weight": weight.flatten(1)} | ({"bias": own["bias"]} if "bias" in own else {})
        self.layers.append(Layer("linear", tensors, name=node.name))
        given = node.config.get("activation")
        self._activation(node, _keras_values.activation(given), _keras_values.layer(given))

    def _norm(self, node: Node) -> None:
        axis = _keras_values.axis(node.config.get("axis", -1))
        channels = 1 if self.dimensions == 2 or self.body.first else self.dimensions - 1
        if axis is None or (axis if axis >= 0 else axis + self.dimensions) != channels:
            self._refuse(node.name, f"a BatchNormalization of axis {node.config.get('axis')}")
        tensors = {_PARTS[part]: tensor for part, tensor in self._own(node).items() if part in _PARTS}
        epsilon = _keras_values.number(node.config.get("epsilon"), 1e-3)
        self.layers.append(Layer("norm", tensors, epsilon, name=node.name))

    def _scaled(self, node: Node) -> None:
        """A Rescaling or Normalization: a batch normalisation by another name."""
        if self.dimensions != 2 or node.config.get("invert"):
            self._refuse(node.name, f"a {node.kind}")
        width = self._width(node)
        gain, shift = torch.ones(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
        if node.kind == "Rescaling":
            gain = gain * torch.tensor(_keras_values.numbers(node.config["scale"]), dtype=torch.float64)
            shift = shift + torch.tensor(
                _keras_values.numbers(node.config.get("offset", 0.0)), dtype=torch.float64
            )
        else:
            mean, deviation = (
                torch.tensor(part, dtype=torch.float64)
                for part in _keras_values.moments(node.config, self._own(node))
            )
            gain, shift = gain / deviation, shift - mean / deviation
        still = {"running_mean": torch.zeros(width), "running_var": torch.ones(width)}
        self.layers.append(Layer("norm", {"weight": gain, "bias": shift, **still}, 0.0, name=node.name))

    def _width(self, node: Node) -> int:
        """How many features reach a layer."""
        for layer in reversed(self.layers):
            for part in ("weight", "running_mean"):
                if layer.kind in ("linear", "norm") and part in layer.tensors:
                    return layer.tensors[part].shape[0]
        top = self.tensors.get("top_bn/moving_mean")
        if top is None:
            self._refuse(node.name, f"a {node.kind}")
        return top.shape[0]

    def _activation(self, node: Node, activation: str | None, layer: Node | None) -> None:
        if activation is None:
            self._refuse(node.name, "its activation is code, or a layer with settings of its own")
        if activation != "linear":
            slope = _SLOPE if layer is None else _keras_values.slope(layer)
            kind = _ACTIVATIONS.get(activation, activation)
            self._active(node, Layer(kind, slope=slope, name=node.name))

    def _active(self, node: Node, layer: Layer) -> None:
        if self.spatial:
            self._refuse(node.name, f"a {layer.kind} before the pooling")
        self.layers.append(layer)

    def _own(self, node: Node) -> dict[str, Tensor]:
        """A layer's tensors by its own names of them."""
        self.names.add(node.name)
        start = f"{node.name}/"
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }

    def _is_format(self, node: Node) -> bool:
        return (node.config.get("data_format") == "channels_first") == self.body.first

    def _refuse(self, name: str, what: str) -> NoReturn:
        raise CheckpointError(
            f"{self.origin}: the layer {name} after the network cannot be kept: {what}",
            mend="export the model to ONNX and pass that, or train it without this layer",
        )
