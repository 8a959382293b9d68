"""A figure along a network: each part's share of the error, and the values that a tensor holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

from markupsafe import Markup

from edgeeff.report.drawing.axis import ticks
from edgeeff.report.drawing.marks import across, element, figure, line, text

#: Pixels for an error as large as the largest; the width that names are placed for, and that of a letter.
_TALLEST, _WIDTH, _LETTER = 200, 1000, 6.6
#: Bars that bear their names, and the least part of the width between two labels of the axis.
_NAMED, _APART = 4, 0.045


@dataclass(frozen=True)
class Part:
    """A tensor or a layer: its share of the error, and the error that it makes alone, 0…1 or negative."""

    name: str
    what: str
    share: float
    alone: float


def scale(*plots: Sequence[Part]) -> float:
    """Pixels for an error as large as the whole, so that several plots can be compared."""
    return _TALLEST / max(high - low for low, high in map(_extent, plots))


def along(parts: Sequence[Part], share: str, alone: str, pixels: float, label: str) -> Markup:
    """Bars in the order of the graph: each part's share of the error, before the error that it makes alone.

    Args:
        parts: In that order.
        share: The style of the shares.
        alone: Of the errors alone.
        pixels: Of :func:`scale`.
        label: What the figure shows.
    """
    lowest, highest = _extent(parts)
    pitch = 1 / max(len(parts), 1)

    def y(value: float) -> float:
        return (highest - value) * pixels

    def bar(left: float, width: float, value: float, style: str) -> Markup:
        top, height = min(y(value), y(0)), abs(y(value) - y(0))
        return element("rect", class_=style, x=across(left), y=top, width=across(width), height=height)

    marks, foot = [], y(lowest)
    for step in ticks(lowest, highest):
        marks.append(line("0", y(step), "100%", y(step), "grid"))
        marks.append(text(f"{step:.0%}", "0", y(step) + 4, anchor="end", dx=-8))
    for number, part in enumerate(parts):
        left = number * pitch
        words = f"{part.name} ({part.what}): {part.share:.1%}, alone {part.alone:.1%}"
        wide = bar(left + 0.1 * pitch, 0.8 * pitch, part.alone, alone)
        marks.append(
            element("g", [wide, bar(left + 0.3 * pitch, 0.4 * pitch, part.share, share)], title=words)
        )
    marks.append(line("0", y(0), "100%", y(0), "zero"))
    marks += _names(parts, pitch, y)
    marks += _blocks(parts, pitch, foot + 18)
    return figure(marks, foot, label, "plot axes")


@dataclass(frozen=True)
class Values:
    """What calibration saw of a tensor, counts in equal bins over [low, high], and the ends of its codes."""

    low: float
    high: float
    counts: tuple[float, ...]
    codes: tuple[float, float]


def histogram(held: Values, label: str) -> Markup:
    """The values of a tensor in calibration, the range of its codes marked."""
    height = 94
    first, last = min(held.low, held.codes[0]), max(held.high, held.codes[1])
    margin = 0.02 * (last - first) or 1.0
    first, last = first - margin, last + margin

    def x(value: float) -> float:
        return (value - first) / (last - first)

    size = (held.high - held.low) / len(held.counts)
    most = sqrt(max(held.counts, default=0)) or 1.0
    marks = []
    for number, count in enumerate(held.counts):
        if count > 0:
            tall = max(sqrt(count) / most * (height - 4), 0.7)
            left, right = x(held.low + number * size), x(held.low + (number + 1) * size)
            width = across(max((right - left) * 0.92, 0.001))
            rect = element("rect", class_="bars", x=across(left), y=height - tall, width=width, height=tall)
            marks.append(rect)
    low, high = (x(code) for code in held.codes)
    for left, right in ((0.0, low), (high, 1.0)):
        width = across(max(right - left, 0))
        marks.append(element("rect", class_="beyond", x=across(left), y=0, width=width, height=height))
    for place, anchor, code in ((low, "start", held.codes[0]), (high, "end", held.codes[1])):
        marks.append(line(across(place), 0, across(place), height, "code"))
        marks.append(text(f"{code:.3g}", across(place), height + 13, anchor=anchor))
    return figure(marks, height, label, "plot small")


def _names(parts: Sequence[Part], pitch: float, y: Callable[[float], float]) -> list[Markup]:
    """The names of the largest bars, above them; one that another name is in the way of is left out."""
    taken: list[tuple[float, float, float]] = []
    made = []
    for number in sorted(range(len(parts)), key=lambda n: -parts[n].share)[:_NAMED]:
        part = parts[number]
        if part.share <= 0:
            continue
        middle, height = (number + 0.5) * pitch, min(y(max(part.share, part.alone)), y(0)) - 5
        length = _LETTER * len(part.name) / _WIDTH
        end = middle > 0.6
        left = middle - length if end else middle
        if all(left > b or left + length < a or abs(height - h) > 12 for a, b, h in taken):
            taken.append((left, left + length, height))
            anchor = "end" if end else "start"
            made.append(text(part.name, across(middle), height, anchor=anchor, class_="name"))
    return made


def _blocks(parts: Sequence[Part], pitch: float, y: float) -> list[Markup]:
    """Where blocks begin, as far as the names tell."""
    made, before, last = [], "", -1.0
    for number, part in enumerate(parts):
        words = part.name.split(".")
        block = words[1] if len(words) > 2 and words[1].isdigit() else words[0]
        place = min(number * pitch, 0.95)
        if block != before and place - last >= _APART:
            made.append(text(block[:8], across(place), y, class_="block"))
            last = place
        before = block
    return made


def _extent(parts: Sequence[Part]) -> tuple[float, float]:
    """The lowest and the highest value of a plot; 0 is between them."""
    values = [value for part in parts for value in (part.share, part.alone)]
    return min([0.0, *values]), max([0.01, *values])
