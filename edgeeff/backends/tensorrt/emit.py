"""From the hub graph to what a Jetson builds its engine from.

A bundle carries two files of the same network: ``model.qdq.onnx``, FP32-typed at opset 17, for TensorRT 8.5
to 10 with the INT8 and FP16 flags; and ``model.qdq.fp16.onnx``, FP16-typed at opset 19, for the strongly
typed networks of 10.12 to 11. The engine is built on the device, by ``build_engine.py``, because an engine
belongs to one TensorRT version and one compute capability.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt import rules
from edgeeff.backends.tensorrt.fp16 import fp16_from_fp32
from edgeeff.errors import GraphError, OptionError

_SCRIPTS = ("build_engine.py", "verify.py")


def emit(graph: onnx.ModelProto, emission: Emission) -> dict[str, bytes]:
    """The files of a TensorRT bundle: two Q/DQ graphs, the scripts for the device, and labels if any.

    Args:
        graph: The hub graph of the ``tensorrt`` scheme: int8 everywhere, zero points 0, opset 17.
        emission: Names, target and preprocessing. The target's input is ``float32`` (normalised pixels) or
            ``uint8`` (raw pixels, [1, 3, H, W], cast to float first thing). With ``softmax`` the output is
            ``probabilities`` instead of ``logits``.

    Raises:
        OptionError: The target is not quantised, or takes int8 input, which TensorRT's parsers do not.
        GraphError: The graph breaks a rule of :mod:`edgeeff.backends.tensorrt.rules`, or is no valid ONNX.
    """
    target = emission.target
    if target.precision != "int8" or target.input == "int8":
        raise OptionError(
            f"target {target.name}: TensorRT bundles are INT8 and take float32 or uint8 input, "
            f"not {target.precision} with {target.input} input",
            mend='say precision = "int8" and input = "float32" or "uint8" in the target\'s file',
        )
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    model.graph.name = emission.name
    if target.input == "uint8":
        _take_raw_pixels(model.graph)
    if emission.softmax:
        _end_in_softmax(model.graph)
    del model.graph.value_info[:]
    files = {}
    model = _held(model, "model.qdq.onnx")
    files["model.qdq.onnx"] = model.SerializeToString(deterministic=True)
    half = _held(fp16_from_fp32(model), "model.qdq.fp16.onnx")
    files["model.qdq.fp16.onnx"] = half.SerializeToString(deterministic=True)
    for script in _SCRIPTS:
        files[script] = (Path(__file__).parent / "device" / script).read_bytes()
    if emission.labels:
        files["labels.txt"] = "".join(f"{label}\n" for label in emission.labels).encode()
    return files


def _held(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with its shapes inferred, once onnx and the rules have found nothing wrong with it."""
    try:
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GraphError(
            f"{name} would not be valid ONNX: {str(error).strip().splitlines()[0]}",
            mend="pass a hub graph of the tensorrt scheme",
        ) from None
    errors = [finding for finding in rules.findings(model) if finding.severity == "error"]
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


def _end_in_softmax(graph: onnx.GraphProto) -> None:
    logits = graph.output[0].name
    graph.node.append(
        helper.make_node("Softmax", [logits], ["probabilities"], name="probabilities/Softmax", axis=1)
    )
    graph.output[0].name = "probabilities"
