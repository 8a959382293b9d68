"""Tables as data: what a cell shows, and the value that it is sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from edgeeff.report.material import Subject

#: What stands where a bundle was not run.
NOT_RUN = "NOT RUN"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Args:
        shown: What stands there.
        value: What the page's script sorts it by; None: by what stands there.
        under: A second line, in small letters.
        style: ``bad``, ``good``, ``doubt``: said in words too, never by the colour alone.
        subject: The bundle whose letter stands before it.
        title: What is shown over it.
    """

    shown: str = ""
    value: float | str | None = None
    under: str = ""
    style: str = ""
    subject: Subject | None = None
    title: str = ""

    def classes(self, column: Column) -> str:
        """Those of the page's style that the cell has in a column."""
        empty = "" if self.shown or self.under else "empty"
        return " ".join(one for one in ("number" if column.number else "", self.style, empty) if one)


@dataclass(frozen=True)
class Column:
    """A column: its heading, whether it holds numbers, and what the heading means."""

    title: str
    number: bool = False
    meaning: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        caption: What it shows.
        columns: Their headings.
        rows: As many cells each.
        left_out: Rows that are not shown, so that the page stays small.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0

    @classmethod
    def of(
        cls, caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], most: int = 500
    ) -> Table:
        """The columns in which something stands, and the first ``most`` rows."""
        kept = [n for n in range(len(columns)) if any(row[n].shown or row[n].under for row in rows)]
        return cls(
            caption,
            tuple(columns[n] for n in kept),
            tuple(tuple(row[n] for n in kept) for row in rows[:most]),
            max(0, len(rows) - most),
        )


def not_run(why: str) -> Cell:
    """Where a figure would stand, had the bundle been run."""
    return Cell(NOT_RUN, "", style="bad", title=why)


def milliseconds(value: float | None) -> Cell:
    """Such as ``8.38 ms``."""
    return Cell() if value is None else Cell(f"{three(value)}\N{NO-BREAK SPACE}ms", value)


def percent(value: float | None, interval: tuple[float, float] | None = None) -> Cell:
    """Such as ``88.6 %``, its interval under it."""
    if value is None:
        return Cell()
    under = f"{100 * interval[0]:.1f}…{100 * interval[1]:.1f}" if interval else ""
    return Cell(f"{100 * value:.1f}\N{NO-BREAK SPACE}%", value, under)


def decibels(value: float | None) -> Cell:
    """Such as ``21.4 dB``."""
    if value is None:
        return Cell()
    if value == float("inf"):
        return Cell("identical", 1e9, title="not one value differs")
    return Cell(f"{value:.1f}\N{NO-BREAK SPACE}dB", value)


def megabytes(value: float | None) -> Cell:
    """Such as ``5.4 MB``, of bytes."""
    return Cell() if value is None else Cell(f"{value / 1e6:.1f}\N{NO-BREAK SPACE}MB", value)


def signed(value: float, digits: int = 2) -> str:
    """Digits behind the point, and a minus sign that is one."""
    text = f"{round(value, digits) + 0.0:.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def three(value: float) -> str:
    """A number with three digits that count: 0.123, 8.38, 56.5, 1234."""
    size = abs(value)
    if size < 1e-9:
        return "0"
    return (
        f"{value:.0f}"
        if size >= 100
        else f"{value:.1f}"
        if size >= 10
        else f"{value:.{2 if size >= 1 else 3}f}"
    )


def badge(subject: Subject | None) -> Markup:
    """A bundle's letter in its colour."""
    if subject is None:
        return Markup("")
    return Markup('<span class="badge c{}" aria-hidden="true">{}</span> ').format(
        subject.colour, subject.letter
    )
