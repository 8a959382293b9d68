"""What a Keras file's names say where it holds no config, and a model's own name where it does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor

from edgeeff.zoo.formats import _keras_order, _keras_values
from edgeeff.zoo.formats._keras_pixels import Affine

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, on 0…1


def said(config: Any) -> str | None:
    """The name of the EfficientNet in a model's config, nested or not; else the model's own."""
    names = list(_models(config))
    return next((n for n in names if "efficientnet" in n.lower()), names[0] if names else None)


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
    pixels = Affine().then((1 / 255,) * 3, (0.0,) * 3)
    held = {part: tensors[f"normalization/{part}"] for part in ("mean", "variance")
            if f"normalization/{part}" in tensors}  # fmt: skip
    if len(held) == 2:
        try:
            mean, deviation = _keras_values.moments({}, held)
            if all(abs(d**2 - std) < 1e-3 for d, std in zip(deviation, _STD, strict=True)):
                deviation = tuple(value**2 for value in deviation)
            return pixels.normalised(mean, deviation).preprocess()
        except ValueError:
            return {}
    if layers is None or "stem_conv" not in layers:
        return {}
    kinds = {_keras_order.kind(name) for name in layers}
    if "normalization" in kinds:
        return pixels.normalised(_MEAN, _STD).preprocess()
    if "rescaling" in kinds:
        return Affine().then((1 / 128,) * 3, (-1.0,) * 3).preprocess()
    return Affine().preprocess()


def _models(config: Any) -> Iterator[str]:
    held = config.get("config") if isinstance(config, Mapping) else None
    if isinstance(held, Mapping) and isinstance(held.get("layers"), list):
        if isinstance(held.get("name"), str):
            yield held["name"]
        for layer in _keras_order.layers(config):
            yield from _models(layer)
