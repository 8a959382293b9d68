"""Replaced heads: from the layers that a checkpoint names to hidden layers and one classifier.

Fine-tuned networks end in ``Sequential(Dropout, Linear)``, in two Linear layers, or have a BatchNorm1d
between. A checkpoint holds their tensors and their places, not what stands between: the layers without
tensors are activations and dropout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

_LAYER = re.compile(r"classifier\.(?P<index>\d+(?:\.\d+)*)\.(?P<part>\w+)")
_EPSILON = 1e-5  # torch's default: of a user's own BatchNorm1d nothing else is known


@dataclass(frozen=True)
class Head:
    """The head as ``hidden.<i>`` and ``classifier`` tensors, and what had to be assumed of it."""

    tensors: dict[str, Tensor]
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Affine:
    """y = W·x + b, in double precision, with the place of its last layer in the Sequential."""

    weight: Tensor
    bias: Tensor
    index: int


class HeadError(ValueError):
    """The layers do not make a head; the message says why."""


def straighten(tensors: Mapping[str, Tensor]) -> Head:
    """Turn tensors ``classifier.<index>.<part>`` into hidden layers and one classifier.

    Linear layers with nothing between are one; batch normalisation folds into the Linear before it, or after
    it; where layers without tensors stand between two Linears, one of them is taken for a ReLU.

    Args:
        tensors: The head's, by our names; a plain ``classifier.weight`` is returned as it is.

    Raises:
        HeadError: Their shapes do not follow each other, or there is no Linear among them.
    """
    layers: dict[tuple[int, ...], dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is not None:
            place = tuple(int(i) for i in match["index"].split("."))
            layers.setdefault(place, {})[match["part"]] = tensor
    if not layers:
        return Head(dict(tensors))
    groups = _affines([layers[place] for place in sorted(layers)], _places(sorted(layers)))
    found: dict[str, Tensor] = {}
    for i, affine in enumerate(groups):
        name = f"hidden.{i}" if i < len(groups) - 1 else "classifier"
        found[f"{name}.weight"] = affine.weight.float().contiguous()
        found[f"{name}.bias"] = affine.bias.float().contiguous()
    count = len(groups) - 1
    assumed = (f"a ReLU after {'the' if count == 1 else 'each'} hidden layer of the head",) if count else ()
    return Head(found, assumed)


def _places(places: list[tuple[int, ...]]) -> list[int]:
    """Where in one flat Sequential the layers stand; of nested ones only their order is known."""
    if all(len(place) == 1 for place in places):
        return [place[0] for place in places]
    return [2 * i for i in range(len(places))]


def _affines(layers: list[dict[str, Tensor]], places: list[int]) -> list[_Affine]:
    """The Linear layers, with all that is affine between them folded in."""
    found: list[_Affine] = []
    before: tuple[Tensor, Tensor] | None = None  # a normalisation that waits for the Linear after it
    active = False  # whether an activation stands behind the last Linear
    for layer, place in zip(layers, places, strict=True):
        gap = bool(found) and place - found[-1].index > 1
        if "running_mean" in layer:
            gain, shift = _normalisation(layer)
            if found and not gap and not active:
                found[-1] = _then(found[-1], gain, shift, place)
            else:
                active = active or gap
                before = (gain, shift) if before is None else (before[0] * gain, before[1] * gain + shift)
                if found:
                    found[-1] = _Affine(found[-1].weight, found[-1].bias, place)
            continue
        weight = layer.get("weight")
        if weight is None or weight.dim() != 2:
            raise HeadError(f"a head's layer is neither Linear nor BatchNorm1d: it holds {', '.join(layer)}")
        weight = weight.double()
        bias = layer["bias"].double() if "bias" in layer else torch.zeros(len(weight), dtype=torch.float64)
        if before is not None:
            if before[0].numel() != weight.shape[1]:
                raise HeadError("a head's batch normalisation does not fit the Linear after it")
            bias = bias + weight @ before[1]
            weight = weight * before[0]
            before = None
        if found and found[-1].weight.shape[0] != weight.shape[1]:
            raise HeadError(
                f"a head's Linear reads {weight.shape[1]} features where the one before gives "
                f"{found[-1].weight.shape[0]}"
            )
        if found and not gap and not active:
            last = found.pop()
            weight, bias = weight @ last.weight, weight @ last.bias + bias
        found.append(_Affine(weight, bias, place))
        active = False
    if not found:
        raise HeadError("a head without a Linear layer")
    if before is not None:
        if before[0].numel() != found[-1].weight.shape[0]:
            raise HeadError("a head's batch normalisation does not fit the Linear before it")
        found[-1] = _then(found[-1], *before, found[-1].index)
    return found


def _normalisation(layer: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    mean, variance = layer["running_mean"].double(), layer.get("running_var")
    if variance is None:
        raise HeadError("a head's batch normalisation without its variance")
    gain = layer.get("weight", torch.ones_like(mean)).double() / torch.sqrt(variance.double() + _EPSILON)
    return gain, layer.get("bias", torch.zeros_like(mean)).double() - mean * gain


def _then(affine: _Affine, gain: Tensor, shift: Tensor, index: int) -> _Affine:
    if gain.numel() != affine.weight.shape[0]:
        raise HeadError("a head's batch normalisation does not fit the Linear before it")
    return _Affine(affine.weight * gain[:, None], affine.bias * gain + shift, index)
