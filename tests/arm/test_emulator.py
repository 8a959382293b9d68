"""The emulator itself, where an older one was wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgeeff.devices.kinds.emulate import Emulated


def test_outer_products_of_bytes(folder):
    """qemu 7.2's are wrong, and OpenVINO's INT8 kernels with SME give another class there."""
    script = Path(__file__).with_name("outer_products.py")
    board = Emulated(folder, cpu="max")
    done = subprocess.run(
        board.command(["python3", str(script)]), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": right") == 4


def test_processors_are_described_as_on_aarch64(folder):
    """LiteRT from 2.2 on ends with a segmentation fault where /proc/cpuinfo is that of an x86 machine."""
    done = subprocess.run(
        Emulated(folder).command(["python3", "-c", "print(open('/proc/cpuinfo').read())"]),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "CPU implementer" in done.stdout
