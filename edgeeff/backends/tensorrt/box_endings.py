"""A detector's last operators in TensorRT: from class logits and box codes to boxes, all in float32.

FP16 coordinates step by a quarter of a pixel at 512, so an ending stands behind the casts to float32.

| from | ends in |
|---|---|
| TensorRT 8.5 to 11.1 | the plugin EfficientNMS_TRT, which decodes the 5000 best candidates itself |
| 11.2 on, where nobody verified the plugin (deprecated since 10.12) | NonMaxSuppression: ``nms_ending.py`` |
| TensorRT-RTX, which has no NMS | decoded boxes and scores of all anchors |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends.tensorrt.device.onboard.boxes import PLUGIN
from edgeeff.detection import Detection
from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.errors import GraphError, OptionError

#: The plugin's operator, and a domain for it: onnx checks no operator of a domain that it does not know,
#: and parsers go by the name alone.
OPERATOR, DOMAIN = "EfficientNMS_TRT", "TRT"
#: What the decoded graph gives: corners float32 [N, A, 4], left, top, right, bottom in pixels of the input,
#: and scores float32 [N, A, C], 0…1.
CORNERS, SCORES = "boxes", "scores"
_PREFIX, _AGNOSTIC = "detection", "class_agnostic"


class Ending:
    """Operators added behind a detector's raw graph, which is copied."""

    def __init__(self, model: onnx.ModelProto, detection: Detection) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        self.graph, self.detection = self.model.graph, detection
        shapes = {value.name: _sides(value) for value in self.graph.output}
        count = detection.geometry.count
        if set(shapes) != {LOGITS, CODES} or any(sides[1:2] != [count] for sides in shapes.values()):
            listed = ", ".join(f"{name} {sides}" for name, sides in shapes.items())
            raise GraphError(
                f"a detector of {count} anchors has {LOGITS} and {CODES}, and this graph {listed}",
                mend="give the anchors that the network was trained with, or build with --nms host",
            )
        self.images, _, self.classes = shapes[LOGITS]
        self._number = 0

    def constant(self, value: Any, name: str = "") -> str:
        """Add a constant."""
        name = name or self._free("constant")
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def whole(self, *values: int) -> str:
        """Add a constant int64 [M]."""
        return self.constant(np.array(values, np.int64))

    def node(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node of one output."""
        output = output or self._free(operator.lower())
        self.graph.node.append(
            helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **attributes)
        )
        return output

    def nodes(self, operator: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """Add a node of several outputs."""
        outputs = [self._free(operator.lower()) for _ in range(count)]
        name = f"{outputs[0]}/{operator}"
        self.graph.node.append(helper.make_node(operator, inputs, outputs, name=name, **attributes))
        return outputs

    def maximum(self, source: str, *axes: int) -> str:
        """The largest over some axes, which are left out; from opset 18 on they are an input."""
        versions = [entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")]
        if max(versions) < 18:
            return self.node("ReduceMax", [source], axes=axes, keepdims=0)
        return self.node("ReduceMax", [source, self.whole(*axes)], keepdims=0)

    def finished(self, results: dict[str, tuple[int, list[int]]]) -> onnx.ModelProto:
        """The graph with other outputs: for each its element type, and its dimensions but the images'."""
        # They say which tensors the raw outputs were: see :func:`without`.
        self.graph.value_info.extend(self.graph.output)
        del self.graph.output[:]
        for name, (kind, sides) in results.items():
            shape = [self.images or "batch", *sides]
            self.graph.output.append(helper.make_tensor_value_info(name, kind, shape))
        return self.model

    def _free(self, kind: str) -> str:
        self._number += 1
        return f"{_PREFIX}/{kind}{self._number}"


def refuse(detection: Detection) -> None:
    """Refuse settings that the plugin does not take.

    Raises:
        OptionError: There are such.
    """
    if detection.nms.iou <= 0:
        raise OptionError(
            f"--iou {detection.nms.iou:g}: {OPERATOR} takes an IoU above 0",
            mend="give a larger one, or build with --nms host",
        )


def with_plugin(model: onnx.ModelProto, detection: Detection) -> onnx.ModelProto:
    """The graph with the plugin's four outputs: ``num_detections``, ``detection_boxes`` (y1, x1, y2, x2 in
    pixels of the input), ``detection_scores`` and ``detection_classes``.

    Args:
        model: With float32 outputs ``class_logits`` and ``box_codes``.
        detection: Its anchors, and which boxes are kept.

    Raises:
        GraphError: The graph has other outputs, or they are of other anchors.
    """
    ending, nms = Ending(model, detection), detection.nms
    anchors = ending.constant(detection.geometry.centres()[None], f"{_PREFIX}/anchors")
    attributes: dict[str, Any] = {
        "plugin_version": "1",
        "score_threshold": float(nms.score),
        "iou_threshold": float(nms.iou),
        "max_output_boxes": nms.max_boxes,
        "background_class": -1,
        "score_activation": 1,
        "box_coding": 1,
    }
    if nms.across:  # 8.5 does not know the attribute
        attributes[_AGNOSTIC] = 1
    ending.graph.node.append(
        helper.make_node(
            OPERATOR,
            [CODES, LOGITS, anchors],
            PLUGIN,
            name=f"{_PREFIX}/{OPERATOR}",
            domain=DOMAIN,
            **attributes,
        )
    )
    ending.model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    most = nms.max_boxes
    count, boxes, scores, classes = PLUGIN
    return ending.finished(
        {
            count: (TensorProto.INT32, [1]),
            boxes: (TensorProto.FLOAT, [most, 4]),
            scores: (TensorProto.FLOAT, [most]),
            classes: (TensorProto.INT32, [most]),
        }
    )


def decoded(model: onnx.ModelProto, detection: Detection) -> onnx.ModelProto:
    """The graph with the outputs :data:`CORNERS` and :data:`SCORES`, for an NMS behind it.

    Raises:
        GraphError: The graph has other outputs, or they are of other anchors.
    """
    ending = Ending(model, detection)
    centres = detection.geometry.centres()[None]
    first = corners_of(ending, CODES, ending.constant(centres[..., :2]), ending.constant(centres[..., 2:]))
    ending.node("Gather", [first, ending.whole(1, 0, 3, 2)], CORNERS, axis=2)
    ending.node("Sigmoid", [LOGITS], SCORES)
    count = detection.geometry.count
    return ending.finished(
        {CORNERS: (TensorProto.FLOAT, [count, 4]), SCORES: (TensorProto.FLOAT, [count, ending.classes])}
    )


def corners_of(ending: Ending, codes: str, centres: str, sizes: str) -> str:
    """Codes [N, K, 4] and the anchors' centres and sizes [N, K, 2] to corners [N, K, 4]: y1, x1, y2, x2."""
    halves = ending.whole(2, 2)
    shift, stretch = ending.nodes("Split", [codes, halves], 2, axis=2)
    middle = ending.node("Add", [ending.node("Mul", [shift, sizes]), centres])
    extent = ending.node("Mul", [ending.node("Exp", [stretch]), sizes])
    half = ending.node("Mul", [extent, ending.constant(np.float32(0.5))])
    low, high = ending.node("Sub", [middle, half]), ending.node("Add", [middle, half])
    return ending.node("Concat", [low, high], axis=2)


def classes_as_floats(graph: onnx.GraphProto) -> None:
    """Let the plugin's classes be float32, for DeepStream: NvDsInferParseCustomEfficientDetTAO reads them as
    such, and would take each int32 for the class 0."""
    name = PLUGIN[-1]
    inside = f"{_PREFIX}/classes"
    for node in graph.node:
        for place, output in enumerate(node.output):
            if output == name:
                node.output[place] = inside
    graph.node.append(helper.make_node("Cast", [inside], [name], name=f"{name}/Cast", to=TensorProto.FLOAT))
    for value in graph.output:
        if value.name == name:
            value.type.tensor_type.elem_type = TensorProto.FLOAT


def has_plugin(model: onnx.ModelProto) -> bool:
    """Whether the graph ends in the plugin."""
    return any(node.op_type == OPERATOR for node in model.graph.node)


def across(model: onnx.ModelProto) -> bool:
    """Whether the graph ends in the plugin with one NMS over all classes."""
    nodes = [node for node in model.graph.node if node.op_type == OPERATOR]
    return any(a.name == _AGNOSTIC and a.i for node in nodes for a in node.attribute)


def without(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that ends in ``class_logits`` and ``box_codes``, for whatever knows no plugin.

    A graph without the plugin is returned as it is.
    """
    if not has_plugin(model):
        return model
    raw = onnx.ModelProto()
    raw.CopyFrom(model)
    graph = raw.graph
    for node in [node for node in graph.node if node.op_type == OPERATOR]:
        graph.node.remove(node)
    for tensor in [tensor for tensor in graph.initializer if tensor.name == f"{_PREFIX}/anchors"]:
        graph.initializer.remove(tensor)
    known = {value.name: value for value in graph.value_info}
    del graph.output[:]
    graph.output.extend([known[LOGITS], known[CODES]])
    for name in (LOGITS, CODES):
        graph.value_info.remove(known[name])
    for entry in [entry for entry in raw.opset_import if entry.domain == DOMAIN]:
        raw.opset_import.remove(entry)
    return raw


def _sides(value: onnx.ValueInfoProto) -> list[int]:
    """Dimensions, 0 for an open one."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
