"""The elements of a figure: text escaped, numbers short."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup, escape

#: What the value of an attribute may be; None leaves it out.
Value = str | float | None


def element(name: str, inside: Iterable[Markup] = (), /, title: str = "", **attributes: Value) -> Markup:
    """An element of SVG.

    Args:
        name: Of the element.
        inside: Its children.
        title: What is shown over it.
        attributes: ``class_`` for ``class``, and ``-`` for each ``_``.
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(shown(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    held = "".join(map(escape, inside))
    if title:
        held = f"<title>{escape(title)}</title>{held}"
    return Markup(f"<{name}{said}>{held}</{name}>" if held else f"<{name}{said}/>")


def shown(value: str | float) -> str:
    """A number with at most two digits behind the point.

    Raises:
        ValueError: It is not finite: no figure is drawn of it.
    """
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        raise ValueError(f"{value} has no place in a figure")
    return _short(value)


def _short(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def across(share: float) -> str:
    """A place or a width, 0…1 of the figure's, as per cent."""
    return f"{_short(100 * share)}%"


def text(
    words: str, x: str, y: float, *, anchor: str = "start", class_: str | None = None, dx: float = 0
) -> Markup:
    """Words; ``x`` as :func:`across` gives it, ``y`` of their foot in pixels, ``dx`` pixels beside ``x``."""
    return element(
        *("text", [escape(words)]),
        x=x,
        y=y,
        text_anchor=None if anchor == "start" else anchor,
        dx=dx or None,
        class_=class_,
    )


def line(x1: str, y1: float, x2: str, y2: float, class_: str | None = None) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def figure(marks: Iterable[Markup], height: float, label: str, class_: str = "plot") -> Markup:
    """The whole figure.

    Args:
        marks: Its elements, the lower ones first.
        height: Pixels.
        label: What it shows, for those who do not see it.
        class_: Decides about its margins, into which the words of the axes are written.
    """
    return element("svg", marks, class_=class_, width="100%", height=height, role="img", aria_label=label)
