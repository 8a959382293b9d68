"""What is installed decides what runs, and nothing ends in a traceback: every verb, with each extra alone.

Modules are hidden from a process as they would be absent from a machine: the path finder knows nothing of
them. ``scripts/install-matrix`` does the same in virtual environments that hold nothing else.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

import edgeeff
from edgeeff.bundle import Manifest, write_bundle
from edgeeff.installing import EXTRAS, install_line
from edgeeff.preprocess import Preprocess
from edgeeff.toml import tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = [p for p in (ROOT / "edgeeff/cli").rglob("*.py") if "\ndef command(" in p.read_text("utf-8")]
VERBS = sorted({p.stem if p.parent.name == "cli" else p.parent.name for p in FILES})

#: Modules whose distribution has another name.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "av": "av",
    "google": "protobuf",
    "tensorrt_rtx": "tensorrt-rtx-cu12",
}
#: What JetPack installs, and what an old device has instead of LiteRT: no extra can bring them.
BROUGHT = {"tensorrt", "tflite_runtime"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution(requirement: str) -> str:
    return normal(re.match(r"[A-Za-z0-9._-]+", requirement)[0])


def declared(*extras: str) -> set[str]:
    """The distributions that an install with these extras names."""
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] for extra in extras)]
    return {distribution(requirement) for requirements in lists for requirement in requirements}


def closure(names: set[str]) -> set[str]:
    """These distributions and all that they bring."""
    found: set[str] = set()
    waiting = [*names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        waiting += [distribution(need) for need in needs if "extra ==" not in need]
    return found


def hidden(*extras: str) -> list[str]:
    """The modules of this environment that an install with these extras does not have."""
    kept = closure(declared(*extras))
    owners = metadata.packages_distributions()
    absent = {m for m, names in owners.items() if not kept & {normal(name) for name in names}}
    return sorted(absent - {"edgeeff", "onboard", "pip", "setuptools", "_pytest", "pytest"})


# What is declared.


def imported() -> dict[str, set[str]]:
    """The third-party modules that ``edgeeff`` imports, and where."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "edgeeff").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names:
                if name not in ("edgeeff", "onboard", "tomli"):
                    found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return found


def test_every_import_is_declared():
    """By the extra that an install line will name for it, or by what every install has."""
    base = declared()
    for module, places in imported().items():
        name = DISTRIBUTIONS.get(module, normal(module))
        extras = [extra for extra, modules in EXTRAS.items() if module in modules]
        if module not in BROUGHT and name not in base:
            assert extras, f"{module} is imported by {sorted(places)[:3]}, and no extra brings it"
            assert name in declared(*extras), f"pyproject.toml: {extras} does not name {name}"


def test_the_extras_that_lines_name_are_those_of_the_project():
    assert set(EXTRAS) <= set(PROJECT["optional-dependencies"])
    assert "tomli" in declared()


def test_every_declared_version_was_tested():
    pinned = {
        distribution(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] != "#"
    }
    assert declared(*EXTRAS) - {"tomli", "edgeeff"} <= pinned


