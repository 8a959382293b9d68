"""make demo: what the README says first has to run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_demo_prints_a_row_for_each_bundle(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "demo.py"), f"--output={tmp_path / 'demo'}"]
    done = subprocess.run(
        [*command, "--launches=2", "--seconds=0.05"], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("lite0-")}
    assert {"lite0-cpu-int8", "lite0-mobile-int8", "lite0-cpu-fp32", "lite0-mobile-fp32"} <= {*rows}
    assert "NOT RUN" not in rows["lite0-cpu-int8"] and "NOT RUN" in rows["lite0-jetson-int8:"]
    (graph,) = [line for line in done.stdout.splitlines() if "its graph in onnxruntime" in line]
    assert "%" in graph and "dB" in graph
