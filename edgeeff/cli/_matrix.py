"""What `edgeeff matrix` shows: a live table on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from edgeeff.cli import console, tables

if TYPE_CHECKING:
    from edgeeff.matrix.results import Cell, Results
    from edgeeff.matrix.running import Run, State

#: Lines of units at work, and of failed ones, that the live table has at most.
_AT_WORK, _FAILED = 12, 6
_KINDS = {"build": "builds", "shard": "shards", "eval": "evaluations", "bench": "benchmarks"}
_STYLES = {"made": "green", "there": "green", "failed": "bold red", "skipped": "yellow"}


class View:
    """Units as they begin and end."""

    def __init__(self, run: Run) -> None:
        self._run, self._begun = run, time.monotonic()
        self._live: Live | None = None
        if console.err.is_terminal:
            self._live = Live(
                console=console.err, get_renderable=self._table, refresh_per_second=2, transient=True
            )

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def hear(self, state: State) -> None:
        """A unit changed its status."""
        unit, outcome = state.unit, state.outcome
        if state.status in ("failed", "skipped") and outcome is not None:
            console.err.print(Text("failed   ", style="bold red") + Text(f"{unit.name}: {outcome.what}"))
        elif self._live is None and state.status == "made" and outcome is not None:
            left = sum(not other.over for other in self._run.states.values())
            console.note(f"made     {unit.name} in {outcome.seconds:.1f} s; {left} left")
        elif state.status == "running" and state.note:
            console.note(f"again    {unit.name}: {state.note}")

    def _table(self) -> Any:
        states = list(self._run.states.values())
        lines = [Text(self._head(states))]
        running = sorted((s for s in states if s.status == "running"), key=lambda state: state.begun)
        width, now = console.err.width, time.monotonic()
        for state in running[:_AT_WORK]:
            took = f"{now - state.begun:6.0f} s  "
            name = state.unit.name
            room = width - len(took) - 4
            lines.append(
                Text(f"  {took}{name if len(name) <= room else '…' + name[1 - room :]}", style="cyan")
            )
        if len(running) > _AT_WORK:
            lines.append(Text(f"  and {len(running) - _AT_WORK} more at work"))
        return Group(*lines)

    def _head(self, states: Sequence[State]) -> str:
        parts = []
        for kind, name in _KINDS.items():
            own = [state for state in states if state.unit.kind == kind]
            if own:
                parts.append(f"{name} {sum(s.over for s in own)}/{len(own)}")
        failed = sum(state.status in ("failed", "skipped") for state in states)
        took = time.monotonic() - self._begun
        return " · ".join([*parts, *([f"{failed} failed"] if failed else []), f"{took:.0f} s"])


def show(results: Results) -> None:
    """The cells with their figures, and what failed."""
    made = tables.new("model", "target", "build", ">score", ">agrees", "device", ">p50 ms")
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for cell in results.cells:
        unit = cell.state.unit
        row = rows.setdefault((unit.model, unit.target), {"build": "", "eval": {}, "bench": {}})
        if unit.kind == "build":
            row["build"] = cell.state.status
        elif unit.kind in ("eval", "bench"):
            row[unit.kind].setdefault(unit.device or "local", []).append(cell)
    for (model, target), row in rows.items():
        devices = list(dict.fromkeys([*row["eval"], *row["bench"]])) or [""]
        for number, device in enumerate(devices):
            first = (model, target, row["build"]) if number == 0 else ("", "", "")
            made.add_row(
                *first,
                *_eval_cells(row["eval"].get(device, [])),
                device,
                _bench_cell(row["bench"].get(device, [])),
            )
    console.table(made)
    counts = Counter(cell.state.status for cell in results.cells)
    said = [f"{counts['made']} made", f"{counts['there']} were there"]
    if counts["waiting"] + counts["running"]:
        said.append(f"{counts['waiting'] + counts['running']} left")
    if results.failed:
        said.append(f"{results.failed} failed")
    console.plain(f"{', '.join(said)}; results in {results.store.folder}")
    for one in results.broken:
        console.fail(f"{one.name}: {one.what}", one.mend)
    same: dict[tuple[str, str], list[str]] = {}
    for cell in results.cells:
        if cell.state.status == "failed" and cell.state.outcome is not None:
            outcome = cell.state.outcome
            same.setdefault((outcome.what, outcome.mend), []).append(cell.state.unit.name)
    for (what, mend), names in same.items():
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        console.fail(f"{', '.join(names[:2])}{more}: {what}", mend)


def _eval_cells(cells: Sequence[Cell]) -> tuple[str, str]:
    if not cells:
        return "", ""
    (cell,) = cells
    if not cell.state.good:
        return cell.state.status, ""
    score, agrees = cell.figures.get("score"), cell.figures.get("agreement")
    return (
        "-" if score is None else f"{100 * score:.2f} %",
        "-" if agrees is None else f"{100 * agrees:.2f} %",
    )


def _bench_cell(cells: Sequence[Cell]) -> str:
    times = [cell.figures.get("p50_ms") for cell in cells if cell.state.good]
    if not times:
        return cells[0].state.status if cells else ""
    found = sorted(time for time in times if time is not None)
    if not found:
        return "-"
    middle = found[len(found) // 2]
    return f"{middle:.3f}" if len(found) == 1 else f"{middle:.3f} ({len(found)})"


def show_plan(run: Run, broken: Sequence[Any]) -> None:
    """What would be done."""
    made = tables.new("unit", "status")
    for state in run.states.values():
        made.add_row(state.unit.name, "is there" if state.good else "to do")
    console.table(made)
    missing = len(run.missing())
    console.plain(f"{len(run.states) - missing} there, {missing} to do")
    for one in broken:
        console.fail(f"{one.name}: {one.what}", one.mend)
