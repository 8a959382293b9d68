"""Run a command and measure what it and all its descendants take. Linux only: it reads /proc."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
INTERVAL = 0.05  # seconds between two looks at the memory


@dataclass(frozen=True)
class Run:
    """What a command took.

    Args:
        status: Its exit status; minus the signal that killed it.
        wall: Seconds that passed.
        cpu: Seconds that it and its descendants computed, user and system.
        peak_rss: Bytes resident, summed over the process tree at the moment when they were most.
    """

    status: int
    wall: float
    cpu: float
    peak_rss: int


def run(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Run:
    """Run a command to its end; what it prints goes to ``log``."""
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})
        peak, over = [0], threading.Event()

        def watch() -> None:
            while not over.wait(INTERVAL):
                peak[0] = max(peak[0], resident(process.pid), high_water(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        over.set()
        watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)  # it is reaped; Popen must not wait for it
    return Run(process.returncode, wall, usage.ru_utime + usage.ru_stime, peak[0])


def high_water(pid: int) -> int:
    """The most bytes that one process held since it began its program: between two looks it may be more.

    Not ``ru_maxrss``, which counts what the parent held when it forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it ended meanwhile
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def resident(pid: int) -> int:
    """Bytes resident of a process and its descendants together; pages that they share count for each."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (OSError, IndexError):  # it ended meanwhile
        return 0
    return own + sum(map(resident, children))
