"""A whole Keras model, whose config says all: what its layers compute, or which of them cannot be kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import WeightsFile, _keras_body, _keras_head, _keras_layers, _keras_pixels
from edgeeff.zoo.formats._keras_body import Body
from edgeeff.zoo.formats._keras_graph import Graph

_FIRST = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")


def read(graph: Graph, tensors: Mapping[str, Tensor], origin: str) -> WeightsFile:
    """What a model's layers compute.

    Args:
        graph: All its layers.
        tensors: By ``<layer>/<variable>``, in torch's layout.
        origin: Names the file in messages.

    Raises:
        CheckpointError: A layer, which is named, cannot be kept.
    """
    body = _keras_body.find(graph, origin)
    if body is None:  # no EfficientNet by its names: the tensors will not fit, and say so better
        start = next((n.inputs[0] for n in graph.nodes if n.kind in _FIRST and n.inputs), None)
        preprocess = {} if start is None else _keras_pixels.read(graph, start, tensors, origin).preprocess
        return WeightsFile(_keras_layers.with_usual_names(tensors), preprocess=preprocess)
    pixels = _keras_pixels.read(graph, body.start, tensors, origin)
    head = _keras_head.read(graph, body, tensors, pixels.size, origin)
    own: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        layer = name.rpartition("/")[0]
        if layer in body.layers:
            own[name] = tensor
        elif layer not in head.names | pixels.names:
            raise CheckpointError(
                f"{origin}: {name} belongs to no layer between the model's input and its output",
                mend="save the model alone, without layers that it does not use",
            )
    own, epsilon = _normalised(own, body)
    classes = tuple(
        f"the model is of a class of its own, {name}: its layers are taken to be applied as the config lists "
        "them, whatever its call() does"
        for name in graph.classes
    )
    policies = {_policy(node.config) for node in graph.nodes if node.name in body.layers} - {"float32", ""}
    lines = [
        f"computed in float32, where Keras computes in {policy} (the layers' dtype policy)"
        for policy in sorted(policies)
    ]
    if head.ends_in:
        lines.append(f"cut off its end, for what runs the bundle to do: {head.ends_in}")
    return WeightsFile(
        own,
        lines=tuple(lines),
        preprocess=pixels.preprocess,
        head=head.layers,
        ends_in=head.ends_in,
        epsilon=epsilon,
        static=_keras_body.static(body, pixels.size, origin),
        warnings=(*pixels.warnings, *classes),
    )


def _policy(config: Mapping[str, Any]) -> str:
    """The name of a layer's dtype policy."""
    policy = config.get("dtype")
    if isinstance(policy, Mapping):
        held = policy.get("config")
        policy = held.get("name") if isinstance(held, Mapping) else None
    return policy if isinstance(policy, str) else ""


def _normalised(tensors: Mapping[str, Tensor], body: Body) -> tuple[dict[str, Tensor], float | None]:
    """Every batch normalisation with a gain and a shift, and all with one epsilon.

    The smallest is everybody's; what another one adds to its variance beyond it becomes the variance's.
    """
    found = dict(tensors)
    if not body.epsilons:
        return found, None
    least = min(body.epsilons.values())
    for name, epsilon in body.epsilons.items():
        variance = found.get(f"{name}/moving_variance")
        if variance is None:
            continue
        found.setdefault(f"{name}/gamma", torch.ones_like(variance))
        found.setdefault(f"{name}/beta", torch.zeros_like(variance))
        if epsilon != least:
            found[f"{name}/moving_variance"] = (variance.double() + (epsilon - least)).float()
    return found, least
