"""How long a build takes against NNCF's: whole processes, from a checkpoint to an INT8 file of OpenVINO.

    python -m benchmarks.peers.builds --calibration PHOTOS [--model lite0] [--checkpoint FILE] [--size PIXELS]
        [--effort balanced] [--rounds 5] [--json FILE]

``edgeeff build --target cpu-int8`` from an empty cache, checks and verification included, and
``peers/nncf_build.py`` (export, quantisation, saving; nothing is verified) run in turn, in an order that
changes with each round. The figure is the median over rounds of their ratio, with its 95 % bootstrap
interval.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.process_tree import Run, run
from benchmarks.results import Measure, write
from benchmarks.table import arguments, show
from edgeeff.images import open_images
from edgeeff.metrics import bootstrap_ratio

FORMATS = dict.fromkeys(("wall_s", "cpu_s"), ".1f") | {"peak_MB": ".0f"}
FORMATS |= dict.fromkeys(("wall", "wall_low", "wall_high", "cpu", "cpu_low", "cpu_high"), ".3f")
MEASURES = (
    Measure("wall", digits=2, title="wall, ratio", low="wall_low", high="wall_high"),
    Measure("cpu", digits=2, title="CPU time, ratio", low="cpu_low", high="cpu_high"),
    Measure("wall_s", "s", 1, "wall"),
    Measure("cpu_s", "s", 1, "CPU time"),
    Measure("peak_MB", "MB", 0, "peak memory"),
)
ABOUT = """One target, `cpu-int8`, from {photos} photos: whole processes from the checkpoint to the file,
an empty cache each time. Ours checks and verifies what it wrote; NNCF's, with its defaults, exports,
quantises and saves. The median over {rounds} rounds of the ratio to NNCF's (under 1 is faster), with its
95 % bootstrap interval."""
PEER = "NNCF"


def commands(options: Namespace, work: Path, photos: int) -> dict[str, list[str]]:
    """The command lines by the names of the rows, the peer's first."""
    given = ["--model", options.model, "--calibration", str(options.calibration)]
    for name in ("checkpoint", "size"):
        if getattr(options, name) is not None:
            given += [f"--{name}", str(getattr(options, name))]
    module = [sys.executable, "-m"]
    found = {PEER: [*module, "benchmarks.peers.nncf_build", str(work / "nncf.xml"), *given]}
    for effort in options.effort or ["balanced"]:
        built = ["build", *given, "--target", "cpu-int8", "--count", str(photos), "--effort", effort]
        found[f"edgeeff, {effort}"] = [*module, "edgeeff", *built, "--config", "none"]
    return found


def once(command: list[str], work: Path, number: int) -> Run:
    """One run, in a cache and with an output of its own."""
    place = work / str(number)
    if "edgeeff" in command:
        command = [*command, "--output", str(place)]
    done = run(command, {"EDGEEFF_CACHE_DIR": str(place / "cache")}, log := work / f"{number}.log")
    if done.status:
        raise SystemExit(f"{' '.join(command)}\nended with status {done.status}:\n{log.read_text()}")
    return done


def row(name: str, own: list[Run], peer: list[Run]) -> dict[str, Any]:
    """The ratios to the peer's, and the medians."""
    found: dict[str, Any] = {"build": name}
    for clock in ("wall", "cpu"):
        mine, its = ([getattr(r, clock) for r in runs] for runs in (own, peer))
        if name != PEER:
            interval = bootstrap_ratio(mine, its, seed=0)
            found[clock] = statistics.median(a / b for a, b in zip(mine, its, strict=True))
            found |= {f"{clock}_low": interval and interval.low, f"{clock}_high": interval and interval.high}
        else:
            found |= dict.fromkeys((clock, f"{clock}_low", f"{clock}_high"))
        found[f"{clock}_s"] = statistics.median(mine)
    return {**found, "peak_MB": max(r.peak_rss for r in own) / 1e6}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--checkpoint", type=Path, help="default: the weights that a wheel carries")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the network's own")
    parser.add_argument("--effort", action="append", help="repeatable; default: balanced")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--title", help="the network's name on the page; default: the model's")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    photos = len(open_images(options.calibration))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        lines = commands(options, work, photos)
        runs: dict[str, list[Run]] = {name: [] for name in lines}
        for number, name in enumerate(lines):  # the page cache, and compiled Python
            once(lines[name], work, number)
        for turn in range(options.rounds):
            names = [*lines][turn % len(lines) :] + [*lines][: turn % len(lines)]
            for name in names:
                runs[name].append(once(lines[name], work, len(lines) * (turn + 1) + [*lines].index(name)))
    rows = [row(name, own, runs[PEER]) for name, own in runs.items()]
    show(f"{options.model}, cpu-int8, whole processes, ratio to {PEER}", rows, FORMATS)
    about = ABOUT.format(photos=photos, rounds=options.rounds)
    write(
        options.json, f"One build of {options.title or options.model} against NNCF's", about, rows, MEASURES
    )


if __name__ == "__main__":
    main()
