"""How often what is said with some probability is right: a reliability diagram."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

from markupsafe import Markup

from edgeeff.report.drawing.marks import across, element, figure, line, text

_HEIGHT = 220


@dataclass(frozen=True)
class Bin:
    """Images of about one probability: its mean, how often they are right, both 0…1, and how many."""

    sure: float
    right: float
    images: int


def reliability(bins: Sequence[Bin], written: Callable[[float], str], label: str, colour: str) -> Markup:
    """A mark for each bin, larger for more images; on the line probabilities are right."""

    def down(value: float) -> float:
        return _HEIGHT * (1 - value)

    marks = []
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        marks.append(line("0", down(tick), "100%", down(tick), "grid"))
        marks.append(text(written(tick), "0", down(tick) + 4, anchor="end", dx=-8))
        marks.append(text(written(tick), across(tick), _HEIGHT + 18, anchor="middle"))
    marks.append(line("0", down(0), "100%", down(1), "front"))
    most = max(one.images for one in bins)
    for one in bins:
        title = f"probability {one.sure:.2f}, right {one.right:.2f}, {one.images} images"
        size = 3 + 7 * sqrt(one.images / most)
        at = across(one.sure)
        marks.append(
            element("circle", title=title, cx=at, cy=down(one.right), r=size, class_=f"mark {colour}")
        )
    marks.append(text("probability of what is decided", "100%", _HEIGHT + 38, anchor="end", class_="axis"))
    marks.append(text("share that is right", "0", -14, class_="axis", dx=-40))
    return figure(marks, _HEIGHT, label, "plot axes")
