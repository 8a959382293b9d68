"""What both forms of ``edgeeff gate`` share, and its form for suites."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeeff.cli import console, recording, tables
from edgeeff.errors import EdgeeffError, OptionError

if TYPE_CHECKING:
    from edgeeff.gate.pair import Method
    from edgeeff.gate.publishing import Outputs
    from edgeeff.gate.suite import Instead, Suite
    from edgeeff.gate.verdict import GateReport
    from edgeeff.harness.cooling import Cooling


@dataclass(frozen=True)
class Told:
    """How a gate's result is told, and how long it waits for its turn.

    Args:
        outputs: Files and annotations.
        explain: In words, verdict by verdict.
        wait: Seconds for another measurement on this machine, or on the board.
        strict: Whether warnings are exit status 1.
        json: Whether standard output is for programs.
        cool: What is waited for before each launch.
    """

    outputs: Outputs
    explain: bool
    wait: float
    strict: bool
    json: bool
    cool: Cooling | None = None


def run(
    measure: Callable[[console.ConsoleProgress], GateReport],
    name: str,
    source: Path,
    told: Told,
    *,
    here: bool = True,
) -> int:
    """Measure alone, tell the result everywhere, and return the exit status.

    Args:
        measure: What makes the report.
        name: Of the suite or the bundle.
        source: Its file or folder.
        told: How the result is told.
        here: Whether something is measured on this machine; what measures on a board holds that one's lock.
    """
    from edgeeff.harness.cooling import before_launches

    with (
        _reported(name, source, told),
        alone(told, here=here),
        console.ConsoleProgress(still=True) as progress,
        before_launches(told.cool, progress.tell),
    ):
        report = measure(progress)
    data, not_stored = recording.keep([one.to_json() for one in report.by_place()])
    annotations = told.outputs.write(report, name, source)
    if told.json:
        console.as_json(data[0] if len(data) == 1 else data)
    else:
        say(report, told)
    # Runners read annotations from both streams; the one that programs read holds JSON alone.
    stream = sys.stderr if told.json else sys.stdout
    stream.write(annotations)
    stream.flush()
    return report.exit_status or int(told.strict and bool(report.warnings or not_stored))


def alone(told: Told, *, here: bool) -> AbstractContextManager[None]:
    """This machine's lock, where something is measured on it."""
    from edgeeff.harness import lock

    return lock.alone(told.wait, console.note) if here else nullcontext()


@contextmanager
def _reported(name: str, source: Path, told: Told) -> Iterator[None]:
    """Write what stops the whole gate into its files too: else CI shows none, or those of an older run."""
    from edgeeff.gate.verdict import GateReport, Verdict

    told.outputs.refuse()
    try:
        yield
    except EdgeeffError as error:
        stopped = Verdict(name, "gate", "error", why=f"{error.what}; {error.mend}")
        sys.stderr.write(told.outputs.write(GateReport((stopped,)), name, source))
        raise


def say(report: GateReport, told: Told) -> None:
    """A table of all verdicts, and why: of each in words, or of those that are no pass."""
    from edgeeff.gate import explain
    from edgeeff.gate.formats import words

    several = len({verdict.place for verdict in report.verdicts}) > 1
    if not several and report.verdicts and report.verdicts[0].device is not None:
        console.plain(report.verdicts[0].place)
    made = tables.new(*(["bundle"] if several else []), "metric", "", ">worse by", ">interval", ">limit")
    for verdict in report.verdicts:
        cells = (verdict.metric, words.CALLED[verdict.status], words.figure(verdict.value, verdict.unit))
        ends = words.interval(verdict).removesuffix(verdict.unit).strip()
        made.add_row(*([verdict.place] if several else []), *cells, ends, words.limit(verdict))
    console.table(made)
    console.plain("")
    if told.explain:
        console.plain(explain.text(report))
        return
    # What stops a whole case is told once, with all of its metrics.
    reasons: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for verdict in report.verdicts:
        if not several or verdict.status != "pass":
            key = (verdict.place, words.summary(verdict), tuple(words.printed(verdict)))
            reasons.setdefault(key, []).append(verdict.metric)
    for (case, why, lines), metrics in reasons.items():
        console.plain(f"{f'{case}: ' if several else ''}{', '.join(metrics)}: {why}")
        for line in lines:
            console.plain(f"  | {line}")
    console.plain(words.CALLED[report.status])


def suite(path: Path, instead: Instead, method: Method, told: Told, *, update: bool) -> int:
    """A suite, or with ``update`` its baselines."""
    from edgeeff.gate import remembered, running
    from edgeeff.gate.suite import load

    if update:
        return _update(path, instead, method, told)
    with _reported(path.stem, path, told):
        loaded = load(path, instead)

    def measure(progress: console.ConsoleProgress) -> GateReport:
        known = remembered.known
        return running.run(loaded, method=method, known=known, wait=told.wait, progress=progress)

    return run(measure, loaded.name, path, told, here=_any_here(loaded))


def _any_here(suite: Suite) -> bool:
    from edgeeff.gate.suite import LOCAL

    return any(case.device == LOCAL for case in suite.cases)


def _update(path: Path, instead: Instead, method: Method, told: Told) -> int:
    """Write baselines, and print what changed in them; a case that cannot be measured is exit status 2."""
    from edgeeff.gate import running
    from edgeeff.gate.publishing import Outputs
    from edgeeff.gate.suite import load
    from edgeeff.harness.cooling import before_launches

    if instead.old is not None:
        raise OptionError(
            "--update-baseline measures the new bundles alone", mend="leave --against out, or take it away"
        )
    if told.outputs != Outputs() or told.explain:
        raise OptionError(
            "--update-baseline decides nothing that a file, an annotation or --explain could say",
            mend="take --junit, --markdown, --gitlab, --github and --explain away",
        )
    loaded = load(path, instead)
    with (
        alone(told, here=_any_here(loaded)),
        console.ConsoleProgress(still=True) as progress,
        before_launches(told.cool, progress.tell),
    ):
        written, report = running.update(loaded, method=method, wait=told.wait, progress=progress)
    if told.json:
        files = [{"path": str(one.path), "diff": one.diff} for one in written]
        console.as_json({"written": files, **report.to_json(), "exit_status": _status(report, told)})
        return _status(report, told)
    for one in written:
        console.plain(one.diff or f"{one.path}: nothing changed")
    for verdict in report.verdicts:
        console.plain(f"{verdict.place}: NOT MEASURED: {verdict.metric}: {verdict.why}")
    console.note(f"{len(written)} of {len(loaded.cases)} baselines written; have them reviewed")
    return _status(report, told)


def _status(report: GateReport, told: Told) -> int:
    return 2 if report.verdicts else int(told.strict and bool(report.warnings))
