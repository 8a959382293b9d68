"""A track drawn with characters, for a terminal of 80 columns, or as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np

from edgeeff.harness.commit import between
from edgeeff.history.changes import Change
from edgeeff.history.finding import Track

_ROWS, _COLUMNS = 12, 66
_UNICODE = {
    "point": "•",
    "level": "─",
    "change": "┊",
    "axis": "│",
    "corner": "└",
    "base": "─",
    "high": "▲",
    "low": "▼",
}
_ASCII = {
    "point": "*",
    "level": "-",
    "change": ":",
    "axis": "|",
    "corner": "+",
    "base": "-",
    "high": "^",
    "low": "v",
}


def finite(track: Track) -> list[tuple[int, float]]:
    """Place and value of the points that can be drawn."""
    values = ((i, point.value) for i, point in enumerate(track.points))
    return [(i, value) for i, value in values if value is not None and math.isfinite(value)]


def text(track: Track, changes: Sequence[Change], *, ascii_alone: bool = False) -> list[str]:
    """The lines of a plot: a column for a run, or for several; levels between changes are drawn through."""
    points, signs = finite(track), _ASCII if ascii_alone else _UNICODE
    if not points:
        return ["no figure that can be drawn"]
    low, high = _range([value for _, value in points], [level for *_, level in _levels(track, changes)])
    columns = min(_COLUMNS, max(len(track.points), 2))
    grid = [[" "] * columns for _ in range(_ROWS)]

    def column(place: int) -> int:
        return min(columns - 1, place * columns // max(len(track.points), columns))

    def row(value: float) -> int:
        return round((high - value) / (high - low) * (_ROWS - 1))

    for change in changes:
        for line in grid:
            line[column(change.place)] = signs["change"]
    for first, end, level in _levels(track, changes):
        for place in range(first, end):
            grid[row(level)][column(place)] = signs["level"]
    for place, value in points:
        sign = "high" if value > high else "low" if value < low else "point"
        grid[row(min(max(value, low), high))][column(place)] = signs[sign]
    width = max(len(f"{value:.4g}") for value in (low, high))
    labels = {0: high, _ROWS // 2: high - (high - low) * (_ROWS // 2) / (_ROWS - 1), _ROWS - 1: low}
    lines = [
        f"{f'{labels[i]:.4g}' if i in labels else '':>{width}} {signs['axis']}{''.join(line).rstrip()}"
        for i, line in enumerate(grid)
    ]
    ends = track.points[0].placed[:10], track.points[-1].placed[:10]
    gap = max(columns - len(ends[0]) - len(ends[1]), 1)
    return [
        *lines,
        f"{'':>{width}} {signs['corner']}{signs['base'] * columns}",
        f"{'':>{width}}  {ends[0]}{' ' * gap}{ends[1]}",
    ]


def _range(values: Sequence[float], levels: Sequence[float]) -> tuple[float, float]:
    """The ends of the axis: all levels and points, but for those that lie far from all others.

    At least 1 % of the value apart, so that noise does not fill the plot.
    """
    quarter, three = (float(q) for q in np.percentile(values, [25, 75]))
    far = 3 * (three - quarter)
    near = [value for value in values if quarter - far <= value <= three + far]
    low, high = min(*near, *levels), max(*near, *levels)
    least = abs(high) * 0.01 or 1.0
    if high - low < least:
        middle = (low + high) / 2
        low, high = middle - least / 2, middle + least / 2
    return low, high


def _levels(track: Track, changes: Sequence[Change]) -> list[tuple[int, int, float]]:
    """First place, end and median of each level."""
    ends = [0, *(change.place for change in changes), len(track.points)]
    found = []
    for first, end in pairwise(ends):
        values = [value for place, value in finite(track) if first <= place < end]
        if values:
            found.append((first, end, float(np.median(values))))
    return found


_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #6b6b6b; --line: #d0d0d0; --dot: #1f6feb;
--step: #c2410c; --ground: #ffffff }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a0a0a0; --line: #444444;
--dot: #6cb6ff; --step: #ff9b5e; --ground: #16181c } }
text { font: 12px system-ui, sans-serif; fill: var(--ink) } .soft { fill: var(--soft) }
.dot { fill: var(--dot) } .axis { stroke: var(--line) } .level { stroke: var(--ink); stroke-width: 1.5 }
.step { stroke: var(--step); stroke-dasharray: 4 3 } .steptext { fill: var(--step) }
.ground { fill: var(--ground) } .far { fill: none; stroke: var(--dot); stroke-width: 1.5 }
"""
_WIDTH, _HEIGHT, _LEFT, _TOP, _PANEL = 760, 260, 64, 40, 170


