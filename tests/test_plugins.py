"""Plug-ins that are of no use: each disables its own things, is named with its reason, and nothing ends."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from edgeeff import backends, cli, tasks
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.cli.build import _board
from edgeeff.errors import OptionError, PluginError, PluginFailedError, UnknownTargetError
from edgeeff.pipeline import plugged
from edgeeff.pipeline.plugged import Used
from edgeeff.plugins import Plugin, finder, installed
from edgeeff.preprocess import Preprocess
from edgeeff.quantization import recipe
from edgeeff.target import TARGETS, load_target, target_names
from edgeeff.tasks import Output
from edgeeff.zoo import namings

COUNT = itertools.count()
RECORD = """
from edgeeff.backends import Runtime
RUNTIME = Runtime(**(dict(
    name="theirs", package=__name__, requires=(), install="pip install theirs", inputs=("float32",),
    precisions=("int8",), artifact=("a",), run="a", no_profile="none",
) | dict({})))
"""
MANIFEST = Manifest(
    *("theirs", "lite0", "theirs-fp32", "theirs", "fp32", "float32", False, "any"),
    preprocess=Preprocess(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)),
    labels=("cat", "dog"),
    classes=2,
    runtime_properties={},
    digests={},
    tools={},
    plugins={},
    files={},
    outputs=(Output("logits", (1, 2)),),
)
TARGET = 'summary = "Theirs"\nruntime = "theirs"\nprecision = "fp32"\ninput = "float32"\n'


@pytest.fixture
def install(tmp_path, monkeypatch):
    """``install(files, **entry_points)``: a distribution on Python's path; returns its name and its package.

    ``{package}`` stands for the package in entry points, which are ``kind="name = value"``.
    """

    def install(files, name="", **lines):
        number = next(COUNT)
        package, name = f"their_package{number}", name or f"their-dist{number}"
        place = tmp_path / package
        for path, content in {"__init__.py": "", **files}.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(content)
        told = tmp_path / f"{name.replace('-', '_')}-1.5.dist-info"
        told.mkdir()
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        groups = (f"[edgeeff.{kind}]\n{line.format(package=package)}\n" for kind, line in lines.items())
        (told / "entry_points.txt").write_text("\n".join(groups))
        monkeypatch.syspath_prepend(str(tmp_path))
        return name, package

    return install


def run(*arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def disabled(name: str) -> list[str]:
    """What doctor says of a distribution."""
    status, out, _ = run("doctor", "--json")
    assert status == 0
    found = [p["disabled"] for p in json.loads(out)["plugins"] if p["distribution"] == name]
    for why in filter(None, found):
        assert f"of {name} 1.5 is disabled: {why}" in run("doctor")[2]
    return found


def with_record(changes: str) -> dict[str, str]:
    return {"__init__.py": RECORD.format(changes)}


PARTS = {"run.py": "", "check.py": "", "emit.py": ""}
RUNTIMES = {
    "it raises": ({"__init__.py": "raise RuntimeError('no licence')"}, "RuntimeError: no licence"),
    "it ends": ({"__init__.py": "import sys; sys.exit(3)"}, "SystemExit: 3"),
    "no module": ({"__init__.py": "import not_there"}, "No module named 'not_there'"),
    "no record": (PARTS, "it holds no edgeeff.backends.Runtime but NoneType"),
    "a list": ({**PARTS, **with_record("inputs=['float32']")}, "inputs: Input should be a valid tuple"),
    "a type": ({**PARTS, **with_record("inputs=('int4',)")}, "inputs.0: Input should be 'float32'"),
    "a number": ({**PARTS, **with_record("install=3")}, "install: Input should be a valid string"),
    "a typo": ({**PARTS, **with_record("instal='x'")}, "unexpected keyword argument 'instal'"),
    "other name": ({**PARTS, **with_record("name='x'")}, "is named 'x', and it was found as 'theirs'"),
    "no run": (with_record(""), "has no run.py"),
    "no check": ({**with_record(""), "run.py": "", "emit.py": ""}, "an emit.py and no check.py"),
    "no reason": ({**PARTS, **with_record("no_profile=''")}, "no_profile says why"),
}


@pytest.mark.parametrize("case", RUNTIMES)
def test_a_runtime_of_no_use(case, install):
    files, why = RUNTIMES[case]
    name, _ = install(
        {**files, "data/theirs-fp32.toml": TARGET},
        runtimes="theirs = {package}",
        targets="any = {package}.data",
    )
    assert "theirs" not in backends.runtime_names() and "openvino" in backends.runtime_names()
    with pytest.raises(PluginError, match=f"the runtime 'theirs' of {name} 1.5 is disabled: ") as caught:
        backends.runtime("theirs")
    assert why in caught.value.what and f"pip uninstall {name}" in caught.value.mend
    if case in ("it raises", "a list"):  # one look at the verbs is enough for each way
        assert sum(why in (text or "") for text in disabled(name)) == 1
        status, out, err = run("targets", "--json")
        rows = {row["name"]: row for row in json.loads(out)}
        assert status == 0 and why in rows["theirs-fp32"]["disabled"] and why in err
        assert rows["cpu-int8"]["runtime"] == "openvino"
        status, _, err = run("build", "--model=lite0", "--target=theirs-fp32")
        assert status == 2 and why in err and "Traceback" not in err


def test_a_part_of_no_use(install):
    broken = {
        "__init__.py": RECORD.format(""),
        "run.py": "1 / 0",
        "check.py": "",
        "emit.py": "def emit(): ...",
    }
    install(broken, runtimes="theirs = {package}:RUNTIME")
    runtime = backends.runtime("theirs")
    assert runtime.part("emit").emit
    with pytest.raises(PluginError, match=r"\.run fails to import: ZeroDivisionError"):
        runtime.part("run")
    with pytest.raises(PluginError, match=r"\.check has no check"):
        runtime.part("check")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("return None", "gives no files by their names, as bytes"),
        ("return {'a': 'text'}", "gives no files by their names, as bytes"),
        ("return {'a': b'', '../b': b''}", r"gives a file '\.\./b'"),
        ("return {'a': b'', '/b': b''}", "gives a file '/b'"),
        ("return {'a': b'', 'plan.json': b''}", "gives a file 'plan.json'"),
        ("return {'a': b'', 'measured/x': b''}", "gives a file 'measured/x'"),
        ("return {'b': b''}", "gives no a, which the record says is the artifact"),
    ],
)
def test_what_is_no_artifact(body, why, install):
    files = {
        **with_record(""),
        "run.py": "",
        "check.py": "",
        "emit.py": f"def emit(graph, emission):\n    {body}",
    }
    install(files, runtimes="theirs = {package}")
    with pytest.raises((PluginError, PluginFailedError), match=rf"of their-dist\d+ 1\.5: .*emit {why}"):
        backends.runtime("theirs").emit(None, None)


SESSION = """
import numpy
class Session:
    def infer(self, pixels):
        {}
