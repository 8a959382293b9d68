"""Settings of Keras' layers, as its versions 2 and 3 write them: data, of which nothing is run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from edgeeff.zoo.formats._keras_graph import Node, kind

# Layers that leave everything as it is at inference. RandomCrop does not: Keras 2's crops then too.
_IDLE = re.compile(
    r"Random(?!Crop)\w+|AugMix|CutMix|MixUp|RandAugment|Gaussian(?:Noise|Dropout)|(?:Alpha|Spatial)?Dropout"
    r"|SpatialDropout2D|(?:custom>)?FixedDropout|ActivityRegularization|Identity"
)
# One name for each activation, with those that Keras' versions have for it.
_ALIASES = {"swish": "silu", "hard_swish": "hard_silu", "None": "linear"}
_EPSILON = 1e-7
# Layers that are an activation, whatever their settings.
_LAYERS = {"Softmax": "softmax"}


def idle(node: Node) -> bool:
    """Whether a layer does nothing at inference."""
    if activation_of(node) == "linear" or (node.kind == "Cast" and len(node.inputs) == 1):
        return True
    return _IDLE.fullmatch(node.kind) is not None and not node.training


def activation(value: Any) -> str | None:
    """The activation that a layer's setting names; None if that is code or a layer of the user's own."""
    if value is None:
        return "linear"
    if isinstance(value, str):
        return _ALIASES.get(value, value) if value.isidentifier() else None
    own = layer(value)
    return None if own is None else activation_of(own)


def layer(value: Any) -> Node | None:
    """The layer that stands for an activation in another layer's setting, if one does."""
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        return Node(kind(value), "", value["config"])
    return None


def activation_of(node: Node) -> str | None:
    """The activation that a whole layer is; None if it is none, or not exactly one that has a name.

    A leaky ReLU's slope is not part of the name: see :func:`slope`.
    """
    config = node.config
    if node.kind == "Activation":
        return activation(config.get("activation"))
    if node.kind == "ReLU":
        most, low = config.get("max_value"), number(config.get("threshold"), 0.0)
        if low != 0.0 or (most is not None and (number(most, 0.0) != 6.0 or slope(node))):
            return None
        return "relu6" if most is not None else "leaky_relu" if slope(node) else "relu"
    if node.kind == "LeakyReLU":
        return "leaky_relu"
    if node.kind == "Softmax" and axis(config.get("axis", -1)) != -1:
        return None
    return _LAYERS.get(node.kind)


def slope(node: Node) -> float:
    """A ReLU's or LeakyReLU's slope where its input is negative (Keras 2: ``alpha``)."""
    own = 0.3 if node.kind == "LeakyReLU" else 0.0
    return number(node.config.get("negative_slope", node.config.get("alpha")), own)


def number(value: Any, own: float) -> float:
    """A number, or ``own`` where none is given; raises ValueError if it is something else or not finite."""
    if isinstance(value, Mapping):  # how Keras writes arrays and numpy's numbers
        value = value.get("value", value.get("config", {}).get("value"))
    if value is None:
        return own
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def listed(value: Any) -> list[Any]:
    """A list, or a tuple as Keras writes it; raises ValueError if it is neither."""
    if isinstance(value, Mapping):
        value = value.get("items")
    if not isinstance(value, list):
        raise ValueError
    return value


def numbers(value: Any) -> tuple[float, ...]:
    """One number or several, from a number, nested lists of which only one has several, or an array."""
    if isinstance(value, Mapping):  # how Keras 2 and 3 write tuples and arrays
        value = value.get("items", value.get("value", value.get("config", {})))
        return numbers(value.get("value") if isinstance(value, Mapping) else value)
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list):
        return tuple(number(part, math.nan) for part in value)
    if value is None:
        raise ValueError
    return (number(value, math.nan),)


def moments(
    config: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of a Normalization: its constants, or what it was adapted to.

    Raises:
        KeyError, ValueError: There are none.
    """
    if config.get("mean") is not None:
        mean, variance = numbers(config["mean"]), numbers(config["variance"])
    else:
        mean, variance = (tuple(tensors[part].flatten().tolist()) for part in ("mean", "variance"))
    # Keras divides by no less than its epsilon.
    return mean, tuple(max(math.sqrt(value), _EPSILON) for value in variance)


def pair(value: Any) -> tuple[int, int] | None:
    """Two whole numbers, from one or from a list; None if it is something else."""
    if type(value) is int:
        return value, value
    if isinstance(value, list | Mapping):
        parts = listed(value)
        if len(parts) == 2 and all(type(part) is int for part in parts):
            return parts[0], parts[1]
    return None


def axis(value: Any) -> int | None:
    """One axis, alone or in a list."""
    if isinstance(value, Mapping):
        value = value.get("items")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if type(value) is int else None