def svg(tracks: Sequence[tuple[Track, Sequence[Change]]]) -> str:
    """One picture of all tracks, one under the other; it needs nothing else, and follows a dark page."""
    height = _HEIGHT * max(len(tracks), 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        'aria-label="Results over time">',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" width="{_WIDTH}" height="{height}"/>',
    ]
    for number, (track, found) in enumerate(tracks):
        parts += [f'<g transform="translate(0 {_HEIGHT * number})">', *_panel(track, found), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(track: Track, changes: Sequence[Change]) -> list[str]:
    head = f"{track.bundle}: {track.metric}{f' ({track.unit})' if track.unit else ''}"
    about = f"{track.device}; {track.conditions}"
    parts = [
        f'<text x="16" y="18" font-weight="bold">{_safe(head)}</text>',
        f'<text x="16" y="33" class="soft">{_safe(about)}</text>',
    ]
    points = finite(track)
    if not points:
        return [*parts, '<text x="16" y="60">no figure that can be drawn</text>']
    low, high = _range([value for _, value in points], [level for *_, level in _levels(track, changes)])
    wide = _WIDTH - _LEFT - 20

    def x(place: float) -> float:
        return round(_LEFT + 6 + (wide - 12) * place / max(len(track.points) - 1, 1), 1)

    def y(value: float) -> float:
        shown = min(max(value, low), high)  # what lies far from all others stands at the edge
        return round(_TOP + 8 + (_PANEL - 16) * (high - shown) / (high - low), 1)

    for value in (high, (low + high) / 2, low):
        parts.append(f'<line class="axis" x1="{_LEFT}" x2="{_LEFT + wide}" y1="{y(value)}" y2="{y(value)}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4}" text-anchor="end">{value:.4g}</text>')
    for first, end, level in _levels(track, changes):
        ends = f'x1="{x(first)}" x2="{x(end - 1)}" y1="{y(level)}" y2="{y(level)}"'
        parts.append(f'<line class="level" {ends}/>')
    for change in changes:
        at = x(change.place - 0.5)
        parts.append(f'<line class="step" x1="{at}" x2="{at}" y1="{_TOP}" y2="{_TOP + _PANEL}"/>')
        parts.append(
            f'<text class="steptext" x="{at + 4}" y="{_TOP + 10}">{_size(change)}'
            f"<title>{_safe(said(change))}</title></text>"
        )
    for place, value in points:
        point, kind = track.points[place], "dot" if low <= value <= high else "dot far"
        hint = f"{value:.6g} {track.unit}, run {point.uid[:8]}, {point.placed}, commit {point.commit or '?'}"
        parts.append(
            f'<circle class="{kind}" cx="{x(place)}" cy="{y(value)}" r="3">'
            f"<title>{_safe(hint)}</title></circle>"
        )
    for place, anchor in ((0, "start"), (len(track.points) - 1, "end")):
        parts.append(
            f'<text class="soft" x="{x(place)}" y="{_TOP + _PANEL + 18}" text-anchor="{anchor}">'
            f"{_safe(track.points[place].placed[:10])}</text>"
        )
    return parts


def _size(change: Change) -> str:
    return f"{change.step:+.1%}" if math.isfinite(change.step) else "from 0"


def said(change: Change) -> str:
    """A change in words, with the commits between which it came."""
    words = f"{_size(change)} ({change.before:.4g} to {change.after:.4g}) since run {change.first.uid[:8]}"
    return f"{words}, {change.first.placed[:10]}; {between(*change.range)}"


def _safe(value: str) -> str:
    """Names are anybody's."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value))
