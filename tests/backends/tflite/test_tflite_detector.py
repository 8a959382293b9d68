"""A small detector, drawn by hand: levels that are halved, doubled and added, and a head that they share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import flatbuffers
import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import Emission, artifact_outputs
from edgeeff.backends.tflite.check import check
from edgeeff.backends.tflite.emit import emit
from edgeeff.backends.tflite.metadata import read
from edgeeff.backends.tflite.run import load
from edgeeff.batch import Batch
from edgeeff.detection import HOST, RUNTIME, Detection, Geometry, Nms, matched
from edgeeff.detection.decoding import rows_of
from edgeeff.errors import OptionError
from edgeeff.graph.batch import with_batch
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target
from edgeeff.tasks.detection import boxes_of

SIZE, CHANNELS, ANCHORS, CLASSES = 40, 8, 3, 2
PREPROCESS = Preprocess(size=(SIZE, SIZE), mean=(127.0,) * 3, std=(128.0,) * 3)
GEOMETRY = Geometry((SIZE, SIZE), (1, 4), 3, ((1.0, 1.0),), 2.0)
LABELS = ("cat", "dog")
STEP = 8 / 255  # of every activation but the heads', which lie in −4…4


@dataclass
class Drawing:
    """A graph that grows; in float it has no Q/DQ."""

    integers: bool

    def __post_init__(self):
        self.nodes, self.constants = [], {}
        self.random = np.random.default_rng(3)

    def node(self, operator, *inputs, **attributes):
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, array):
        name = f"constant_{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def codes(self, x, scale=STEP, zero_point=0):
        if not self.integers:
            return x
        parameters = self.constant(np.float32(scale)), self.constant(np.int8(zero_point))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, *parameters), *parameters)

    def weights(self, outputs, inputs, kernel):
        shape = (outputs, inputs, kernel, kernel)
        codes = self.random.integers(-127, 128, shape).astype(np.int8)
        return self.constant(codes), codes, (127 * inputs**0.5 * kernel) ** -1

    def conv(self, x, weights, factor=1.0, **attributes):
        """With the same codes wherever they are given, at a scale of its own."""
        name, codes, scale = weights
        scales = np.full(len(codes), scale * factor, np.float32)
        bias = self.constant(np.linspace(-0.5, 0.5, len(codes), dtype=np.float32))
        if self.integers:
            zero = self.constant(np.zeros(len(codes), np.int8))
            w = self.node("DequantizeLinear", name, self.constant(scales), zero, axis=0)
        else:
            w = self.constant(codes * scales[0])
        return self.node("Conv", x, w, bias, **attributes)

    def relu6(self, x):
        clamped = self.node("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6)))
        return self.codes(clamped, 6 / 255, -128)

    def resized(self, x, size):
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        sizes = self.constant(np.array([1, CHANNELS, size, size], np.int64))
        return self.node("Resize", x, "", "", sizes, **how)

    def model(self):
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        made = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in ("class_logits", "box_codes")
        ]
        source = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])
        graph = helper.make_graph(self.nodes, "detector", [source], made, constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(model, full_check=True)
        return model


def drawn(*, integers=True, float_codes=False):
    """Levels of 20, 10, 5 and 3 pixels; the pool of 5 pixels is padded on both sides.

    With ``float_codes`` the last layers of the box head stay float.
    """
    d = Drawing(integers)
    pool = {"kernel_shape": [3, 3], "strides": [2, 2]}
    x = d.codes("input", 1 / 128, -1)
    stem = d.weights(CHANNELS, 3, 3)
    levels = [d.relu6(d.conv(x, stem, pads=[0, 0, 1, 1], strides=[2, 2]))]
    levels.append(
        d.codes(d.conv(levels[0], d.weights(CHANNELS, CHANNELS, 3), pads=[0, 0, 1, 1], strides=[2, 2]))
    )
    levels.append(d.node("MaxPool", levels[-1], pads=[0, 0, 1, 1], **pool))
    levels.append(d.node("MaxPool", levels[-1], pads=[1, 1, 1, 1], **pool))
    for i, size in ((2, 5), (1, 10), (0, 20)):
        added = d.node("Add", levels[i], d.resized(levels[i + 1], size))
        mixed = d.conv(
            d.relu6(added) if i else d.codes(added), d.weights(CHANNELS, 1, 3), pads=[1] * 4, group=CHANNELS
        )
        levels[i] = d.codes(mixed, STEP * (1 + i / 3), i)
    for name, width in (("class_logits", CLASSES), ("box_codes", 4)):
        head, parts = d.weights(ANCHORS * width, CHANNELS, 1), []
        for number, level in enumerate(levels):
            # One scale for all levels, so that they can stand in one tensor.
            d.integers = integers and not (float_codes and name == "box_codes")
            found = d.codes(d.conv(level, head, 1 + number / 10), 1 / 20, 5)
            rows = d.node("Transpose", found, perm=[0, 2, 3, 1])
            parts.append(d.node("Reshape", rows, d.constant(np.array([1, -1, width], np.int64))))
        d.codes(d.node("Concat", *parts, axis=1), 1 / 20, 5)
        d.nodes[-1].output[0] = name
    return d.model()


@pytest.fixture(scope="module")
def pixels():
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (2, 5, 5, 3))
    return np.clip(np.kron(coarse, np.ones((1, 8, 8, 1))), 0, 255).astype(np.uint8)


def reference(graph, pixels):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
    found = [session.run(None, {"input": image[None]}) for image in PREPROCESS.normalise(pixels)]
    names = [output.name for output in graph.graph.output]
    return {name: np.concatenate(parts) for name, parts in zip(names, zip(*found, strict=True), strict=True)}


def emission(where=HOST, input_type="float32", **nms):
    target = replace(load_target("mobile-int8"), input=input_type)
    facts = Detection(GEOMETRY, Nms(**nms), where)
    return Emission("detector", target, PREPROCESS, LABELS, task="detection", detection=facts)


def written(graph, folder, asked=None):
    """The file's content, which is written into the folder."""
    for name, content in emit(graph, asked or emission()).items():
        (folder / name).write_bytes(content)
    return (folder / "model.tflite").read_bytes()


