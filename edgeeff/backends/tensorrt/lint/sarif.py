"""Findings as SARIF 2.1.0, which code hosts and editors read (OASIS, "Static Analysis Results Interchange
Format", sections 3.13 to 3.52)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edgeeff.backends.tensorrt.lint import Finding, Rule, rules
from edgeeff.cache import versions

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

_NODE = "node"  # 3.33.7 lets a tool name a kind of its own, where none of the standard's fits


def log(linted: Mapping[Path, Sequence[Finding]]) -> dict[str, Any]:
    """One run over some graphs, as plain data.

    Args:
        linted: What was found in each file. A relative path becomes a relative reference, so that a log
            that is made in a checkout points into it.
    """
    listed = rules()
    places = {rule.identifier: index for index, rule in enumerate(listed)}
    uris = [_uri(path) for path in linted]
    return {
        "$schema": SCHEMA,
        "version": VERSION,
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "edgeeff lint",
                        "version": versions("edgeeff").get("edgeeff", "unknown"),
                        "rules": [_rule(rule) for rule in listed],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "artifacts": [{"location": {"uri": uri}} for uri in uris],
                "results": [
                    _result(finding, places[finding.rule], uris[index], index)
                    for index, findings in enumerate(linted.values())
                    for finding in findings
                ],
            }
        ],
    }


def text(linted: Mapping[Path, Sequence[Finding]]) -> str:
    """:func:`log` as the text of a file; the same findings give the same bytes."""
    return json.dumps(log(linted), indent=2, ensure_ascii=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    held = ", ".join(str(version) for version in rule.versions_of())
    return {
        "id": rule.identifier,
        "name": "".join(part.capitalize() for part in rule.name.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {
            "text": f"{rule.why}\n\nTo mend it: {rule.mend}\n\nHolds for TensorRT {held or 'none known'}."
        },
        "defaultConfiguration": {"level": rule.severity},
        "properties": {"tags": ["tensorrt"], "tensorrt": [str(version) for version in rule.versions_of()]},
    }


def _result(finding: Finding, rule: int, uri: str, artifact: int) -> dict[str, Any]:
    held = ", ".join(str(version) for version in finding.versions)
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {
            "text": f"{finding.node}: {finding.message} (TensorRT {held}). To mend it: {finding.mend}"
        },
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": uri, "index": artifact}},
                "logicalLocations": [
                    {"name": finding.node, "fullyQualifiedName": f"{uri}#{finding.node}", "kind": _NODE}
                ],
            }
        ],
        "properties": {"tensorrt": [str(version) for version in finding.versions]},
    }


def _uri(path: Path) -> str:
    """An absolute path as a file URI, a relative one as a reference."""
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
