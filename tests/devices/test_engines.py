"""TensorRT bundles on a simulated device: built there, verified once, the result entered here."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeeff.backends.tensorrt import results
from edgeeff.errors import MissingRuntimeError
from tests.devices.boards import Sshd, serving

SIMULATED = Path(__file__).parents[1] / "backends" / "tensorrt" / "simulated_device"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="the simulated CUDA runtime needs gcc"),
]


@pytest.fixture
def jetson(tmp_path):
    """A board that has TensorRT, as far as a bundle can tell."""
    library = tmp_path / "libcudart.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-DGRAPHS=0", "-o", library, SIMULATED / "cudart.c"], check=True
    )
    there = {"PYTHONPATH": str(SIMULATED), "LD_LIBRARY_PATH": str(tmp_path), "SIMULATED_TENSORRT": "10.3.0"}
    with serving(Sshd(tmp_path / "jetson", environment=there)) as sshd:
        yield sshd


def test_an_engine_is_built_and_verified_there_and_kept(jetson, reach, make_bundle, colours):
    bundle = make_bundle(target="jetson-int8")
    for _ in range(2):
        device = reach(jetson)
        found = bundle.on(device).session(threads=1).infer(colours[0][:2])
        assert found["logits"].shape == (2, 3)
        device.close()
    store = jetson.home / "edgeeff" / "bundles"
    engines = {path.name for path in store.glob("*/measured/*.engine")}
    assert "trt10.3.0-sm87-int8.engine" in engines
    (result,) = results.stored(bundle.folder)
    assert result.tensorrt == "10.3.0" and results.summary(bundle.folder)[0]


def test_a_board_without_tensorrt_says_so_and_runs_the_rest(loopback, reach, make_bundle):
    bundles = [make_bundle("a", target="jetson-int8"), make_bundle("b")]
    device = reach()
    with pytest.raises(MissingRuntimeError, match="tensorrt"):
        bundles[0].on(device).session(threads=1)
    folders = [bundle.folder for bundle in bundles]
    done = device.launch("launch", folders, [1, 1], threads=1, seconds=0.05, seed=0, patience=60)
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events.count("not run") == 1 and events.count("samples") == 1
