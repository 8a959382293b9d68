"""Two small hub graphs of the tensorrt scheme, laid out as the quantiser does; scales are from a real run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import Emission
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target

SIZE, CLASSES = 32, 10

SIMULATED = Path(__file__).with_name("simulated_device")
#: How a simulated CUDA runtime behaves with graphs.
GRAPHS = {"graphs": "-DGRAPHS=0", "failing": "-DGRAPHS=900", "none": "-UGRAPHS"}


class HubBuilder:
    """Writes a network node by node: float without ``ranges`` (noting what to observe), else with Q/DQ."""

    def __init__(self, ranges: dict[str, float] | None) -> None:
        self.ranges = ranges
        self.rng = np.random.default_rng(7)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.observed: list[str] = []

    def constant(self, name: str, value: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{output}/{op}", **attributes))
        return output

    def quantised(self, tensor: str) -> str:
        if self.ranges is None:
            self.observed.append(tensor)
            return tensor
        if not any(n.op_type == "QuantizeLinear" and n.input[0] == tensor for n in self.nodes):
            scale = self.constant(f"{tensor}_scale", np.float32(self.ranges[tensor] / 127))
            zero = self.constant(f"{tensor}_zero_point", np.int8(0))
            self.node("QuantizeLinear", [tensor, scale, zero], f"{tensor}_q")
            self.node("DequantizeLinear", [f"{tensor}_q", scale, zero], f"{tensor}_dq")
        return f"{tensor}_dq"

    def weight(self, name: str, shape: tuple[int, ...], int8: bool) -> str:
        value = self.rng.normal(size=shape, scale=1.5 / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        if self.ranges is None or not int8:
            return self.constant(f"{name}_weight", value)
        scale = (np.abs(value).reshape(shape[0], -1).max(axis=1) / 127).astype(np.float32)
        codes = np.rint(value / scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int8)
        inputs = [
            self.constant(f"{name}_weight_q", codes),
            self.constant(f"{name}_weight_scale", scale),
            self.constant(f"{name}_weight_zero_point", np.zeros(shape[0], np.int8)),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}_weight", axis=0)

    def conv(
        self,
        x: str,
        name: str,
        before: int,
        after: int,
        kernel: int = 1,
        stride: int = 1,
        group: int = 1,
        int8: bool = True,
    ) -> str:
        inputs = [
            self.quantised(x) if int8 else x,
            self.weight(name, (after, before // group, kernel, kernel), int8),
            self.constant(f"{name}_bias", self.rng.normal(size=after, scale=0.1).astype(np.float32)),
        ]
        # The padding of stride 2 is the asymmetric one that TensorFlow's SAME gives.
        total = max(kernel - stride, 0)
        pads = [total // 2, total // 2, total - total // 2, total - total // 2]
        return self.node(
            "Conv", inputs, name, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=group, pads=pads
        )

    def relu6(self, x: str) -> str:
        low = self.constant(f"{x}_min", np.float32(0))
        high = self.constant(f"{x}_max", np.float32(6))
        return self.node("Clip", [x, low, high], f"{x}_relu6")

    def swish(self, x: str) -> str:
        return self.node("Mul", [x, self.node("Sigmoid", [x], f"{x}_sigmoid")], f"{x}_swish")

    def model(self, outputs: list[str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "hub",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
            self.constants,
        )
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def _lite(b: HubBuilder) -> None:
    x = b.relu6(b.conv("input", "stem", 3, 16, 3, 2))
    x = b.relu6(b.conv(x, "depthwise0", 16, 16, 3, 1, 16))
    skip = b.conv(x, "project0", 16, 16)
    x = b.relu6(b.conv(skip, "expand1", 16, 32))
    x = b.relu6(b.conv(x, "depthwise1", 32, 32, 5, 1, 32))
    x = b.conv(x, "project1", 32, 16)
    x = b.node("Add", [x, b.quantised(skip)], "residual1")
    x = b.relu6(b.conv(x, "head", 16, 32))
    x = b.quantised(b.node("GlobalAveragePool", [x], "pooled"))
    _gemm(b, b.node("Flatten", [x], "flat", axis=1))


def _swish(b: HubBuilder) -> None:
    x = b.swish(b.conv("input", "stem", 3, 16, 3, 2))
    x = b.swish(b.conv(x, "depthwise0", 16, 16, 3, 2, 16))
    gate = b.node("GlobalAveragePool", [x], "squeeze")
    gate = b.swish(b.conv(gate, "se_reduce", 16, 4, int8=False))
    gate = b.node("Sigmoid", [b.conv(gate, "se_expand", 4, 16, int8=False)], "gate")
    x = b.node("Mul", [gate, x], "gated")
    x = b.conv(x, "project0", 16, 24)
    x = b.swish(b.conv(x, "head", 24, 32))
    x = b.node("Flatten", [b.node("GlobalAveragePool", [x], "pooled")], "flat", axis=1)
    _gemm(b, b.quantised(x))


def _gemm(b: HubBuilder, x: str) -> None:
    bias = b.constant("classifier_bias", b.rng.normal(size=CLASSES, scale=0.1).astype(np.float32))
    b.node("Gemm", [x, b.weight("classifier", (CLASSES, 32), True), bias], "logits", transB=1)


def normalised_images(count: int, seed: int) -> np.ndarray:
    """Smooth random pictures, normalised: float32 [count, 3, SIZE, SIZE]."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 3, SIZE // 8, SIZE // 8)).astype(np.float32)
    return np.clip(np.kron(coarse, np.ones((1, 1, 8, 8), np.float32)), -1, 1)


