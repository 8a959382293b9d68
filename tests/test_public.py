"""The public names, the floors of the house, and what a board has to load."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import edgeeff

ROOT = Path(edgeeff.__file__).parent

#: DESIGN.md, "The house": the floor of each module, and its wing. Imports only go down or stay on their
#: floor, and the device wing never reaches into the build wing. The nearest name counts.
FLOORS = {
    "edgeeff.batch": (1, "device"),
    "edgeeff.errors": (1, "device"),
    "edgeeff.digests": (1, "device"),
    "edgeeff.installing": (1, "device"),
    "edgeeff.toml": (1, "device"),
    "edgeeff.text": (1, "device"),
    "edgeeff.unpacking": (1, "device"),
    "edgeeff.labels": (2, "device"),
    "edgeeff.memory": (1, "build"),
    "edgeeff.progress": (1, "device"),
    "edgeeff.preprocess": (1, "device"),
    "edgeeff.target": (1, "device"),
    "edgeeff.plugins": (1, "device"),
    "edgeeff.tasks": (1, "device"),
    "edgeeff.depth": (1, "device"),
    "edgeeff.board": (2, "device"),
    "edgeeff.files": (2, "device"),
    "edgeeff.watched": (1, "device"),
    "edgeeff.images": (2, "device"),
    "edgeeff.video": (2, "device"),
    "edgeeff.planned": (2, "device"),
    "edgeeff.recipes": (2, "device"),
    "edgeeff.metrics": (2, "device"),
    "edgeeff.cache": (2, "build"),
    "edgeeff.backends": (3, "device"),
    "edgeeff.readme": (4, "build"),
    "edgeeff.graph": (3, "build"),
    "edgeeff.bundle": (4, "device"),
    "edgeeff.calibration": (4, "build"),
    "edgeeff.zoo": (4, "build"),
    "edgeeff.harness": (5, "device"),
    "edgeeff.quantization": (5, "build"),
    "edgeeff.backends.*.emit": (5, "build"),
    "edgeeff.pipeline": (6, "build"),
    "edgeeff.diagnosis": (6, "build"),
    "edgeeff.foreign": (6, "build"),
    "edgeeff.foreign_ends": (5, "build"),
    "edgeeff.cli": (7, "device"),
    "edgeeff.__main__": (7, "device"),
}
#: The command line starts on a board, and reaches the build wing only inside the verbs that build.
FACADES = ("edgeeff", "edgeeff.cli", "edgeeff.__main__")
HEAVY = ("torch", "onnx", "onnx_ir", "onnxsim", "onnxruntime", "safetensors", "openvino", "ai_edge_litert")


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(module: str, everywhere: bool = True) -> set[str]:
    """The modules that a module imports, at its top or also inside its functions."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            around = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*around, *([node.module] if node.module else [])])
            for alias in node.names:
                found.add(f"{source}.{alias.name}" if f"{source}.{alias.name}" in MODULES else source)
        elif not is_type_checking(node) and (
            everywhere or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        ):
            waiting += ast.iter_child_nodes(node)
    return found


def device_rooms() -> set[str]:
    """What a runtime's rooms for devices load of its folder; the rest of it is for its ``emit``."""
    found: set[str] = set()
    waiting = [m for m in MODULES if re.fullmatch(r"edgeeff\.backends\.\w+(\.(run|check|profile|usage))?", m)]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            folder = ".".join(module.split(".")[:3])
            waiting += [m for m in imports_of(module) if m.startswith(f"{folder}.") and m in MODULES]
    return found


DEVICE_ROOMS = device_rooms()


def place(module: str) -> tuple[int, str]:
    """The floor and the wing of a module."""
    if re.match(r"edgeeff\.backends\.\w+\.", module) and module not in DEVICE_ROOMS:
        runs_alone = MODULES[module].name == "__init__.py" and any(
            m.startswith(f"{module}.") for m in DEVICE_ROOMS
        )
        return FLOORS["edgeeff.backends" if runs_alone else "edgeeff.backends.*.emit"]
    while module not in FLOORS:
        module = module.rpartition(".")[0]
        assert module, "a new module: give it its floor"
    return FLOORS[module]


def test_public_names():
    assert edgeeff.__all__ == ["Bundle", "EdgeeffWarning", "Target", "benchmark", "build", "evaluate"]
    assert dir(edgeeff) == sorted([*edgeeff.__all__, "__version__"])
    for name in edgeeff.__all__:
        found = getattr(edgeeff, name)
        assert found.__name__ == name and found.__doc__
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        _ = edgeeff.quantise
    assert re.fullmatch(r"\d+\.\d+\.\d+", edgeeff.__version__)


@pytest.mark.parametrize("module", [m for m in MODULES if m not in FACADES])
def test_imports_only_go_down(module):
    floor, wing = place(module)
    for imported in imports_of(module):
        if not imported.startswith("edgeeff.") or imported == module:
            continue
        other_floor, other_wing = place(imported)
        assert other_floor <= floor, f"{module} (floor {floor}) imports {imported} (floor {other_floor})"
        if wing == "device" and not module.startswith("edgeeff.cli"):
            assert other_wing == "device", f"{module} is for devices and imports {imported}"


def test_the_table_names_modules_that_exist():
    assert not [m for m in FLOORS if m not in MODULES and "*" not in m]


@pytest.mark.parametrize("module", [m for m in MODULES if m not in FACADES and place(m)[1] == "device"])
def test_the_device_wing_names_no_heavy_library(module):
    heavy = {name.partition(".")[0] for name in imports_of(module, everywhere=False)} & set(HEAVY)
    own = {"onnxruntime": {"onnxruntime"}, "openvino": {"openvino"}, "tflite": {"ai_edge_litert"}}
    runtime = re.match(r"edgeeff\.backends\.(\w+)", module)
    assert heavy <= own.get(runtime[1] if runtime else "", set())


def loaded_by(*modules: str) -> set[str]:
    script = f"import sys, json, importlib\nfor m in {list(modules)}: importlib.import_module(m)\n"
    script += f"print(json.dumps([m for m in {list(HEAVY)} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_a_board_loads_neither_torch_nor_onnx():
    device = [
        m for m in MODULES if m not in FACADES and place(m)[1] == "device" and not m.startswith("edgeeff.cli")
    ]
    runtimes = [m for m in device if re.fullmatch(r"edgeeff\.backends\.\w+\.\w+(\..*)?", m)]
    light = [m for m in device if m not in runtimes]
    assert {"edgeeff.bundle", "edgeeff.harness.accuracy", "edgeeff.images", "edgeeff.metrics"} <= set(light)
    assert loaded_by("edgeeff", *light) == set()
    # The one runtime is loaded where it is run; torch, onnx and the reference executor never are.
    own = [m for m in runtimes if not m.startswith("edgeeff.backends.onnxruntime")]
    assert loaded_by(*own) <= {"openvino", "ai_edge_litert"}


def test_public_device_names_load_nothing_heavy():
    script = "import sys, edgeeff; edgeeff.Bundle, edgeeff.Target, edgeeff.evaluate, edgeeff.benchmark\n"
    script += f"print([m for m in {list(HEAVY)} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_line_starts_light():
    assert loaded_by("edgeeff.cli") == set()