def test_install_lines_name_no_package_of_an_index():
    """No index has edgeeff: a line that says so cannot be followed."""
    for path in [*(ROOT / "edgeeff").rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        if path.name != "CHANGELOG.md":
            assert not re.search(
                r"pip install\s+['\"]?edgeeff(?!-ortcpu)", path.read_text(encoding="utf-8")
            ), path
    assert install_line("tflite") == "pip install '<checkout or wheel>[tflite]'"


# Python 3.10.

NEWER = {
    "typing": {
        *("Self", "Unpack", "Never", "LiteralString", "Required", "NotRequired", "TypeVarTuple", "override"),
        *("assert_never", "assert_type", "reveal_type", "dataclass_transform", "TypeAliasType", "ReadOnly"),
    },
    "datetime": {"UTC"},
    "enum": {"StrEnum", "ReprEnum", "verify"},
    "contextlib": {"chdir"},
    "hashlib": {"file_digest"},
    "itertools": {"batched"},
    "collections.abc": {"Buffer"},
    "asyncio": {"TaskGroup", "timeout"},
    "math": {"cbrt", "exp2", "sumprod", "fma"},
    "operator": {"call"},
}


def unguarded(tree: ast.AST) -> list[ast.AST]:
    """All nodes but those below a Try, or an If of TYPE_CHECKING or of a version."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        test = ast.unparse(node.test) if isinstance(node, ast.If) else ""
        if isinstance(node, ast.Try) or "TYPE_CHECKING" in test or "version_info" in test:
            continue
        found.append(node)
        waiting += ast.iter_child_nodes(node)
    return found


def too_new(source: str) -> set[str]:
    """What of a source Python 3.10 does not have."""
    found = set()
    for node in unguarded(ast.parse(source, feature_version=(3, 10))):
        if isinstance(node, ast.ImportFrom) and node.module in NEWER:
            found |= {f"{node.module}.{a.name}" for a in node.names} & {
                f"{node.module}.{name}" for name in NEWER[node.module]
            }
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found |= {"tomllib", "wsgiref.types"} & {*names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NEWER.get(node.value.id, ()):
                found.add(f"{node.value.id}.{node.attr}")
            if node.attr == "add_note":
                found.add("add_note")
        elif isinstance(node, ast.Name) and node.id in ("ExceptionGroup", "BaseExceptionGroup"):
            found.add(node.id)
        elif type(node).__name__ in ("TryStar", "TypeAlias"):
            found.add(type(node).__name__)
    return found


@pytest.mark.parametrize(
    "source",
    [
        "from typing import Any, Unpack",
        "import datetime\nx = datetime.UTC",
        "import tomllib",
        "from enum import StrEnum",
        "def f(e):\n    raise ExceptionGroup('a', [e])",
        "from contextlib import chdir",
        "import hashlib\nhashlib.file_digest(f, 'sha256')",
    ],
)
def test_what_is_too_new_is_seen(source):
    assert too_new(source)


def test_nothing_is_newer_than_python_3_10():
    found = {p.name: too_new(p.read_text(encoding="utf-8")) for p in (ROOT / "edgeeff").rglob("*.py")}
    assert {name: names for name, names in found.items() if names} == {}


# Every verb, with no extra and with each alone.


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """A folder with a bundle of each runtime, a photo, a Q/DQ graph and a result of a device."""
    folder = tmp_path_factory.mktemp("machine")
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(folder / "photo.png")
    (folder / "photos" / "a").mkdir(parents=True)
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(folder / "photos" / "a" / "1.png")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input"], ["pooled"], name="pool"),
            helper.make_node("Flatten", ["pooled"], ["logits"], name="flatten", axis=1),
        ],
        "one",
        [value("input", onnx.TensorProto.FLOAT, [1, 3, 32, 32])],
        [value("logits", onnx.TensorProto.FLOAT, [1, 3])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), folder / "graph.onnx")
    (folder / "result.json").write_text("{}")
    (folder / "matrix.toml").write_text(
        'schema = 1\ntargets = "cpu-int8"\ncalibration = "photos"\n[[model]]\nname = "one"\nmodel = "lite0"\n'
    )
    files = {
        "openvino": ["model.xml", "model.bin"],
        "tflite": ["model.tflite"],
        "tensorrt": ["model.qdq.onnx"],
    }
    for runtime, names in files.items():
        manifest = Manifest(
            name=runtime,
            model="lite0",
            target="cpu-int8",
            runtime=runtime,
            precision="int8",
            input="float32",
            softmax=False,
            cpu_class="vnni",
            preprocess=Preprocess((32, 32), (127.0,) * 3, (128.0,) * 3),
            labels=("a", "b", "c"),
            classes=3,
            runtime_properties={},
            digests={},
            tools={},
            files={},
        )
        content = (folder / "graph.onnx").read_bytes()
        write_bundle(folder / runtime, manifest, dict.fromkeys(names, content))
    return folder


#: The arguments of each verb; ``build`` and the others that need an extra are refused for the lack of it.
ARGUMENTS = {
    "bench": ["openvino", "tflite", "--launches=1", "--seconds=0.01"],
    "build": ["--model=lite0", "--target=cpu-int8", "--calibration=photos", "--output=out"],
    "cache": ["ls"],
    "devices": ["local", "--json"],
    "diagnose": ["--model=lite0", "--target=cpu-int8", "--calibration=photos"],
    "doctor": ["--json"],
    "emit": ["graph.onnx", "--target=cpu-int8", "--model=lite0", "--output=out"],
    "eval": ["openvino", "tflite", "tensorrt", "--images=photos"],
    "finetune": ["photos", "--model=lite0", "--output=best.pt"],
    "gate": ["openvino", "--against=tflite"],
    "history": ["list", "--database=results.sqlite"],
    "import_result": ["tensorrt", "result.json"],
    "inspect": ["openvino"],
    "lint": ["graph.onnx"],
    "matrix": ["matrix.toml"],
    "models": [],
    "report": ["openvino", "--output=report.html"],
    "run": ["openvino", "photo.png"],
    "targets": [],
}
#: What each needs: without it, status 2 and the line that brings it.
NEEDS = {
    "build": {"build", "openvino"},
    "diagnose": {"build"},
    "emit": {"build", "openvino"},
    "finetune": {"build"},
    "gate": {"gate"},
    "history": {"history"},
    "lint": {"build"},
    "matrix": {"build", "matrix"},
    "report": {"report"},
}
NEEDS["run"] = {"openvino"}
#: What an extra brings of another one: torch and Dask need Jinja2, ruptures SciPy.
BRINGS = {"build": {"report"}, "history": {"gate"}, "matrix": {"report"}}

_RUN_ALL = """
import contextlib, importlib.util, io, json, sys, traceback
from importlib.machinery import PathFinder
hidden = {hidden!r}
seek = PathFinder.find_spec.__func__
PathFinder.find_spec = classmethod(lambda cls, name, path=None, target=None:
    None if name.partition(".")[0] in hidden else seek(cls, name, path, target))
from edgeeff.cli import main
found = {{}}
for verb, arguments in {runs!r}.items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([verb.replace("_", "-"), *arguments])
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            status, _ = "traceback", traceback.print_exc(file=err)
    found[verb] = [status, out.getvalue(), err.getvalue()]
print(json.dumps(found))
"""


def test_every_verb_is_tried():
    assert sorted(ARGUMENTS) == VERBS


@pytest.mark.parametrize(
    "extra", [None, *(extra for extra in EXTRAS if extra not in ("postgresql", "parquet"))]
)
def test_every_verb_with_this_extra_alone(machine, extra, tmp_path):
    extras = [extra] if extra else []
    program = _RUN_ALL.format(hidden=hidden(*extras), runs=ARGUMENTS)
    environment = {
        **os.environ,
        "EDGEEFF_CACHE_DIR": str(tmp_path / "cache"),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "400",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(edgeeff.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=machine, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for verb, (status, out, err) in found.items():
        assert status in (0, 1, 2), f"{verb}: {err}"
        lacking = NEEDS.get(verb, set()) - {*extras, *BRINGS.get(extra, ())}
        if lacking:
            assert status == 2, f"{verb}: {out}{err}"
            assert any(install_line(name) in err for name in lacking), f"{verb}: {err}"
        elif verb in ("cache", "devices", "doctor", "inspect", "models", "targets"):
            assert status == 0, f"{verb}: {err}"
    parts = {row["part"]: row for row in json.loads(found["doctor"][1])["parts"]}
    assert bool(parts["build bundles"]["missing"]) != (extra == "build")
