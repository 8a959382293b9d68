"""edgeeff matrix: models × targets × devices, built, evaluated and timed; what is there is left alone."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import _matrix as view
from edgeeff.cli import console, options, recording
from edgeeff.cli.groups import grouped
from edgeeff.errors import OptionError

if TYPE_CHECKING:
    from edgeeff.matrix.file import Matrix
    from edgeeff.matrix.results import Results
    from edgeeff.matrix.running import Run

_WHERE = "Where it is computed"


@dataclass(frozen=True)
class Computed:
    """Where builds and evaluations are computed."""

    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes of this machine. Default: one for each processor.",
            rich_help_panel=_WHERE,
            callback=options.at_least(1),
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="A Dask scheduler, tls://host:8786, instead of processes of this machine.",
            rich_help_panel=_WHERE,
        ),
    ] = None
    tls_ca: Annotated[
        Path | None,
        typer.Option(help="Of that scheduler: the CA's certificate, PEM.", rich_help_panel=_WHERE),
    ] = None
    tls_cert: Annotated[
        Path | None, typer.Option(help="This client's certificate for it.", rich_help_panel=_WHERE)
    ] = None
    tls_key: Annotated[
        Path | None, typer.Option(help="The key of that certificate.", rich_help_panel=_WHERE)
    ] = None
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Talk to a scheduler without TLS: who reaches it can run code on all workers.",
            rich_help_panel=_WHERE,
        ),
    ] = False


@recording.stores()
@grouped
def command(
    *,
    file: Annotated[Path, typer.Argument(help="The matrix, a .toml file (docs/matrix.md).")],
    only: Annotated[
        list[str] | None,
        typer.Option(help="Cells by their names or patterns: lite0, */cpu-int8, */*/eval. Repeatable."),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="The folder of results. Default: what the file says.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    computed: Computed,
    strict: options.Strict = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Build models for targets, and evaluate and time the bundles on devices: all that matrix.toml asks for.

    Each result is stored under the digest of all that decides it. The same command does what is missing, and
    nothing twice; a run that was killed loses what it was at, and no more.

    Exit status 1: a cell failed, and the others were done.
    """
    where = _where(computed, dry_run=dry_run)
    from edgeeff.matrix import facts, planning
    from edgeeff.matrix.file import load
    from edgeeff.matrix.results import Results
    from edgeeff.matrix.running import Run
    from edgeeff.matrix.store import Store

    matrix = load(file)
    store = Store((results or matrix.results).absolute())
    with ExitStack() as stack:
        pool = _Pool(where, store)
        stack.callback(pool.close)
        if not dry_run:
            store.prepare()
            stack.enter_context(store.held())
        computing = facts.computing() if where.scheduler is None else pool.cluster().computing
        with console.ConsoleProgress() as progress:
            plan = planning.plan(matrix, computing, only or (), progress)
        run = Run(plan, store, pool.entered, commit=_commit())
        if dry_run:
            return _planned(matrix, run, json=json)
        for text in pool.warnings:
            console.warn(text)
        try:
            with view.View(run) as shown:
                run.hear = shown.hear
                run.run()
        finally:
            found = Results.of(matrix, run, pool.warnings)
            found.write()
            history, not_stored = _keep(found)
    return _say(found, history, not_stored, strict=strict, json=json)


class _Pool:
    """A cluster that is opened once: where the plan asks for it, or where something is to be computed."""

    def __init__(self, where: Any, store: Any) -> None:
        self._where, self._store, self._stack = where, store, ExitStack()
        self._cluster: Any = None

    @property
    def warnings(self) -> tuple[str, ...]:
        return () if self._cluster is None else self._cluster.warnings

    def cluster(self) -> Any:
        from edgeeff.matrix.cluster import opened

        if self._cluster is None:
            self._cluster = self._stack.enter_context(opened(self._where, self._store))
            console.note(f"workers  {self._cluster.description}")
        return self._cluster

    def entered(self) -> ExitStack:
        """The cluster as a context that leaves it open."""
        from contextlib import nullcontext

        return nullcontext(self.cluster())  # type: ignore[return-value]

    def close(self) -> None:
        self._stack.close()


def _where(computed: Computed, *, dry_run: bool) -> Any:
    from edgeeff.matrix.cluster import Tls, Where, refuse_missing

    if not dry_run or computed.scheduler is not None:
        refuse_missing()
    if computed.scheduler is None:
        said = {
            "--tls-ca": computed.tls_ca,
            "--tls-cert": computed.tls_cert,
            "--tls-key": computed.tls_key,
            "--insecure": computed.insecure or None,
        }
        if idle := [name for name, value in said.items() if value is not None]:
            raise OptionError(f"{', '.join(idle)}, and no --scheduler", mend="name the scheduler")
    elif computed.workers is not None:
        raise OptionError(
            "--workers with --scheduler", mend="start workers for the scheduler: `dask worker tls://…`"
        )
    tls = Tls(computed.tls_ca, computed.tls_cert, computed.tls_key)
    return Where(computed.workers, computed.scheduler, tls, computed.insecure)


def _commit() -> str | None:
    from edgeeff.harness.commit import current

    return current()


def _planned(matrix: Matrix, run: Run, *, json: bool) -> int:
    """Say what would be done."""
    if json:
        console.as_json(
            {
                "matrix": matrix.name,
                "results": str(run.store.folder),
                "units": [
                    {"name": s.unit.name, "kind": s.unit.kind, "key": s.unit.key, "there": s.good}
                    for s in run.states.values()
                ],
                "broken": [vars(one) for one in run.plan.broken],
            }
        )
    else:
        view.show_plan(run, run.plan.broken)
    return 1 if run.plan.broken else 0


def _keep(results: Results) -> tuple[dict[str, Any] | None, list[str]]:
    """Store what is not in the history yet: of earlier runs that were killed too."""
    from edgeeff.history import place

    waiting = list(results.reports())
    if not waiting or place.to_store() is None:
        return None, []
    kept, not_stored = recording.keep([report for _, report in waiting])
    became = next((one["history"] for one in kept if "history" in one), None)
    if became is not None and became["stored"]:
        for key, _ in waiting:
            results.store.record(key)
    return became, not_stored


def _say(
    results: Results, history: dict[str, Any] | None, not_stored: list[str], *, strict: bool, json: bool
) -> int:
    for text, names in results.heard.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        console.warn(f"{shown}: {text}")
    if json:
        console.as_json({**results.to_json(), "history": history})
    else:
        view.show(results)
    warned = bool(not_stored or results.heard or results.warnings)
    return 1 if results.failed or (strict and warned) else 0
