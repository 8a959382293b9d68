"""What the layers of a Keras model say of its preprocessing: they stand in the network itself."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import _keras_order

# Layers ahead of the network that leave pixels as they are at inference.
_HARMLESS = re.compile(r"Random\w+|Gaussian\w+|\w*Dropout|ZeroPadding2D|Identity|Functional|Sequential|Model")
_SIZED = ("Resizing", "CenterCrop")
_FIRST = ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, on 0…1


@dataclass(frozen=True)
class _Affine:
    """Each channel's ``scale · x + offset``, on pixels of 0…255."""

    scale: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)

    def then(self, scale: tuple[float, ...], offset: tuple[float, ...]) -> _Affine:
        return _Affine(
            tuple(a * s for a, s in zip(self.scale, scale, strict=True)),
            tuple(b * s + o for b, s, o in zip(self.offset, scale, offset, strict=True)),
        )

    def normalised(self, mean: tuple[float, ...], variance: tuple[float, ...]) -> _Affine:
        scale = tuple(1 / math.sqrt(value) for value in variance)
        return self.then(scale, tuple(-m * s for m, s in zip(mean, scale, strict=True)))

    def preprocess(self) -> dict[str, Any]:
        """As mean and std; raises ValueError if they are not finite or not positive."""
        pairs = list(zip(self.scale, self.offset, strict=True))
        if not all(math.isfinite(a) and math.isfinite(b) and a > 0 for a, b in pairs):
            raise ValueError
        return {"mean": tuple(0.0 - b / a for a, b in pairs), "std": tuple(1 / a for a, _ in pairs)}


def said(config: Any) -> str | None:
    """The name of the EfficientNet in a model's config, nested or not; else the model's own."""
    names = list(_models(config))
    return next((n for n in names if "efficientnet" in n.lower()), names[0] if names else None)


def preprocess(config: Any, tensors: Mapping[str, Tensor], origin: str) -> dict[str, Any]:
    """Size, mean and std from the layers before the first convolution, as one step on pixels of 0…255.

    Args:
        config: A model's config; of a class of the user's own it has no layers, and nothing is said.
        tensors: Where an adapted Normalization keeps its mean and variance, by ``<layer>/<variable>``.
        origin: Names the file in messages.

    Raises:
        CheckpointError: A layer changes pixels in a way that is not a mean and a std.
    """
    found: dict[str, Any] = {}
    steps = _Affine()
    for layer in _flat(config):
        kind, given = layer["class_name"].rpartition(">")[2], layer["config"]
        try:
            if kind in _FIRST:
                return found | steps.preprocess()
            if kind == "InputLayer":
                size = _size(given)
                found = ({"size": size} if size else {}) | found
            elif kind in _SIZED:
                found["size"] = (int(given["height"]), int(given["width"]))
            elif kind == "Rescaling":
                steps = steps.then(_three(given["scale"]), _three(given.get("offset", 0.0)))
            elif kind == "Normalization" and not given.get("invert"):
                steps = steps.normalised(*_moments(given, tensors))
            elif not _HARMLESS.fullmatch(kind):
                raise ValueError
        except (ValueError, TypeError, KeyError, ZeroDivisionError, OverflowError):
            raise CheckpointError(
                f"{origin}: the layer {given['name']} ({kind}) stands before the network, and what it does "
                "to pixels is no mean and std",
                mend="save the model with that step as Rescaling or Normalization layers, or without it",
            ) from None
    return {}


def without_config(layers: Collection[str] | None, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Mean and std of a network of keras.applications from its weights and its layers' names alone.

    B0…B7 rescale by 255 and normalise. Their published weights hold ImageNet's std as the *variance*, and
    the network built with them rescales once more by 1/√std (keras/src/applications/efficientnet.py).
    V2's B0…B3 normalise with constants, its S, M and L rescale to ±1; with ``include_preprocessing=False``
    none does.

    Args:
        layers: The names of all layers, or None where only those with weights are known.
        tensors: By ``<layer>/<variable>``.
    """
    try:
        pixels = _Affine().then((1 / 255,) * 3, (0.0,) * 3)
        moments = _moments({"name": "normalization"}, tensors)
    except KeyError:
        pass
    except ValueError:
        return {}
    else:
        if all(abs(v - std) < 1e-3 for v, std in zip(moments[1], _STD, strict=True)):
            moments = moments[0], tuple(value**2 for value in moments[1])
        return pixels.normalised(*moments).preprocess()
    if layers is None or "stem_conv" not in layers:
        return {}
    kinds = {_keras_order.kind(name) for name in layers}
    if "normalization" in kinds:
        return pixels.normalised(_MEAN, tuple(std**2 for std in _STD)).preprocess()
    if "rescaling" in kinds:
        return _Affine().then((1 / 128,) * 3, (-1.0,) * 3).preprocess()
    return _Affine().preprocess()


def _models(config: Any) -> Iterator[str]:
    held = config.get("config") if isinstance(config, Mapping) else None
    if isinstance(held, Mapping) and isinstance(held.get("layers"), list):
        if isinstance(held.get("name"), str):
            yield held["name"]
        for layer in _keras_order.layers(config):
            yield from _models(layer)


def _flat(config: Any) -> Iterator[dict[str, Any]]:
    for layer in _keras_order.layers(config):
        yield layer
        yield from _flat(layer)


def _size(given: Mapping[str, Any]) -> tuple[int, int] | None:
    shape = given.get("batch_shape", given.get("batch_input_shape"))
    if isinstance(shape, list) and len(shape) == 4:
        height, width = shape[1:3] if shape[3] == 3 else shape[2:4]
        if type(height) is int and type(width) is int and height > 0 and width > 0:
            return height, width
    return None


def _three(value: Any) -> tuple[float, ...]:
    """A number for each channel, from one number or (nested) lists of three."""
    if isinstance(value, Mapping):  # how Keras 2 and 3 write tuples and arrays
        value = value.get("items", value.get("value", value.get("config", {})))
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, list) and len(value) == 3:
        return tuple(float(part) for part in value)
    return (float(value),) * 3


def _moments(
    given: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and variance of a Normalization: its constants, or what it was adapted to."""
    if given.get("mean") is not None:
        return _three(given["mean"]), _three(given["variance"])
    mean, variance = (tensors[f"{given['name']}/{part}"].flatten().tolist() for part in ("mean", "variance"))
    return _three(mean), _three(variance)
