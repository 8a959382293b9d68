"""Small random graphs of all operators: read, executed, quantised, and run by each runtime.

What a runtime computes of a hub graph is held against onnxruntime by the rule that builds are held to: 19 dB,
or no further from the hub graph than that is from the float graph, times √2, as two errors of one size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt.graphs import pair
from edgeeff.calibration.collect import collect
from edgeeff.graph import importing, passes
from edgeeff.graph.execute import execute, prepare
from edgeeff.graph.model import expand_functions
from edgeeff.preprocess import Preprocess
from edgeeff.quantization import quantize, recipe
from edgeeff.target import load_scheme, load_target

CLASSES, IMAGES = 4, 6


@dataclass
class Sheet:
    """A network being drawn: its nodes and its constants."""

    random: np.random.Generator
    size: tuple[int, int]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes) -> str:
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=f"n{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, array, kind=np.float32) -> str:
        name = f"k{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, kind), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def conv(self, x: str, inputs: int, outputs: int, kernel: int = 1, group: int = 1) -> str:
        shape = (outputs, inputs // group, kernel, kernel)
        weight = self.random.normal(0, (1.5 / (shape[1] * kernel**2)) ** 0.5, shape)
        operands = [x, self.constant(weight), self.constant(self.random.normal(0, 0.2, outputs))]
        return self.node("Conv", *operands, group=group, pads=[kernel // 2] * 4)


@st.composite
def networks(draw):
    """A model from ``x`` [N, 3, S, S] to logits, and what it is made of."""
    size = draw(st.integers(9, 16))
    sheet = Sheet(np.random.default_rng(draw(st.integers(0, 2**16))), (size, size))
    tensors = [(sheet.node("Relu", sheet.conv("x", 3, 8, 3)), (8, size, size))]
    for _ in range(draw(st.integers(2, 6))):
        x, shape = draw(st.sampled_from(tensors[-2:]))
        made = draw(st.sampled_from(STEPS))(draw, sheet, x, shape, tensors)
        if made is not None:
            tensors.append(made)
    x, (channels, _, _) = tensors[-1]
    # A dense layer in front of the head, so that its input is one that schemes quantise.
    x = sheet.node("Relu", sheet.conv(x, channels, 8))
    pooled = sheet.node("GlobalAveragePool", x)
    flat = sheet.node("Flatten", pooled)
    weight, bias = sheet.random.normal(0, 0.5, (CLASSES, 8)), sheet.random.normal(0, 0.2, CLASSES)
    sheet.node("Gemm", flat, sheet.constant(weight), sheet.constant(bias), transB=1)
    sheet.nodes[-1].output[0] = "y"
    graph = helper.make_graph(
        sheet.nodes,
        "random",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, size, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", CLASSES])],
        sheet.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def convolution(draw, sheet, x, shape, tensors):
    outputs, kernel = draw(st.sampled_from([8, 12])), draw(st.sampled_from([1, 3]))
    value = sheet.conv(x, shape[0], outputs, kernel)
    return activation(draw, sheet, value, (outputs, *shape[1:]), tensors)


def depthwise(draw, sheet, x, shape, tensors):
    return activation(draw, sheet, sheet.conv(x, shape[0], shape[0], 3, shape[0]), shape, tensors)


def activation(draw, sheet, x, shape, tensors):
    kind = draw(st.sampled_from(["Relu", "Clip", "Swish", "HardSwish", "Tanh", "HardSigmoid", "Sigmoid"]))
    if kind == "Clip":
        return sheet.node("Clip", x, sheet.constant(0.0), sheet.constant(6.0)), shape
    if kind == "Swish":
        return sheet.node("Mul", x, sheet.node("Sigmoid", x)), shape
    return sheet.node(kind, x), shape


def pooling(draw, sheet, x, shape, tensors):
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    if min(shape[1:]) < 4:
        return None
    around = draw(st.lists(st.integers(0, kernel - 1), min_size=4, max_size=4))
    up = draw(st.booleans())
    attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": around, "ceil_mode": int(up)}
    operator = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    if operator == "AveragePool":
        attributes["count_include_pad"] = int(draw(st.booleans()))
    return of_shape(sheet, sheet.node(operator, x, **attributes))


def of_shape(sheet, value):
    """A tensor with the shape that onnx's inference gives it."""
    graph = helper.make_graph(
        sheet.nodes,
        "so far",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *sheet.size])],
        [helper.make_empty_tensor_value_info(value)],
        sheet.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return value, tuple(d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim)[1:]


