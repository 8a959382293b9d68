"""The two typings of one network that TensorRT's versions want, each held against the rules.

FP32-typed at opset 17 is for the builds of 8.5 to 10.11, whose flags choose the types; FP16-typed at opset 19
is for strongly typed networks, which are all there are from 11 on (:mod:`edgeeff.backends.tensorrt.fp16`).
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt import box_endings, ladder
from edgeeff.backends.tensorrt.device.onboard import profiles, recipes
from edgeeff.backends.tensorrt.fp16 import fp16_from_fp32
from edgeeff.backends.tensorrt.lint import VERSIONS, Version, lint
from edgeeff.backends.tensorrt.metadata_props import described
from edgeeff.backends.tensorrt.nms_ending import with_nms
from edgeeff.backends.tensorrt.repair.whole_hard_swish import in_steps
from edgeeff.detection import RUNTIME, Detection
from edgeeff.errors import GraphError, OptionError

#: The network with Q/DQ, and the float network that it is held against.
QUANTISED, FLOAT = "model.qdq", "model.float"

#: What the file of a detector's graph with ONNX's own NMS ends in, and that of decoded boxes.
NMS, DECODED = ".nms.fp16.onnx", ".decoded.fp16.onnx"

_STRONGLY_TYPED = Version(10, 12)  # from here on build_engine.py takes the FP16-typed file


def versions_of(name: str, plugin: bool = False) -> list[Version]:
    """The TensorRT versions that a bundle's graph is for.

    Args:
        name: The file's.
        plugin: Whether it ends in EfficientNMS_TRT; beside it a bundle has a graph for later versions.
    """
    own = Version(*recipes.OWN_NMS_FROM)
    if name.endswith(NMS):
        return [version for version in VERSIONS if version >= own]
    half = name.endswith(".fp16.onnx")
    found = [version for version in VERSIONS if (version >= _STRONGLY_TYPED) == half]
    return [version for version in found if version < own] if plugin else found


def refuse(emission: Emission) -> None:
    """Refuse a target that no TensorRT bundle can be.

    Raises:
        OptionError: It is neither int8 nor fp16, or takes int8 input, which TensorRT's parsers do not; or its
            boxes are to be made as no plugin makes them.
    """
    if emission.detection is not None and emission.detection.where == RUNTIME:
        box_endings.refuse(emission.detection)
    target = emission.target
    if target.precision not in ("int8", "fp16") or target.input == "int8":
        raise OptionError(
            f"target {target.name}: TensorRT bundles are INT8 or FP16 and take float32 or uint8 input, "
            f"not {target.precision} with {target.input} input",
            mend='say precision = "int8" or "fp16", and input = "float32" or "uint8", in the target\'s file',
        )


def stem(emission: Emission) -> str:
    """What the names of the target's own graphs begin with."""
    return QUANTISED if emission.target.precision == "int8" else FLOAT


def pair(graph: onnx.ModelProto, emission: Emission, name: str) -> dict[str, bytes]:
    """``<name>.onnx``, FP32-typed at opset 17, and ``<name>.fp16.onnx``, FP16-typed at opset 19.

    Args:
        graph: A hub graph of the ``tensorrt`` scheme, or the float graph; it is left as it was.
        emission: Says the input, float32 or uint8 (raw pixels, cast to float first thing), and whether the
            output is ``probabilities`` instead of ``logits``.
        name: :data:`QUANTISED` or :data:`FLOAT`.

    Raises:
        GraphError: The graph breaks a rule of TensorRT, is no valid ONNX, or does not fit FP16.
    """
    full = _full(graph, emission, name)
    detection = emission.detection
    if detection is not None and detection.where == RUNTIME:
        return _with_boxes(full, detection, name)
    return {f"{name}.onnx": _bytes(full), f"{name}.fp16.onnx": _bytes(_half(full, name))}


def strongly_typed(graph: onnx.ModelProto, emission: Emission, name: str) -> dict[str, bytes]:
    """``<name>.fp16.onnx`` alone; see :func:`pair`. Of a detector ``<name>.decoded.fp16.onnx``, too."""
    half = _half(_full(graph, emission, name), name)
    files = {f"{name}.fp16.onnx": _bytes(half)}
    if emission.detection is not None:
        ended = _held(box_endings.decoded(half, emission.detection), f"{name}{DECODED}")
        files[f"{name}{DECODED}"] = _bytes(ended)
    return files


