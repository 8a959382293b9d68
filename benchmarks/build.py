"""What a whole build costs, as a user runs it: time, memory, the second build, equal bytes.

    python -m benchmarks.build --calibration PHOTOS [--calibration MORE …] [--model lite0] [--checkpoint FILE]
        [--target NAME …] [--validation PHOTOS] [--rounds 3] [--json FILE]

For each set of photos ``edgeeff build`` runs in a fresh process with an empty cache of its own, and once
more with nothing changed. A build before the first one warms the page cache; its bundles, made with one
thread, another cache and another folder, must equal the later ones byte for byte. Memory is the largest sum
of the process tree's resident sets. Verification is part of every build.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.process_tree import Run, run
from benchmarks.results import Measure, write
from benchmarks.table import arguments, show
from edgeeff.bundle import MEASURED
from edgeeff.images import open_images

TARGETS = ["cpu-int8", "mobile-int8", "jetson-int8"]
FORMATS = {"wall_s": ".1f", "cpu_s": ".1f", "peak_MB": ".0f"}
MEASURES = (
    Measure("wall_s", "s", 1, "wall", "wall_low", "wall_high"),
    Measure("cpu_s", "s", 1, "CPU time", "cpu_low", "cpu_high"),
    Measure("peak_MB", "MB", 0, "peak memory"),
)
ABOUT = """`edgeeff build` for {targets} from {photos} photos, whole process, verification included: the
medians of {rounds} builds, from the fastest to the slowest. Memory is of the whole process tree. Two
builds with other caches, folders and numbers of threads: {equal}."""


def build(options: Namespace, photos: Path, folder: Path, cache: Path, **environment: str) -> Run:
    """``edgeeff build`` into ``folder`` with that cache."""
    program = Path(sys.executable).with_name("edgeeff")
    command = [str(program), "build", "--model", options.model, "-o", str(folder)]
    count = getattr(options, "count", None) or len(open_images(photos))
    command += ["--calibration", str(photos), "--count", str(count)]
    for target in options.target:
        command += ["--target", target]
    for name in ("checkpoint", "validation", "size"):
        if getattr(options, name) is not None:
            command += [f"--{name}", str(getattr(options, name))]
    log = folder.with_suffix(".log")
    done = run(command, {"EDGEEFF_CACHE_DIR": str(cache), **environment}, log)
    if done.status:
        raise SystemExit(f"{' '.join(command)}\nended with status {done.status}:\n{log.read_text()}")
    return done


def sealed_files(folder: Path) -> dict[str, bytes]:
    """All files below a folder of bundles but what was measured about them."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and MEASURED not in path.relative_to(folder).parts
    }


def row(name: str, photos: Path, runs: Sequence[Run]) -> dict[str, Any]:
    """The medians of the times and the largest memory of some runs."""
    return {
        "build": name,
        "photos": len(open_images(photos)),
        "runs": len(runs),
        "wall_s": statistics.median(r.wall for r in runs),
        "wall_low": min(r.wall for r in runs),
        "wall_high": max(r.wall for r in runs),
        "cpu_s": statistics.median(r.cpu for r in runs),
        "cpu_low": min(r.cpu for r in runs),
        "cpu_high": max(r.cpu for r in runs),
        "peak_MB": max(r.peak_rss for r in runs) / 1e6,
    }


def measure(options: Namespace, work: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows, and the files that differ between the build that warmed up and the first measured one."""
    first = options.calibration[0]
    build(options, first, work / "warm", work / "warm-cache", OMP_NUM_THREADS="1")
    rows = []
    for number, photos in enumerate(options.calibration):
        cold, again = [], []
        for round_ in range(options.rounds):
            place, cache = work / f"{number}-{round_}", work / f"{number}-{round_}-cache"
            cold.append(build(options, photos, place, cache))
            again.append(build(options, photos, place, cache))
        rows.append(row("empty cache", photos, cold))
        rows.append(row("nothing changed", photos, again))
    one, other = sealed_files(work / "warm"), sealed_files(work / "0-0")
    return rows, sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="lite0")
    parser.add_argument("--checkpoint", type=Path, help="default: the weights that a wheel carries")
    parser.add_argument("--target", action="append", help=f"default: {', '.join(TARGETS)}")
    parser.add_argument("--calibration", type=Path, action="append", required=True)
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the network's own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--title", help="the network's name on the page; default: the model's")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.target = options.target or TARGETS

    with tempfile.TemporaryDirectory() as folder:
        rows, different = measure(options, Path(folder))
    show(f"edgeeff build --model {options.model} for {', '.join(options.target)}", rows, FORMATS)
    print(f"two builds, two folders, two caches: {', '.join(different) or 'byte-identical'}")
    about = ABOUT.format(
        targets=", ".join(f"`{target}`" for target in options.target),
        photos=" or ".join(str(row["photos"]) for row in rows[::2]),
        rounds=options.rounds,
        equal=f"{len(different)} files differ" if different else "byte-identical",
    )
    write(options.json, f"A whole build of {options.title or options.model}", about, rows, MEASURES)
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
