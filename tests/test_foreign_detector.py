"""A detector's .tflite of elsewhere as a bundle: four outputs of the post-process, labels, and its refusals.

The files are written by our own emitter, with the outputs and the labels that the public operator has.
"""

from __future__ import annotations

import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import Emission
from edgeeff.backends.tflite.emit import emit as written
from edgeeff.detection import HOST, RUNTIME, Detection, Geometry, Nms
from edgeeff.errors import GraphError, LabelsError, OptionError
from edgeeff.foreign import emit
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target
from edgeeff.tasks.detection import boxes_of

SIDE, CLASSES = 16, 2
GEOMETRY = Geometry((SIDE, SIDE), levels=(3, 3))
MEAN, STD = (127.0,) * 3, (128.0,) * 3


def detector():
    """One convolution for each head, of stride 8."""
    random = np.random.default_rng(0)
    nodes, constants = [], []
    for name, last in (("class_logits", CLASSES), ("box_codes", 4)):
        weight = random.normal(0, 0.1, (9 * last, 3, 8, 8)).astype(np.float32)
        constants.append(numpy_helper.from_array(weight, f"{name}.weight"))
        shape = np.array([1, GEOMETRY.count, last], np.int64)
        constants.append(numpy_helper.from_array(shape, f"{name}.shape"))
        nodes += [
            helper.make_node("Conv", ["input", f"{name}.weight"], [f"{name}.map"], strides=[8, 8]),
            helper.make_node("Transpose", [f"{name}.map"], [f"{name}.last"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"{name}.last", f"{name}.shape"], [name]),
        ]
    made = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, GEOMETRY.count, last])
        for n, last in (("class_logits", CLASSES), ("box_codes", 4))
    ]
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "detector", [image], made, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """``theirs(labels, where=RUNTIME)``: a file with these labels packed behind it."""

    def make(labels=("cat", "dog"), where=RUNTIME):
        preprocess = Preprocess(size=(SIDE, SIDE), mean=MEAN, std=STD)
        detection = Detection(GEOMETRY, Nms(score=0.05, max_boxes=7), where)
        emission = Emission(
            *("theirs", load_target("mobile-fp32"), preprocess, tuple(map(str, range(CLASSES)))),
            task="detection",
            detection=detection,
        )
        path = tmp_path_factory.mktemp("theirs") / "model_maker.tflite"
        content = written(detector(), emission)["model.tflite"]
        # Metadata and labels are a zip archive behind the flatbuffer: ours goes, theirs comes.
        path.write_bytes(content[: content.find(b"PK\x03\x04")] if b"PK\x03\x04" in content else content)
        if labels:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr("labelmap.txt", "\n".join(labels) + "\n")
        return path

    return make


def bundle_of(path, tmp_path, **options):
    return emit(path, target="mobile-fp32", output=tmp_path, **options)


def test_it_runs_as_a_bundle_with_its_own_labels(theirs, tmp_path):
    bundle = bundle_of(theirs(), tmp_path, mean=MEAN, std=STD)
    said = bundle.manifest
    assert (said.task, said.labels, said.classes, said.input) == ("detection", ("cat", "dog"), 2, "float32")
    assert said.preprocess.letterbox == MEAN and said.detection.nms.max_boxes == 7
    measured = bundle.read_measured("verification.json")
    assert measured["not_run"].startswith("NOT RUN") and measured["warnings"] == []
    pixels = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    found = bundle.session().infer(pixels)
    assert found["detections"].shape == (1, 7, 6)
    (boxes,) = boxes_of(found, said.meaning)
    assert "num_detections" not in (bundle.folder / "README.md").read_text("utf-8")
    assert len(boxes.scores) and set(boxes.classes) <= {0, 1} and boxes.corners.max() > 1  # pixels


def test_normalisation_that_nobody_says_is_a_warning(theirs, tmp_path):
    warnings = bundle_of(theirs(), tmp_path).read_measured("verification.json")["warnings"]
    assert any("--mean and --std" in text for text in warnings)


@pytest.mark.parametrize(
    ("labels", "given", "expected"),
    [
        (("???", "dog"), None, ("dog",)),  # a background's column, which the operator leaves out
        (("dog",), None, ("dog",)),
        (("cat", "???"), None, ("cat", "(no class 1)")),
        ((), ("a", "b"), ("a", "b")),
        ((), None, ("0", "1")),
    ],
)
def test_labels_and_the_background_column(theirs, tmp_path, labels, given, expected):
    bundle = bundle_of(theirs(labels), tmp_path, mean=MEAN, std=STD, labels=given)
    assert bundle.manifest.labels == expected
    warned = any("one too high" in t for t in bundle.read_measured("verification.json")["warnings"])
    assert warned == (expected == ("0", "1"))


def test_what_is_refused(theirs, tmp_path):
    with pytest.raises(LabelsError, match=r"3 labels for .*2 columns"):
        bundle_of(theirs(("a", "b", "c")), tmp_path)
    with pytest.raises(GraphError, match="does not end in TFLite_Detection_PostProcess"):
        bundle_of(theirs(where=HOST), tmp_path)
    with pytest.raises(OptionError, match="target of TFLite"):
        emit(theirs(), target="cpu-int8", output=tmp_path)
    with pytest.raises(OptionError, match="--iou for"):
        bundle_of(theirs(), tmp_path, iou=0.4)
    with pytest.raises(GraphError, match=r"absent\.tflite cannot be read: No such file"):
        bundle_of(tmp_path / "absent.tflite", tmp_path)
    (tmp_path / "damaged.tflite").write_bytes(theirs().read_bytes()[:200])
    with pytest.raises(GraphError, match=r"damaged\.tflite cannot be loaded"):
        bundle_of(tmp_path / "damaged.tflite", tmp_path)
