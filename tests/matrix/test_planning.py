"""Which units a matrix is made of, and what waits for what."""

from __future__ import annotations

import numpy as np
from PIL import Image

from edgeeff.matrix import facts, planning
from edgeeff.matrix.file import load
from edgeeff.progress import Silent

MATRIX = """schema = 1
targets = ["mobile-int8", "cpu-fp32", "jetson-int8", "cpu-bf16"]
calibration = "photos"
reference = "cpu-fp32"
measure = []

[[model]]
name = "net"
model = "lite0"
"""


class Heard(Silent):
    def __init__(self):
        self.told = []

    def tell(self, text):
        self.told.append(text)


def black(folder):
    folder.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "black.png")


def test_one_build_of_a_model_exports_for_all_and_one_calibrates_for_all_in_int8(tmp_path):
    black(tmp_path / "photos")
    (tmp_path / "matrix.toml").write_text(MATRIX)
    units = planning.plan(load(tmp_path / "matrix.toml"), facts.computing()).units
    named = {unit.key: unit.name for unit in units}
    assert {unit.name: named.get(unit.after) for unit in units} == {
        "net/cpu-fp32/build": None,
        "net/mobile-int8/build": "net/cpu-fp32/build",
        "net/jetson-int8/build": "net/mobile-int8/build",
        "net/cpu-bf16/build": "net/cpu-fp32/build",
    }


def test_an_arena_is_an_option_of_the_microcontroller_alone(tmp_path):
    black(tmp_path / "photos")
    (tmp_path / "matrix.toml").write_text(MATRIX.replace('"jetson-int8"', '"mcu-int8"') + 'arena = "2M"\n')
    plan = planning.plan(load(tmp_path / "matrix.toml"), facts.computing())
    said = {unit.target: unit.payload["options"].get("arena") for unit in plan.units}
    assert said == {"cpu-fp32": None, "mobile-int8": None, "mcu-int8": "2M", "cpu-bf16": None}
    assert not plan.broken


def test_a_reference_is_judged_where_images_bear_labels_and_else_left_out_with_a_word(tmp_path):
    black(tmp_path / "photos")
    black(tmp_path / "named/tench")
    said = {}
    for images in ("photos", "named"):
        text = MATRIX.replace("measure = []", f'measure = ["eval"]\nimages = "{images}"')
        (tmp_path / "matrix.toml").write_text(text)
        heard = Heard()
        units = planning.plan(load(tmp_path / "matrix.toml"), facts.computing(), progress=heard).units
        said[images] = {unit.target for unit in units if unit.kind == "eval"}, heard.told
    others = {"mobile-int8", "jetson-int8", "cpu-bf16"}
    assert said["named"] == (others | {"cpu-fp32"}, [])
    assert said["photos"][0] == others and "net/cpu-fp32/eval left out" in said["photos"][1][0]
