"""Each operator alone, in float and between Q/DQ: OpenVINO and LiteRT compute what onnxruntime does."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from edgeeff.graph.operators import discover

DOUBLED = "CONCATENATION DEPTH_TO_SPACE"
I = "pads = [1, 1, 1, 1]"  # noqa: E741
#: Operator → bodies from ``x`` [1, 4, 8, 6] to ``y``, and the TFLite operators that its integers become.
BODIES = {
    "Add": [("y = Add (x, k)", "ADD")],
    "AveragePool": [
        ("y = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (x)", "DEPTHWISE_CONV_2D"),
        (
            "y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]> (x)",
            "AVERAGE_POOL_2D",
        ),
        (f"y = AveragePool <kernel_shape = [3, 3], {I}> (x)", "AVERAGE_POOL_2D"),
        (f"y = AveragePool <kernel_shape = [3, 3], strides = [2, 2], {I}> (x)", "PAD AVERAGE_POOL_2D MUL"),
    ],
    "Clip": [("y = Clip (x, low, six)", "RELU6")],
    "Concat": [
        ("b = Relu (x) y = Concat <axis = 1> (x, b)", None),
        ("y = Concat <axis = 1> (x, x, x, x, x, x, x)", "CONCATENATION CONCATENATION"),
    ],
    "Div": [("y = Div (x, k)", None), ("b = Sigmoid (x) y = Div (x, b)", None)],
    "GlobalAveragePool": [("y = GlobalAveragePool (x)", "MEAN")],
    "HardSigmoid": [("y = HardSigmoid <alpha = 0.1666667, beta = 0.5> (x)", None)],
    "HardSwish": [("y = HardSwish (x)", "HARD_SWISH")],
    "Identity": [("b = Identity (x) y = Relu (b)", None)],
    "LpNormalization": [("y = LpNormalization <axis = 1> (x)", "L2_NORMALIZATION")],
    "MaxPool": [
        ("y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)", "MAX_POOL_2D"),
        (f"y = MaxPool <kernel_shape = [3, 3], {I}> (x)", "MAX_POOL_2D"),
        (
            f"y = MaxPool <kernel_shape = [3, 3], strides = [2, 2], {I}> (x)",
            "SLICE SLICE CONCATENATION SLICE SLICE CONCATENATION MAX_POOL_2D",
        ),
        ("y = MaxPool <kernel_shape = [5, 3], pads = [4, 0, 1, 2]> (x)", "PADV2 MAX_POOL_2D"),
    ],
    "Mul": [("y = Mul (x, k)", "MUL")],
    "Pad": [
        ("y = Pad (x, amounts)", "PAD"),
        ("y = Pad (x, amounts, two)", "PADV2"),
    ],
    "ReduceL2": [("y = ReduceL2 <axes = [1]> (x)", None)],
    "ReduceMean": [("y = ReduceMean <axes = [1]> (x)", "MEAN"), ("y = ReduceMean <axes = [2]> (x)", "MEAN")],
    "ReduceSum": [("y = ReduceSum (x, one)", "SUM")],
    "Relu": [("y = Relu (x)", "RELU")],
    "Reshape": [
        ("y = Reshape (x, wide)", "TRANSPOSE RESHAPE"),
        ("y = Reshape (x, square)", "TRANSPOSE RESHAPE TRANSPOSE"),
    ],
    "Resize": [
        (f'y = Resize <mode = "{mode}", coordinate_transformation_mode = "{how}"{more}> (x, , {by})', made)
        for mode, how, more, by, made in (
            ("nearest", "asymmetric", ', nearest_mode = "floor"', "double", DOUBLED),
            ("nearest", "half_pixel", "", "double", DOUBLED),
            ("nearest", "asymmetric", ', nearest_mode = "floor"', "fourfold", f"{DOUBLED} {DOUBLED}"),
            ("nearest", "asymmetric", ', nearest_mode = "floor"', "threefold", "RESIZE_NEAREST_NEIGHBOR"),
            ("nearest", "asymmetric", ', nearest_mode = "ceil"', "more", "GATHER GATHER"),
            ("linear", "half_pixel", "", "double", "RESIZE_BILINEAR"),
            ("linear", "align_corners", "", "double", "RESIZE_BILINEAR"),
            ("linear", "asymmetric", "", "half", "RESIZE_BILINEAR"),
        )
    ]
    + [
        # Halved and rounded up by the level below, 5 × 3 becomes 9 × 5.
        (
            "b = Slice (x, zero, five, two_axis) c = Slice (b, zero, three, last) "
            'y = Resize <mode = "nearest", nearest_mode = "floor", '
            'coordinate_transformation_mode = "asymmetric"> (c, , , odd)',
            f"SLICE SLICE {DOUBLED} SLICE",
        )
    ],
    "Sigmoid": [("y = Sigmoid (x)", "LOGISTIC")],
    "Slice": [
        ("y = Slice (x, one, three, two_axis)", "SLICE"),
        ("y = Slice (x, zero, many, two_axis, two_step)", "STRIDED_SLICE"),
        ("y = Slice (x, last, before, two_axis, back)", "STRIDED_SLICE"),
        ("y = Slice (x, one, three, one)", "SLICE"),
    ],
    "Softmax": [("y = Softmax <axis = 1> (x)", "SOFTMAX")],
    "Split": [("y, b = Split <axis = 1> (x)", "SLICE")],
    "Sqrt": [("b = Relu (x) y = Sqrt (b)", None)],
    "Squeeze": [("b = ReduceMean <axes = [2]> (x) y = Squeeze (b, two_axis)", None)],
    "Sub": [("y = Sub (x, k)", "SUB")],
    "Tanh": [("y = Tanh (x)", "TANH")],
    "Transpose": [
        ("y = Transpose <perm = [0, 2, 3, 1]> (x)", "TRANSPOSE"),
        ("b = Transpose <perm = [0, 2, 3, 1]> (x) y = Reshape (b, anchors)", "RESHAPE"),
    ],
    "Unsqueeze": [("f = Flatten (x) y = Unsqueeze (f, one)", None)],
}
#: What tests of the emitter are of: layers, and Q/DQ themselves.
ELSEWHERE = {"Conv", "Gemm", "Flatten", "QuantizeLinear", "DequantizeLinear"}


def ints(*values):
    return np.array(values, np.int64)


CONSTANTS = {
    "k": np.array([0.5, -1.5, 2.0, 3.0], np.float32).reshape(1, 4, 1, 1),
    **{"low": np.float32(0), "six": np.float32(6), "two": np.float32(2)},
    **{"amounts": ints(0, 0, 1, 2, 0, 1, 0, 1), "one": ints(1), "three": ints(3), "two_axis": ints(2)},
    **{"zero": ints(0), "many": ints(2**31 - 1), "two_step": ints(2), "back": ints(-1)},
    **{"last": ints(-1), "before": ints(-(2**31)), "wide": ints(1, 4, 48), "square": ints(1, 8, 6, 4)},
    "double": np.array([1, 1, 2, 2], np.float32),
    "anchors": ints(1, 96, 2),
    "five": ints(5),
    "odd": ints(1, 4, 9, 5),
    "fourfold": np.array([1, 1, 4, 4], np.float32),
    "threefold": np.array([1, 1, 3, 3], np.float32),
    "more": np.array([1, 1, 1.5, 1.5], np.float32),
    "half": np.array([1, 1, 0.5, 0.5], np.float32),
}
CASES = [
    pytest.param(body, made, id=f"{operator}-{number}")
    for operator, bodies in BODIES.items()
    for number, (body, made) in enumerate(bodies)
]
#: The scale that TFLite's specification fixes; else one is fitted to what comes out.
FIXED = {name: operator.traits.fixed for name, operator in discover().items() if operator.traits.fixed}


def model_of(body, source="x"):
    text = f'<ir_version: 8, opset_import: ["" : 17]> one (float[1,4,8,6] {source}) => (float y) {{ {body} }}'
    model = parser.parse_model(text)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    read = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in CONSTANTS.items() if k in read)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    return model


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(5).uniform(-3, 3, (1, 4, 8, 6)).astype(np.float32)


def between(body, low, high):
    """The body between Q/DQ: its input in −3…3, its constants of numbers, its output in low…high."""
    scale, last = 6 / 255, model_of(body).graph.node[-1].op_type
    made_scale, made_zero = FIXED.get(last) or ((high - low) / 255, round(-128 - low / ((high - low) / 255)))
    constants = {
        "sx": np.float32(scale),
        "zx": np.int8(0),
        "sy": np.float32(made_scale),
        "zy": np.int8(made_zero),
        "kq": np.array([21, -64, 85, 127], np.int8).reshape(1, 4, 1, 1),
        "sk": np.float32(3 / 127),
    }
    inner = body.replace("(x, k)", "(x, kd)").replace("y =", "v =").replace("y, b", "v, b")
    text = (
        "q = QuantizeLinear (i, sx, zx) x = DequantizeLinear (q, sx, zx) "
        f"kd = DequantizeLinear (kq, sk, zx) {inner} "
        "p = QuantizeLinear (v, sy, zy) y = DequantizeLinear (p, sy, zy)"
    )
    CONSTANTS.update(constants)
    return model_of(text, "i")


def test_every_operator_that_is_lowered_or_executed_is_here():
    operators = discover().values()
    assert {operator.name for operator in operators if operator.lower is not None} == set(BODIES) | ELSEWHERE
    executed = {operator.name for operator in operators if operator.execute is not None}
    assert executed - set(BODIES) - ELSEWHERE == {"BatchNormalization", "Gather", "Swish"}


@pytest.mark.parametrize(("body", "made"), CASES)
def test_in_float(body, made, image, runtimes):
    model = model_of(body)
    expected = runtimes["onnxruntime"](model, image)[0]
    ours = () if "Split" in body else ("ours",)  # imported as a Slice for each part
    for name in ("openvino", "tflite", *ours):
        found = runtimes[name](model, image)[0]
        assert found.shape == expected.shape, name
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(("body", "made"), CASES)
def test_between_codes(body, made, image, runtimes, codes):
    """Two steps of the quantiser at most: where a kernel rounds inside, or brings one scale to another."""
    (real,) = runtimes["onnxruntime"](model_of(body), image)
    model = between(body, min(0.0, float(real.min())), max(0.0, float(real.max())))
    (expected,) = runtimes["onnxruntime"](model, image)
    steps = {
        t.name: float(numpy_helper.to_array(t)) for t in model.graph.initializer if t.name in ("sx", "sy")
    }
    # A mean has the scale of what it is taken of, and is brought to another behind the kernel.
    step = max(steps.values()) if "AveragePool" in body else steps["sy"]
    for name in ("openvino", "tflite", "builtin"):
        (found,) = runtimes[name](model, image)
        assert found.shape == expected.shape, name
        assert np.abs(found - expected).max() <= 2.01 * step, name
    if made is not None:
        inner = [code for code in codes(model) if code not in ("QUANTIZE", "DEQUANTIZE")]
        assert inner == made.split() and codes(model).count("DEQUANTIZE") == 1
