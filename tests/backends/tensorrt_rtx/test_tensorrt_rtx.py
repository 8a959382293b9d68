"""The compiler itself needs no GPU, so nothing here stands in for it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("tensorrt_rtx", reason="the tensorrt-rtx extra is not installed")

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt import rtx
from edgeeff.backends.tensorrt_rtx.check import check
from edgeeff.backends.tensorrt_rtx.emit import emit
from edgeeff.backends.tensorrt_rtx.run import load
from edgeeff.errors import MissingRuntimeError
from edgeeff.files import write_folder
from edgeeff.quantization import quantize, recipe
from edgeeff.target import load_target


@pytest.fixture(scope="module")
def graph(b0):
    """A B0's strongly typed graph, from the quantiser itself."""
    target = load_target("rtx-int8")
    draft = quantize.begin(b0.graph, b0.statistics, b0.preprocess, target.scheme)
    hub = quantize.write(recipe.load("fast")(draft))
    return emit(hub, Emission("b0-rtx-int8", target, b0.preprocess, ()))["model.qdq.fp16.onnx"]


@pytest.fixture
def bundle(tmp_path, graph):
    write_folder(tmp_path, {"model.qdq.fp16.onnx": graph})
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory, graph):
    """What is made of a bundle for two capabilities."""
    folder = tmp_path_factory.mktemp("bundle")
    write_folder(folder, {"model.qdq.fp16.onnx": graph})
    return check(folder, properties={rtx.PROPERTY: "86, 89"})


def test_an_engine_and_its_plan_for_each_capability(made):
    assert (made.status, made.counts["rung"], made.fallbacks) == ("NOT RUN", 3, [])
    # All but the squeeze-excite convolutions, which the scheme leaves in float.
    assert made.counts["int8_layers"] == made.counts["quantised_layers"] == 50
    assert made.ladder["3"] == "compiles as strongly typed INT8 for SM86, SM89"
    assert "NOT RUN: they are deserialised only where their GPU is" in made.ladder["6"]
    assert set(made.files) == {
        *("model.sm86.engine", "model.sm86.plan.json", "model.sm89.engine", "model.sm89.plan.json")
    }
    plan = json.loads(made.files["model.sm86.plan.json"])
    assert (plan["compute_capability"], plan["compiler"]) == ("86", f"TensorRT-RTX {rtx.version()}")
    convolutions = [layer for layer in plan["layers"] if "stem.conv" in layer["onnx_nodes"]]
    assert "Int8" in {layer["precision"] for layer in convolutions if layer["operator"] != "kgen"}


@pytest.mark.slow
def test_what_keeps_onnxruntime_off_a_bias_costs_no_kernel(tmp_path, b0, monkeypatch):
    """A Max of one operand behind each layer that is quantised next; the same plan as without."""
    monkeypatch.setattr("edgeeff.backends.tensorrt.wide_bias._LARGEST", 0.0)
    target = load_target("rtx-int8")
    draft = quantize.begin(b0.graph, b0.statistics, b0.preprocess, target.scheme)
    hub = quantize.write(recipe.load("fast")(draft))
    plans = []
    for _ in range(2):
        content = emit(hub, Emission("b0-rtx-int8", target, b0.preprocess, ()))["model.qdq.fp16.onnx"]
        path = tmp_path / f"{len(plans)}.onnx"
        path.write_bytes(content)
        plans.append((content, rtx.compile_graph(path)))
        monkeypatch.setattr("edgeeff.backends.tensorrt.fp16.shield", lambda _: None)
    (shielded, with_nodes), (bare, without) = plans
    assert shielded.count(b"/Max") > 5 and b"/Max" not in bare
    assert [(k.operator, k.precision, k.kernel) for k in with_nodes.kernels] == [
        (k.operator, k.precision, k.kernel) for k in without.kernels
    ]
    assert with_nodes.fallbacks() == without.fallbacks() == []


def test_two_builds_give_the_same_plan_layer_by_layer(bundle, made):
    again = check(bundle, properties={rtx.PROPERTY: "86"}).files
    assert again["model.sm86.plan.json"] == made.files["model.sm86.plan.json"]
    assert len(again["model.sm86.engine"]) > 1e6


def test_a_plan_that_is_kept_is_not_made_again(bundle, made):
    write_folder(bundle / "measured", made.files)
    kept = check(bundle, properties={rtx.PROPERTY: "86, 89"})
    assert kept.files == {}
    assert (kept.layers, kept.counts, kept.ladder["3"]) == (made.layers, made.counts, made.ladder["3"])


@pytest.mark.parametrize("spoil", [lambda text: text.replace('sha256": "', 'sha256": "0'), lambda _: "[]"])
def test_unless_it_is_of_another_graph_or_damaged(bundle, made, spoil):
    text = spoil(made.files["model.sm86.plan.json"].decode())
    write_folder(bundle / "measured", {"model.sm86.plan.json": text.encode()})
    assert "model.sm86.engine" in check(bundle, properties={rtx.PROPERTY: "86"}).files


def test_a_capability_without_int8_kernels_is_a_fallback_that_names_its_layers(bundle):
    report = check(bundle, properties={rtx.PROPERTY: "75, 86"})
    assert report.status == "fallback"
    assert report.counts["rung"] == 2
    assert "stem.conv (SM75)" in report.fallbacks
    assert report.counts["int8_layers"] < report.counts["quantised_layers"] == 50


def test_an_engine_is_not_run_here(bundle, b0):
    with pytest.raises(MissingRuntimeError, match="deserialised only where its GPU is"):
        load(bundle, preprocess=b0.preprocess, input_type="float32", properties={})
