"""What a Q/DQ graph must hold for TensorRT 8.5 to 11 to build it, and to build it in INT8.

Each rule is a file of ``ruleset/``, found by listing. An ``error`` is a graph that this version refuses, or
accepts and understands differently from onnxruntime; a ``warning`` is a graph that builds and is slower or
coarser than it could be. The rules are all there is to hold a graph against for 8.5, 8.6 and 10.3, which
run on no machine without their GPU; NVIDIA's TensorRT-RTX parser, which does, is held against them by
tests/backends/tensorrt/lint.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Literal

import onnx

from edgeeff.backends.tensorrt.lint.versions import BEYOND, OLDEST, VERSIONS, Version, parse_version
from edgeeff.backends.tensorrt.lint.view import View, views

__all__ = ["VERSIONS", "Finding", "Rule", "Severity", "Version", "View", "lint", "parse_version", "rules"]

Severity = Literal["error", "warning"]
Check = Callable[[View], Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class Rule:
    """A rule, as its module says it.

    Args:
        identifier: "TRT001" to "TRT099" for errors, from "TRT101" on for warnings.
        name: The module's, with hyphens.
        severity: What a breach means.
        title: One line.
        why: A sentence or two, with their source.
        mend: What the graph's maker can do.
        first: The first version that it holds for.
        before: The first version that it does not hold for any more.
        check: Yields the node (or tensor, or "graph") and what is wrong with it, for ``view.version``.
    """

    identifier: str
    name: str
    severity: Severity
    title: str
    why: str
    mend: str
    first: Version
    before: Version
    check: Check

    def versions_of(self, versions: Sequence[Version] = VERSIONS) -> tuple[Version, ...]:
        """Those of the versions that the rule can say anything about."""
        return tuple(v for v in versions if self.first <= v < self.before)


@dataclass(frozen=True)
class Finding:
    """One breach of one rule: the node (or tensor) it is about, what is wrong, and for which versions."""

    rule: str
    name: str
    severity: Severity
    node: str
    message: str
    mend: str
    versions: tuple[Version, ...]

    def __str__(self) -> str:
        return f"{self.rule} {self.name}: {self.node}: {self.message}"


def lint(model: onnx.ModelProto, versions: Sequence[Version] = VERSIONS) -> list[Finding]:
    """Hold a graph against every rule, for each of the versions: errors first, then warnings.

    Shapes that the graph does not state are inferred. Values that are not at hand (external data) are not
    held against it. A graph may be well for one version and not for another: an FP32-typed graph at opset
    17 is for weakly typed builds (8.5 to 10), an FP16-typed one for strongly typed builds (10.0 to 11).

    Raises:
        GraphError: A weight's name is no text. Damage of other kinds is taken as it is.
    """
    shown = sorted(set(versions))
    found: dict[tuple[str, str, str], list[Version]] = {}
    graphs = views(model)
    # One view for each version: what a rule looks up in it is there for the next.
    seen = {version: [view.at(version) for view in graphs] for version in shown}
    for rule in rules():
        for version in rule.versions_of(shown):
            for view in seen[version]:
                for node, message in rule.check(view):
                    # protobuf gives a name that is no UTF-8 as bytes
                    held = found.setdefault((rule.identifier, str(node), message), [])
                    if version not in held:
                        held.append(version)
    by_identifier = {rule.identifier: rule for rule in rules()}
    findings = []
    for (identifier, node, message), held in found.items():
        rule = by_identifier[identifier]
        findings.append(Finding(identifier, rule.name, rule.severity, node, message, rule.mend, tuple(held)))
    return sorted(findings, key=lambda finding: finding.severity)


@cache
def _rules() -> tuple[Rule, ...]:
    found = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent / "ruleset")]):
        room = import_module(f"{__name__}.ruleset.{module.name}")
        found.append(
            Rule(
                room.IDENTIFIER,
                module.name.replace("_", "-"),
                room.SEVERITY,
                room.TITLE,
                room.WHY,
                room.MEND,
                getattr(room, "FIRST", OLDEST),
                getattr(room, "BEFORE", BEYOND),
                room.check,
            )
        )
    return tuple(sorted(found, key=lambda rule: rule.identifier))


def rules() -> list[Rule]:
    """All rules, in the order of their identifiers."""
    return list(_rules())
