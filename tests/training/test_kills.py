"""A training that is killed at any moment (SIGKILL) goes on where it was, and ends at the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .conftest import TINY

#: All is loaded once; each attempt is a process of its own, forked from it, and killed while it is at work.
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
from edgeeff.cache import Cache
from edgeeff.progress import Silent
from edgeeff.training import loop
from edgeeff.training.finetune import finetune

photos, trained, folder, model, wanted = sys.argv[1:]
folder, wanted = Path(folder), int(wanted)
loop.KEPT_EVERY = 0.0  # else so short a training keeps its state between epochs alone

def attempt(name, seconds):
    child = os.fork()
    if child == 0:
        options = dict(checkpoint=trained, model=model, epochs=3, views=2, blocks=3, batch=4)
        try:
            output, cache = folder / f"{name}.pt", Cache(folder / name)
            finetune(photos, output=output, cache=cache, progress=Silent(), **options)
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert status == 0
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True

began = time.monotonic()
assert not attempt("whole", 1e6)
took, whole = time.monotonic() - began, (folder / "whole.pt").read_bytes()
draw, killed, ends = random.Random(0), 0, 0
while killed < wanted or not ends:
    killed += attempt("best", draw.uniform(0.02, 0.6) * took)
    if (folder / "best.pt").exists():
        assert (folder / "best.pt").read_bytes() == whole, (killed, ends)
        (folder / "best.pt").unlink()
        ends += 1
print(f"{killed} kills, {ends} ends")
"""


@pytest.mark.slow
def test_twenty_kills_change_no_byte(photos, trained, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, (photos, trained, tmp_path)), TINY, "20"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(tmp_path.glob(".edgeeff-*.pt"))
