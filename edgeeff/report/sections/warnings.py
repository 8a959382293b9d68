"""What the reader must not miss, before any figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeeff.report import values
from edgeeff.report.material import Material, Report

ORDER = 10
TITLE = "Warnings"

#: Sentences at most; how many there are is said.
_MOST = 200


def content(material: Material) -> Mapping[str, Any] | None:
    """What was not run, and each warning once with what raised it."""
    not_run = dict.fromkeys(_not_run(material))
    said: dict[str, list[str]] = {text: [] for text in map(values.sentence, material.warnings)}
    for text, source in _warnings(material):
        sources = said.setdefault(text, [])
        if source not in sources:
            sources.append(source)
    said = {text: sources for text, sources in said.items() if not any(why in text for _, why in not_run)}
    if not said and not not_run:
        return None
    shown = list(said.items())[:_MOST]
    return {"not_run": list(not_run)[:_MOST], "warnings": shown, "count": len(said)}


def _not_run(material: Material) -> Iterator[tuple[str, str]]:
    for subject in material.subjects:
        if why := values.sentence(subject.verification, "not_run"):
            yield subject.name, why
    for report in material.reports:
        for one in [report.data, *values.rows(report.data, "entries")]:
            if values.text(one, "status") == "NOT RUN":
                named = values.text(one, "name") or values.text(one, "bundle")
                yield named, values.sentence(one, "reason") or "no reason was given"


def _warnings(material: Material) -> Iterator[tuple[str, str]]:
    for subject in material.subjects:
        for place in ((), ("artifact",)):
            yield from ((t, subject.name) for t in values.sentences(subject.verification, *place, "warnings"))
    for report in material.reports:
        for place in ((), ("reference",)):
            yield from ((t, _source(report)) for t in values.sentences(report.data, *place, "warnings"))


def _source(report: Report) -> str:
    return values.text(report.data, "bundle") or report.source