def opened(folder, asked, **properties):
    names = list(asked.detection.outputs(CLASSES))
    return load(
        folder,
        preprocess=PREPROCESS,
        input_type=asked.target.input,
        properties=properties,
        outputs=names,
    )


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_it_computes_what_the_graph_says(tmp_path, pixels, integers, delegate):
    graph = drawn(integers=integers)
    written(graph, tmp_path)
    found = opened(tmp_path, emission(), delegate=delegate).infer(pixels)
    for name, expected in reference(graph, pixels).items():
        assert expected.shape == (2, (400 + 100 + 25 + 9) * ANCHORS, CLASSES if name == "class_logits" else 4)
        assert expected.std() > 0.2
        # Some sums lie between two codes, and the heads carry what is rounded otherwise on.
        assert np.abs(found[name] - expected).max() < (0.4 if integers else 1e-4)
        assert np.abs(found[name] - expected).mean() < 0.02


@pytest.mark.parametrize("integers", [True, False])
def test_xnnpack_takes_it_in_one_piece(tmp_path, integers):
    written(drawn(integers=integers), tmp_path)
    report = check(tmp_path, properties={})
    assert (report.status, report.counts["delegate_nodes"], report.counts["outside"]) == ("ok", 1, 0)
    assert integers == (report.counts["float32_operators"] == 0)


def test_shared_weights_are_written_once(tmp_path):
    graph = schema.ModelT.InitFromPackedBuf(written(drawn(), tmp_path)).subgraphs[0]
    weights = [t for t in graph.tensors if t.buffer and list(t.shape) == [ANCHORS * 4, 1, 1, CHANNELS]]
    assert len(weights) == 4 and len({t.buffer for t in weights}) == 1
    assert len({float(t.quantization.scale[0]) for t in weights}) == 4


