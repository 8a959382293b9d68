"""What XNNPACK made of a .tflite file: which operators it took, and which it left to the builtin kernels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeeff.backends import CheckReport, Layer
from edgeeff.backends.tflite.boxes import POSTPROCESS
from edgeeff.backends.tflite.run import make_interpreter
from edgeeff.framing import PREFIX

_CASTS = ("QUANTIZE", "DEQUANTIZE")
#: What may stand outside, at the network's ends.
_EDGES = ("QUANTIZE", "SOFTMAX", "L2_NORMALIZATION", POSTPROCESS)


def check(folder: Path, *, properties: Mapping[str, str]) -> CheckReport:
    """Load the artifact as a run would, and report its operators.

    Counts: ``operators``, ``int8_operators`` and ``float32_operators`` (without QUANTIZE and
    DEQUANTIZE), ``delegate_nodes`` (pieces that XNNPACK took), ``delegated`` and ``outside`` (operators).
    What makes pixels of a camera's frames (``camera/…``),
    QUANTIZE to or from uint8, an int8 SOFTMAX, L2_NORMALIZATION and what makes boxes are outside by their
    nature (XNNPACK has none of them): they are counted, and no fallback.

    Args:
        folder: The bundle.
        properties: As for a run; with delegate ``none`` everything is outside and nothing a fallback.

    Raises:
        BundleError: The file is missing or damaged.
    """
    interpreter = make_interpreter(folder, properties=properties)
    # After the delegate, the list holds the file's own operators first and the delegate's nodes behind.
    nodes = interpreter._get_ops_details()
    delegates = [node for node in nodes if node["op_name"] == "DELEGATE"]
    operators = [node for node in nodes if node["op_name"] != "DELEGATE"]
    taken = _taken(operators, delegates)
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    layers = [_layer(node, tensors, node["index"] in taken) for node in operators]
    outside = [layer for layer in layers if layer.kernel == "builtin"]
    computing = [layer for layer in layers if layer.operator not in _CASTS]
    counts = {
        "operators": len(layers),
        "int8_operators": sum(layer.precision == "int8" for layer in computing),
        "float32_operators": sum(layer.precision == "float32" for layer in computing),
        "delegate_nodes": len(delegates),
        "delegated": len(taken),
        "outside": len(outside),
    }
    wanted = properties.get("delegate") != "none"
    fallbacks = [
        f"{layer.operator} {layer.name}"
        for layer in outside
        if wanted and layer.operator not in _EDGES and not layer.name.startswith(PREFIX)
    ]
    return CheckReport(
        status="fallback" if fallbacks else "ok",
        summary=_summary(counts, fallbacks),
        counts=counts,
        fallbacks=fallbacks,
        layers=layers,
    )


def _taken(operators: list[dict[str, Any]], delegates: list[dict[str, Any]]) -> set[int]:
    """Indices of the operators inside the delegates.

    The interpreter does not say it, but it follows: what a delegate computes lies between its outputs
    and its inputs, and an operator left outside hands its result to a delegate as an input.
    """
    producers = {tensor: node for node in operators for tensor in node["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        given = set(delegate["inputs"])
        pending = list(delegate["outputs"])
        while pending:
            tensor = pending.pop()
            node = producers.get(tensor)
            if tensor in given or node is None or node["index"] in taken:
                continue
            taken.add(node["index"])
            pending.extend(node["inputs"])
    return taken


def _layer(node: dict[str, Any], tensors: Mapping[int, dict[str, Any]], delegated: bool) -> Layer:
    result = tensors[int(node["outputs"][0])]
    return Layer(
        name=result["name"],
        operator=node["op_name"],
        precision=np.dtype(result["dtype"]).name,
        kernel="XNNPACK" if delegated else "builtin",
    )


def _summary(counts: Mapping[str, int], fallbacks: list[str]) -> str:
    line = (
        f"{counts['operators']} operators, {counts['int8_operators']} in int8; XNNPACK took "
        f"{counts['delegated']} in {counts['delegate_nodes']} node{'s' * (counts['delegate_nodes'] != 1)}"
    )
    return f"{line}; left outside: {', '.join(fallbacks)}" if fallbacks else line
