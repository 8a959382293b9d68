"""Suites, run: against old bundles and baselines, with trouble that stays with its case."""

import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image

import edgeeff
from edgeeff.bundle import Manifest, write_bundle
from edgeeff.gate import alone, baseline, running, suite
from edgeeff.gate.pair import Method
from edgeeff.gate.verdict import GateReport, Verdict
from edgeeff.preprocess import Preprocess


@pytest.fixture
def make(tmp_path):
    """``make(folder, name, size)``: a bundle that nothing can run, of so many bytes."""

    def make(folder, name="b0-cpu-int8", size=1000):
        facts = {
            "name": name,
            "model": "b0",
            "target": "cpu-int8",
            "runtime": "openvino",
            "precision": "int8",
        }
        facts |= {"input": "uint8", "softmax": False, "cpu_class": "avx2", "labels": ("a",), "classes": 1}
        facts |= {"preprocess": Preprocess(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1))}
        facts |= {"runtime_properties": {}, "digests": {}, "tools": {}, "files": {}}
        files = {"model.xml": b"<net/>", "model.bin": b"x" * (size - 6)}
        return write_bundle(tmp_path / folder, Manifest(**facts), files)

    return make


@pytest.fixture
def load(tmp_path):
    """``load(old=…)``: a suite that limits the size alone."""

    def load(more="", limits='size = "1 %"'):
        off = "".join(
            f'{name} = "off"\n' for name in ("latency", "memory", "load_time") if name not in limits
        )
        path = tmp_path / "gate.toml"
        path.write_text(f'schema = 1\n{more}\n[limits]\n{off}{limits}\n[[case]]\nbundles = "dist/*"\n')
        return suite.load(path)

    return load


def by_case(report):
    return {(v.case, v.metric): v.status for v in report.verdicts}


def test_each_case_is_held_against_its_old_bundle(make, load):
    for name, size in (("one", 1000), ("two", 1100)):
        make(f"dist/{name}", name, size)
        make(f"old/{name}", name)
    report = running.run(load('old = "old"'))
    assert by_case(report) == {("one", "size"): "pass", ("two", "size"): "fail"}
    assert report.exit_status == 1
    assert GateReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_what_has_nothing_to_be_held_against_is_an_error_of_its_own(make, load):
    make("dist/one", "one")
    make("dist/new", "new")
    make("old/one", "one")
    report = running.run(load('old = "old"'))
    assert by_case(report) == {("one", "size"): "pass", ("new", "size"): "error"}
    assert report.exit_status == 2
    (error,) = [v for v in report.verdicts if v.status == "error"]
    assert "--update-baseline" in error.why


def test_a_baseline_is_written_shown_and_held_against(make, load, tmp_path):
    make("dist/one", "one", 1000)
    (written,), report = running.update(load())
    assert report.verdicts == () and written.diff.startswith("--- /dev/null\n")
    found = baseline.load(written.path)
    assert found.metrics["size"] == (1000.0, "bytes") and found.runs == ()
    assert found.input == "8x8, 3 channels"
    edited = written.path.read_text().replace('reviewer = ""', 'reviewer = "Kim"')
    written.path.write_text(edited)
    (again,), _ = running.update(load())
    assert again.diff == "" and written.path.read_text() == edited
    for probe in (False, True):
        report = running.run(load(), method=Method(noise_probe=probe))
        assert by_case(report) == {("one", "size"): "pass"}
        assert ("nothing was measured" in report.verdicts[0].why) != probe
    shutil.rmtree(tmp_path / "dist")
    make("dist/one", "one", 1011)
    report = running.run(load())
    assert by_case(report) == {("one", "size"): "fail"}
    assert report.verdicts[0].value == pytest.approx(1.1)
    (changed,), _ = running.update(load())
    lines = [line for line in changed.diff.split("\n")[2:] if line[:1] in "+-"]
    assert {line[1:].partition(" = ")[0] for line in lines} == {"bundle", "reviewer", "value"}


def test_a_baseline_of_another_class_is_refused_and_one_without_a_case_told(make, load, tmp_path):
    make("dist/one", "one")
    (written,), _ = running.update(load())
    one = baseline.load(written.path)
    other = replace(one, series="f" * 64, device={**one.device, "governor": "magic"})
    written.path.write_text(other.text())
    (tmp_path / "baselines" / "gone.toml").write_text(replace(one, name="gone").text())
    report = running.run(load())
    assert by_case(report) == {("one", "size"): "error"}
    assert "another device class, not of this one: governor magic, here" in report.verdicts[0].why
    assert ["gone, which is no case" in warning for warning in report.warnings] == [True]


