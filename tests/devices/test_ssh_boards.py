"""Bundles on a board behind a real sshd: what they say, what is left there, and what a board may lack."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeeff.errors import DeviceError, MissingRuntimeError
from tests.devices.boards import without_packages


@pytest.mark.parametrize("target", ["mobile-fp32", pytest.param("cpu-fp32", marks=pytest.mark.slow)])
def test_a_board_says_what_this_machine_says(reach, loopback, make_bundle, colours, target):
    bundle = make_bundle(target=target)
    device = reach()
    there = bundle.on(device).session(threads=1).infer(colours[0])
    here = bundle.session(threads=1).infer(colours[0])
    assert all(np.array_equal(there[name], here[name]) for name in here)
    done = device.launch("launch", [bundle.folder], [1], threads=1, seconds=0.05, seed=0, patience=60)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (samples,) = [event for event in events if event["event"] == "samples"]
    assert done.returncode == 0 and len(samples["wall_ns"]) >= 10
    device.close()
    assert loopback.is_free() and loopback.left() == []


def test_what_a_board_lacks_is_said(reach, tmp_path, make_bundle):
    """No Python, and one without numpy."""
    with pytest.raises(DeviceError, match="no python-that-is-not-there") as refused:
        reach(python="python-that-is-not-there")
    assert "devices" in refused.value.mend
    with pytest.raises(DeviceError, match="without a word"):
        reach(python="true")
    with pytest.raises(MissingRuntimeError, match="numpy"):
        make_bundle().on(reach(python=without_packages(tmp_path / "bare"))).session(threads=1)
