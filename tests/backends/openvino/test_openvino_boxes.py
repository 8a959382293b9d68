"""Boxes out of OpenVINO: what its own operators make of a detector, against edgeeff's decoding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import openvino as ov
import pytest

from edgeeff.backends.openvino import usage
from edgeeff.backends.openvino.check import check
from edgeeff.backends.openvino.emit import emit
from edgeeff.backends.openvino.run import compile_model, load
from edgeeff.batch import Batch
from edgeeff.detection import Geometry, Nms, decode
from edgeeff.detection.decoding import rows_of
from edgeeff.errors import GraphError
from edgeeff.graph.batch import with_batch
from edgeeff.target import load_target

PROPERTIES = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture
def made(tiny_detector, tmp_path):
    """``made(nms, …)``: the artifact's folder."""

    def make(nms, where="runtime", batch=None, **more):
        batch = batch or Batch(1)
        emission = tiny_detector.emission("cpu-fp32", nms, where, batch=batch, **more)
        for name, content in emit(with_batch(tiny_detector.graph, batch), emission).items():
            (tmp_path / name).write_bytes(content)
        return tmp_path

    return make


def session(folder, detector, **more):
    outputs = more.pop("outputs", ("detections",))
    kind = load_target("cpu-fp32").input
    return load(
        folder,
        preprocess=detector.preprocess,
        input_type=kind,
        properties=PROPERTIES,
        outputs=outputs,
        **more,
    )


def expected(detector, pixels, nms):
    raw = detector.raw(pixels)
    pairs = zip(raw["class_logits"], raw["box_codes"], strict=True)
    return np.stack([rows_of(decode(*pair, detector.geometry, nms), nms.max_boxes) for pair in pairs])


def settled(rows):
    """Rows relative to the input, and in an order that equal scores do not leave open."""
    rows = rows / np.float32([256, 128, 256, 128, 1, 1])
    return rows[np.lexsort((*rows[:, :4].round(3).T, rows[:, 5], -rows[:, 4].round(4)))]


@pytest.mark.parametrize("across", [False, True], ids=["per class", "across"])
@pytest.mark.parametrize(
    ("score", "iou", "boxes"),
    [(0.05, 0.5, 100), (0.01, 0.3, 7), (0.5, 0.9, 40), (1 - 1e-9, 0.5, 5)],
)
def test_the_boxes_are_those_of_our_decoding(tiny_detector, made, score, iou, boxes, across):
    nms, pixels = Nms(score, iou, boxes, across), tiny_detector.pixels(2)
    found = session(made(nms), tiny_detector).infer(pixels)
    assert set(found) == {"detections"}
    wanted = expected(tiny_detector, pixels, nms)
    assert found["detections"].shape == wanted.shape == (2, boxes, 6)
    assert found["detections"].dtype == np.float32
    assert (wanted[..., 5] >= 0).any() == (score < 0.9)  # of the last there is nothing to find
    for own, other in zip(found["detections"], wanted, strict=True):
        np.testing.assert_allclose(settled(own), settled(other), atol=1e-4)


@pytest.mark.parametrize("across", [False, True], ids=["per class", "across"])
@pytest.mark.parametrize("batch", [Batch(3), Batch(4, True)], ids=["fixed", "dynamic"])
def test_images_of_a_run_keep_their_boxes(tiny_detector, made, batch, across):
    nms, pixels = Nms(0.2, max_boxes=30, across=across), tiny_detector.pixels(5)
    found = session(made(nms, batch=batch), tiny_detector).infer(pixels)["detections"]
    wanted = expected(tiny_detector, pixels, nms)
    assert len({rows.tobytes() for rows in wanted}) == 5
    np.testing.assert_allclose(found, wanted, atol=5e-3)


def test_what_comes_before_the_boxes_stays_as_it_is(tiny_detector, made):
    folder = made(Nms(), "host")
    outputs = ("class_logits", "box_codes")
    found = session(folder, tiny_detector, outputs=outputs).infer(tiny_detector.pixels(1))
    raw = tiny_detector.raw(tiny_detector.pixels(1))
    for name in outputs:
        np.testing.assert_allclose(found[name], raw[name], atol=1e-3)
    info = ov.Core().read_model(folder / "model.xml").get_rt_info("model_info").astype(dict)
    assert "model_type" not in info  # no reader of model_info decodes them


