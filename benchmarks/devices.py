"""What a board behind ssh is worth: connections that are killed, figures, and what a second run costs.

The board is an sshd of our own: in a network namespace where that can be had (root), else on a port of this
machine. It runs this Python.

- ``kill``: a benchmark over ssh is broken at random moments (the cable is cut, ssh, sshd, the agent there or
  ``edgeeff`` itself is killed). A result has to be complete or absent, nothing may be left running or lying
  on the board, and it has to be free again within 15 s. About 15 s a moment.
- ``ratio``: ``edgeeff bench`` here and over ssh, of the same bundle on the same machine, in turn; the ratio
  of the medians by process time and by wall time, with its 95 % interval. Wants a quiet machine: 20 rounds
  of a bundle take 5 minutes.
- ``again``: what a run over ssh costs beyond the same run here, once the board has agent and bundle: the
  whole command's wall time, in turn. Wants a quiet machine: 10 rounds of a bundle take 2 minutes.

    python -m benchmarks.devices kill dist/lite0-cpu-int8 --moments 50
    python -m benchmarks.devices ratio dist/lite0-cpu-int8 dist/lite0-mobile-int8 --rounds 20
    python -m benchmarks.devices again dist/lite0-cpu-int8 --rounds 10
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import arguments, show, write_json
from tests.devices.boards import Board, Sshd, children, descendants, namespaces, running, serving

_FREE = 15.0  # seconds
_NAME = "board"


@dataclass
class Rig:
    """A board of our own, and the environment in which ``edgeeff`` calls it ``board``."""

    sshd: Sshd
    environment: dict[str, str]


@contextmanager
def rig() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="eff-bench-", dir="/tmp") as made:
        folder = Path(made)
        sshd = Board(folder / "b") if namespaces() is None else Sshd(folder / "b", name="b1")
        with serving(sshd):
            devices = (
                f'schema = 1\n[device.{_NAME}]\naddress = "ssh://{sshd.name}"\npython = "{sys.executable}"\n'
            )
            (folder / "devices.toml").write_text(devices, encoding="utf-8")
            own = {
                "EDGEEFF_DEVICES": str(folder / "devices.toml"),
                "EDGEEFF_SSH_CONFIG": str(sshd.config),
                "EDGEEFF_HISTORY": "off",
                "PYTHONPATH": str(Path.cwd()),
            }
            yield Rig(sshd, {**os.environ, **own})


def bench(bundle: Path, device: str | None, launches: int, seconds: float) -> list[str]:
    """The command line of one benchmark."""
    there = [] if device is None else ["--device", device]
    length = ["--launches", str(launches), "--seconds", str(seconds)]
    return [sys.executable, "-m", "edgeeff", "bench", str(bundle), *length, *there, "--json"]


def result(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# Broken connections.


def _kill(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _strike(way: str, made: Rig, process: subprocess.Popen[Any]) -> None:
    """Break the connection of a benchmark that runs."""
    if way == "cable" and isinstance(made.sshd, Board):
        made.sshd.cut()
    elif way == "edgeeff":
        _kill([process.pid])
    elif way == "ssh":
        _kill(_clients(made, process.pid))
    elif way == "sshd":
        _kill([one for pid in made.sshd.sessions() for one in (pid, *_servers(pid))])
    elif way == "agent":
        _kill(running(f"EDGEEFF_HOME={made.sshd.home}")[:1])


def _clients(made: Rig, pid: int) -> list[int]:
    """The ssh of a benchmark, and the connection that it shares."""
    found = list(children(pid))
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and str(made.sshd.folder / "config") in (entry / "cmdline").read_text():
                found.append(int(entry.name))
    return found


def _servers(pid: int) -> list[int]:
    """What of a connection is sshd's own; what runs there has to see to itself."""
    return [one for one in descendants(pid) if "sshd" in _name(one)]


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text()
    return ""


def _outcome(process: subprocess.Popen[Any], out: Path, launches: int) -> str:
    """What came of a benchmark that was broken: ``complete``, ``absent``, or what is wrong with it."""
    printed = out.read_text(encoding="utf-8")
    if process.returncode == 0:
        report = json.loads(printed)
        (entry,) = report["entries"]
        counts = {len(entry["timing"][f"{clock}_launches_ms"]) for clock in ("wall", "cpu")}
        return "complete" if counts == {launches} else f"torn: {printed[:200]}"
    return "absent" if not printed.strip() else f"torn: {printed[:200]}"


