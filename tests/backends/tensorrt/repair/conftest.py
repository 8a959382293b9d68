"""A small Q/DQ network in ONNX's text form, and what a repair must keep of it: every bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper, parser

from edgeeff.backends.tensorrt.repair import repair

#: A quantised convolution between a quantised input and an unquantised output.
BODY = """
    q = QuantizeLinear (x, s, z)
    d = DequantizeLinear (q, s, z)
    w = DequantizeLinear <axis = 0> (w8, ws, wz)
    y = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (d, w, b)
"""


def usual() -> dict[str, np.ndarray]:
    """The constants of that network, as TensorRT takes them."""
    random = np.random.default_rng(5)
    return {
        "s": np.float32(0.03),
        "z": np.int8(0),
        "w8": random.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8),
        "ws": random.uniform(0.001, 0.01, 6).astype(np.float32),
        "wz": np.zeros(6, np.int8),
        "b": random.standard_normal(6).astype(np.float32),
    }


@pytest.fixture
def constants() -> dict[str, np.ndarray]:
    return usual()


@pytest.fixture(scope="session")
def network() -> Callable[..., onnx.ModelProto]:
    """``network(body, opset=17, valid=True, **constants)``: from x [1, 4, 8, 8] to y; None leaves one out."""

    def make(body: str = BODY, opset: int = 17, valid: bool = True, **changed: Any) -> onnx.ModelProto:
        header = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>'
        model = parser.parse_model(f"{header} g (float[1, 4, 8, 8] x) => (float y) {{ {body} }}")
        model.graph.output[0].type.tensor_type.ClearField("shape")
        for name, value in {**usual(), **changed}.items():
            if value is not None:
                model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        for place, node in enumerate(model.graph.node):
            node.name = f"{node.op_type}_{place}"
        if valid:
            model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
            onnx.checker.check_model(model, full_check=True)
        return model

    return make


def execute(model: onnx.ModelProto, x: np.ndarray | None = None) -> np.ndarray:
    """The output in onnxruntime, computed as the graph is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (entry,) = session.get_inputs()
    if x is None:
        x = 2 * np.random.default_rng(3).standard_normal((1, 4, 8, 8), np.float32)
    return session.run(None, {entry.name: x})[0]


@pytest.fixture(scope="session")
def computed() -> Callable[..., np.ndarray]:
    return execute


@pytest.fixture
def repaired() -> Callable[[onnx.ModelProto], tuple[onnx.ModelProto, str]]:
    """``repaired(model)``: the valid graph that computes the same to the bit, and the one sentence told."""

    def check(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
        before = model.SerializeToString()
        result, (sentence,) = repair(model)
        assert model.SerializeToString() == before
        onnx.checker.check_model(result, full_check=True)
        np.testing.assert_array_equal(execute(result), execute(model))
        assert repair(result) == (result, [])
        return result, sentence

    return check


@pytest.fixture(scope="session")
def values() -> Callable[[onnx.ModelProto], dict[str, np.ndarray]]:
    """The initializers of a graph, by name."""
    return lambda model: {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.fixture(scope="session")
def operators() -> Callable[[onnx.ModelProto], list[str]]:
    """The operators of a graph, in order."""
    return lambda model: [node.op_type for node in model.graph.node]


@pytest.fixture(scope="session")
def constant_node() -> Callable[..., onnx.NodeProto]:
    return lambda name, **attributes: helper.make_node("Constant", [], [name], **attributes)
