"""Small hub graphs, made by hand to the contract between quantisation and emitters.

A network is a function that draws it with a Pencil. It is drawn twice: in float, to measure the ranges of
its tensors, and then with Q/DQ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import Emission
from edgeeff.backends.tflite.emit import emit
from edgeeff.backends.tflite.run import TfliteSession, load
from edgeeff.preprocess import Preprocess
from edgeeff.target import InputType, load_target

CLASSES = 10
LABELS = tuple(f"class {i}" for i in range(CLASSES))
# What the graph's input holds → the scale and zero point whose codes are the pixels less 128.
SOURCES = {"normalised": (1 / 128, -1), "raw, one mean": (1.0, -1), "raw, three means": (1.0, -128)}
MEANS = np.array([124, 116, 104]).reshape(1, 3, 1, 1)


@dataclass
class Pencil:
    """Draws ONNX nodes; without ``ranges`` it draws in float, and notes what is to be measured."""

    ranges: dict[str, tuple[float, float]] | None = None
    stem_std: float = 1.0
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def node(self, operator: str, *inputs: str, name: str = "", **attributes) -> str:
        name = name or f"{operator.lower()}_{sum(n.op_type == operator for n in self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, array) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def quantize(self, value: str, scale: float | None = None, zero_point: int | None = None) -> str:
        self.measured.append(value)
        if self.ranges is None:
            return value
        if scale is None or zero_point is None:
            low, high = min(self.ranges[value][0], 0.0), max(self.ranges[value][1], 0.0)
            scale = (high - low) / 255
            zero_point = round(-128 - low / scale)
        parameters = self.constant(np.float32(scale)), self.constant(np.int8(zero_point))
        codes = self.node("QuantizeLinear", value, *parameters, name=f"{value}.codes")
        return self.node("DequantizeLinear", codes, *parameters, name=f"{value}.real")

    def weights(self, array: np.ndarray) -> str:
        if self.ranges is None:
            return self.constant(array)
        scale = np.abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True) / 127
        codes = self.constant(np.rint(array / scale).astype(np.int8))
        parameters = self.constant(scale.reshape(-1)), self.constant(np.zeros(scale.size, np.int8))
        return self.node("DequantizeLinear", codes, *parameters, name=f"{codes}.real", axis=0)

    def normal(self, deviation: float, *shape: int) -> np.ndarray:
        return self.random.normal(0, deviation, shape).astype(np.float32)

    def conv(self, x: str, inputs: int, outputs: int, kernel=1, *, stride=1, pads=(0,) * 4, group=1) -> str:
        w = self.normal((inputs // group * kernel**2 / 2) ** -0.5, outputs, inputs // group, kernel, kernel)
        if inputs == 3:
            w = w / np.float32(self.stem_std)
        attributes = {"strides": [stride, stride], "pads": list(pads), "group": group}
        return self.node("Conv", x, self.weights(w), self.constant(self.normal(0.2, outputs)), **attributes)

    def relu6(self, x: str) -> str:
        return self.quantize(self.node("Clip", x, self.constant(np.float32(0)), self.constant(np.float32(6))))

    def swish(self, x: str) -> str:
        """The convolution's output, its sigmoid and the product: each quantised."""
        x = self.quantize(x)
        return self.quantize(self.node("Mul", x, self.sigmoid(x)))

    def sigmoid(self, x: str) -> str:
        return self.quantize(self.node("Sigmoid", x), 1 / 256, -128)

    def pool(self, x: str) -> str:
        return self.quantize(self.node("GlobalAveragePool", x))

    def head(self, x: str, channels: int) -> str:
        pooled = self.node("Flatten", self.pool(x), axis=1)
        w, b = self.normal(channels**-0.5 * 2, CLASSES, channels), self.normal(0.2, CLASSES)
        return self.quantize(self.node("Gemm", pooled, self.weights(w), self.constant(b), transB=1))

    def model(self, output: str, size: int) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "hub",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, size, size])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, CLASSES])],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        rename(model, output, "logits")
        onnx.checker.check_model(model, full_check=True)
        return onnx.shape_inference.infer_shapes(model)


