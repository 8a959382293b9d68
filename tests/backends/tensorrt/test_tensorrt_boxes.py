"""Boxes out of TensorRT: the endings, what is built of them, and what is written for those who run them."""

from __future__ import annotations

import configparser
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.backends.tensorrt import box_endings, builds, rtx
from edgeeff.backends.tensorrt.check import check
from edgeeff.backends.tensorrt.device.onboard import boxes, recipes, sealed
from edgeeff.backends.tensorrt.emit import emit
from edgeeff.backends.tensorrt.fp16 import fp16_from_fp32
from edgeeff.backends.tensorrt.lint import VERSIONS, Version, lint
from edgeeff.backends.tensorrt.nms_ending import with_nms
from edgeeff.backends.tensorrt_rtx.emit import emit as emit_rtx
from edgeeff.batch import Batch
from edgeeff.board import load_board
from edgeeff.detection import Detection, Geometry, Nms, decode
from edgeeff.detection.decoding import rows_of
from edgeeff.errors import GraphError, OptionError, VerificationError
from edgeeff.graph.batch import with_batch
from edgeeff.pipeline.artifact import caution
from edgeeff.pipeline.context import Context
from edgeeff.progress import Recorder, Silent

ALIKE = {"model.float.onnx", "model.float.fp16.onnx"}


def expected(detector, raw, nms):
    pairs = zip(raw["class_logits"], raw["box_codes"], strict=True)
    return np.stack([rows_of(decode(*pair, detector.geometry, nms), nms.max_boxes) for pair in pairs])


def settled(rows):
    """Rows relative to the input, and in an order that equal scores do not leave open."""
    rows = rows / np.float32([256, 128, 256, 128, 1, 1])
    return rows[np.lexsort((*rows[:, :4].round(3).T, rows[:, 5], -rows[:, 4].round(4)))]


@pytest.mark.parametrize("across", [False, True], ids=["per class", "across"])
@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("batch", [Batch(1), Batch(3), Batch(4, True)], ids=["one", "fixed", "dynamic"])
def test_onnxs_own_nms_gives_the_boxes_of_our_decoding(tiny_detector, batch, half, across):
    nms, graph = Nms(0.2, max_boxes=30, across=across), with_batch(tiny_detector.graph, batch)
    graph = fp16_from_fp32(graph) if half else graph
    ended = with_nms(graph, Detection(tiny_detector.geometry, nms))
    onnx.shape_inference.infer_shapes(ended, check_type=True, strict_mode=True)
    pixels = tiny_detector.pixels(1 if batch.size == 1 else 3)
    found = session_of(ended.SerializeToString(), tiny_detector.preprocess).infer(pixels)
    raw = session_of(graph.SerializeToString(), tiny_detector.preprocess).infer(pixels)
    wanted = expected(tiny_detector, raw, nms)
    assert (wanted[..., 5] >= 0).sum(axis=1).min() == 30
    for own, other in zip(boxes.canonical(found)["detections"], wanted, strict=True):
        np.testing.assert_allclose(settled(own), settled(other), atol=1e-4)


def test_decoded_boxes_are_those_of_our_decoding(tiny_detector):
    detection = Detection(tiny_detector.geometry, Nms())
    model = box_endings.decoded(tiny_detector.graph, detection)
    pixels = tiny_detector.pixels(1)
    found = session_of(model.SerializeToString(), tiny_detector.preprocess).infer(pixels)
    raw = tiny_detector.raw(pixels)
    place, cls = np.unravel_index(raw["class_logits"][0].argmax(), raw["class_logits"][0].shape)
    best = expected(tiny_detector, raw, Nms(max_boxes=1))[0, 0]
    np.testing.assert_allclose(found["boxes"][0, place], best[:4], rtol=1e-5, atol=1e-3)
    assert found["scores"][0, place, cls] == pytest.approx(best[4], abs=1e-6) and cls == best[5]


@pytest.fixture(scope="module")
def files(tiny_detector):
    return emit(tiny_detector.graph, tiny_detector.emission("jetson-fp16", Nms(0.05, 0.6, 50)))


