"""Where and when the figures were measured, and what was measured: machines, versions, digests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeeff.report import values
from edgeeff.report.material import Material
from edgeeff.report.table import Cell, Column, Table

ORDER = 120
TITLE = "Environment"

_FACTS = (
    *(("board", "board"), ("cpu", "processor"), ("architecture", "architecture"), ("cpu_class", "CPU class")),
    *(("flags", "instruction sets"), ("usable_cores", "usable cores"), ("cores", "cores")),
    *(("governor", "governor"), ("turbo", "turbo"), ("system", "system"), ("python", "Python")),
)


def content(material: Material) -> Mapping[str, Any] | None:
    """Each environment once on each device, each report and each bundle."""
    environments: dict[tuple[str, str], tuple[list[tuple[str, str]], list[str]]] = {}
    for report in material.reports:
        found = values.at(report.data, "record", "environment")
        if isinstance(found, Mapping):
            device = values.text(report.data, "record", "device")
            facts = [*_device(device, values.at(report.data, "record", "host")), *_facts(found)]
            _, sources = environments.setdefault((report.environment, device), (facts, []))
            if report.source not in sources:
                sources.append(report.source)
    reports = Table.of(
        "The reports of this page",
        (Column("report"), Column("of"), Column("run"), Column("begun")),
        [
            (
                Cell(report.source),
                Cell(report.kind),
                Cell(values.text(report.data, "record", "run_id")[:12]),
                Cell(report.utc),
            )
            for report in material.reports
        ],
    )
    bundles = Table.of(
        "The bundles of this page",
        (
            Column("bundle"),
            Column("target"),
            Column("input"),
            Column("task"),
            Column("SHA-256 of its manifest"),
        ),
        [
            (
                Cell(one.name, subject=one),
                *(Cell(one.facts.get(name, "")) for name in ("target", "input", "task")),
                Cell(one.digest, title=one.digest, style="digest"),
            )
            for one in material.subjects
        ],
    )
    if not environments and not material.subjects:
        return None
    return {
        "environments": [(name[:12], *rest) for (name, _), rest in environments.items()],
        "tables": [one for one in (bundles, reports) if one.rows],
    }


def _device(name: str, host: Any) -> list[tuple[str, str]]:
    """The board that computed, by the name that it was given, and the machine that asked for it."""
    asked = [values.text(host, fact) for fact in ("cpu", "system")]
    hosted = ", ".join(filter(None, asked))
    return [("device", name), *([("asked by", hosted)] if hosted else [])] if name else []


def _facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [(words, said) for name, words in _FACTS if (said := _said(values.at(found, name)))]
    versions = ", ".join(f"{name} {values.text(one)}" for name, one in values.items(found, "versions"))
    return [*facts, *([("versions", versions)] if versions else [])]


def _said(fact: Any) -> str:
    if isinstance(fact, bool):
        return "on" if fact else "off"
    if isinstance(fact, list):
        return " ".join(values.texts(fact))
    found = values.number(fact)
    return f"{found:g}" if found is not None else values.text(fact)
