from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeeff.backends import Evidence
from edgeeff.backends.tensorrt.emit import emit
from edgeeff.backends.tensorrt.examine import examine
from edgeeff.bundle import Manifest, write_bundle
from edgeeff.target import load_target


@pytest.fixture
def pixels():
    return np.random.default_rng(5).integers(0, 256, (3, 32, 32, 3), np.uint8)


@pytest.fixture
def examined(tmp_path, lite_hub, lite_float, emission, run_onnx, pixels):
    """``examined(largest, hub=…, **target)``: what is found out about a bundle of the lite network."""

    def run(largest=None, target="jetson-int8", hub=lite_hub, shown=None, **changes):
        chosen = replace(emission, target=replace(load_target(target), **changes))
        graph = hub if chosen.target.precision == "int8" else lite_float
        files = emit(graph, replace(chosen, float_graph=lambda: lite_float))
        manifest = Manifest(
            name="tiny",
            model="tiny",
            target=target,
            runtime=chosen.target.runtime,
            precision=chosen.target.precision,
            input=chosen.target.input,
            softmax=False,
            cpu_class="vnni",
            preprocess=emission.preprocess,
            labels=(),
            classes=10,
            runtime_properties={},
            digests={},
            tools={},
            files={},
        )
        bundle = write_bundle(tmp_path / "tiny", manifest, files)
        native = pixels.transpose(0, 3, 1, 2).astype(np.float32)
        if chosen.target.input == "float32":
            native = emission.preprocess.normalise(pixels)
        evidence = Evidence(
            pixels,
            {"logits": run_onnx(lite_float, native)[0]},
            {"logits": run_onnx(shown or hub, native)[0]} if chosen.target.precision == "int8" else None,
            lambda: largest or {"stem": 3.0, "head": 7.0},
        )
        return examine(bundle, evidence)

    return run


def test_all_four_graphs_of_an_int8_bundle_are_run(examined):
    found = examined()
    numerics = found.report["numerics"]
    assert set(numerics) == {
        *("model.qdq.onnx", "model.qdq.fp16.onnx", "model.float.onnx", "model.float.fp16.onnx")
    }
    assert numerics["model.qdq.onnx"]["sqnr_hub_db"] == "inf"
    assert 25 < numerics["model.qdq.fp16.onnx"]["sqnr_hub_db"] < 90
    assert numerics["model.float.onnx"]["sqnr_float_db"] == "inf"
    assert 40 < numerics["model.float.fp16.onnx"]["sqnr_float_db"] < 90
    assert "model.qdq.onnx inf dB to the hub graph" in found.ladder["0"]
    assert found.warnings == []
    assert set(found.report["lint"]) == set(numerics)


@pytest.mark.parametrize("input_type", ["float32", "uint8"])
def test_raw_pixels_and_normalised_ones_are_taken(examined, input_type):
    assert examined(input=input_type).report["numerics"]["model.qdq.onnx"]["sqnr_hub_db"] == "inf"


def test_an_fp16_bundle_is_held_against_the_float_graph(examined):
    numerics = examined(target="jetson-fp16").report["numerics"]
    assert set(numerics) == {"model.float.onnx", "model.float.fp16.onnx"}
    assert all("sqnr_hub_db" not in found for found in numerics.values())


def test_a_graph_that_computes_something_else_is_warned_of(examined, swish_hub):
    found = examined(shown=swish_hub)
    assert any(w.startswith("model.qdq.onnx is ") and "dB from the graph" in w for w in found.warnings)


@pytest.mark.parametrize(
    ("largest", "warned"), [(100.0, False), (16_000.0, False), (17_000.0, True), (70_000.0, True)]
)
def test_the_room_that_fp16_leaves_is_told(examined, largest, warned):
    found = examined({"stem": 2.0, "blocks.3.add": largest})
    assert found.report["fp16"] == {
        "largest": largest,
        "tensor": "blocks.3.add",
        "limit": 65504.0,
        "share": largest / 65504,
    }
    assert any(line.startswith("fp16 ") and "blocks.3.add" in line for line in found.lines)
    assert any("blocks.3.add reached" in warning for warning in found.warnings) == warned


def test_activations_that_are_not_numbers_are_warned_of(examined):
    found = examined({"stem": 3.0, "blocks.3.add": float("nan"), "head": 5.0})
    assert any("blocks.3.add reached nan" in warning for warning in found.warnings)
    assert found.report["fp16"]["largest"] == "nan"