@pytest.mark.parametrize("input_type", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("nms", [{}, {"across": True}, {"score": 0.4, "iou": 0.3}, {"max_boxes": 7}], ids=str)
def test_boxes_that_the_file_makes_are_those_of_numpy(tmp_path, pixels, nms, input_type):
    graph = drawn(integers=input_type != "float32")
    written(graph, tmp_path)
    raw = opened(tmp_path, emission()).infer(pixels)
    asked = emission(RUNTIME, input_type, **nms)
    written(graph, tmp_path, asked)
    found = opened(tmp_path, asked).infer(pixels)
    (output,) = artifact_outputs(asked)
    assert found["detections"].shape == (2, *output.shape[1:])
    pairs = zip(boxes_of(found, asked.meaning), boxes_of(raw, asked.meaning), strict=True)
    for ours, numpys in pairs:
        assert len(numpys) > 5
        np.testing.assert_allclose(ours.scores, numpys.scores, atol=1e-6)
        # Of boxes with one score, as codes have them, either may drop the other.
        assert (matched(ours, numpys, 0.999) >= 0).mean() >= (1 if input_type == "float32" else 0.8)


def test_places_without_a_box_are_empty_after_a_run_that_filled_them(tmp_path, pixels):
    asked = emission(RUNTIME, score=0.62, max_boxes=30)
    written(drawn(), tmp_path, asked)
    session = opened(tmp_path, asked)
    alone = session.infer(np.zeros_like(pixels[:1]))["detections"]
    assert len(boxes_of(session.infer(pixels), asked.meaning)[0]) == 30
    np.testing.assert_array_equal(session.infer(np.zeros_like(pixels[:1]))["detections"], alone)
    (boxes,) = boxes_of({"detections": alone}, asked.meaning)
    assert len(boxes) < 30
    np.testing.assert_array_equal(alone[0], rows_of(boxes, 30))


def test_all_but_the_boxes_is_one_piece(tmp_path):
    written(drawn(), tmp_path, emission(RUNTIME))
    report = check(tmp_path, properties={})
    assert (report.status, report.counts["delegate_nodes"], report.counts["outside"]) == ("ok", 1, 1)


@pytest.mark.parametrize("batch", [Batch(2), Batch(4, dynamic=True)])
def test_boxes_of_several_images_are_refused(batch):
    with pytest.raises(OptionError, match="one image") as error:
        emit(with_batch(drawn(), batch), emission(RUNTIME))
    assert "--nms host" in error.value.mend
    assert emit(with_batch(drawn(), batch), emission())


def test_an_iou_that_the_operator_does_not_take_is_refused():
    with pytest.raises(OptionError, match="IoU over 0") as error:
        emit(drawn(), emission(RUNTIME, iou=0.0))
    assert "--nms host" in error.value.mend


@pytest.mark.parametrize("where", [HOST, RUNTIME])
def test_labels_are_in_the_file(tmp_path, where):
    assert read(written(drawn(), tmp_path, emission(where))).labels == LABELS


@pytest.mark.slow
@pytest.mark.parametrize("where", [HOST, RUNTIME])
@pytest.mark.parametrize(
    ("input_type", "float_codes"), [("float32", False), ("uint8", False), ("uint8", True)]
)
def test_mediapipe_finds_the_same_boxes(tmp_path, pixels, where, input_type, float_codes):
    """NOT RUN where mediapipe is not installed: it is no dependency, it brings OpenCV with it."""
    mediapipe = pytest.importorskip("mediapipe", reason="NOT RUN: mediapipe is not installed")
    from mediapipe.tasks.python import BaseOptions, vision

    # Where MediaPipe makes the boxes it drops some in its own way: all candidates are held against them.
    asked = emission(where, input_type, **({"iou": 1.0, "max_boxes": 3000} if where == HOST else {}))
    written(drawn(float_codes=float_codes), tmp_path, asked)
    expected = boxes_of(opened(tmp_path, asked).infer(pixels), asked.meaning)
    options = vision.ObjectDetectorOptions(
        base_options=BaseOptions(model_asset_path=str(tmp_path / "model.tflite")), score_threshold=0.4
    )
    with vision.ObjectDetector.create_from_options(options) as detector:
        for image, boxes in zip(pixels, expected, strict=True):
            shown = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            found = detector.detect(shown).detections
            assert len(found) > 5
            scores = [
                (LABELS.index(one.categories[0].category_name), one.categories[0].score) for one in found
            ]
            ours = [*zip(boxes.classes.tolist(), boxes.scores.tolist(), strict=True)]
            for one in scores:
                assert any(one == pytest.approx(other, abs=1e-5) for other in ours)
            best, first = found[0].bounding_box, boxes[0]
            assert scores[0] == pytest.approx(ours[0], abs=1e-5)
            corner = max(first.left, 0), max(first.top, 0)
            assert (best.origin_x, best.origin_y) == pytest.approx(corner, abs=1.1)


def test_boxes_of_a_file_of_another_origin_are_known_by_their_operator(tmp_path, pixels):
    """As Model Maker writes it: in another order, by names that say nothing, without a signature."""
    asked = emission(RUNTIME)
    model = schema.ModelT.InitFromPackedBuf(written(drawn(), tmp_path, asked))
    expected = opened(tmp_path, asked).infer(pixels)["detections"]
    (graph,) = model.subgraphs
    for number, index in enumerate(graph.outputs):
        graph.tensors[index].name = f"StatefulPartitionedCall:{3 - number}"
    graph.outputs, model.signatureDefs = [*reversed(graph.outputs)], None
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "model.tflite").write_bytes(bytes(builder.Output()))
    np.testing.assert_array_equal(opened(tmp_path, asked).infer(pixels)["detections"], expected)


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_codes_that_stay_float_bring_logits_in_float(tmp_path, pixels, input_type):
    asked = emission(HOST, input_type)
    graph = drawn(float_codes=True)
    written(graph, tmp_path, asked)
    session = opened(tmp_path, asked)
    assert {t["dtype"] for t in session.interpreter.get_output_details()} == {np.float32}
    for name, expected in reference(graph, pixels).items():
        assert np.abs(session.infer(pixels)[name] - expected).mean() < 0.05
    assert check(tmp_path, properties={}).counts["delegate_nodes"] == 1
