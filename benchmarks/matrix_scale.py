"""What a matrix's own parts cost at the size of a lab: tiny units through Dask, 500 boards, a history.

    python -m benchmarks.matrix_scale --units 10000 --boards 500 --runs 2000 [--database postgresql://…]

Work is nothing here: a unit writes its result, a board sleeps. So the figures are what the client, the
scheduler, the folder of results and the database add, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeeff import history
from edgeeff.harness import record
from edgeeff.matrix import boards, cluster, work
from edgeeff.matrix.cluster import Where
from edgeeff.matrix.planning import Plan
from edgeeff.matrix.running import Run
from edgeeff.matrix.store import Store
from edgeeff.matrix.units import Unit


def nothing(job: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A unit whose result is stored as any is, and takes no time."""
    return asdict(work.attempt(job, Store(Path(place)), lambda job, store, folder: {"warnings": []}))


class Tiny:
    """The real cluster, which is given units that do nothing."""

    def __init__(self, real: cluster.Cluster, at_once: int) -> None:
        self._real, self._at_once = real, at_once

    def slots(self) -> int:
        """As if there were more workers."""
        return self._at_once

    def connected(self) -> bool:
        """Whether it is there."""
        return self._real.connected()

    def cancel(self, futures: list[Any]) -> None:
        """Let go of units."""
        self._real.cancel(futures)

    def submit(self, job: Mapping[str, Any], arguments: Any, done: Callable[..., None]) -> Any:
        """Let a unit be done."""
        future = self._real._client.submit(nothing, dict(job), arguments[0], pure=False)
        future.add_done_callback(lambda ended: done(ended.result(), None))
        return future


class Sleeper:
    """A board that takes a while for a unit."""

    def __init__(self, name: str) -> None:
        self.name = name

    def environment(self) -> dict[str, Any]:
        """Another for each."""
        return {"board": self.name}

    @contextmanager
    def lock(self, wait: float) -> Iterator[None]:
        """Nobody else is there."""
        yield

    def close(self) -> None:
        """Nothing is held."""


def units(kind: Any, count: int, boards: int = 0) -> tuple[Unit, ...]:
    """So many units that need nothing."""
    return tuple(
        Unit(kind, f"m{n}", "t", f"sleeper:{n % boards}" if boards else "", {"number": n})
        for n in range(count)
    )


def timed(title: str, what: Callable[[], Any], count: int) -> None:
    """Print how long something took, for each of ``count``, and this process's processor time and memory."""
    begun, cpu = time.monotonic(), time.process_time()
    what()
    took, used = time.monotonic() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{title}: {count} in {took:.1f} s, {1e3 * took / count:.2f} ms each; this process computed "
        f"{1e3 * used / count:.2f} ms each, and has held {peak:.0f} MB",
        flush=True,
    )


def through_dask(store: Store, count: int, at_once: int) -> None:
    """Units through the loop, the scheduler and the folder."""
    plan = Plan(units("build", count), ())
    with cluster.opened(Where(workers=2), store) as real:
        tiny = Tiny(real, at_once)

        @contextmanager
        def pool() -> Iterator[Any]:
            yield tiny

        run = Run(plan, store, pool)
        timed("units through Dask", run.run, count)
        assert all(state.good for state in run.states.values())
    timed("found there by the next run", lambda: Run(plan, store, pool), count)


def on_boards(store: Store, count: int, many: int, seconds: float) -> None:
    """Units on boards, each a thread of this process."""
    at, most, lock = 0, 0, threading.Lock()

    def measure(self: boards.Board, job: Any, store: Store, folder: Path) -> dict[str, Any]:
        nonlocal at, most
        with lock:
            at += 1
            most = max(most, at)
        time.sleep(seconds)
        with lock:
            at -= 1
        return {"warnings": []}

    boards.Board._measure = measure  # type: ignore[method-assign]
    run = Run(Plan(units("bench", count, many), ()), store, lambda: None, Sleeper)  # type: ignore[arg-type]
    timed(f"units on {many} boards of {seconds:g} s", run.run, count)
    print(f"  at once: {most}; without any cost it would take {seconds * count / many:.1f} s")
    assert all(state.good for state in run.states.values())


def into_history(report: Mapping[str, Any], count: int, database: str) -> None:
    """Reports, one transaction each, as matrices of many people store them, and all in one call."""

    def fresh() -> dict[str, Any]:
        return {**report, "record": {**report["record"], "run_id": uuid.uuid4().hex}}

    history.remember(fresh(), database=database)
    single = max(1, count // 10)
    one = [fresh() for _ in range(single)]
    timed(
        "runs into the history, one by one",
        lambda: [history.remember(r, database=database) for r in one],
        single,
    )
    many = [fresh() for _ in range(count)]
    timed("runs into the history, in one call", lambda: history.remember(*many, database=database), count)


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, value in (("units", 10_000), ("at-once", 64), ("boards", 500), ("jobs", 2000), ("runs", 2000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--report", type=Path, help="a report of `edgeeff bench --json`, for the history")
    parser.add_argument("--database", help="of the history; default: a file of SQLite")
    said = parser.parse_args()
    print(json.dumps(record.environment()["versions"]))
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name) / "results")
        store.prepare()
        if said.units:
            through_dask(store, said.units, said.at_once)
        if said.jobs:
            on_boards(store, said.jobs, said.boards, said.seconds)
        if said.report:
            (report,) = [json.loads(said.report.read_text())][:1]
            report = report[0] if isinstance(report, list) else report
            into_history(report, said.runs, said.database or str(Path(name) / "history.sqlite"))


if __name__ == "__main__":
    main()
