"""Many processes that write at once and are killed at random: what was reported as stored is there, whole."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeeff.history import database, finding, place
from edgeeff.history.finding import Filter

#: Stores reports until it is killed; after each it appends the run's number to its log.
_WRITER = """
import json, sys, uuid
from pathlib import Path
from edgeeff import history
report = json.loads(Path(sys.argv[3]).read_text())
with open(sys.argv[2], "a") as log:
    while True:
        report["record"]["run_id"] = uuid.uuid4().hex
        stored = history.remember(report, database=sys.argv[1])
        assert stored.new == 1
        print(stored.runs[0], file=log, flush=True)
"""
#: Figures of each report that a writer stores.
_FIGURES = 6


def storm(
    url: str, folder: Path, report: Callable[..., dict[str, Any]], writers: int, kills: int
) -> tuple[set[str], Counter[str]]:
    """The runs that writers reported as stored, and how many figures the database has of each run."""
    pool = random.Random(7)
    logs = [folder / f"{i}.log" for i in range(writers)]

    for i in range(writers):
        (folder / f"{i}.json").write_text(json.dumps(report(digest=f"{i:064x}")))

    def start(i: int) -> subprocess.Popen[bytes]:
        arguments = [url, str(logs[i]), str(folder / f"{i}.json")]
        with (folder / "errors").open("ab") as errors:
            return subprocess.Popen([sys.executable, "-c", _WRITER, *arguments], stderr=errors)

    running = [start(i) for i in range(writers)]
    try:
        deadline = time.monotonic() + 120
        while any(not log.exists() or log.stat().st_size < 100 for log in logs):  # all of them are at it
            assert time.monotonic() < deadline and all(p.poll() is None for p in running), _errors(folder)
            time.sleep(0.02)
        for _ in range(kills):
            time.sleep(pool.uniform(0.01, 0.1))
            i = pool.randrange(writers)
            running[i].send_signal(signal.SIGKILL)
            assert running[i].wait() == -signal.SIGKILL, _errors(folder)
            running[i] = start(i)
    finally:
        for process in running:
            process.kill()
            process.wait()
    with database.reading(place.named(url)) as connection:
        found = finding.runs(connection, Filter(), limit=None)
    lines = [line for log in logs for line in log.read_text().splitlines(keepends=True)]
    reported = {line.strip() for line in lines if line.endswith("\n")}
    return reported, Counter({run.uid: len(run.results) for run in found})


def _errors(folder: Path) -> str:
    return (folder / "errors").read_text()[-2000:]


def check(reported: set[str], found: Counter[str]) -> None:
    assert len(reported) > 10
    assert reported <= set(found), "lost"
    assert set(found.values()) == {_FIGURES}, "half"


def test_a_few_writers_killed(tmp_path, make_report):
    check(*storm(str(tmp_path / "history.sqlite"), tmp_path, make_report, writers=3, kills=1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_eight_writers_killed_at_random(kind, tmp_path, make_report, request):
    url = request.getfixturevalue("postgresql") if kind == "postgresql" else str(tmp_path / "history.sqlite")
    check(*storm(url, tmp_path, make_report, writers=8, kills=60))
