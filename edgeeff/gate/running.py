"""A suite, run: every case against its old bundle or its baseline, what fails once more at the end."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeeff import tasks, text
from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError, ReportError
from edgeeff.files import refuse_unwritable, write_file
from edgeeff.gate import against, alone, baseline, matching, pair
from edgeeff.gate.against import Runs
from edgeeff.gate.baseline import Baseline
from edgeeff.gate.boards import Boards, Open, open_by_name
from edgeeff.gate.limits import OF_IMAGES, UNITS
from edgeeff.gate.suite import LOCAL, Case, Suite
from edgeeff.gate.verdict import GateReport, Verdict
from edgeeff.harness import device_class, truth
from edgeeff.harness.accuracy import AccuracyReport, evaluate
from edgeeff.harness.latency import clock_of
from edgeeff.harness.launches import How
from edgeeff.harness.record import Record
from edgeeff.progress import Progress, Recorder, recorded
from edgeeff.recipes import open_to_judge

Known = Callable[[Case, str], Runs]


@dataclass(frozen=True)
class Updated:
    """A baseline that was written, or that stands as it was.

    Args:
        path: Its file.
        diff: What changed in it, as ``diff -u`` shows it.
    """

    path: Path
    diff: str


@dataclass
class _Run:
    """A suite on its way."""

    suite: Suite
    method: pair.Method
    boards: Boards
    listener: Recorder
    baselines: list[Baseline]
    known: Known
    verdicts: list[Verdict] = field(default_factory=list)


@recorded
def run(
    suite: Suite,
    *,
    method: pair.Method | None = None,
    known: Callable[[Callable[[str], None]], Known] | None = None,
    open_board: Open = open_by_name,
    wait: float = 0.0,
    progress: Progress | None = None,
) -> GateReport:
    """Decide about every case of a suite.

    A case whose bundle, baseline or board makes trouble is an ``error`` of that case, and the others are
    measured.
    What fails by its latency is measured once more when all others are done: a fail that does not repeat was
    the machine's.

    Args:
        suite: What is gated.
        method: How pairs are measured; the threads are each case's own.
        known: Given what warns, a function that says which runs of a case's bundles on its device class a
            history has, such as :func:`edgeeff.gate.remembered.known`; None: there is no history.
        open_board: How a board is opened by its name or address.
        wait: Seconds that a case waits for whoever measures on its board.
        progress: Told of what is done, and warned.

    Raises:
        ReportError: A baseline's file cannot be read.
    """
    listener = Recorder.of(progress)
    with closing(Boards(suite.cases, open_board, wait, listener.tell)) as boards:
        at_work = _Run(
            suite,
            method or pair.Method(),
            boards,
            listener,
            baseline.load_all(suite.baselines),
            known(listener.warn) if known is not None else lambda case, series: {},
        )
        _warn_of_idle_baselines(at_work)
        for case in suite.cases:
            at_work.verdicts += _guarded(case, at_work, _decided)
        _repeat(at_work)
    return _report(at_work)


@recorded
def update(
    suite: Suite,
    *,
    method: pair.Method | None = None,
    open_board: Open = open_by_name,
    wait: float = 0.0,
    progress: Progress | None = None,
) -> tuple[list[Updated], GateReport]:
    """Measure every bundle of a suite by itself, and write its baseline.

    Arguments are those of :func:`run`.

    Returns:
        The files, and a report of the cases that could not be measured.

    Raises:
        ReportError: A baseline that stands cannot be read.
        OutputError: One cannot be written.
    """
    listener = Recorder.of(progress)
    refuse_unwritable(suite.baselines)  # before the minutes that measuring takes
    written: list[Updated] = []

    def write(case: Case, begun: Record, at_work: _Run) -> list[Verdict]:
        written.append(_write(_alone(case, begun, at_work).baseline, at_work))
        return []

    cases = [replace(case, old=None) for case in suite.cases]
    with closing(Boards(cases, open_board, wait, listener.tell)) as boards:
        standing = baseline.load_all(suite.baselines)
        method = method or pair.Method()
        at_work = _Run(suite, method, boards, listener, standing, lambda case, series: {})
        for case in cases:
            at_work.verdicts += _guarded(case, at_work, write)
    return written, _report(at_work)


def _report(at_work: _Run) -> GateReport:
    """What was decided; a place whose cases are all errors, since it cannot be reached, has no record."""
    records, verdicts = [*at_work.boards.records.values()], tuple(at_work.verdicts)
    first = records[0] if records else None
    return GateReport(verdicts, first, at_work.listener.warnings, tuple(records[1:]))


def _guarded(case: Case, at_work: _Run, work: Callable[[Case, Record, _Run], list[Verdict]]) -> list[Verdict]:
    """What is decided about a case; trouble is an error of all its metrics."""
    board = None if case.device == LOCAL else case.device
    try:
        with at_work.boards.at(case) as (placed, begun):
            if begun.device is not None:
                at_work.listener.tell(f"{case.name} on {begun.device}")
            verdicts, board = work(placed, begun, at_work), begun.device
    except (EdgeeffError, OSError) as error:
        why = f"{error.what} → {error.mend}" if isinstance(error, EdgeeffError) else str(error)
        verdicts = [
            Verdict(case.name, metric, "error", unit=UNITS[metric], limit=limit, why=why)
            for metric, limit in case.limits.items()
            if metric not in OF_IMAGES or case.images is not None
        ]
    return [replace(one, device=board) for one in verdicts]


def _decided(case: Case, begun: Record, at_work: _Run) -> list[Verdict]:
    """One case against its old bundle, else against its baseline.

    Raises:
        EdgeeffError: It has neither, or something is wrong with one of them.
    """
    if case.old is not None:
        return list(_pair(case, case.old, at_work).verdicts)
    facts = alone.facts_of(case, begun.environment)
    series = device_class.digest(facts)
    standing = matching.of(case.bundle, at_work.baselines, series, facts)
    if standing is None:
        raise matching.missing(case.name, at_work.suite.baselines)
    if standing.bundle == case.bundle.digest() and not at_work.method.noise_probe:
        at_work.listener.tell(
            f"{case.name} is the bundle of its baseline; --noise-probe measures it all the same"
        )
        return against.equal(case)
    found = _alone(case, begun, at_work)
    return against.verdicts(case, standing, found, at_work.known(case, series))


def _alone(case: Case, begun: Record, at_work: _Run) -> alone.Alone:
    how = How(threads=case.threads, seconds=at_work.method.seconds, timeout=at_work.method.timeout)
    clock = clock_of((case.bundle,), case.threads)
    if at_work.method.clock not in (None, clock):
        at_work.listener.warn(
            f"{case.name} is measured by itself, by the {clock} clock: another --clock is for two bundles"
        )
    if "latency" in case.limits and clock == "wall":
        at_work.listener.warn(
            f"{case.name} is timed by wall time, which wants a quiet machine: other work on it can hide a "
            "slowdown or look like one"
        )
    accuracy = _accuracy(case, at_work.method.white, at_work.listener)
    return alone.run(case, how, begun, accuracy, at_work.listener)


def _pair(case: Case, old: Bundle, at_work: _Run) -> GateReport:
    images = case.images if any(metric in case.limits for metric in OF_IMAGES) else None
    return pair.decide(
        case.bundle,
        old,
        case.limits if images is not None else _without_images(case.limits),
        images=images,
        root=case.root,
        reference=case.reference if images is not None else None,
        method=replace(at_work.method, threads=case.threads),
        case=case.name,
        progress=at_work.listener,
    )


def _without_images(limits: pair.Limits) -> pair.Limits:
    return {metric: limit for metric, limit in limits.items() if metric not in OF_IMAGES}


def _accuracy(case: Case, white: float | None, listener: Recorder) -> AccuracyReport | None:
    """What the images say of a bundle by itself; None where they say nothing, or no limit asks them."""
    if case.images is None or not any(metric in case.limits for metric in OF_IMAGES):
        return None
    images = open_to_judge(case.images, case.root)
    labelled = truth.read(images, None, case.bundle.manifest)[1] is not None
    found = None
    if labelled or case.reference is not None:
        found = evaluate(
            case.bundle,
            images,
            reference=case.reference,
            white=white,
            threads=case.threads,
            progress=listener,
        )
    if found is not None and tasks.drawn(found.scores) is not None:
        return found
    if found is None or found.outcomes is None or not found.outcomes.exclusive or not labelled:
        why = "decides no single class" if labelled else "images bear no labels"
        listener.warn(f"{case.name}: {why}: its accuracy cannot be gated without the old bundle")
    return found


def _repeat(at_work: _Run) -> None:
    """Measure the latency of what failed once more, now that other cases have run in between."""
    failed = {(v.case, v.device) for v in at_work.verdicts if v.metric == "latency" and v.status == "fail"}
    for case in at_work.suite.cases:
        begun = at_work.boards.records.get(case.device)
        key = (case.name, None if begun is None else begun.device)
        if key not in failed:
            continue
        only = replace(case, limits={"latency": case.limits["latency"]}, images=None)
        at_work.listener.tell(f"{case.name} failed by its latency: it is measured once more")
        (again,) = _guarded(only, at_work, _decided)
        at_work.verdicts[:] = [
            _repeated(one, again) if (one.case, one.device) == key and one.metric == "latency" else one
            for one in at_work.verdicts
        ]


def _repeated(first: Verdict, again: Verdict) -> Verdict:
    """What two measurements of one case say together: a fail is one that repeats."""
    seconds = first.seconds + again.seconds
    measured = {**again.measured, "first": first.to_json()}
    if again.status == "fail":
        why = f"{again.why}; it failed before, too: {first.why}"
        return replace(again, why=why, seconds=seconds, measured=measured)
    if again.status == "pass":
        why = f"it failed once ({first.why}), and passed when it was measured again: {again.why}"
        return replace(again, status="inconclusive", why=why, seconds=seconds, measured=measured)
    why = f"it failed once ({first.why}), which a second measurement did not confirm: {again.why}"
    return replace(again, why=why, seconds=seconds, measured=measured)


def _warn_of_idle_baselines(at_work: _Run) -> None:
    """A bundle that nobody builds any more would else leave the gate without a word."""
    names = {case.name for case in at_work.suite.cases}
    for one in at_work.baselines:
        if one.name not in names:
            at_work.listener.warn(f"{one.path} is a baseline of {one.name}, which is no case of the suite")


def _write(found: Baseline, at_work: _Run) -> Updated:
    """Write a baseline over the one that stands for the same bundle and device class."""
    key = (found.name, found.target, found.series)
    standing = next((one for one in at_work.baselines if (one.name, one.target, one.series) == key), None)
    path = (
        standing.path if standing is not None and standing.path else at_work.suite.baselines / found.file_name
    )
    content = (standing.after(found) if standing is not None else found).text()
    if standing is None and path.exists():
        raise ReportError(
            f"{path} is the baseline of another bundle, and would be that of {found.name!r:.200}",
            mend="rename that file: its name says nothing that its content does not",
        )
    before = text.read(path, ReportError) if standing is not None else ""
    write_file(path, content.encode())
    # Another board of this device class adds a run to it.
    at_work.baselines[:] = [one for one in at_work.baselines if one is not standing] + [baseline.load(path)]
    return Updated(path, _diff(path, before, content))


def _diff(path: Path, before: str, after: str) -> str:
    lines: Sequence[str] = [
        *difflib.unified_diff(
            before.splitlines(),
            after.splitlines(),
            str(path) if before else "/dev/null",
            str(path),
            lineterm="",
            n=2,
        )
    ]
    return "\n".join(lines)
