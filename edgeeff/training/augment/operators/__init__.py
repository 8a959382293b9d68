"""RandAugment's operators: one file for each, found by listing.

A file holds

- ``MOVES``: whether what the photo shows comes to lie elsewhere, or disappears (masks and boxes would have
  to follow);
- ``apply(image, magnitude, random)``: another image of the same size and mode; the one that is passed stays
  as it is. The magnitude is 0…30; 0 is no change, but for operators that have no strength.

The sixteen and their strength are those of the authors' code (google/automl, efficientnetv2/autoaugment.py,
randaugment), but for two things. There strength is in pixels (translation, cutout): here it is a share of the
sides, since images of several sizes are learnt from. And there some operators get weaker as the magnitude
grows (posterize, solarize), or are nothing in the middle of it (colour, contrast, brightness, sharpness at
5): here each begins at nothing and grows to the end of the scale, since that is what a magnitude that grows
from stage to stage is for. So magnitude 10 turns by up to 30° in both, and changes contrast by up to 1.9.

A file whose name begins with an underscore is a part of others.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

#: The end of the scale of magnitudes.
LARGEST = 30.0


class Operator(Protocol):
    """An operator's file."""

    MOVES: bool
    apply: Callable[[Image.Image, float, np.random.Generator], Image.Image]


@lru_cache
def names() -> tuple[str, ...]:
    """The operators, sorted."""
    return tuple(sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name[0] != "_"))


@lru_cache
def operator(name: str) -> Operator:
    """An operator's file, by its name."""
    return cast(Operator, import_module(f"{__name__}.{name}"))
