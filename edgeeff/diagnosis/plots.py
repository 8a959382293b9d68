"""The plots of a diagnosis, as SVG whose colours are the page's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import sqrt

from edgeeff.diagnosis.findings import Finding

_WIDTH, _TALLEST = 1080, 200
_LEFT, _TOP, _BOTTOM = 44, 18, 22
#: Bars that bear their names.
_NAMED = 4
#: Pixels between two labels of the axis, and of a letter.
_APART, _LETTER = 30, 6.2


def scale(*plots: Sequence[Finding]) -> float:
    """Pixels for an error as large as the whole, so that several plots can be compared."""
    return _TALLEST / max(high - low for low, high in map(_extent, plots))


def along(findings: Sequence[Finding], share: str, alone: str, pixels: float) -> str:
    """Bars in the order of the graph: each part's share of the error, before the error that it makes alone.

    Args:
        findings: In that order.
        share: The style of the shares.
        alone: Of the errors alone.
        pixels: Of :func:`scale`.
    """
    lowest, highest = _extent(findings)
    foot = _TOP + (highest - lowest) * pixels
    pitch = (_WIDTH - _LEFT) / max(len(findings), 1)

    def y(value: float) -> float:
        return _TOP + (highest - value) * pixels

    def bar(left: float, width: float, value: float, style: str, finding: Finding) -> str:
        top, height = min(y(value), y(0)), abs(y(value) - y(0))
        words = f"{finding.name} ({finding.what}): {finding.share:.1%}, alone {finding.alone:.1%}"
        return (
            f'<rect class="{style}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}">'
            f"<title>{escape(words)}</title></rect>"
        )

    marks = []
    for step in _steps(lowest, highest, 40 / pixels):
        marks.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y(step):.1f}" y2="{y(step):.1f}"/>')
        marks.append(f'<text x="{_LEFT - 6}" y="{y(step) + 4:.1f}" text-anchor="end">{step:.0%}</text>')
    for number, f in enumerate(findings):
        left = _LEFT + number * pitch
        marks.append(bar(left + 0.1 * pitch, 0.8 * pitch, f.alone, alone, f))
        marks.append(bar(left + 0.3 * pitch, 0.4 * pitch, f.share, share, f))
    marks.append(f'<line class="zero" x1="{_LEFT}" x2="{_WIDTH}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>')
    marks += _names(findings, pitch, y(0), y)
    marks += _ticks(findings, pitch, foot + 15)
    return _svg(_WIDTH, foot + _BOTTOM, marks)


def histogram(finding: Finding) -> str:
    """The values of a tensor in calibration, the range of its codes marked."""
    shown = finding.histogram
    assert shown is not None
    width, height, foot = 250, 110, 16
    first, last = min(shown.low, finding.codes[0]), max(shown.high, finding.codes[1])
    margin = 0.02 * (last - first)
    first, last = first - margin, last + margin

    def x(value: float) -> float:
        return (value - first) / (last - first) * width

    size = (shown.high - shown.low) / len(shown.counts)
    most = sqrt(max(shown.counts)) or 1.0
    marks = []
    for number, count in enumerate(shown.counts):
        if count > 0:
            tall = max(sqrt(count) / most * (height - foot - 4), 0.7)
            left, right = x(shown.low + number * size), x(shown.low + (number + 1) * size)
            marks.append(
                f'<rect class="bars" x="{left:.1f}" y="{height - foot - tall:.1f}"'
                f' width="{max(right - left - 0.3, 0.3):.1f}" height="{tall:.1f}"/>'
            )
    low, high = (x(code) for code in finding.codes)
    for left, right in ((0.0, low), (high, float(width))):
        marks.append(
            f'<rect class="beyond" x="{left:.1f}" y="0" width="{right - left:.1f}" height="{height - foot}"/>'
        )
    for place, anchor, code in ((low, "start", finding.codes[0]), (high, "end", finding.codes[1])):
        marks.append(f'<line class="code" x1="{place:.1f}" x2="{place:.1f}" y1="0" y2="{height - foot}"/>')
        marks.append(f'<text x="{place:.1f}" y="{height - 4}" text-anchor="{anchor}">{code:.3g}</text>')
    return _svg(width, height, marks)


def _names(findings: Sequence[Finding], pitch: float, zero: float, y: Callable[[float], float]) -> list[str]:
    """The names of the largest bars, above them; one that another name is in the way of is left out."""
    taken: list[tuple[float, float, float]] = []
    made = []
    for number in sorted(range(len(findings)), key=lambda n: -findings[n].share)[:_NAMED]:
        f = findings[number]
        if f.share <= 0:
            continue
        left, height = _LEFT + (number + 0.1) * pitch, min(y(max(f.share, f.alone)), zero) - 4
        length = _LETTER * len(f.name)
        left = min(left, _WIDTH - length)
        if all(left > end or left + length < start or abs(height - h) > 12 for start, end, h in taken):
            taken.append((left, left + length, height))
            made.append(f'<text class="name" x="{left:.1f}" y="{height:.1f}">{escape(f.name)}</text>')
    return made


def _ticks(findings: Sequence[Finding], pitch: float, y: float) -> list[str]:
    """Where blocks begin, as far as the names tell."""
    made, before, last = [], "", -float(_APART)
    for number, finding in enumerate(findings):
        parts = finding.name.split(".")
        block = parts[1] if len(parts) > 2 and parts[1].isdigit() else parts[0]
        place = min(_LEFT + number * pitch, _WIDTH - 8 * _LETTER)
        if block != before and place - last >= _APART:
            made.append(f'<text x="{place:.1f}" y="{y:.1f}">{escape(block[:8])}</text>')
            last = place
        before = block
    return made


def _extent(findings: Sequence[Finding]) -> tuple[float, float]:
    """The lowest and the highest value of a plot; 0 is between them."""
    values = [value for f in findings for value in (f.share, f.alone)]
    return min([0.0, *values]), max([0.01, *values])


def _steps(low: float, high: float, apart: float) -> list[float]:
    """Round values between two ends, at least so far apart."""
    size = next(s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, float("inf")) if s >= apart)
    if size == float("inf"):
        return [0.0]
    return [n * size for n in range(int(low // size), int(high // size) + 1) if low <= n * size <= high]


def _svg(width: float, height: float, marks: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img">'
        + "".join(marks)
        + "</svg>"
    )