def run(
    model: onnx.ModelProto | bytes, images: np.ndarray, outputs: list[str] | None = None
) -> list[np.ndarray]:
    """onnxruntime on one image at a time, with its optimisations off (they break FP16-typed Q/DQ graphs)."""
    content = model if isinstance(model, bytes) else model.SerializeToString()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    rows = [session.run(outputs, {"input": images[i : i + 1]}) for i in range(len(images))]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def make_float(network: Any) -> onnx.ModelProto:
    plain = HubBuilder(None)
    network(plain)
    return plain.model([])


def make_hub(network: Any) -> onnx.ModelProto:
    plain = HubBuilder(None)
    network(plain)
    names = sorted(set(plain.observed) - {"input"})
    values = run(plain.model(names), normalised_images(8, 0), names)
    ranges = {name: float(np.abs(value).max()) for name, value in zip(names, values, strict=True)}
    quantised = HubBuilder(ranges | {"input": 1.0})
    network(quantised)
    return quantised.model([])


@pytest.fixture(scope="session", params=["lite", "swish"])
def hub(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return make_hub({"lite": _lite, "swish": _swish}[request.param])


@pytest.fixture(scope="session")
def lite_hub() -> onnx.ModelProto:
    return make_hub(_lite)


@pytest.fixture(scope="session")
def swish_hub() -> onnx.ModelProto:
    return make_hub(_swish)


@pytest.fixture(scope="session")
def lite_float() -> onnx.ModelProto:
    """What ``lite_hub`` was made of."""
    return make_float(_lite)


@pytest.fixture(scope="session")
def swish_float() -> onnx.ModelProto:
    """What ``swish_hub`` was made of."""
    return make_float(_swish)


@pytest.fixture(scope="session")
def run_onnx() -> Any:
    return run


@pytest.fixture(scope="session")
def unseen() -> np.ndarray:
    return normalised_images(6, 1)


@pytest.fixture
def emission() -> Emission:
    preprocess = Preprocess((SIZE, SIZE), (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
    return Emission("tiny", load_target("jetson-int8"), preprocess, [f"class {i}" for i in range(CLASSES)])


@pytest.fixture(scope="session")
def cudart(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``cudart(kind)``: the folder of a simulated CUDA runtime."""
    if shutil.which("gcc") is None:
        pytest.skip("the simulated CUDA runtime needs gcc")

    def make(kind: str) -> Path:
        folder = tmp_path_factory.getbasetemp() / f"cudart-{kind}"
        if not folder.is_dir():
            folder.mkdir()
            library = folder / "libcudart.so"
            subprocess.run(
                ["gcc", "-shared", "-fPIC", GRAPHS[kind], "-o", library, SIMULATED / "cudart.c"], check=True
            )
        return folder

    return make


@pytest.fixture(scope="session")
def simulated_tensorrt() -> Path:
    """The folder of a module ``tensorrt`` whose engines onnxruntime computes."""
    return SIMULATED
