"""A part of the photos held out to judge by, and photos that are in both parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.pipeline.context import Context
from edgeeff.training.photos.labelled import HELD_OUT, Labelled, stratified


def split(
    photos: Labelled, groups: npt.NDArray[Any], seed: int, context: Context
) -> tuple[Labelled, Labelled]:
    """Photos to learn from and photos to judge by, of each group about the same share."""
    held = stratified(groups, seed)
    context.warn(
        f"no photos to judge by were passed: {int(held.sum())} of {len(held)} are held out, {HELD_OUT:.0%} "
        "of each class. Photos of one scene or one object in both parts make the score too good: pass others "
        "with --validation"
    )
    return photos.only(np.flatnonzero(~held)), photos.only(np.flatnonzero(held))


def warn_of_common(train: Labelled, validation: Labelled, context: Context) -> None:
    """Warn of photos that are in both parts: what was learnt by heart is judged."""
    known = {(p.content, p.index, p.crop) for p in train.pictures}
    both = [p for p in validation.pictures if (p.content, p.index, p.crop) in known]
    if both:
        context.warn(
            f"{len(both)} of {len(validation)} photos to judge by are also learnt from ({both[0]}): the "
            "score is too good"
        )