def resizing(draw, sheet, x, shape, tensors):
    if max(shape[1:]) > 20 or min(shape[1:]) < 2:
        return None
    if draw(st.booleans()):
        how = draw(st.sampled_from(["asymmetric", "half_pixel", "align_corners", "pytorch_half_pixel"]))
        attributes = {"mode": "linear", "coordinate_transformation_mode": how}
    else:
        how = draw(st.sampled_from(["asymmetric", "half_pixel", "align_corners"]))
        nearest = draw(st.sampled_from(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]))
        attributes = {"mode": "nearest", "coordinate_transformation_mode": how, "nearest_mode": nearest}
    if draw(st.booleans()):
        sizes = [1, shape[0], *(draw(st.integers(2, 20)) for _ in range(2))]
        # The batch is no constant: by scales where it is open.
        scales = np.float32([1, 1, *(new / old for new, old in zip(sizes[2:], shape[1:], strict=True))])
        made = [side * float(scale) for side, scale in zip(shape[1:], scales[2:], strict=True)]
        if any(0 < round(size) - size < 1e-4 for size in made):
            return None  # refused: runtimes round it to different sizes
        return of_shape(sheet, sheet.node("Resize", x, "", sheet.constant(scales), **attributes))
    factor = draw(st.sampled_from([0.5, 1.5, 2.0]))
    if attributes["mode"] == "linear" and any((side * factor) % 1 for side in shape[1:]):
        return None  # TFLite interpolates by whole sizes, and the others by the scale: refused
    return of_shape(sheet, sheet.node("Resize", x, "", sheet.constant([1, 1, factor, factor]), **attributes))


def joining(draw, sheet, x, shape, tensors):
    others = [(name, other) for name, other in tensors if other[1:] == shape[1:]]
    other, its = draw(st.sampled_from(others))
    if shape[0] + its[0] > 32:
        return None
    return sheet.node("Concat", x, other, axis=1), (shape[0] + its[0], *shape[1:])


def arithmetic(draw, sheet, x, shape, tensors):
    other = draw(st.sampled_from([name for name, its in tensors if its == shape]))
    operator = draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
    if operator == "Div":
        other = sheet.node("Add", sheet.node("Sigmoid", other), sheet.constant(0.5))
    return sheet.node(operator, x, other), shape


def with_constant(draw, sheet, x, shape, tensors):
    operator = draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
    wide = draw(st.booleans())
    values = sheet.random.uniform(0.5, 2, (shape[0], 1, 1) if wide else (1,))
    operands = [x, sheet.constant(values)]
    if operator == "Sub" and draw(st.booleans()):
        operands.reverse()
    # After something that is no layer, so that it does not vanish into its weights.
    operands = [sheet.node("Tanh", name) if name == x else name for name in operands]
    return sheet.node(operator, *operands), shape


def slicing(draw, sheet, x, shape, tensors):
    axis = draw(st.integers(1, 3))
    size = shape[axis - 1]
    if size < 4:
        return None
    start, end = draw(st.integers(0, 1)), size - draw(st.integers(0, 1))
    step = draw(st.sampled_from([1, 1, 2, -1]))
    if step < 0:
        start, end = -1, -size - 1
    numbers = [sheet.integers(v) for v in (start, end, axis, step)]
    return of_shape(sheet, sheet.node("Slice", x, *numbers))


def splitting(draw, sheet, x, shape, tensors):
    if shape[0] < 4:
        return None
    part = draw(st.integers(1, shape[0] - 1))
    a, b = sheet.node("Split", x, sheet.integers(part, shape[0] - part), outputs=2, axis=1)
    return sheet.node("Concat", b, sheet.node("Relu", a), axis=1), shape


def padding(draw, sheet, x, shape, tensors):
    if max(shape[1:]) > 20:
        return None
    amounts = [
        0,
        0,
        *(draw(st.integers(0, 2)) for _ in range(2)),
        0,
        0,
        *(draw(st.integers(0, 2)) for _ in range(2)),
    ]
    value = [sheet.constant(draw(st.sampled_from([1.0, -0.5])))] if draw(st.booleans()) else []
    made, its = of_shape(sheet, sheet.node("Pad", x, sheet.integers(*amounts), *value))
    return sheet.node("Relu", made), its


def attention(draw, sheet, x, shape, tensors):
    """A mean or sum over the channels, as a gate for each pixel."""
    if draw(st.booleans()):
        gate = sheet.node("ReduceMean", x, axes=[1], keepdims=1)
    else:
        total = sheet.node("ReduceSum", x, sheet.integers(1), keepdims=1)
        gate = sheet.node("Div", total, sheet.constant(float(shape[0])))
    return sheet.node("Mul", x, sheet.node("Sigmoid", gate)), shape