def load(folder, **options):
    {}
    return Session()
"""


@pytest.mark.parametrize(
    ("infer", "load", "why"),
    [
        ("1 / 0", "", "infer failed: ZeroDivisionError: division by zero"),
        ("", "import nowhere", "load failed: ModuleNotFoundError: No module named 'nowhere'"),
        ("", "exit()", "load failed: SystemExit"),
        ("", "return 3", "load gives no session but int, which has no infer"),
        ("", "", "infer gives no arrays by their names but NoneType"),
        ("return {'other': numpy.zeros((1, 2))}", "", "infer gives the outputs other, and not logits"),
        (
            "return {'logits': numpy.zeros((1, 2))}",
            "",
            r"gives logits as float64 \[1, 2\] and not float32 \[1",
        ),
    ],
)
def test_a_session_that_fails_names_its_distribution(infer, load, why, install, tmp_path, monkeypatch):
    parts = {
        "run.py": SESSION.format(infer or "pass", load or "pass"),
        "check.py": "def check(f, **o): 1 / 0",
    }
    name, _ = install({**with_record(""), **parts}, runtimes="theirs = {package}")
    bundle = write_bundle(tmp_path / "bundle", MANIFEST, {"a": b""})
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    status, out, err = run("run", bundle.folder, tmp_path / "photo.png")
    assert status == 2 and not out
    assert re.search(rf"the runtime 'theirs' of {name} 1\.5: .*{why}", " ".join(err.split()))
    if why.startswith("infer failed"):  # the other verbs by the same session
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(cli.__file__).parents[2]}")
        measured = run("bench", bundle.folder, "--launches=1", "--seconds=0.05")
        for status, _, err in (measured, run("inspect", bundle.folder)):
            assert status == 2 and f"the runtime 'theirs' of {name} 1.5: " in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("finder", "kind", "name"),
    [
        (backends.RUNTIMES, "runtimes", "openvino"),
        (tasks.TASKS, "tasks", "multilabel"),
        (namings.NAMINGS, "namings", "timm"),
        (recipe.STEPS, "steps", "ranges"),
    ],
)
def test_a_name_of_ours_stays_ours(finder, kind, name, install):
    before = finder.get(name)
    theirs, _ = install({"__init__.py": "raise RuntimeError"}, **{kind: f"{name} = {{package}}"})
    assert finder.get(name) == before and finder.plugin(name) is None and finder.names().count(name) == 1
    (trouble,) = finder.refused([name])
    assert trouble.text == (
        f"the {kind[:-1]} {name!r} of {theirs} 1.5 is disabled: edgeeff has a {kind[:-1]} {name!r} itself, "
        "which stays"
    )
    assert finder.facts([name]) == []


def test_a_build_that_uses_such_a_name_warns(install):
    theirs, _ = install(
        {"data/cpu-int8.toml": TARGET}, targets="x = {package}.data", steps="round = {package}"
    )
    assert load_target("cpu-int8").runtime == "openvino" and target_names().count("cpu-int8") == 1
    used = [Used(load_target("cpu-int8"), "classification", recipe.load("fast"))] * 2
    assert plugged.warnings(used) == [
        f"the {what} of {theirs} 1.5 is disabled: edgeeff has a {what} itself, which stays"
        for what in ("target 'cpu-int8'", "step 'round'")
    ]
    assert plugged.warnings([Used(load_target("mobile-int8"), "multilabel")]) == []
    status, _, err = run("targets")
    assert status == 0 and f"the target 'cpu-int8' of {theirs} 1.5 is disabled" in err


def test_verbs_that_use_a_bundle_of_such_a_name_warn(install, tmp_path):
    theirs, _ = install({}, runtimes="tflite = {package}", tasks="classification = {package}")
    bundle = write_bundle(tmp_path / "bundle", replace(MANIFEST, runtime="tflite"), {"a": b""}).folder
    for index in range(2):
        (tmp_path / "photos" / f"{index}").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "photos" / f"{index}" / "photo.png")
    assert len(warned := Bundle.load(bundle).plugin_warnings()) == 2
    err = " ".join(run("run", bundle, tmp_path / "photos")[2].split())
    assert [err.count(text) for text in warned] == [1, 1] and f"of {theirs} 1.5" in err
    lines = run("bench", bundle, "--launches=1", "--seconds=0.05", "--json")[2].splitlines()
    assert json.loads(lines[-1])["warnings"] == warned  # of the error's JSON; a report has them as well
    shown = " ".join(" ".join(lines[:-1]).split())
    assert [shown.count(text) for text in warned] == [1, 1]


def test_a_board_of_such_a_name_warns(install, capsys):
    theirs, _ = install({"data/xavier-nx.toml": ""}, boards="x = {package}.data")
    _board("xavier-nx", ["jetson-int8"])
    assert f"the board 'xavier-nx' of {theirs} 1.5 is disabled" in " ".join(capsys.readouterr().err.split())


def test_a_name_of_two_plugins_is_nobodys(install):
    first, _ = install({"data/mine.toml": TARGET}, targets="x = {package}.data", steps="mine = {package}")
    second, _ = install({"data/mine.toml": TARGET}, targets="x = {package}.data", steps="mine = {package}")
    with pytest.raises(PluginError, match=f"{first} 1.5 is disabled: {second} 1.5 has one of the same name"):
        load_target("mine")
    assert "mine" not in recipe.step_names() and "mine" not in target_names()
    with pytest.raises(PluginError, match="of the same name"):
        recipe.STEPS.get("mine")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("summary = 3\n", "summary: Input should be a valid string"),
        ("summary", "is not TOML"),
        (TARGET.replace("fp32", "int8"), "precision 'int8' with scheme None"),
        (TARGET.replace("fp32", "int8") + 'scheme = "none"\n', "no scheme named 'none'"),
    ],
)
def test_a_target_with_an_error(text, why, install):
    name, package = install({"data/theirs.toml": text}, targets="x = {package}.data")
    with pytest.raises(PluginError, match=f"the target 'theirs' of {name} 1.5 is disabled: ") as caught:
        load_target("theirs")
    assert why in caught.value.what
    assert [why in (text or "") for text in disabled(name)] == [True]
    status, out, _ = run("targets", "--json")
    assert status == 0 and any(row["name"] == "theirs" and "disabled" in row for row in json.loads(out))
    assert package not in sys.modules


def test_a_folder_that_is_not_there(install):
    name, _ = install({"empty/note.txt": ""}, targets="x = {package}.away", boards="x = {package}.empty")
    assert sorted(why.split(" /")[0] for why in disabled(name)) == [
        "there is no TOML file in",
        f"there is no package their_package{next(COUNT) - 1}.away",
    ]


def test_a_folder_that_an_attribute_says(install):
    install(
        {
            "__init__.py": "from pathlib import Path\nDATA = Path(__file__).parent / 'data'",
            "data/his.toml": TARGET,
        },
        targets="x = {package}:DATA",
    )
    assert TARGETS.paths()["his"].name == "his.toml"
    with pytest.raises(UnknownTargetError, match="no runtime named 'theirs'"):
        backends.runtime(load_target("his").runtime)


def test_a_naming_of_no_use_is_told_with_every_checkpoint(install):
    name, _ = install({"bad.py": "def translate(key, architecture): ..."}, namings="theirs = {package}.bad")
    assert "theirs" not in namings.names() and namings.detect(["stem.conv.weight"]) == "ours"
    (text,) = namings.warnings()
    assert f"the naming 'theirs' of {name} 1.5 is disabled: " in text and "has no function origin" in text
    assert [text] in namings.facts()


def test_a_task_of_no_use(install):
    name, _ = install({"half.py": "SUMMARY = 'half'"}, tasks="half = {package}.half")
    assert "half" not in tasks.names()
    with pytest.raises(PluginError, match=f"the task 'half' of {name} 1.5 .* has no ACTIVATION"):
        tasks.room("half")
    with pytest.raises(OptionError, match="no task 'none'"):
        tasks.room("none")


def test_a_step_of_no_use(install, tmp_path):
    name, _ = install({"step.py": "def do(draft): ..."}, steps="theirs = {package}.step")
    path = tmp_path / "mine.toml"
    path.write_text('summary = "x"\n[[step]]\nuse = "theirs"\n')
    with pytest.raises(PluginError, match=f"the step 'theirs' of {name} 1.5 .* has no function apply"):
        recipe.load(str(path))


def test_a_step_a_task_and_a_naming_that_fail(install, tmp_path):
    files = {
        "step.py": "def apply(draft, *, wide: int = 1):\n    return draft if wide > 1 else 1 / 0",
        "odd.py": "def apply(draft, *, wide: 'Nothing' = 1): ...",
        "task.py": "from edgeeff.tasks.classification import *\ndef decode(*a): raise KeyError('x')",
        "naming.py": "def translate(key, architecture): 1 / 0\norigin = print",
    }
    name, _ = install(
        files,
        steps="theirs = {package}.step\nodd = {package}.odd",
        tasks="theirs = {package}.task",
        namings="theirs = {package}.naming",
    )
    with pytest.raises(PluginFailedError, match=f"the step 'theirs' of {name} 1.5: apply failed: ZeroDiv"):
        recipe.Step("theirs", None, None, {})(None)
    with pytest.raises(PluginFailedError, match="apply gives no Draft but NoneType"):
        recipe.Step("theirs", None, None, {"wide": 2})(None)
    path = tmp_path / "mine.toml"
    path.write_text('summary = "x"\n[[step]]\nuse = "odd"\n')
    with pytest.raises(PluginFailedError, match="the signature of apply failed: NameError"):
        recipe.load(str(path))
    with pytest.raises(PluginFailedError, match=f"the task 'theirs' of {name} 1.5: decode failed: KeyError"):
        tasks.Meaning("theirs").decode({}, tasks.Naming(()))
    with pytest.raises(PluginFailedError, match=f"the naming 'theirs' of {name} 1.5: translate failed"):
        namings.detect(["x.weight"])


def test_an_edited_plugin_is_another_one(install):
    _, package = install(
        {"step.py": "def apply(draft): ...", "more/deep.py": "A = 1"}, steps="theirs = {package}.step"
    )
    recipe.STEPS.get("theirs")
    before = recipe.STEPS.facts(["theirs", "round"])
    deep = Path(__import__(package).__file__).parent / "more" / "deep.py"
    deep.write_text("A = 2")
    after = recipe.STEPS.facts(["theirs", "round"])
    assert [f[:3] for f in before] == [f[:3] for f in after] and before != after


def test_a_folder_that_somebody_works_in_adds_nothing(install, tmp_path, monkeypatch):
    install({"data/theirs.toml": TARGET}, targets="x = {package}.data")
    assert "theirs" in target_names()
    monkeypatch.chdir(tmp_path)
    assert "theirs" not in target_names()


def test_lines_that_are_no_entry_points_are_passed_over(install, tmp_path):
    install({"data/theirs.toml": TARGET}, targets="nonsense\n# x = y\n;\nx = {package}.data [extra]")
    assert "theirs" in target_names()
    (told,) = tmp_path.glob("*.dist-info")
    (told / "entry_points.txt").write_bytes(b"\xff\xfe[edgeeff.targets]\nx = y")
    for cached in (installed.all_entry_points, finder._accepted):
        cached.cache_clear()
    assert "theirs" not in target_names()


def test_names_that_steer_a_terminal_are_refused(install):
    install({}, steps="a\x1b[31m = {package}")
    (trouble,) = (
        t for t in recipe.STEPS.troubles() if isinstance(t.plugin, Plugin) and "\x1b" in t.plugin.name
    )
    assert "letters, digits" in trouble.why and "\x1b" not in trouble.text


@pytest.mark.parametrize("content", [None, b"", b"Name: two words\nVersion: 1 2\n", b"\xff\xfe\x00"])
def test_a_distribution_that_does_not_say_its_name(content, install, tmp_path):
    install({"data/theirs.toml": TARGET}, targets="x = {package}.data")
    (told,) = tmp_path.glob("*.dist-info")
    (told / "METADATA").unlink() if content is None else (told / "METADATA").write_bytes(content)
    plugin = TARGETS.plugin("theirs")
    assert plugin is not None and plugin.origin == "unnamed unknown"