def _moment(made: Rig, bundle: Path, way: str, after: float, launches: int) -> dict[str, Any]:
    """One benchmark that is broken after so many seconds."""
    out, error = made.sshd.folder / "out", made.sshd.folder / "error"
    with out.open("w") as stdout, error.open("w") as stderr:
        process = subprocess.Popen(
            bench(bundle, _NAME, launches, 0.3), env=made.environment, stdout=stdout, stderr=stderr
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(after)
        struck = time.monotonic()
        ended = process.poll() is not None
        _strike(way, made, process)
        # A cable stays out until the board has noticed; all else may be tried anew at once.
        free = None
        if way in ("cable", "edgeeff"):
            made.sshd.is_free(3 * _FREE)
            free = time.monotonic() - struck
        if way == "cable" and isinstance(made.sshd, Board):
            made.sshd.mend()
        process.wait(300)
        over = time.monotonic()
    if free is None:
        made.sshd.is_free(3 * _FREE)
        free = time.monotonic() - over
    said = error.read_text(encoding="utf-8")
    return {
        "way": way,
        "after_s": after,
        "had_ended": ended,
        "status": process.returncode,
        "result": _outcome(process, out, launches),
        "free_after_s": free,
        "left": [] if way == "agent" else made.sshd.left(),
        "traceback": "Traceback" in said,
        "said": said[-600:],
    }


def kill(bundle: Path, moments: int, seed: int) -> list[dict[str, Any]]:
    """Broken benchmarks, and whether one more runs as if nothing had been."""
    chance, launches = random.Random(seed), 3
    rows = []
    with rig() as made:
        begun = time.monotonic()
        result(bench(bundle, _NAME, launches, 0.3), made.environment)
        whole = time.monotonic() - begun
        ways = ["edgeeff", "ssh", "sshd", "agent", *(["cable"] if isinstance(made.sshd, Board) else [])]
        for number in range(moments):
            if chance.random() < 0.3:  # so that it is sent anew
                shutil.rmtree(made.sshd.seen / "edgeeff", ignore_errors=True)
            way = ways[number % len(ways)]
            row = _moment(made, bundle, way, chance.uniform(0, whole), launches)
            print(json.dumps({"number": number, **row}), file=sys.stderr)
            rows.append(row)
        result(bench(bundle, _NAME, launches, 0.3), made.environment)
        left = made.sshd.left() if made.sshd.is_free() else ["a process"]
    bad = [
        row
        for row in rows
        if row["result"] not in ("complete", "absent") or row["left"] or row["traceback"]
        or row["free_after_s"] > _FREE
    ]  # fmt: skip
    summary = [
        {
            "way": way,
            "moments": len(of),
            "complete": sum(row["result"] == "complete" for row in of),
            "absent": sum(row["result"] == "absent" for row in of),
            "torn": sum(row["result"].startswith("torn") for row in of),
            "left_something": sum(bool(row["left"]) for row in of),
            "free_after_s_at_most": max((row["free_after_s"] for row in of), default=math.nan),
        }
        for way in [*ways, "all"]
        for of in [[row for row in rows if way in (row["way"], "all")]]
    ]
    show(f"{moments} broken connections", summary, {"free_after_s_at_most": ".1f"})
    print(f"left at the end: {left or 'nothing'}; bad: {len(bad)}")
    return [*summary, *rows]


# Figures and overhead.


def _in_turn(made: Rig, bundle: Path, rounds: int, seconds: float) -> Iterator[dict[str, dict[str, Any]]]:
    """Reports of benchmarks here and there, with the whole command's wall time."""
    for number in range(rounds):
        found = {}
        for place in ("here", "there") if number % 2 else ("there", "here"):
            begun = time.monotonic()
            report = result(bench(bundle, _NAME if place == "there" else None, 2, seconds), made.environment)
            found[place] = {"report": report, "whole_s": time.monotonic() - begun}
        yield found


def _interval(logs: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of ratios, and its 95 % interval by Student's t."""
    from scipy import stats  # type: ignore[import-untyped]

    mean, n = float(np.mean(logs)), len(logs)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(logs, ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def ratio(bundles: Sequence[Path], rounds: int) -> list[dict[str, Any]]:
    """Medians over ssh over those without."""
    rows = []
    with rig() as made:
        for bundle in bundles:
            list(_in_turn(made, bundle, 1, 0.3))
            found = list(_in_turn(made, bundle, rounds, 1.0))
            for clock in ("cpu", "wall"):
                logs = [
                    math.log(_median(one["there"]["report"], clock) / _median(one["here"]["report"], clock))
                    for one in found
                ]
                value, low, high = _interval(logs)
                rows.append(
                    {"bundle": bundle.name, "clock": clock, "ratio": value, "low": low, "high": high}
                    | {"rounds": rounds}
                )
    show("over ssh / here", rows, dict.fromkeys(("ratio", "low", "high"), ".4f"))
    return rows


def _median(report: dict[str, Any], clock: str) -> float:
    (entry,) = report["entries"]
    return float(entry["timing"][f"{clock}_over_launches_ms"]["value"])


def again(bundles: Sequence[Path], rounds: int) -> list[dict[str, Any]]:
    """Seconds of a whole command over ssh beyond the same command here."""
    rows = []
    with rig() as made:
        for bundle in bundles:
            list(_in_turn(made, bundle, 1, 0.3))
            found = list(_in_turn(made, bundle, rounds, 0.3))
            more = [one["there"]["whole_s"] - one["here"]["whole_s"] for one in found]
            rows.append(
                {"bundle": bundle.name, "median_s": float(np.median(more)), "least_s": min(more)}
                | {"most_s": max(more), "here_s": float(np.median([one["here"]["whole_s"] for one in found]))}
            )
    show("overhead of a second run over ssh", rows, dict.fromkeys(rows[0].keys() - {"bundle"}, ".2f"))
    return rows


def main() -> None:
    """The command line."""
    parser = arguments(__doc__)
    parser.add_argument("what", choices=["kill", "ratio", "again"])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    bundles = [bundle.absolute() for bundle in asked.bundles]
    if asked.what == "kill":
        rows = kill(bundles[0], asked.moments, asked.seed)
    else:
        rows = (ratio if asked.what == "ratio" else again)(bundles, asked.rounds)
    write_json(asked.json, rows, what=asked.what, rounds=asked.rounds, moments=asked.moments)


if __name__ == "__main__":
    main()
