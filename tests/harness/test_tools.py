"""Runtimes' own benchmarks beside ours: what they are asked, and what becomes of one that fails."""

import json
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

import edgeeff
from edgeeff.backends.openvino import tool as benchmark_app
from edgeeff.backends.tflite import tool as litert
from edgeeff.backends.tool import Asked
from edgeeff.batch import Batch
from edgeeff.errors import OptionError
from edgeeff.harness.estimate import Estimate
from edgeeff.harness.launches import How
from edgeeff.harness.tools import Compared, compare
from edgeeff.metrics import Interval
from edgeeff.progress import Recorder, Silent


def asked(bundle, into, images=1, **more):
    batch = bundle.manifest.batch
    return Asked(
        **{
            "folder": bundle.folder,
            "properties": bundle.manifest.runtime_properties,
            "input_type": bundle.manifest.input,
            "images": images,
            "dynamic": batch.dynamic,
            "threads": 2,
            "seconds": 0.1,
            "runs": 40,
            "into": into,
            **more,
        }
    )


def test_benchmark_app_gets_threads_properties_types_and_shape(make_bundle, tmp_path):
    bundle = make_bundle("ir", "cpu-fp32", batch=Batch(6, True))
    line = benchmark_app.command(asked(bundle, tmp_path, 4))
    options = dict(pairwise(line))
    assert options["-nthreads"] == "2" and options["-ip"] in ("u8", "f32")
    assert sorted(json.loads(options["-data_shape"])) == [3, 4, 8, 8]
    properties = json.loads((tmp_path / "config.json").read_text())
    assert properties == {"CPU": dict(bundle.manifest.runtime_properties)}


def test_what_litert_cannot_measure_is_refused(make_bundle, tmp_path):
    ask = asked(make_bundle("lite"), tmp_path)
    assert "--num_runs" in litert.command(ask)
    for change in ({"dynamic": True, "images": 2}, {"properties": {"delegate": "none"}}):
        with pytest.raises(OptionError):
            litert.command(replace(ask, **change))


def test_a_tool_that_fails_is_not_run_and_says_why(make_bundle, monkeypatch):
    jetson = make_bundle("jetson", runtime="tensorrt", precision="int8")
    bundles = [jetson, make_bundle("lite")]
    monkeypatch.setattr(litert, "command", lambda _: [sys.executable, "-c", "raise SystemExit('no model')"])
    recorder = Recorder(Silent())
    absent, failed = compare(bundles, ["jetson", "lite"], [1, 1], How(seconds=0.01), 2, recorder)
    assert absent.tool is None and "no benchmark of its own" in absent.reason
    assert failed.tool == "litert-benchmark" and failed.ratio is None
    assert failed.reason == "litert-benchmark exit status 1: no model"
    monkeypatch.setattr(litert, "command", lambda _: [sys.executable, "-c", "pass"])
    (silent,) = compare(bundles[1:], ["lite"], [1], How(seconds=0.01), 1, recorder)
    assert "wrote nothing that can be read" in silent.reason
    json.dumps([absent.to_json(), failed.to_json()], allow_nan=False)


@pytest.mark.parametrize(
    ("low", "high", "apart"),
    [(1.03, 1.05, True), (0.9, 0.97, True), (1.01, 1.2, False), (0.5, 1.5, False), (0.99, 1.01, False)],
)
def test_only_a_certain_difference_is_one(low, high, apart):
    ratio = Estimate((low * high) ** 0.5, Interval(low, high))
    assert Compared("a", "tool", ratio, ratio, ratio, ratio).apart is apart
    assert not Compared("a", "tool", reason="none").apart


@pytest.mark.slow
def test_the_real_tools_measure_the_same_artifacts(make_bundle):
    ir, lite = make_bundle("ir", "cpu-fp32", batch=Batch(6, True)), make_bundle("lite", batch=Batch(256))
    report = edgeeff.benchmark([ir, lite], launches=2, seconds=0.05, images=3, tools=True)
    for compared in report.tools:
        assert compared.reason is None and compared.ratio.value > 0 and compared.theirs_ms.value > 0
    assert {one["tool"] for one in report.to_json()["tools"]} == {"benchmark_app", "litert-benchmark"}


@pytest.mark.slow
def test_a_tool_that_never_ends_is_ended(make_bundle, monkeypatch):
    line = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(litert, "command", lambda _: line)
    how = How(seconds=0.01, timeout=20.0)
    (found,) = compare([make_bundle("lite")], ["lite"], [1], how, 1, Recorder(Silent()))
    assert found.reason == "litert-benchmark did not end within 20 s"