def test_the_readme_says_that_model_api_has_one_colour_for_the_letterbox(tiny_detector):
    emission = tiny_detector.emission("cpu-fp32", Nms(), "runtime")
    assert "leaves free with one value: 119." in usage.boxes(emission)
    grey = replace(emission, preprocess=replace(emission.preprocess, letterbox=(119.0, 119.0, 119.0)))
    assert "Model API" not in usage.boxes(grey)


def test_readers_of_model_info_are_told_of_the_letterbox(made):
    model = ov.Core().read_model(made(Nms()) / "model.xml")
    told = {key: model.get_rt_info(["model_info", key]).astype(str) for key in ("model_type", "resize_type")}
    assert told == {"model_type": "SSD", "resize_type": "fit_to_window"}
    assert model.get_rt_info(["model_info", "pad_value"]).astype(int) == 119
    assert model.get_rt_info(["model_info", "confidence_threshold"]).astype(float) == 0.3
    assert model.get_rt_info(["model_info", "labels"]).astype(str) == "thing_0 thing_1 thing_2"


def test_the_ending_is_float32_and_nothing_else_changes_its_kernel(made):
    folder = made(Nms())
    report = check(folder, properties=PROPERTIES)
    (ending,) = [layer for layer in report.layers if layer.operator == "DetectionOutput"]
    assert ending.precision == "f32"
    assert report.status == "ok"


def test_the_same_boxes_are_the_same_bytes(tiny_detector, made):
    folder = made(Nms())
    first = {name: (folder / name).read_bytes() for name in ("model.xml", "model.bin")}
    made(Nms(across=True))
    made(Nms())
    assert {name: (folder / name).read_bytes() for name in first} == first


def test_anchors_of_another_network_are_refused(tiny_detector):
    other = replace(tiny_detector, geometry=Geometry((128, 128)))
    with pytest.raises(GraphError, match="3069 anchors"):
        emit(tiny_detector.graph, other.emission("cpu-fp32", Nms()))


def test_the_last_layers_give_float32_where_the_rest_is_bf16(tiny_detector, tmp_path):
    """Rounded to bf16, many boxes would share a score."""
    if "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has no bf16")
    types = {}
    for target in ("cpu-int8", "cpu-bf16"):
        for name, content in emit(tiny_detector.graph, tiny_detector.emission(target, Nms(), "host")).items():
            (tmp_path / name).write_bytes(content)
        model = compile_model(tmp_path, {"INFERENCE_PRECISION_HINT": "bf16"}, 1).get_runtime_model()
        types[target] = {
            node.get_friendly_name(): node.get_rt_info()["outputPrecisions"].astype(str)
            for node in model.get_ordered_ops()
            if node.get_rt_info()["layerType"].astype(str) == "Convolution"
        }
    heads = {name for name in types["cpu-int8"] if "class_logits" in name or "box_codes" in name}
    assert len(heads) == 10
    assert {types["cpu-int8"][name] for name in heads} == {"f32"}
    assert {types["cpu-int8"][name] for name in set(types["cpu-int8"]) - heads} == {"bf16"}
    assert "bf16" in {types["cpu-bf16"][name] for name in heads & set(types["cpu-bf16"])}


def test_a_readers_own_letterbox_leaves_the_network_its_sizes(tiny_detector, tmp_path):
    """Model API resizes in front of the network, to sizes that only a run knows."""
    for name, content in emit(tiny_detector.graph, tiny_detector.emission("cpu-int8", Nms())).items():
        (tmp_path / name).write_bytes(content)
    model = ov.Core().read_model(tmp_path / "model.xml")
    whole = ov.Core().compile_model(model, "CPU", PROPERTIES)(tiny_detector.pixels(1))[0]
    model.reshape(ov.PartialShape([-1, -1, -1, 3]))
    assert model.output(0).partial_shape == ov.PartialShape([1, 1, 100, 7])
    found = ov.Core().compile_model(model, "CPU", PROPERTIES)(tiny_detector.pixels(1))[0]
    np.testing.assert_allclose(found, whole, atol=1e-5)
