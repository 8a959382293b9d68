"""Which units a matrix is made of, and what waits for what."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgeeff.matrix import facts, planning
from edgeeff.matrix.file import load

MATRIX = """schema = 1
targets = ["mobile-int8", "cpu-fp32", "jetson-int8", "cpu-bf16"]
calibration = "photos"
reference = "cpu-fp32"
measure = []

[[model]]
name = "net"
model = "lite0"
"""


def test_one_build_of_a_model_exports_for_all_and_one_calibrates_for_all_in_int8(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "photos/black.png")
    (tmp_path / "matrix.toml").write_text(MATRIX)
    units = planning.plan(load(tmp_path / "matrix.toml"), facts.computing()).units
    named = {unit.key: unit.name for unit in units}
    assert {unit.name: named.get(unit.after) for unit in units} == {
        "net/cpu-fp32/build": None,
        "net/mobile-int8/build": "net/cpu-fp32/build",
        "net/jetson-int8/build": "net/mobile-int8/build",
        "net/cpu-bf16/build": "net/cpu-fp32/build",
    }
