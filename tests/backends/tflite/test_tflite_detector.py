"""A small detector, drawn by hand: levels that are halved, doubled and added, and a head that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends.tflite import flatbuffer
from edgeeff.backends.tflite.check import check
from edgeeff.backends.tflite.lower import lower
from edgeeff.backends.tflite.run import load
from edgeeff.preprocess import Preprocess

SIZE, CHANNELS, ANCHORS, CLASSES = 40, 8, 3, 2
PREPROCESS = Preprocess(size=(SIZE, SIZE), mean=(127.0,) * 3, std=(128.0,) * 3)
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


def drawn(*, integers=True):
    """Levels of 20, 10, 5 and 3 pixels; the pool of 5 pixels is padded on both sides."""
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


def written(graph, folder):
    content = flatbuffer.write(lower(graph, "detector", "float32", PREPROCESS), {})
    (folder / "model.tflite").write_bytes(content)
    return content


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_it_computes_what_the_graph_says(tmp_path, pixels, integers, delegate):
    graph = drawn(integers=integers)
    written(graph, tmp_path)
    session = load(
        tmp_path,
        preprocess=PREPROCESS,
        input_type="float32",
        properties={"delegate": delegate},
        outputs=["class_logits", "box_codes"],
    )
    found = session.infer(pixels)
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
