"""Bars that lie, each under its name: times of layers, spans of latencies, ratios with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edgeeff.report.drawing.axis import Axis
from edgeeff.report.drawing.marks import across, element, figure, line, text

_ROW, _BAR, _HEAD = 22, 12, 18


@dataclass(frozen=True)
class Bar:
    """A part of a row.

    Args:
        low: Where it begins.
        high: Where it ends.
        style: Classes of the page's style.
        words: What stands at the row's end.
        title: What is shown over it.
        letter: Of the bundle that it belongs to, before the words.
    """

    low: float
    high: float
    style: str
    words: str = ""
    title: str = ""
    letter: str = ""


@dataclass(frozen=True)
class Row:
    """A name, and bars under it.

    Args:
        name: What they are of.
        bars: One below the other.
    """

    name: str
    bars: tuple[Bar, ...]


def bars(rows: Sequence[Row], axis: Axis, written: Callable[[float], str], unit: str, label: str) -> Markup:
    """Rows of bars over one axis."""
    marks, y = list[Markup](), 4.0
    height = y + sum(_HEAD + _ROW * len(row.bars) for row in rows)
    marks += _grid(axis, written, unit, height)
    for row in rows:
        marks.append(text(row.name, "0", y + 12, class_="name"))
        y += _HEAD
        for bar in row.bars:
            low, high = axis.share(bar.low), axis.share(bar.high)
            marks.append(
                element(
                    "rect",
                    title=bar.title,
                    x=across(low),
                    y=y,
                    width=across(max(high - low, 0.001)),
                    height=_BAR,
                    class_=bar.style,
                )
            )
            words = f"{bar.letter} {bar.words}".strip()
            inside = high > 0.72
            anchor, beside = ("end", -6) if inside else ("start", 6)
            style = "onbar" if inside else None
            marks.append(text(words, across(high), y + 10, anchor=anchor, dx=beside, class_=style))
            y += _ROW
    return figure(marks, height, label, "plot rows")


@dataclass(frozen=True)
class Span:
    """A bundle's times, or its ratio to another's.

    Args:
        name: Of the bundle.
        letter: Its letter.
        colour: Its colour.
        middle: The median, or the ratio.
        box: From the median to the 90th percentile; or the interval.
        far: The 99th percentile, where the whisker ends; None: no whisker.
        dots: The medians of launches.
        words: What stands at the row's end.
        title: What is shown over it.
    """

    name: str
    letter: str
    colour: int
    middle: float
    box: tuple[float, float]
    far: float | None = None
    dots: tuple[float, ...] = ()
    words: str = ""
    title: str = ""


def spans(
    rows: Sequence[Span],
    axis: Axis,
    written: Callable[[float], str],
    unit: str,
    label: str,
    mark: float | None = None,
) -> Markup:
    """A row for each bundle: its box, its middle and its whisker; a line at ``mark``."""
    marks, tall = list[Markup](), 44
    height = 4.0 + tall * len(rows)
    marks += _grid(axis, written, unit, height)
    for number, row in enumerate(rows):
        y = 4.0 + tall * number
        if (
            mark is not None and axis.low <= mark <= axis.high
        ):  # beside the bars alone: words stand above them
            marks.append(line(across(axis.share(mark)), y + 17, across(axis.share(mark)), y + 37, "zero"))
        middle, low, high = (axis.share(v) for v in (row.middle, *row.box))
        marks.append(text(f"{row.letter}  {row.name}", "0", y + 12, class_="name"))
        marks.append(text(row.words, "100%", y + 12, anchor="end"))
        if row.far is not None:
            far = across(axis.share(row.far))
            marks.append(line(across(high), y + 27, far, y + 27, f"whisker c{row.colour}"))
            marks.append(line(far, y + 22, far, y + 32, f"whisker c{row.colour}"))
        width = across(max(high - low, 0.002))
        box = element(
            "rect",
            title=row.title,
            x=across(low),
            y=y + 21,
            width=width,
            height=12,
            class_=f"box c{row.colour}",
        )
        marks.append(box)
        marks.append(line(across(middle), y + 18, across(middle), y + 36, f"middle c{row.colour}"))
        marks += [
            element("circle", cx=across(axis.share(dot)), cy=y + 27, r=2.5, class_="dot") for dot in row.dots
        ]
    return figure(marks, height, label, "plot rows")


def _grid(axis: Axis, written: Callable[[float], str], unit: str, height: float) -> list[Markup]:
    marks = []
    for tick in axis.ticks:
        place = axis.share(tick)
        marks.append(line(across(place), 0, across(place), height, "grid"))
        anchor = "start" if place < 0.04 else "end" if place > 0.96 else "middle"
        marks.append(text(written(tick), across(place), height + 16, anchor=anchor))
    marks.append(text(unit, "100%", height + 34, anchor="end", class_="axis"))
    return marks