def rename(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for value in model.graph.output:
        value.name = new if value.name == old else value.name


def lite(p: Pencil, x: str) -> str:
    """ReLU6, depthwise, a residual addition; TF SAME throughout (symmetric on odd sizes)."""
    x = p.relu6(p.conv(x, 3, 8, 3, stride=2, pads=(1, 1, 1, 1)))
    x = skip = p.quantize(p.conv(x, 8, 16))
    x = p.relu6(p.conv(x, 16, 48))
    x = p.relu6(p.conv(x, 48, 48, 5, pads=(2, 2, 2, 2), group=48))
    x = p.quantize(p.node("Add", p.quantize(p.conv(x, 48, 16)), skip))
    x = p.relu6(p.conv(x, 16, 48))
    x = p.relu6(p.conv(x, 48, 48, 3, stride=2, pads=(1, 1, 1, 1), group=48))
    return p.head(x, 48)


def asymmetric(p: Pencil, x: str) -> str:
    """TF SAME at stride 2 on even sizes: more below and right than above and left."""
    x = p.relu6(p.conv(x, 3, 16, 3, stride=2, pads=(0, 0, 1, 1)))
    x = p.relu6(p.conv(x, 16, 32, 5, stride=2, pads=(1, 1, 2, 2)))
    x = p.relu6(p.conv(x, 32, 32, 5, stride=2, pads=(1, 1, 2, 2), group=32))
    return p.head(x, 32)


def odd_padding(p: Pencil, x: str) -> str:
    """torchvision's padding at stride 2 on an even size, and one that nobody uses: neither is SAME."""
    x = p.relu6(p.conv(x, 3, 16, 3, stride=2, pads=(1, 1, 1, 1)))
    x = p.relu6(p.conv(x, 16, 16, 3, pads=(2, 0, 1, 3), group=16))
    return p.head(x, 16)


def swish_se(p: Pencil, x: str) -> str:
    """Swish in steps, and a squeeze-excite gate in either operand order."""
    x = p.swish(p.conv(x, 3, 16, 3, stride=2, pads=(0, 0, 1, 1)))
    for gate_first in (False, True):
        x = p.swish(p.conv(x, 16, 16, 3, pads=(1, 1, 1, 1), group=16))
        squeezed = p.swish(p.conv(p.pool(x), 16, 4))
        gate = p.sigmoid(p.quantize(p.conv(squeezed, 4, 16)))
        x = p.quantize(p.node("Mul", *((gate, x) if gate_first else (x, gate))))
        x = p.quantize(p.conv(x, 16, 16))
    return p.head(x, 16)


# Each drawing with the size of its images.
DRAWINGS = {
    "lite": (lite, 33),
    "asymmetric": (asymmetric, 32),
    "odd_padding": (odd_padding, 32),
    "swish_se": (swish_se, 32),
}


@dataclass(frozen=True)
class Example:
    """A small network: its hub graph, its float graph, and images for it."""

    hub: onnx.ModelProto
    float_graph: onnx.ModelProto
    preprocess: Preprocess
    source: str
    pixels: np.ndarray

    def graph_input(self, pixels: np.ndarray) -> np.ndarray:
        """What the graph's ``input`` is for raw pixels."""
        if self.source == "normalised":
            return self.preprocess.normalise(pixels)
        return pixels.transpose(0, 3, 1, 2).astype(np.float32)

    def reference(self, graph: onnx.ModelProto) -> np.ndarray:
        """What onnxruntime makes of the images, without rewriting the graph."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(graph.SerializeToString(), options)
        inputs = self.graph_input(self.pixels)
        return np.concatenate([session.run(["logits"], {"input": image[None]})[0] for image in inputs])

    def emission(
        self, input_type: InputType, *, softmax: bool = False, task: str = "classification"
    ) -> Emission:
        target = replace(load_target("mobile-int8"), input=input_type)
        return Emission("example", target, self.preprocess, LABELS, softmax, task=task)


def draw(name: str, source: str = "normalised") -> Example:
    """Draw a network: once in float, to measure it, and once with Q/DQ."""
    drawing, size = DRAWINGS[name]

    def sketch(ranges: dict[str, tuple[float, float]] | None) -> tuple[Pencil, str]:
        p = Pencil(ranges, stem_std=1.0 if source == "normalised" else 128.0)
        x = "input"
        if source == "raw, one mean":
            x = p.node("Sub", x, p.constant(np.full((1, 3, 1, 1), 127, np.float32)))
        x = p.quantize(x, *SOURCES[source])
        if source == "raw, three means" and ranges is None:
            x = p.node("Sub", x, p.constant(MEANS.astype(np.float32)))
        elif source == "raw, three means":
            codes = p.constant((MEANS - 128).astype(np.int8))
            parameters = p.constant(np.float32(1)), p.constant(np.int8(-128))
            x = p.node("Sub", x, p.node("DequantizeLinear", codes, *parameters, name="means"))
        return p, drawing(p, p.quantize(x) if source == "raw, three means" else x)

    pencil, output = sketch(None)
    float_graph = pencil.model(output, size)
    # Images with structure: noise alone would leave every average near the middle.
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (8, 4, 4, 3))
    pixels = np.kron(coarse, np.ones((1, 9, 9, 1)))[:, :size, :size] + random.normal(
        0, 20, (8, size, size, 3)
    )
    preprocess = Preprocess(size=(size, size), mean=(127.0,) * 3, std=(128.0,) * 3)
    example = Example(float_graph, float_graph, preprocess, source, np.clip(pixels, 0, 255).astype(np.uint8))
    hub, output = sketch(_ranges(example, pencil))
    return replace(example, hub=hub.model(output, size))


def _ranges(example: Example, pencil: Pencil) -> dict[str, tuple[float, float]]:
    names = [name for name in dict.fromkeys(pencil.measured) if name != "input"]
    probe = onnx.ModelProto()
    probe.CopyFrom(example.float_graph)
    produced = {name for node in probe.graph.node for name in node.output}
    wanted = [name if name in produced else "logits" for name in names]
    probe.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in wanted if n != "logits")
    session = onnxruntime.InferenceSession(probe.SerializeToString())
    inputs = example.graph_input(example.pixels)
    values = [session.run(wanted, {"input": image[None]}) for image in inputs]
    return {
        name: (min(v[i].min() for v in values), max(v[i].max() for v in values))
        for i, name in enumerate(names)
    }


@pytest.fixture(scope="session")
def examples() -> Callable[..., Example]:
    """Draws a network by its name and the source of its input; each is drawn once."""
    return cache(draw)


@pytest.fixture
def open_session(tmp_path: Path) -> Callable[..., TfliteSession]:
    """Emits a graph of an example into ``tmp_path`` and loads it."""

    def open_it(
        example: Example,
        input_type: InputType = "float32",
        *,
        graph=None,
        softmax=False,
        task="classification",
        **properties: str,
    ):
        graph = example.hub if graph is None else graph
        for name, content in emit(graph, example.emission(input_type, softmax=softmax, task=task)).items():
            (tmp_path / name).write_bytes(content)
        return load(tmp_path, preprocess=example.preprocess, input_type=input_type, properties=properties)

    return open_it