def test_a_bundle_has_boxes_for_each_tensorrt_and_a_graph_without(tiny_detector, files):
    graphs = {name for name in files if name.endswith(".onnx")}
    assert graphs == {
        *ALIKE,
        "model.float.nms.fp16.onnx",
        "model.raw.onnx",
        "model.raw.fp16.onnx",
        "deploy/deepstream/detector.onnx",
    }
    for name in ALIKE:
        (node,) = [
            n for n in onnx.load_from_string(files[name]).graph.node if n.op_type == "EfficientNMS_TRT"
        ]
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        assert attributes == {
            **{"plugin_version": b"1", "background_class": -1, "score_activation": 1, "box_coding": 1},
            **{"score_threshold": pytest.approx(0.05), "iou_threshold": pytest.approx(0.6)},
            "max_output_boxes": 50,
        }
        model = onnx.load_from_string(files[name])
        (anchors,) = [numpy_helper.to_array(t) for t in model.graph.initializer if t.name == node.input[2]]
        np.testing.assert_array_equal(anchors[0], tiny_detector.geometry.centres())
        assert list(node.input[:2]) == ["box_codes", "class_logits"]
        assert [output.name for output in model.graph.output] == list(boxes.PLUGIN)
    raw = session_of(files["model.raw.onnx"], tiny_detector.preprocess).infer(tiny_detector.pixels(1))
    wanted = tiny_detector.raw(tiny_detector.pixels(1))
    assert all(np.array_equal(raw[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    ("text", "file", "said"),
    [
        ("8.5", "model.float.onnx", set()),
        ("10.3", "model.float.onnx", set()),
        ("10.16", "model.float.fp16.onnx", {"TRT111"}),
        ("11.4", "model.float.nms.fp16.onnx", set()),
    ],
)
def test_each_version_builds_a_graph_that_keeps_its_rules(files, text, file, said):
    version = recipes.parse_version(text)
    assert recipes.recipe(version, "fp16", files).onnx == file
    assert recipes.recipe(version, "fp16", ALIKE).onnx in ALIKE  # of any other network
    assert {f.rule for f in lint(onnx.load_from_string(files[file]), [Version(*version)])} == said
    assert f"--onnx={file}" in recipes.trtexec(version, "fp16", 256, files=files)


def test_all_lines_name_their_versions(files):
    lines = list(recipes.every_trtexec(["fp16"], 256, files=files))
    assert [line for line in lines if line.startswith("#")][-2:] == [
        "# TensorRT 11.0 and 11.1",
        "# TensorRT 11.2 and later",
    ]
    assert "nms.fp16" in lines[-1] and "nms.fp16" not in lines[-3]


def test_boards_are_told_what_they_build(files):
    planned = {build.software.tensorrt: build.file for build in builds.builds(load_board("agx-orin"), files)}
    assert planned and all(
        ("nms" in file) == (recipes.parse_version(v) >= (11, 2)) for v, file in planned.items()
    )


def test_nms_across_classes_is_for_8_6_and_later(tiny_detector):
    files = emit(tiny_detector.graph, tiny_detector.emission("jetson-fp16", Nms(across=True)))
    found = [f for f in lint(onnx.load_from_string(files["model.float.onnx"])) if f.severity == "error"]
    assert [(f.rule, f.versions) for f in found] == [("TRT028", VERSIONS[:1])]
    manifest = {"detection": Detection(tiny_detector.geometry, Nms(across=True), "runtime").to_json()}
    with pytest.raises(sealed.RefusedError, match=r"that of 8\.6 does"):
        recipes.refuse(manifest, (8, 5))
    recipes.refuse(manifest, (8, 6))
    recipes.refuse({"detection": Detection(tiny_detector.geometry, Nms()).to_json()}, (8, 5))
    recipes.refuse({}, (8, 5))


def test_what_the_plugin_does_not_take_is_refused(tiny_detector):
    with pytest.raises(OptionError, match="takes an IoU above 0"):
        emit(tiny_detector.graph, tiny_detector.emission("jetson-fp16", Nms(iou=0.0)))
    other = replace(tiny_detector, geometry=Geometry((128, 128)))
    with pytest.raises(GraphError, match="3069 anchors"):
        emit(tiny_detector.graph, other.emission("jetson-fp16", Nms()))


def test_deepstream_is_told_of_a_detector(files):
    config = configparser.ConfigParser(delimiters="=", comment_prefixes="#")
    text = files["deploy/deepstream/config_infer_primary.txt"].decode()
    config.read_string(text)
    told = dict(config["property"])
    assert {key: told[key] for key in ("network-type", "cluster-mode", "num-detected-classes")} == {
        **{"network-type": "0", "cluster-mode": "4", "num-detected-classes": "3"}
    }
    assert (told["maintain-aspect-ratio"], told["symmetric-padding"]) == ("1", "0")
    assert told["output-blob-names"].split(";") == list(boxes.PLUGIN)
    assert told["parse-bbox-func-name"] == "NvDsInferParseCustomEfficientDetTAO"
    assert config["class-attrs-all"]["pre-cluster-threshold"] == "0.3"
    assert "is black there; the network knows it as 127 120 110" in text
    assert files["deploy/deepstream/labels.txt"].decode().splitlines() == ["thing 0", "thing 1", "thing 2"]
    own = onnx.load_from_string(files["deploy/deepstream/detector.onnx"])
    kinds = {value.name: value.type.tensor_type.elem_type for value in own.graph.output}
    assert [*kinds] == list(boxes.PLUGIN)
    assert kinds["detection_classes"] == onnx.TensorProto.FLOAT  # as which NVIDIA's parser reads them
    assert lint(own, VERSIONS[:3]) == []
    script = files["deploy/deepstream/run.sh"].decode()
    assert "src-crop" not in script and "width=$width" in script and "config_infer_primary.txt" in script


def test_that_deepstream_pads_black_is_a_warning(tiny_detector):
    emission, heard = tiny_detector.emission("jetson-fp16", Nms()), Recorder(Silent())
    caution(emission, Context.of(progress=heard))
    (warning,) = heard.warnings
    assert warning.startswith("DeepStream fills a letterbox with black")
    assert "127 120 110" in warning and "--letterbox 0" in warning
    black = replace(emission, preprocess=replace(emission.preprocess, letterbox=(0.0, 0.0, 0.0)))
    caution(black, Context.of(progress=(again := Recorder(Silent()))))
    assert not again.warnings


def test_triton_is_told_of_the_outputs(files):
    config = files["deploy/triton/tensorrt/tiny-jetson-fp16/config.pbtxt"].decode()
    assert (
        config.count("TYPE_INT32") == 2
        and "dims: [ 1, 50, 4 ]" in config
        and "letterbox of 127 120 110" in config
    )
    on_cpu = files["deploy/triton/onnxruntime/tiny-jetson-fp16/config.pbtxt"].decode()
    assert "model.raw.onnx" in on_cpu and "dims: [ 1, 6138, 3 ]" in on_cpu and "detection_boxes" not in on_cpu


def test_raw_heads_are_deployed_as_outputs(tiny_detector):
    files = emit(tiny_detector.graph, tiny_detector.emission("jetson-fp16", Nms(), "host"))
    assert {name for name in files if name.endswith(".onnx")} == {*ALIKE, "deploy/deepstream/features.onnx"}
    config = files["deploy/deepstream/config_infer_primary.txt"].decode()
    assert "network-type=100" in config and "output-blob-names=class_logits;box_codes" in config
    assert "maintain-aspect-ratio=1" in config
    assert "deploy/deepstream/run.sh" not in files


def test_rtx_has_raw_heads_and_decoded_boxes(tiny_detector, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="NVIDIA's parser is not installed")
    files = emit_rtx(tiny_detector.graph, tiny_detector.emission("rtx-fp16", Nms(), "host"))
    jetson = emit(tiny_detector.graph, tiny_detector.emission("jetson-fp16", Nms()))
    graphs = {"model.float.fp16.onnx", "model.float.decoded.fp16.onnx"}
    assert {name for name in files if name.endswith(".onnx")} == graphs
    for name in graphs:
        (tmp_path / name).write_bytes(files[name])
        rtx.accept(tmp_path / name)
    assert rtx.compile_graph(tmp_path / "model.float.decoded.fp16.onnx").engine
    # It has neither the plugin nor a kernel of NMS; its parser takes what stands before the plugin, and NMS.
    folder = tmp_path / "jetson"
    folder.mkdir()
    for name in jetson:
        if "/" not in name:
            (folder / name).write_bytes(jetson[name])
    report = check(folder, properties={})
    assert report.counts["rung"] == 3 and "but for EfficientNMS_TRT" in report.ladder["2"]
    with pytest.raises(VerificationError, match="EfficientNMS_TRT"):
        rtx.accept(folder / "model.float.fp16.onnx")
