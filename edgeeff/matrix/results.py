"""What a run of a matrix gave, as data: each cell with its figures, what failed, and where reports lie."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edgeeff.errors import OutputError
from edgeeff.files import write_file
from edgeeff.matrix.file import Matrix
from edgeeff.matrix.planning import Broken
from edgeeff.matrix.running import Run, State
from edgeeff.matrix.store import Store

#: Raised when a field changes its name or its meaning.
SCHEMA = 1


@dataclass(frozen=True)
class Cell:
    """One cell of a run.

    Args:
        state: Its unit, and what became of it.
        result: What the store has of it; None where it is not there.
    """

    state: State
    result: Mapping[str, Any] | None

    @property
    def figures(self) -> Mapping[str, Any]:
        """A few figures of its report."""
        return (self.result or {}).get("figures") or {}

    @property
    def report(self) -> dict[str, Any] | None:
        """Its report, as the verb prints it with ``--json``."""
        found = (self.result or {}).get("report")
        return found if isinstance(found, dict) else None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        unit, outcome = self.state.unit, self.state.outcome
        return {
            "name": unit.name,
            "model": unit.model,
            "target": unit.target,
            "measure": unit.kind,
            "device": unit.device or None,
            "status": self.state.status,
            "key": None if self.result is None else self.result["key"],
            "seconds": None if self.result is None else self.result.get("seconds"),
            "figures": dict(self.figures),
            "what": (outcome.what or None) if outcome else None,
            "mend": (outcome.mend or None) if outcome else None,
            "error": (outcome.kind or None) if outcome else None,
            "warnings": list(outcome.warnings) if outcome else [],
        }


@dataclass(frozen=True)
class Results:
    """What a run gave.

    Args:
        matrix: What was asked for.
        store: Where the results lie.
        cells: Of builds, evaluations and benchmarks, in order.
        broken: Cells that could not be planned.
        warnings: Of the cluster.
    """

    matrix: Matrix
    store: Store
    cells: tuple[Cell, ...]
    broken: tuple[Broken, ...]
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, matrix: Matrix, run: Run, warnings: Sequence[str] = ()) -> Results:
        """From a run, over or interrupted."""
        cells = []
        for state in run.states.values():
            if state.unit.kind != "shard" or not state.good:
                key = state.outcome.key if state.outcome is not None else state.unit.key
                cells.append(Cell(state, run.store.read(key) if state.good else None))
        shown = [cell for cell in cells if cell.state.unit.kind != "shard" or cell.state.status == "failed"]
        return cls(matrix, run.store, tuple(shown), run.plan.broken, tuple(warnings))

    @property
    def failed(self) -> int:
        """Cells whose result is not there though it was tried."""
        return len(self.broken) + sum(c.state.status in ("failed", "skipped") for c in self.cells)

    @property
    def heard(self) -> dict[str, list[str]]:
        """Each warning, with the names of the cells that it is of."""
        found: dict[str, list[str]] = {}
        for cell in self.cells:
            for text in cell.state.outcome.warnings if cell.state.outcome else ():
                found.setdefault(text, []).append(f"{cell.state.unit.model}/{cell.state.unit.target}")
        return {text: list(dict.fromkeys(names)) for text, names in found.items()}

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        counts = Counter(cell.state.status for cell in self.cells)
        counts["failed"] += len(self.broken)
        return {
            "schema_version": SCHEMA,
            "matrix": self.matrix.name,
            "results": str(self.store.folder),
            "counts": dict(counts),
            "cells": [cell.to_json() for cell in self.cells],
            "broken": [vars(one) for one in self.broken],
            "warnings": [*self.warnings, *self.heard],
        }

    def reports(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The key and the report of each cell that has one and is not in the history yet."""
        for cell in self.cells:
            if cell.report is not None and cell.result is not None:
                key = str(cell.result["key"])
                if not self.store.recorded(key):
                    yield key, cell.report

    def write(self) -> None:
        """Links to bundles, reports as the verbs print them, and a summary, beside the results."""
        reports: dict[str, list[dict[str, Any]]] = {"eval": [], "bench": []}
        for cell in self.cells:
            unit = cell.state.unit
            if unit.kind == "build" and cell.result is not None:
                below = str(cell.result["bundle"])
                self.store.link(below.rpartition("/")[2], str(cell.result["key"]), below)
            elif unit.kind in reports and cell.report is not None:
                reports[unit.kind].append(cell.report)
        with suppress(OutputError):
            for kind, found in reports.items():
                if found:
                    write_file(
                        self.store.folder / "reports" / f"{kind}.json", json.dumps(found, indent=1).encode()
                    )
            write_file(self.store.folder / "summary.json", json.dumps(self.to_json(), indent=1).encode())