def squeeze(draw, sheet, x, shape, tensors):
    pooled = sheet.node("GlobalAveragePool", x)
    few = sheet.node("Relu", sheet.conv(pooled, shape[0], 4))
    gate = sheet.node(draw(st.sampled_from(["Sigmoid", "HardSigmoid"])), sheet.conv(few, 4, shape[0]))
    return sheet.node("Mul", gate, x), shape


def softmax(draw, sheet, x, shape, tensors):
    return sheet.node("Softmax", x, axis=1), shape


def length(draw, sheet, x, shape, tensors):
    norm = sheet.node("ReduceL2", x, axes=[1], keepdims=1)
    held = sheet.node("Clip", norm, sheet.constant(1e-12))
    if draw(st.booleans()):  # as torch writes it
        held = sheet.node("Expand", held, sheet.integers(1, *shape))
    return sheet.node("Div", x, held), shape


def channels_last(draw, sheet, x, shape, tensors):
    there = sheet.node("Transpose", x, perm=[0, 2, 3, 1])
    bent = sheet.node("Relu", sheet.node("Add", there, sheet.constant(sheet.random.normal(0, 0.3, shape[0]))))
    return sheet.node("Transpose", bent, perm=[0, 3, 1, 2]), shape


STEPS = [
    *(
        convolution,
        convolution,
        depthwise,
        activation,
        pooling,
        pooling,
        resizing,
        resizing,
        joining,
        joining,
    ),
    *(
        arithmetic,
        arithmetic,
        with_constant,
        slicing,
        splitting,
        padding,
        attention,
        squeeze,
        softmax,
        length,
    ),
    channels_last,
]


def decibels(reference, test):
    error = float(((reference - test) ** 2).sum())
    return 10 * np.log10(float((reference**2).sum()) / max(error, 1e-30))


def check(model, runtimes, make_images):
    size = model.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    preprocess = Preprocess(size=(size, size), mean=(127.0,) * 3, std=(64.0,) * 3)
    pixels = make_images(IMAGES, size, 3)
    x = preprocess.normalise(pixels)
    expected = runtimes["onnxruntime"](model, x)[0]
    imported = importing.from_proto(model, "random.onnx")
    passes.run(imported.model)
    graph = imported.model
    found = execute(prepare(graph), torch.from_numpy(x)).numpy()
    near = {"rtol": 1e-3, "atol": 1e-4 * float(np.abs(expected).max())}
    np.testing.assert_allclose(found, expected, err_msg="ours", **near)
    float_graph = onnx.shape_inference.infer_shapes(expand_functions(graph))
    for name in ("tflite", "openvino"):
        np.testing.assert_allclose(runtimes[name](float_graph, x)[0], expected, err_msg=name, **near)
    statistics = collect(graph, preprocess, [pixels])
    for scheme, names in (("tflite", ("tflite", "builtin")), ("openvino", ("openvino",)), ("tensorrt", ())):
        draft = recipe.load("fast")(quantize.begin(graph, statistics, preprocess, load_scheme(scheme)))
        hub = quantize.write(draft)
        reference = runtimes["onnxruntime"](hub, x)[0]
        assert np.isfinite(reference).all()
        bound = min(19.0, decibels(expected, reference) - 3)
        for name in names:
            assert decibels(reference, runtimes[name](hub, x)[0]) >= bound, (scheme, name)
        if scheme == "tensorrt":
            target = load_target("jetson-int8")
            files = pair(hub, Emission("random", target, preprocess, tuple("abcd"), False), "model")
            again = runtimes["onnxruntime"](onnx.load_from_string(files["model.onnx"]), x)[0]
            np.testing.assert_allclose(
                again, reference, rtol=1e-4, atol=1e-4 * float(np.abs(reference).max())
            )


QUIET = settings(
    deadline=None, database=None, derandomize=True, print_blob=False, suppress_health_check=list(HealthCheck)
)


def test_a_few(runtimes, make_images):
    @seed(2)
    @settings(QUIET, max_examples=3, derandomize=False, phases=[Phase.generate])
    @given(networks())
    def run(model):
        check(model, runtimes, make_images)

    run()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_many(number, runtimes, make_images):
    @seed(number)
    @settings(QUIET, max_examples=60, derandomize=False)
    @given(networks())
    def run(model):
        check(model, runtimes, make_images)

    run()
