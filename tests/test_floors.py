"""The floors of the house: imports lead down, no modules form a circle, and a board loads little."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest


def _script():
    path = Path(__file__).parent.parent / "scripts" / "floors.py"
    spec = importlib.util.spec_from_file_location("edgeeff_floors", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look for it there
    spec.loader.exec_module(module)
    return module


house = _script()
HEAVY = ("torch", "onnx", "onnx_ir", "onnxsim", "onnxruntime", "safetensors", "openvino", "ai_edge_litert")
DEVICE = [m for m in house.MODULES if m not in house.FACADES and house.place(m).wing == "device"]


def test_every_module_has_a_floor_and_every_floor_its_modules():
    """A module without one raises; a name without a module is a row that nobody needs."""
    used = {house.place(module).name for module in house.MODULES if module != "edgeeff"}
    assert used == set(house.PLACES)


def test_imports_lead_down_or_stay_in_their_package():
    assert sorted(house.breaches()) == []


def test_no_modules_import_one_another_in_a_circle():
    """Late imports and those of types are counted too."""
    assert house.circles(house.graph()) == []


def test_circles_are_found():
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"a"}}
    assert house.circles(imports) == [["a", "b", "c"]]


def test_the_document_has_the_table():
    document = house.DOCUMENT.read_text(encoding="utf-8")
    assert house.written(document) == document, "run make floors"


@pytest.mark.parametrize("module", DEVICE)
def test_the_device_wing_names_no_heavy_library(module):
    names = house.imports_of(module, late=False, types=False)
    heavy = {name.partition(".")[0] for name in names} & set(HEAVY)
    own = {"onnxruntime": {"onnxruntime"}, "openvino": {"openvino"}, "tflite": {"ai_edge_litert"}}
    runtime = re.match(r"edgeeff\.backends\.(\w+)", module)
    assert heavy <= own.get(runtime[1] if runtime else "", set())


def loaded_by(*modules: str) -> set[str]:
    script = f"import sys, json, importlib\nfor m in {list(modules)}: importlib.import_module(m)\n"
    script += f"print(json.dumps([m for m in {list(HEAVY)} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_a_board_loads_neither_torch_nor_onnx():
    device = [m for m in DEVICE if not m.startswith("edgeeff.cli")]
    runtimes = [m for m in device if re.fullmatch(r"edgeeff\.backends\.\w+\.\w+(\..*)?", m)]
    light = [m for m in device if m not in runtimes]
    assert {"edgeeff.bundle", "edgeeff.harness.accuracy", "edgeeff.images", "edgeeff.metrics"} <= set(light)
    assert loaded_by("edgeeff", *light) == set()
    # The one runtime is loaded where it is run; torch, onnx and the reference executor never are.
    own = [m for m in runtimes if not m.startswith("edgeeff.backends.onnxruntime")]
    assert loaded_by(*own) <= {"openvino", "ai_edge_litert"}


def test_the_command_line_starts_light():
    assert loaded_by("edgeeff.cli") == set()
