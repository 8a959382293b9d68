"""A tiny detector's hub graph, and what reads Triton's configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import Emission
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.detection import Detection, Geometry, Nms
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import load_target
from edgeeff.tasks import Output, Outputs

GREY = (127.0, 120.0, 110.0)


@dataclass(frozen=True)
class TinyDetector:
    """Three convolutions, max-pools for the levels, and heads that they share; random weights.

    Args:
        graph: float32 [N, 3, H, W], normalised, to ``class_logits`` and ``box_codes``.
        geometry: Its anchors.
        classes: How many.
        preprocess: With a letterbox.
    """

    graph: onnx.ModelProto
    geometry: Geometry
    classes: int
    preprocess: Preprocess

    def emission(self, target: str, nms: Nms, where: str = "runtime", **more: Any) -> Emission:
        """What an emit is given."""
        return Emission(
            f"tiny-{target}",
            load_target(target),
            self.preprocess,
            tuple(f"thing {i}" for i in range(self.classes)),
            task="detection",
            threshold=0.3,
            outputs=(
                Output("class_logits", (1, self.geometry.count, self.classes), "scores"),
                Output("box_codes", (1, self.geometry.count, 4), "boxes"),
            ),
            detection=Detection(self.geometry, nms, where),  # type: ignore[arg-type]
            **more,
        )

    def pixels(self, images: int) -> Pixels:
        """Noise."""
        height, width = self.geometry.size
        return np.random.default_rng(5).integers(0, 256, (images, height, width, 3), np.uint8)

    def raw(self, pixels: Pixels) -> Outputs:
        """What the graph makes of raw pixels."""
        return session_of(self.graph.SerializeToString(), self.preprocess).infer(pixels)


def _detector(size: tuple[int, int], classes: int) -> TinyDetector:
    random, geometry = np.random.default_rng(0), Geometry(size)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def convolution(source: str, name: str, weights: Any, bias: Any, stride: int = 1) -> str:
        side = weights.shape[2]
        if not any(each.name == f"{name}.bias" for each in constants):
            constant(f"{name}.weight", weights.astype(np.float32))
            constant(f"{name}.bias", bias.astype(np.float32))
        result = f"{name}/{source}"
        pads, inputs = [side // 2] * 4, [source, f"{name}.weight", f"{name}.bias"]
        return node("Conv", inputs, result, kernel_shape=[side, side], pads=pads, strides=[stride, stride])

    source = "input"
    for number, channels in enumerate((3, 8, 8)):
        weights = random.normal(size=(8, channels, 3, 3)) / np.sqrt(4.5 * channels)
        made = convolution(source, f"stem{number}", weights, random.normal(size=8) / 9, 2)
        source = node("Relu", [made], f"{made}/relu")
    levels = [source]
    for number in range(geometry.levels[1] - geometry.levels[0]):
        pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        levels.append(node("MaxPool", [levels[-1]], f"pool{number}", **pool))
    heads = {
        "class_logits": (classes, random.normal(size=(geometry.at_a_place * classes, 8, 1, 1)), -5.0),
        "box_codes": (4, random.normal(size=(geometry.at_a_place * 4, 8, 1, 1)) / 4, 0.0),
    }
    for output, (last, weights, bias) in heads.items():
        parts = []
        for level, (height, width) in zip(levels, geometry.features, strict=True):
            made = convolution(level, output, weights, np.full(len(weights), bias))
            turned = node("Transpose", [made], f"{made}/turned", perm=[0, 2, 3, 1])
            shape = constant(f"{made}/shape", np.int64([0, height * width * geometry.at_a_place, last]))
            parts.append(node("Reshape", [turned, shape], f"{made}/flat"))
        node("Concat", parts, output, axis=1)
    results = {name: [1, geometry.count, last] for name, (last, *_) in heads.items()}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in results.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    preprocess = Preprocess(size, GREY, (60.0, 58.0, 57.0), letterbox=GREY)
    return TinyDetector(model, geometry, classes, preprocess)


@pytest.fixture(scope="session")
def tiny_detector() -> TinyDetector:
    """Of 128 × 256 pixels and three classes: 6138 anchors."""
    return _detector((128, 256), 3)


_FIELD = descriptor_pb2.FieldDescriptorProto
#: Of each message of Triton's model_config.proto the fields that we write: name, type, whether repeated.
_TRITON: dict[str, list[tuple[str, Any, bool]]] = {
    "ModelInput": [("name", "string", False), ("data_type", "DataType", False), ("dims", "int64", True)],
    "ModelOutput": [
        *(("name", "string", False), ("data_type", "DataType", False), ("dims", "int64", True)),
        ("label_filename", "string", False),
    ],
    "ModelDynamicBatching": [
        *(("preferred_batch_size", "int32", True), ("max_queue_delay_microseconds", "uint64", False)),
    ],
    "ModelInstanceGroup": [("count", "int32", False), ("kind", "Kind", False)],
    "ModelConfig": [
        *(("name", "string", False), ("platform", "string", False), ("max_batch_size", "int32", False)),
        *(("input", "ModelInput", True), ("output", "ModelOutput", True)),
        ("dynamic_batching", "ModelDynamicBatching", False),
        *(("instance_group", "ModelInstanceGroup", True), ("backend", "string", False)),
        ("parameters", "ParametersEntry", True),
    ],
    "ModelParameter": [("string_value", "string", False)],
    "ParametersEntry": [("key", "string", False), ("value", "ModelParameter", False)],
}
_ENUMS = {
    "DataType": ["TYPE_INVALID", "TYPE_FP32", "TYPE_UINT8"],
    "Kind": ["KIND_AUTO", "KIND_GPU", "KIND_CPU"],
}
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint64": _FIELD.TYPE_UINT64,
}


@pytest.fixture(scope="session")
def model_config() -> Any:
    """The class of Triton's ModelConfig, which reads a config.pbtxt."""
    file = descriptor_pb2.FileDescriptorProto(name="triton.proto", package="inference", syntax="proto3")
    for name, values in _ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in _TRITON.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, repeated) in enumerate(fields, 1):
            made = message.field.add(name=field, number=number)
            made.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if kind in _SCALARS:
                made.type = _SCALARS[kind]
            else:
                made.type = _FIELD.TYPE_ENUM if kind in _ENUMS else _FIELD.TYPE_MESSAGE
                made.type_name = f".inference.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))
