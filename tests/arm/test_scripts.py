"""What a TensorRT bundle carries, on aarch64 without TensorRT: one clear line, no traceback."""

from __future__ import annotations

import subprocess

import pytest

from edgeeff.devices.kinds.emulate import Emulated


def emulated(board, *argv):
    return subprocess.run(board.command(["python3", *argv]), capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("python", ["python3.11", "python3.9"])
@pytest.mark.parametrize("script", ["build_engine.py", "verify.py"])
def test_scripts(script, python, built, folder):
    board, path = Emulated(folder, python=python), built["lite0-jetson-int8"].folder / script
    usage = emulated(board, str(path), "--help")
    assert usage.returncode == 0 and "usage" in usage.stdout.lower()
    refused = emulated(board, str(path))
    assert refused.returncode not in (0, -11)
    assert "Traceback" not in refused.stderr
    assert "tensorrt" in (refused.stdout + refused.stderr).lower()
