"""A training that is killed at any moment (SIGKILL) goes on where it was, and ends at the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from .conftest import TINY


def start(photos: Path, trained: Path, output: Path, cache: Path) -> subprocess.Popen[bytes]:
    arguments = ["finetune", photos, f"--checkpoint={trained}", f"--model={TINY}", "--epochs=3", "--views=2"]
    arguments += ["--blocks=3", "--batch=4", f"--output={output}"]
    return subprocess.Popen(
        [sys.executable, "-m", "edgeeff", *map(str, arguments)],
        env={**os.environ, "EDGEEFF_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_twenty_kills_change_no_byte(photos, trained, tmp_path):
    began = time.monotonic()
    assert start(photos, trained, tmp_path / "whole.pt", tmp_path / "cache").wait() == 0
    whole, took = (tmp_path / "whole.pt").read_bytes(), time.monotonic() - began
    draw, killed = np.random.default_rng(0).uniform, 0
    for number in range(60):
        process = start(photos, trained, tmp_path / "best.pt", tmp_path / "other")
        try:
            process.wait(draw(0.2, 1.0) * took)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
            continue
        assert process.returncode == 0 and (tmp_path / "best.pt").read_bytes() == whole, number
        if killed >= 20:
            break
        for path in tmp_path.glob("best*"):  # again, from the beginning
            path.unlink()
    else:
        pytest.fail(f"{killed} kills, and it never came to its end")
    assert not list(tmp_path.glob(".edgeeff-*pt"))
