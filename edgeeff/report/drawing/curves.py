"""Curves over the epochs of a training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from markupsafe import Markup

from edgeeff.report.drawing import axis
from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.marks import across, element, figure, line, text

_HEIGHT = 180

#: A curve: its name, the class of its colour, and the epochs and values of its points.
Curve = tuple[str, str, Sequence[tuple[int, float]]]


def curves(drawn: Sequence[Curve], what: str, label: str, best: int = 0) -> Markup:
    """Lines over epochs.

    Args:
        drawn: Each with a point at least.
        what: Of the values.
        label: What the figure shows.
        best: The epoch whose state was kept; 0: none is marked.
    """
    last = max(epoch for _, _, points in drawn for epoch, _ in points)
    along = Axis.of([value for _, _, points in drawn for _, value in points], least=1e-3)
    written = axis.plain(along.ticks)

    def x(epoch: int) -> str:
        return across((epoch - 0.5) / last)

    def down(value: float) -> float:
        return _HEIGHT * (1 - along.share(value))

    marks = []
    for tick in along.ticks:
        marks.append(line("0", down(tick), "100%", down(tick), "grid"))
        marks.append(text(written(tick), "0", down(tick) + 4, anchor="end", dx=-8))
    if 1 <= best <= last:
        marks.append(line(x(best), 0, x(best), _HEIGHT, "change"))
        marks.append(text(f"epoch {best} is kept", x(best), 10, anchor=_side(best, last), class_="changed"))
    for name, colour, points in drawn:
        for (a, low), (b, high) in pairwise(points):
            marks.append(line(x(a), down(low), x(b), down(high), f"whisker {colour}"))
        for epoch, value in points:
            title = f"epoch {epoch}, {name}: {value:.4g}"
            marks.append(
                element("circle", title=title, cx=x(epoch), cy=down(value), r=2.5, class_=f"mark {colour}")
            )
    marks.append(text(what, "0", -12, class_="axis", dx=-40))
    marks.append(text("1", x(1), _HEIGHT + 18, anchor="middle"))
    if last > 1:
        marks.append(text(f"epoch {last}", x(last), _HEIGHT + 18, anchor="end"))
    return figure(marks, _HEIGHT, label, "plot axes")


def _side(epoch: int, last: int) -> str:
    return "start" if epoch <= last / 2 else "end"
