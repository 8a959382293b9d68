"""Two networks on the same images: whether one's mean average precision, or mean IoU, is lower, by how much.

Of the scores that are shares of images :mod:`edgeeff.harness.comparison` says it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edgeeff.bootstrap import Loss
from edgeeff.errors import OptionError
from edgeeff.harness.comparison import ALPHA, Disagreement, refuse_margin
from edgeeff.tasks import Drawn

#: Normal quantiles: two-sided 95 %, and one-sided.
_BOTH, _ONE = 1.96, 1.645


@dataclass(frozen=True)
class DrawnComparison:
    """What two networks make of the same images.

    Args:
        new: The bundle that is held against the other.
        old: The other.
        found: How much lower the new one's metric is.
        margin: The loss that is to be excluded, percentage points.
        heading: What the metric is called: ``mAP``.
    """

    new: str
    old: str
    found: Loss
    margin: float
    heading: str = "mAP"

    @property
    def disagreements(self) -> tuple[Disagreement, ...]:
        """None: nothing is decided of an image as a whole."""
        return ()

    @property
    def not_inferior(self) -> bool:
        """Whether a loss of the margin is excluded."""
        return self.found.bound < self.margin

    @property
    def images_needed(self) -> int | None:
        """Images that exclude the margin, if both are equally good and differ as much; None where unknown."""
        return images_needed(self.found, self.margin)

    @property
    def conclusion(self) -> str:
        """What follows, in one sentence."""
        found, margin = self.found, f"{self.margin:g} points"
        worse = found.p_worse <= ALPHA
        if self.not_inferior:
            return f"no worse by {margin}" + (", though worse" if worse else "")
        if found.points >= self.margin and worse:
            return f"worse (p {found.p_worse:.2g})"
        more = "" if self.images_needed is None else f"; about {self.images_needed} images would settle it"
        if worse:
            return f"worse (p {found.p_worse:.2g}); whether by {margin} is open{more}"
        return f"not settled whether it is worse by {margin}{more}"

    @property
    def lines(self) -> list[str]:
        """For a person."""
        found = self.found
        return [
            f"{self.new} against {self.old}: {self.conclusion}",
            f"  {self.heading}: {found.points:.2f} points lost ({found.low:.2f}…{found.high:.2f}), at most "
            f"{found.bound:.2f}",
            f"  interval by {found.draws} draws of the {found.images} images, the same for both",
        ]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found = self.found
        return {
            "against": self.old,
            "labelled": found.images,
            "loss_points": found.points,
            "loss_interval_points": [found.low, found.high],
            "loss_bound_points": found.bound,
            "confidence": 1 - ALPHA,
            "draws": found.draws,
            "p_worse": found.p_worse,
            "p_better": found.p_better,
            "margin_points": self.margin,
            "not_inferior": self.not_inferior,
            "images_needed": self.images_needed,
            "conclusion": self.conclusion,
            "disagreements": [],
            "disagreements_left_out": 0,
        }


def images_needed(found: Loss, margin: float) -> int | None:
    """Images that exclude a margin (points), if two networks are equally good and differ as much.

    None where they do not differ.
    """
    spread = found.half / _BOTH
    return math.ceil(found.images * (2 * _ONE * spread / margin) ** 2) if spread else None


def of_draws(new: tuple[str, Drawn], old: tuple[str, Drawn], margin: float) -> DrawnComparison:
    """Hold one network against another.

    Args:
        new: Its name, and its scores.
        old: Those of the bundle that it is held against.
        margin: The loss that is to be excluded, percentage points, over 0.

    Raises:
        OptionError: They were judged on different images, or nothing is known of any; or the margin is none.
    """
    refuse_margin(margin)
    found = new[1].lost(old[1])
    if found is None:
        raise OptionError(
            f"{new[0]} and {old[0]} cannot be compared: they were not judged on the same images, or nothing "
            "is known of any",
            mend="judge both in one run, on images with boxes or masks",
        )
    return DrawnComparison(new[0], old[0], found, margin, new[1].heading)