def test_images_that_say_nothing_are_warned_of(make, load, tmp_path):
    make("dist/one", "one")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "1.png")
    _, report = running.update(load('images = "photos"'))
    assert report.verdicts == ()
    assert report.warnings == (
        "one: images bear no labels: its accuracy cannot be gated without the old bundle",
    )


def test_a_baseline_takes_no_other_ones_place(make, load):
    for folder, name in (("dist/one", "a b"), ("dist/two", "a_b")):
        make(folder, name)
    written, report = running.update(load())
    assert len(written) == 1 and by_case(report) == {("a_b", "size"): "error"}
    written[0].path.rename(written[0].path.with_name("renamed.toml"))
    written, report = running.update(load())
    assert {one.path.name for one in written} >= {"renamed.toml"} and report.verdicts == ()


def test_a_bundle_that_cannot_be_measured_is_an_error_of_its_case(make, load):
    """Its network is no network: the process that loads it tells so."""
    make("dist/one", "one", 900)
    make("old/one", "one")
    method = Method(seconds=0.05)
    report = running.run(load('old = "old"', limits='size = "1 %"\nlatency = "3 %"'), method=method)
    assert by_case(report) == {("one", "latency"): "error", ("one", "size"): "pass"}
    updated, report = running.update(load("threads = 2", limits='latency = "3 %"'), method=method)
    assert ["wall time, which wants a quiet machine" in w for w in report.warnings] == [True]
    assert updated == [] and by_case(report) == {("one", "size"): "error", ("one", "latency"): "error"}


FAIL = Verdict("a", "latency", "fail", 4.0, "%", 2.0, 6.0, 3.0, why="slower", seconds=10.0)


@pytest.mark.parametrize(
    ("second", "status"),
    [("fail", "fail"), ("pass", "inconclusive"), ("inconclusive", "inconclusive"), ("error", "error")],
)
def test_a_fail_is_one_that_repeats(second, status):
    found = running._repeated(FAIL, replace(FAIL, status=second, why="again", seconds=5.0))
    assert (found.status, found.seconds) == (status, 15.0)
    assert "slower" in found.why and found.measured["first"]["why"] == "slower"


@pytest.fixture
def lite0_like(tmp_path, make_module, make_images, monkeypatch):
    """``lite0_like(size)``: a float bundle in ``dist``, of the same name whatever its size."""
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "cache"))

    def build(size):
        shutil.rmtree(tmp_path / "dist", ignore_errors=True)
        torch.save({"state_dict": make_module("lite0", size=size).state_dict()}, tmp_path / "best.pt")
        edgeeff.build(
            model="lite0",
            checkpoint=tmp_path / "best.pt",
            targets=["mobile-fp32"],
            size=size,
            calibration=make_images(8, size, 0),
            output=tmp_path / "dist",
        )

    return build


@pytest.mark.slow
def test_latency_against_a_baseline(lite0_like, tmp_path, monkeypatch):
    """Five runs of the same bundle, then itself, then one that does four times the work."""
    monkeypatch.setattr(alone, "LAUNCHES", 4)
    path = tmp_path / "gate.toml"
    path.write_text(
        'schema = 1\n[limits]\nlatency = "50 %"\nload_time = "off"\n[[case]]\nbundles = "dist/*"\n'
    )
    method = Method(seconds=0.1, noise_probe=True)
    lite0_like(64)
    running.update(suite.load(path), method=method)
    report = running.run(suite.load(path), method=method)
    (latency,) = [v for v in report.verdicts if v.metric == "latency"]
    assert latency.status == "inconclusive" and "4 more runs" in latency.why
    for _ in range(4):
        running.update(suite.load(path), method=method)
    report = running.run(suite.load(path), method=method)
    assert {v.metric: v.status for v in report.verdicts}["latency"] in ("pass", "inconclusive")
    lite0_like(160)
    report = running.run(suite.load(path), method=method)
    assert "an input of 64x64, 3 channels, not of this one: 160x160" in report.verdicts[0].why
    (written,) = (tmp_path / "baselines").iterdir()
    written.write_text(re.sub(r"(?m)^input = .*\n", "", written.read_text()))
    report = running.run(suite.load(path), method=method)
    assert {v.metric: v.status for v in report.verdicts}["latency"] == "fail"
