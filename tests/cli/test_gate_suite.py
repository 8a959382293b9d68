"""``edgeeff gate`` of a suite: what is written where, exit statuses, the lock, what is refused."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from edgeeff.bundle import Manifest, write_bundle
from edgeeff.harness import lock
from edgeeff.preprocess import Preprocess

HOSTILE = "b0::error::x\n| <script> %0A"
SUITE = """schema = 1
name = "camera"
old = "old"
[limits]
latency = "off"
memory = "off"
load_time = "off"
[[case]]
bundles = "dist/*"
"""


@pytest.fixture
def suite(tmp_path, edgeeff):
    """``suite(*arguments)``: the verb in a folder with two bundles, of which one became larger."""

    def bundle(folder, name, size):
        facts = {"name": name, "model": "b0", "target": "cpu-int8", "runtime": "openvino"}
        facts |= {"precision": "int8", "input": "uint8", "softmax": False, "cpu_class": "avx2"}
        facts |= {"labels": ("a",), "classes": 1, "runtime_properties": {}, "digests": {}, "tools": {}}
        facts |= {"preprocess": Preprocess(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1)), "files": {}}
        write_bundle(tmp_path / folder, Manifest(**facts), {"model.bin": b"x" * size, "model.xml": b""})

    for name, size in ((HOSTILE, 2000), ("b0-cpu-int8", 1000)):
        bundle(f"dist/{len(name)}", name, size)
        bundle(f"old/{len(name)}", name, 1000)
    (tmp_path / "gate.toml").write_text(SUITE, encoding="utf-8")
    variables = {"EDGEEFF_LOCK": str(tmp_path / "lock"), "EDGEEFF_HISTORY": "off"}

    def run(*arguments, said=("gate.toml",)):
        return edgeeff("gate", *said, *arguments, cwd=tmp_path, env=variables)

    return run


def test_every_format_is_written_and_the_status_is_one(suite, tmp_path):
    files = ("--junit=ci/gate.xml", "--markdown=ci/gate.md", "--gitlab=ci/quality.json")
    done = suite(*files, "--github", "--json")
    assert done.status == 1, done.err
    assert {v["case"]: v["status"] for v in done.data["verdicts"]} == {HOSTILE: "fail", "b0-cpu-int8": "pass"}
    cases = list(ElementTree.parse(tmp_path / "ci" / "gate.xml").getroot().iter("testcase"))
    assert [len(case.findall("failure")) for case in cases].count(1) == 1
    (issue,) = json.loads((tmp_path / "ci" / "quality.json").read_text(encoding="utf-8"))
    assert issue["location"]["path"] == "gate.toml"
    rows = [r for r in (tmp_path / "ci" / "gate.md").read_text("utf-8").split("\n") if r.startswith("| ")]
    assert len(rows) == 3
    annotations = [line for line in done.err.splitlines() if "::" in line]
    assert len(annotations) == 1 and annotations[0].startswith("::error title=FAIL%3A b0%3A%3Aerror")


def test_what_it_says_is_readable_at_80_columns(suite):
    done = suite("--explain")
    assert done.status == 1
    assert "In all: 1 of 2 failed: exit status 1." in done.out
    assert "\nb0-cpu-int8: size: pass\n" in done.out


def test_a_baseline_is_written_and_the_diff_shown(suite, tmp_path):
    done = suite("--update-baseline")
    assert done.status == 0, done.err
    assert done.out.count("--- /dev/null") == 2 and "+name = " in done.out
    (tmp_path / "gate.toml").write_text(SUITE.replace('old = "old"\n', ""), encoding="utf-8")
    assert suite().status == 0
    again = suite("--update-baseline", "--strict", "--clock=wall")
    assert again.out.count("nothing changed") == 2
    assert again.status == 1 and again.err.count("another --clock is for two bundles") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--junit=dist"], "is a folder"),
        (["--junit=x", "--markdown=./x"], "to one file"),
        (["--threads=2"], "--threads with a suite"),
        (["--limit=0.03"], "write 3%, or off"),
        (["--against=nowhere"], "there is no folder nowhere"),
        (["--against=old", "--update-baseline"], "leave --against out"),
        (["--update-baseline", "--junit=gate.xml"], "decides nothing that a file"),
    ],
)
def test_what_cannot_be_is_refused(suite, arguments, said):
    done = suite(*arguments)
    assert done.status == 2 and said in done.err and "Traceback" not in done.err


@pytest.mark.parametrize("name", ["missing.toml", "dist/11"])
def test_what_is_no_suite_is_refused(suite, name):
    done = suite(*(["--update-baseline"] if name != "missing.toml" else []), said=(name,))
    assert done.status == 2 and "Traceback" not in done.err


def test_one_measurement_at_a_time(suite, tmp_path, monkeypatch):
    monkeypatch.setenv(lock.VARIABLE, str(tmp_path / "lock"))
    with lock.alone():
        done = suite("--junit=gate.xml", "--github")
        (case,) = ElementTree.parse(tmp_path / "gate.xml").getroot().iter("testcase")
        assert "another measurement" in case.find("error").get("message")
        assert done.err.count("::error title=") == 1
        assert done.status == 2 and "another measurement runs on this machine: process " in done.err
        assert suite("--update-baseline", "--wait=0.1").status == 2
    assert suite().status == 1
