"""Sizes, colours and names of classes as people write them, in our units; None of what makes no sense."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgeeff.zoo.formats._pickled import Nothing

UNREADABLE = "an object that is not read"
_SMALLEST, _LARGEST = 32, 4096  # pixels
_CHANNELS = (1, 3, 4)
_RAW = 1 / 255  # a std by which pixels of 0…1 become 0…255 again


@dataclass(frozen=True)
class Colours:
    """Mean and std of R, G, B on pixels of 0…255; ``doubtful``: the scale was assumed."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    doubtful: bool = False


def plain(value: Any) -> Any:
    """A small tensor as numbers, an object that the reader keeps nothing of as a word; else the value."""
    if isinstance(value, Nothing):
        return UNREADABLE
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, Tensor) and value.numel() <= 16 and not value.is_quantized:
        flat = value.detach().flatten().tolist()
        return flat[0] if value.dim() == 0 else flat
    return value


def pixels(value: Any) -> tuple[int, int] | None:
    """Height and width of 224, ``"224"``, ``"192x256"``, (H, W), (3, H, W), (H, W, 3), (1, 3, H, W) …."""
    if isinstance(value, Mapping):
        height, width = (value.get(key, value.get(key[0])) for key in ("height", "width"))
        return pixels((height, width)) if height is not None else None
    if isinstance(value, str):
        value = (
            [int(part) for part in re.findall(r"\d+", value)]
            if re.fullmatch(r"[\d\s,x×()\[\]]+", value)
            else ()
        )
    sides = list(value) if isinstance(value, Sequence) else [value]
    if any(isinstance(s, bool) or not isinstance(s, int | float) or s != int(s) for s in sides):
        return None
    if len(sides) == 4:
        del sides[0]
    if len(sides) == 3:
        if sides[0] in _CHANNELS:
            del sides[0]
        elif sides[2] in _CHANNELS:
            del sides[2]
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2 or not all(_SMALLEST <= side <= _LARGEST for side in sides):
        return None
    return int(sides[0]), int(sides[1])


def colours(mean: Any, std: Any) -> Colours | None:
    """Mean and std from either scale, 0…1 or 0…255, told by their magnitude.

    0 and 1 are taken for what torch's pixels of 0…1 are left as.
    """
    means, stds = _three(mean), _three(std)
    if means is None or stds is None or min(stds) <= 0:
        return None
    if max(map(abs, means)) > 2 or (max(stds) > 2 and not any(means)):
        fits = all(-1 <= m <= 256 for m in means) and all(0.5 <= s <= 256 for s in stds)
        return Colours(means, stds) if fits else None
    untouched = not any(means) and set(stds) == {1.0}
    raw = not any(means) and all(abs(s - _RAW) < 1e-6 for s in stds)
    if not raw and not (all(-0.5 <= m <= 1 for m in means) and all(0.02 <= s <= 1 for s in stds)):
        return None
    return Colours(tuple(m * 255 for m in means), tuple(s * 255 for s in stds), doubtful=untouched)


def classes_of(value: Any) -> tuple[str, ...] | int | None:
    """Names in the order of their numbers, from a list or a dict of either direction; of numbers how many."""
    if isinstance(value, Mapping) and value:
        numbered = {}
        for key, other in value.items():
            number, name = (other, key) if type(other) is int else (key, other)
            if not _is_index(number):
                return None
            numbered[int(number)] = str(name)
        if sorted(numbered) != list(range(len(value))):
            return None
        return tuple(numbered[i] for i in range(len(value)))
    if not isinstance(value, list | tuple) or not value:
        return None
    if all(isinstance(name, str) for name in value):
        return tuple(value)
    return len(value) if list(value) == list(range(len(value))) else None


def _is_index(value: Any) -> bool:
    return type(value) is int or (isinstance(value, str) and value.isdecimal())


def _three(value: Any) -> tuple[float, ...] | None:
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) not in (1, 3, 4) or any(
        isinstance(v, bool) or not isinstance(v, int | float) for v in values
    ):
        return None
    if not all(-512 < v < 512 for v in values):
        return None
    return tuple(float(v) for v in values) * (3 if len(values) == 1 else 1)
