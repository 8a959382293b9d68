"""Many benchmarks over boards that die, by a client that is killed: each once, no board with two at once.

Boards are processes of this machine: one launch of the bundle is measured for real at the start, and a board
tells that launch again, a tenth of a second long. What is looked at is who does what, how often, and when;
the referee is a lock of the system on each board, taken by the process that is the board's.

    python -m benchmarks.matrix_boards BUNDLE --jobs 200 --boards 4 --dies 20 --kills 5
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeeff.bundle import Bundle
from edgeeff.device import Finished
from edgeeff.errors import DeviceError
from edgeeff.harness import fresh_process, record
from edgeeff.matrix.planning import Plan
from edgeeff.matrix.running import Run
from edgeeff.matrix.store import Store
from edgeeff.matrix.units import Unit

#: What a board does: it must have its lock to itself, and ends with the client that started it.
_LAUNCH = """
import fcntl, os, sys, time
folder, board, parent = sys.argv[1], sys.argv[2], int(sys.argv[3])
file = open(f"{folder}/{board}.lock", "w")
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    open(f"{folder}/two", "a").write(board + "\\n")
    sys.exit(1)
for _ in range(10):
    time.sleep(0.01)
    if os.getppid() != parent:
        sys.exit(1)
open(f"{folder}/launches", "a").write(board + "\\n")
sys.stdout.write(open(f"{folder}/events").read())
"""
#: Seconds that a board which died is away.
_AWAY = 1.5


class Board:
    """A board that dies at every so many launches of all boards together."""

    def __init__(self, address: str, folder: Path, dies: int) -> None:
        self.name, self._folder, self._dies = address, folder, dies
        self._board = address.partition(":")[2]

    def environment(self) -> dict[str, Any]:
        """Of this machine; a board that is away has none."""
        away = self._folder / f"{self._board}.away"
        if away.exists() and time.time() < float(away.read_text()):
            raise DeviceError(f"{self.name} does not answer", mend="switch it on")
        return record.environment()

    def doubts(self) -> list[str]:
        """Nothing is warned of."""
        return []

    def temperatures(self) -> dict[str, float]:
        """It shows none."""
        return {}

    def launch(self, kind: str, bundles: Sequence[Path], images: Sequence[int], **how: Any) -> Finished:
        """The launch that was measured at the start, told again."""
        del kind, bundles, images, how
        if self._count() % self._dies == 0:
            (self._folder / f"{self._board}.away").write_text(str(time.time() + _AWAY))
            raise DeviceError(f"the connection to {self.name} broke", mend="start again")
        command = [sys.executable, "-S", "-c", _LAUNCH, str(self._folder), self._board, str(os.getpid())]
        done = subprocess.run(command, capture_output=True, check=False)
        return Finished(done.returncode, done.stdout, done.stderr)

    def _count(self) -> int:
        with (self._folder / "count").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(".")
            file.flush()
            return file.tell()

    @contextmanager
    def lock(self, wait: float) -> Iterator[None]:
        """The referee's lock is taken by the process that is the board's."""
        del wait
        time.sleep(0.02)
        yield

    def session(self, bundle: Path, *, threads: int) -> Any:
        """Nothing is evaluated here."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is held."""


def units(build: Unit, jobs: int, boards: int) -> list[Unit]:
    """So many benchmarks, the boards by turns."""
    how = {"launches": 1, "seconds": 0.05, "threads": 1, "timeout": 60.0}
    return [
        Unit(
            *("bench", build.model, build.target, f"simulated:{number % boards}"),
            {"how": how, "device": f"simulated:{number % boards}", "number": number},
            {"number": number},
            {"bundle": build.key},
        )
        for number in range(jobs)
    ]


def prepared(store: Store, bundle: Bundle) -> Unit:
    """The bundle as the result of a build."""
    unit = Unit("build", bundle.name, bundle.manifest.target, facts={"digest": bundle.digest()})
    if store.read(unit.key) is None:
        with store.making(unit.key) as folder:
            shutil.copytree(bundle.folder, folder / "bundle" / "it", symlinks=False)
            store.put(unit.key, folder, {"bundle": "bundle/it", "digest": bundle.digest()})
    return unit


def client(folder: Path, bundle: Bundle, said: argparse.Namespace) -> int:
    """What is killed: it does what is missing."""
    store = Store(folder / "results")
    store.prepare()
    with store.held():
        build = prepared(store, bundle)
        plan = Plan((build, *units(build, said.jobs, said.boards)), ())

        def pool() -> Any:
            raise AssertionError("nothing is to be computed")

        run = Run(plan, store, pool, lambda address: Board(address, folder / "boards", said.dies), pause=0.5)
        run.run()
        return sum(not state.good for state in run.states.values())


def main() -> int:
    """Kill clients, let the last one end, and count."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path)
    for name, value in (("jobs", 200), ("boards", 4), ("dies", 20), ("kills", 5), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--client", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    bundle = Bundle.load(said.bundle)
    if said.client:
        return client(said.client, bundle, said)
    with tempfile.TemporaryDirectory() as name:
        return _refereed(Path(name), bundle, said)


def _refereed(folder: Path, bundle: Bundle, said: argparse.Namespace) -> int:
    boards = folder / "boards"
    boards.mkdir()
    how = fresh_process.How(1, 0.05, 0, 60.0)
    told = fresh_process._here("edgeeff.harness.launch", [bundle], [bundle.manifest.batch.size], how, 60.0)
    (boards / "events").write_bytes(told.stdout)
    command = [sys.executable, "-m", "benchmarks.matrix_boards", *sys.argv[1:], "--client", str(folder)]
    chance, killed, begun = random.Random(said.seed), 0, time.monotonic()
    results = folder / "results" / "units"

    def stored() -> int:
        return len([*results.glob("*/result.json")]) - 1 if results.is_dir() else 0

    while True:
        process = subprocess.Popen(command)
        goal = stored() + chance.randint(1, max(1, said.jobs // (said.kills + 1)))
        while killed < said.kills and process.poll() is None and stored() < goal:
            time.sleep(0.02)
        if killed < said.kills and process.poll() is None:
            time.sleep(chance.uniform(0, 0.3))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
            continue
        left = process.wait()
        break
    launches = Counter((boards / "launches").read_text().split())
    two = (boards / "two").read_text().split() if (boards / "two").exists() else []
    found = [str(json.loads(path.read_text()).get("name")) for path in results.glob("*/result.json")]
    benched = {one for one in found if "/bench@" in one}
    print(f"{len(benched)} of {said.jobs} results, {left} left; client killed {killed} times")
    print(f"launches {sum(launches.values())} ({dict(launches)}); boards that ran two at once: {len(two)}")
    print(f"{time.monotonic() - begun:.0f} s")
    return int(len(benched) != said.jobs or bool(two) or bool(left))


if __name__ == "__main__":
    sys.exit(main())
