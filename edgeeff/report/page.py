"""The page: sections put together, with a policy that lets nothing in.

Style and script are part of the page, and the policy names their SHA-256: what else might get in as markup
could neither run nor load anything. The same material gives the same bytes.
"""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edgeeff.report import sections, values
from edgeeff.report.material import Material

_TEMPLATES = Path(__file__).parent / "templates"


def render(material: Material) -> str:
    """The whole page."""
    environment = _environment()
    inside = [
        (name, title, Markup(environment.get_template(f"{name}.html").render(content)))
        for name, title, content in sections.filled(material)
    ]
    style = environment.get_template("page.css").render()
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        title=values.text(material.title),
        subtitle=_subtitle(material),
        sections=inside,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
    )


def _subtitle(material: Material) -> str:
    """How many bundles and reports, and of when: the page itself has no clock."""
    bundles, dates = len(material.subjects), [one.utc for one in material.reports if one.utc]
    parts = [f"{bundles} bundle{'s' if bundles != 1 else ''}"] if bundles else []
    if material.reports:
        parts.append(f"{len(material.reports)} report{'s' if len(material.reports) != 1 else ''}")
    if dates:
        first, last = min(dates)[:10], max(dates)[:10]
        parts.append(first if first == last else f"{first} to {last}")
    return ", ".join(parts)


def _policy(style: str, script: str) -> str:
    """Nothing but this style, this script and pictures that the page holds itself."""
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.globals["parts"] = environment.get_template("parts.html").module
    return environment
