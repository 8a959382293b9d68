"""Transfer learning end to end, by the command line as users have it: accuracy, CPU seconds, INT8.

    python -m benchmarks.training --data FOLDER [--case NAME] [--output results.json]

FOLDER holds ``cats-dogs`` and ``grocery-fine``, each with ``train`` and ``val`` in it. Cases:

- ``cold``: cats and dogs, Lite0, a new head on a frozen trunk, nothing in the cache;
- ``cached``: the same again, its features in the cache;
- ``int8``: the same with ``--build cpu-int8``;
- ``grocery``: 26 kinds of groceries, frozen, with ``--build cpu-int8``;
- ``blocks``: the same with all blocks tuned, and ``--build cpu-int8``.

Times are of the whole process. Two threads, a machine with nothing else on it: cold 1 minute, cached and int8
1 minute, grocery 2 minutes, blocks 15 minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = {
    "cold": ("cats-dogs", ()),
    "cached": ("cats-dogs", ()),
    "int8": ("cats-dogs", ("--build=cpu-int8",)),
    "grocery": ("grocery-fine", ("--build=cpu-int8",)),
    "blocks": ("grocery-fine", ("--blocks=all", "--build=cpu-int8")),
}


def run(case: str, data: Path, folder: Path) -> dict[str, object]:
    name, more = CASES[case]
    command = [
        sys.executable,
        "-m",
        "edgeeff",
        "finetune",
        str(data / name),
        "--model=lite0",
        "--json",
        *more,
    ]
    command += [f"--output={folder / case}.pt", f"--bundles={folder / case}"]
    environment = {**os.environ, "EDGEEFF_CACHE_DIR": str(folder / "cache"), "EDGEEFF_HISTORY": "off"}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    found = json.loads(done.stdout)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "case": case,
        "wall_s": round(wall, 1),
        "cpu_s": round(used, 1),
        "top_1": found["scores"]["top_1"]["value"],
        "f1": found["scores"]["f1"],
        "int8": [{"top_1": one["value"], "lost_points": one["lost_points"]} for one in found["bundles"]],
        "warnings": found["warnings"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for case in asked.case or CASES:
            found.append(run(case, asked.data, Path(folder)))
            print(json.dumps(found[-1]), flush=True)
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
