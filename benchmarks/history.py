"""The history's figures: steps that are found and that are not there, and how fast 100 000 results answer.

    python -m benchmarks.history steps
    python -m benchmarks.history database

``steps`` makes 400 rows of runs for each kind and size of noise: single launches of one network differ by
0.6 to 1.3 %, with heavy tails; a run's figure is that of several launches and differs less. *False*: the
share of rows of 100 runs without a step in which one is found. *Found*: a slowdown of 3 % is reported, at its
place ± 4 runs, when four runs have been made with it. ``database`` fills an SQLite file and asks it; times
are the median of nine, wall clock and CPU.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.harness.record import Record
from edgeeff.history import database, finding, place, reports, storing
from edgeeff.history.changes import LEAST, changes, steps
from edgeeff.history.finding import Filter

Values = npt.NDArray[np.float64]
ROWS, RUNS, BEFORE = 400, 100, 56


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("steps").add_argument("--rows", type=int, default=ROWS)
    verbs.add_parser("database").add_argument("--results", type=int, default=100_000)
    asked = parser.parse_args(arguments)
    if asked.verb == "steps":
        print_steps(asked.rows)
    else:
        print_database(asked.results)


def t4(random: np.random.Generator, runs: int, sd: float) -> Values:
    """Heavy tails, standard deviation ``sd``."""
    return random.standard_t(4, runs) / np.sqrt(2) * sd


def drift(random: np.random.Generator, runs: int, sd: float) -> Values:
    """The same on a slope of 1 % in 100 runs."""
    return t4(random, runs, sd) + random.choice([-0.01, 0.01]) * np.arange(runs) / RUNS


def outliers(random: np.random.Generator, runs: int, sd: float) -> Values:
    """The same, and one run in 30 slower by 5 to 30 %."""
    slow = random.random(runs) < 1 / 30
    return t4(random, runs, sd) + slow * random.uniform(0.05, 0.3, runs)


def launches(random: np.random.Generator, runs: int, sd: float) -> Values:
    """Medians of 10 launches, 2·sd·t₄ each, one in 50 slower by 30 %; runs differ by sd/2 more."""
    each = random.standard_t(4, (runs, 10)) / np.sqrt(2) * 2 * sd + 0.3 * (random.random((runs, 10)) < 0.02)
    return np.median(each, axis=1) + random.normal(0, sd / 2, runs)


NOISES: tuple[Callable[[np.random.Generator, int, float], Values], ...] = (t4, drift, outliers, launches)


def print_steps(rows: int) -> None:
    print(f"{rows} rows of runs; % of rows\n\n| noise | sd of a run, % | false | 3 % found in 4 runs |")
    print("|---|---|---|---|")
    begun = time.process_time()
    for noise in NOISES:
        for sd in (0.004, 0.007, 0.01):
            false = found = 0
            for row in range(rows):
                random = np.random.default_rng([row, round(sd * 1e4)])
                false += bool(steps(5 * np.exp(noise(random, RUNS, sd))))
                values = 5 * np.exp(noise(random, BEFORE + LEAST, sd) + 0.03 * (np.arange(60) >= BEFORE))
                found += any(
                    abs(at - BEFORE) <= LEAST and np.median(values[at:]) > np.median(values[:at])
                    for at in steps(values)
                )
            print(f"| {noise.__name__} | {sd:.1%} | {false / rows:.1%} | {found / rows:.1%} |")
    print(f"\n{(time.process_time() - begun) / rows / len(NOISES) / 6 * 1000:.1f} ms a row, CPU")


def a_report(number: int, random: np.random.Generator, series: int) -> dict[str, Any]:
    """A report of two bundles; every tenth run brings new ones."""
    names = ("b0-cpu-int8", "b0-cpu-fp32") if number % 2 else ("lite0-cpu-int8", "lite0-mobile-int8")
    about = {
        name: {"name": name, "model": name.partition("-")[0], "target": name.partition("-")[2]}
        | {"runtime": "openvino", "precision": "int8", "artifact_bytes": 5_000_000}
        for name in names
    }
    begun = time.gmtime(1_700_000_000 + number * 3600)
    digests = {name: f"{number // 10:x}{sum(name.encode()):x}".zfill(64) for name in names}
    record = Record(
        "latency",
        digests,
        {"cpu": f"board {series}", "versions": {"openvino": "2026.4"}},
        utc=time.strftime("%Y-%m-%dT%H:%M:%SZ", begun),
        about=about,
        commit=f"{number // 10:040x}",
    )

    def entry(name: str) -> dict[str, Any]:
        cpu = [float(v) for v in 5 * (1 + random.normal(0, 0.01, 10))]
        wall = dict(zip(("mean", "p50", "p90", "p99"), (5.1, 5.0, 5.3, 6.0), strict=True))
        timing = {"wall_ms": wall, "cpu_ms": statistics.median(cpu), "images": 1, "inferences": 500}
        timing |= {"cpu_launches_ms": cpu, "wall_launches_ms": cpu}
        loading = {"load_ms": 80.0, "first_ms": 9.0, "peak_memory_mb": 60.0, "launches": 5}
        ratio = {"value": 0.5, "interval": [0.49, 0.51]}
        return {
            "name": name,
            "timing": timing | {"loading": loading},
            "cpu_ratio": ratio,
            "wall_ratio": ratio,
        }

    return {
        **{"entries": [entry(name) for name in names], "baseline": names[1], "threads": 1},
        **{"launches": 10, "seconds": 0.6, "seed": 0, "record": record.to_json()},
    }


def print_database(results: int) -> None:
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        where = place.of_file(Path(folder) / "history.sqlite")
        each = len(reports.read(a_report(0, random, 0)).said.figures)
        made = [reports.read(a_report(i, random, i % 3)) for i in range(-(-results // each))]
        begun = time.perf_counter(), time.process_time()
        storing.store(where, made, live=False)
        wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
        assert where.file is not None
        size = where.file.stat().st_size / 1e6
        count = sum(len(one.said.figures) for one in made)
        print(
            f"{count} results of {len(made)} runs, {size:.0f} MB; stored in {wall:.1f} s (CPU {cpu:.1f} s)\n"
        )
        print("| asked | wall, s | CPU, s |\n|---|---|---|")
        new = [reports.read(a_report(len(made) + i, random, i % 3)) for i in range(9)]
        ask("one more run stored", lambda: storing.store(where, [new.pop()]))
        with database.reading(where) as connection:
            assert connection is not None
            ask("list: the newest 20 runs", lambda: finding.runs(connection, Filter(), limit=20))
            some = Filter(model="lite0", target="cpu-int8", metric="cpu_ms", device="board 1")
            ask(
                "list: 20 of a model, target, metric, device",
                lambda: finding.runs(connection, some, limit=20),
            )
            nothing = Filter(model="b7", metric="top_1")
            ask("list: nothing there is of it", lambda: finding.runs(connection, nothing, limit=20))
            ask("trend of a figure on one device", lambda: found(connection, some))
            ask("the same, with its steps", lambda: [changes(track) for track in found(connection, some)])
            figure = Filter(metric="cpu_ms")
            ask("trend of a figure, all bundles and devices", lambda: found(connection, figure))


def found(connection: Any, wanted: Filter) -> list[finding.Track]:
    tracks = finding.tracks(connection, wanted)
    assert tracks
    return tracks


def ask(what: str, call: Callable[[], object]) -> None:
    walls, cpus = [], []
    for _ in range(9):
        begun = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - begun[0])
        cpus.append(time.process_time() - begun[1])
    print(f"| {what} | {statistics.median(walls):.3f} | {statistics.median(cpus):.3f} |")


if __name__ == "__main__":
    main()