def _with_boxes(full: onnx.ModelProto, detection: Detection, name: str) -> dict[str, bytes]:
    """The graphs of a detector that make boxes: in both typings by the plugin, and one without it."""
    half = _half(full, name)
    ended = {
        f"{name}.onnx": box_endings.with_plugin(full, detection),
        f"{name}.fp16.onnx": box_endings.with_plugin(half, detection),
        f"{name}{NMS}": with_nms(half, detection),
    }
    return {file: _bytes(_held(model, file)) for file, model in ended.items()}


def without_boxes(files: Mapping[str, bytes], name: str) -> dict[str, bytes]:
    """Both typings of a detector without its boxes, for onnxruntime and NVIDIA's own parser elsewhere."""
    return {
        raw: _bytes(box_endings.without(onnx.load_from_string(files[file])))
        for raw, file in zip(ladder.RAW, (f"{name}.onnx", f"{name}.fp16.onnx"), strict=True)
    }


def profile(content: bytes, emission: Emission) -> dict[str, bytes]:
    """``profile.json`` beside a graph that leaves its batch open: for what ``build_engine.py`` builds it.

    The kernels are chosen for full runs: who sends single images builds another with ``--profile 1,1,8``.
    """
    source = onnx.load_from_string(content).graph.input[0]
    _, *image = (dimension.dim_value for dimension in source.type.tensor_type.shape.dim)
    most = emission.batch.size
    found = profiles.Profile(source.name, tuple(image), 1, most, most)
    return {profiles.FILE: found.text().encode()}


def _half(full: onnx.ModelProto, name: str) -> onnx.ModelProto:
    return _held(fp16_from_fp32(full), f"{name}.fp16.onnx")


def _full(graph: onnx.ModelProto, emission: Emission, name: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    model.graph.name = emission.name
    described(model, emission)
    in_steps(model.graph)
    if emission.target.input == "uint8":
        _take_raw_pixels(model.graph)
    if emission.added:
        _end_in_probabilities(model.graph, emission.added)
    del model.graph.value_info[:]
    return _held(model, f"{name}.onnx")


def _bytes(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def checked(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with its shapes inferred.

    Raises:
        GraphError: It is no valid ONNX.
    """
    try:
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(
            f"{name} would not be valid ONNX: {str(error).strip().splitlines()[0]}",
            mend="pass a hub graph of the tensorrt scheme",
        ) from None
    return model


def _held(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with its shapes inferred, once onnx and the rules have found nothing wrong with it."""
    model = checked(model, name)
    versions = versions_of(name, box_endings.has_plugin(model))
    if box_endings.across(model):  # build_engine.py refuses it on the others
        versions = [version for version in versions if version >= Version(*recipes.AGNOSTIC_FROM)]
    errors = [finding for finding in lint(model, versions) if finding.severity == "error"]
    if errors:
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise GraphError(
            f"{name} breaks a rule of TensorRT: {errors[0]}{more}",
            mend="quantise with the tensorrt scheme: int8, zero point 0, float biases, Swish whole",
        )
    return model


def _take_raw_pixels(graph: onnx.GraphProto) -> None:
    # TensorRT takes UINT8 (8.5 and later) as a network input that is cast to float at once, and no other way.
    value = graph.input[0]
    pixels = f"{value.name}_float"
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == value.name:
                node.input[i] = pixels
    value.type.tensor_type.elem_type = TensorProto.UINT8
    cast = helper.make_node("Cast", [value.name], [pixels], name=f"{pixels}/Cast", to=TensorProto.FLOAT)
    graph.node.insert(0, cast)


def _end_in_probabilities(graph: onnx.GraphProto, activation: str) -> None:
    graph.node.append(probabilities(activation, graph.output[0].name, "probabilities"))
    graph.output[0].name = "probabilities"


def probabilities(activation: str, logits: str, name: str) -> onnx.NodeProto:
    """The node that makes the output ``name`` of logits: a Softmax over the classes, or a Sigmoid."""
    attributes = {"axis": 1} if activation == "Softmax" else {}
    return helper.make_node(activation, [logits], [name], name=f"{name}/{activation}", **attributes)
