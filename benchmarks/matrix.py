"""A matrix on two workers against the same on one: builds and evaluations, each from an empty cache.

    python -m benchmarks.matrix MATRIX.toml --repeat 2

The matrix names no benchmark (`measure = ["eval"]`). Runs take turns, each into a folder of its own, and both
kinds of run have the same processors: with one worker the second processor is free for what a build does in
threads.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median


def run(matrix: Path, workers: int) -> float:
    """Seconds of a whole run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "EDGEEFF_CACHE_DIR": str(folder / "cache"), "EDGEEFF_HISTORY": "off"}
        command = [sys.executable, "-m", "edgeeff", "matrix", str(matrix), "--workers", str(workers)]
        begun = time.monotonic()
        done = subprocess.run(
            [*command, "--results", str(folder / "results")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        took = time.monotonic() - begun
    if done.returncode:
        raise SystemExit(done.stderr)
    return took


def main() -> None:
    """Both kinds in turn, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("matrix", type=Path)
    parser.add_argument("--repeat", type=int, default=2)
    said = parser.parse_args()
    found: dict[int, list[float]] = {1: [], 2: []}
    for number in range(said.repeat):
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            found[workers].append(run(said.matrix, workers))
            print(f"{workers} worker{'s' * (workers > 1)}: {found[workers][-1]:.1f} s", flush=True)
    print(f"ratio {median(found[1]) / median(found[2]):.2f} (medians of {said.repeat})")


if __name__ == "__main__":
    main()
