"""Two bundles on the same images: whether one is worse, by how much, and on which images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from edgeeff import paired
from edgeeff.bundle import Bundle
from edgeeff.errors import OptionError
from edgeeff.harness.outcomes import Outcomes, common
from edgeeff.metrics import Proportion

#: Of the interval and of the test, and how likely so many images are to settle it.
ALPHA, POWER = 0.05, 0.95
#: The loss that is to be excluded where nobody says another one, percentage points.
MARGIN = 0.5
#: Images of each kind (lost, won, neither) that JSON lists; there may be tens of thousands.
LISTED = 200


@dataclass(frozen=True)
class Disagreement:
    """An image about which two bundles decide differently: what is true and what each says, by name."""

    image: str
    truth: str
    old: str
    new: str

    def to_json(self) -> dict[str, str]:
        """As plain data."""
        return dict(vars(self))


@dataclass(frozen=True)
class Comparison:
    """What two bundles make of the same images.

    Args:
        new: The bundle that is held against the other.
        old: The other.
        agreement: Images of which both decide the same.
        labelled: Images of which the truth is known.
        lost: Of these, those that the old one has right and the new one wrong.
        won: The other way round.
        margin: The loss that is to be excluded, percentage points.
        disagreements: Every image of which they decide differently, lost ones first, then those that are won.
    """

    new: str
    old: str
    agreement: Proportion
    labelled: int
    lost: int
    won: int
    margin: float
    disagreements: tuple[Disagreement, ...] = ()

    @property
    def loss(self) -> float | None:
        """How much lower the new bundle's accuracy is, percentage points; None without labels."""
        return 100.0 * (self.lost - self.won) / self.labelled if self.labelled else None

    @property
    def bound(self) -> float | None:
        """The upper 95 % bound of that (:func:`edgeeff.paired.loss_bound`)."""
        return 100.0 * paired.loss_bound(self.lost, self.won, self.labelled, ALPHA) if self.labelled else None

    @property
    def p_worse(self) -> float | None:
        """The exact one-sided p-value of McNemar's test that the new bundle is worse."""
        return paired.mcnemar(self.lost, self.won) if self.labelled else None

    @property
    def p_better(self) -> float | None:
        """The same that it is better."""
        return paired.mcnemar(self.won, self.lost) if self.labelled else None

    @property
    def not_inferior(self) -> bool | None:
        """Whether a loss of the margin is excluded; None without labels."""
        bound = self.bound
        return None if bound is None else bound < self.margin

    @property
    def images_needed(self) -> int | None:
        """Labelled images that exclude the margin, if both are equally good and differ as often."""
        if not self.labelled:
            return None
        # Of few images the rate is taken to be a little higher than it was seen.
        discordance = min(1.0, (self.lost + self.won + 1) / (self.labelled + 1))
        return paired.images_needed(self.margin / 100, discordance, alpha=ALPHA, power=POWER)

    @property
    def conclusion(self) -> str:
        """What follows, in one sentence."""
        if self.loss is None or self.bound is None or self.p_worse is None or self.p_better is None:
            return "no image has a label: which of them is right cannot be said"
        margin = f"{self.margin:g} points"
        if self.bound < self.margin:
            less = self.p_worse <= ALPHA
            return f"no worse by {margin}" + (", though worse" if less else "")
        if self.loss >= self.margin and self.p_worse <= ALPHA:
            return f"worse (p {self.p_worse:.2g})"
        more = f"; about {self.images_needed} labelled images would settle it"
        if self.p_worse <= ALPHA:
            return f"worse (p {self.p_worse:.2g}); whether by {margin} is open{more}"
        return f"not settled whether it is worse by {margin}{more}"

    def to_json(self) -> dict[str, Any]:
        """As plain data; of the images on which the two disagree the first of each kind."""
        ends = (0, self.lost, self.lost + self.won, len(self.disagreements))
        kinds = [self.disagreements[a:b][:LISTED] for a, b in pairwise(ends)]
        listed = [one.to_json() for kind in kinds for one in kind]
        return {
            "against": self.old,
            "agreement": self.agreement.to_json(),
            "labelled": self.labelled,
            "lost": self.lost,
            "won": self.won,
            "loss_points": self.loss,
            "loss_bound_points": self.bound,
            "confidence": 1 - ALPHA,
            "p_worse": self.p_worse,
            "p_better": self.p_better,
            "margin_points": self.margin,
            "not_inferior": self.not_inferior,
            "images_needed": self.images_needed,
            "conclusion": self.conclusion,
            "disagreements": listed,
            "disagreements_left_out": len(self.disagreements) - len(listed),
        }


def obstacle(new: Bundle, old: Bundle) -> OptionError | None:
    """Why two bundles cannot be compared image by image; None: they can."""
    first, second = new.manifest, old.manifest
    if first.task != second.task:
        what = f"{new.name} is built for {first.task}, {old.name} for {second.task}"
    elif not first.meaning.decides:
        what = f"{new.name} and {old.name} put out features: nothing is decided of an image"
    elif first.classes != second.classes:
        what = f"{new.name} knows {first.classes} classes, {old.name} {second.classes}"
    elif first.labels != second.labels:
        place = next(
            i for i, pair in enumerate(zip(first.labels, second.labels, strict=False)) if len({*pair}) > 1
        )
        what = (
            f"class {place} of {new.name} is {first.labels[place]!r}, of {old.name} {second.labels[place]!r}"
        )
    else:
        return None
    return OptionError(what, mend="compare bundles of the same classes and the same --task")


def refuse_margin(margin: float) -> None:
    """Refuse a margin that is no loss of accuracy.

    Raises:
        OptionError: It is none.
    """
    if not 0 < margin < 100:
        raise OptionError(f"--margin {margin:g}", mend="give percentage points, such as 0.5")


def compare(new: tuple[str, Outcomes], old: tuple[str, Outcomes], margin: float) -> Comparison:
    """Hold what one bundle decided against what another one did of the same images.

    Args:
        new: Its name, and its outcomes in one pass over the images with the other, or in two passes.
        old: Those of the bundle that it is held against.
        margin: The loss that is to be excluded, percentage points, over 0.

    Raises:
        OptionError: They have no image in common, or the margin is none.
    """
    refuse_margin(margin)
    first, second = common(new[1], old[1])
    if not len(first):
        raise OptionError(
            f"{new[0]} and {old[0]} have no image in common", mend="judge both on the same images"
        )
    one, other = _chosen(new[1], first), _chosen(old[1], second)
    known = one.known & other.known
    lost, won = known & other.right & ~one.right, known & one.right & ~other.right
    differ = one.decided != other.decided
    order = [*np.flatnonzero(lost), *np.flatnonzero(won), *np.flatnonzero(differ & ~lost & ~won)]
    return Comparison(
        new=new[0],
        old=old[0],
        agreement=Proportion(int((~differ).sum()), len(first)),
        labelled=int(known.sum()),
        lost=int(lost.sum()),
        won=int(won.sum()),
        margin=margin,
        disagreements=tuple(
            Disagreement(
                one.images[i], *(one.named(int(n)) for n in (one.truth[i], other.decided[i], one.decided[i]))
            )
            for i in order
        ),
    )


def _chosen(outcomes: Outcomes, places: Sequence[int]) -> Outcomes:
    rows = np.asarray(places, np.intp)
    images = tuple(outcomes.images[i] for i in rows)
    labels, exclusive = outcomes.labels, outcomes.exclusive
    return Outcomes(images, outcomes.decided[rows], outcomes.truth[rows], labels, exclusive)
