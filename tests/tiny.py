"""A network that is built into a bundle in half a second."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIZE = 32


def tiny_graph(classes: int, channels: int = 3) -> onnx.ModelProto:
    """A convolution and a depthwise one, both with Swish, and a classifier, of random weights."""
    draw = np.random.default_rng(0).normal
    weights = {
        **{"stem": draw(0, 0.4, (8, channels, 3, 3)), "stem_bias": draw(0, 0.1, 8)},
        **{"depthwise": draw(0, 0.4, (8, 1, 3, 3)), "depthwise_bias": draw(0, 0.1, 8)},
        **{"head": draw(0, 1, (classes, 8)), "head_bias": np.zeros(classes)},
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["input", "stem", "stem_bias"], ["a"], strides=[2, 2], pads=[0, 0, 1, 1]),
        node("Sigmoid", ["a"], ["a_gate"]),
        node("Mul", ["a", "a_gate"], ["b"]),
        node("Conv", ["b", "depthwise", "depthwise_bias"], ["c"], pads=[1, 1, 1, 1], group=8),
        node("Sigmoid", ["c"], ["c_gate"]),
        node("Mul", ["c", "c_gate"], ["d"]),
        node("GlobalAveragePool", ["d"], ["pooled"]),
        node("Flatten", ["pooled"], ["vector"]),
        node("Gemm", ["vector", "head", "head_bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, channels, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def smooth_photos(count: int, mode: str = "RGB") -> list[Image.Image]:
    """Photos of the network's size."""
    draw = np.random.default_rng(1).integers
    made = [Image.fromarray(draw(0, 256, (6, 6, 3), np.uint8)).convert(mode) for _ in range(count)]
    return [each.resize((SIZE, SIZE), Image.Resampling.BICUBIC) for each in made]
