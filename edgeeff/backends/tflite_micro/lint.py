"""Whether tflite-micro runs a .tflite file in int8 throughout: what ``edgeeff lint`` says of one.

The file may be anybody's. It is read by its schema and not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edgeeff import regular
from edgeeff.backends.tflite_micro.operators import ADDED, MOST_JOINED
from edgeeff.errors import GraphError

#: Bytes of the largest file: a flatbuffer's offsets reach no further.
_LARGEST = 1 << 31
_INT8 = schema.TensorType.INT8
#: Types that constants have beside int8: biases, shapes, axes.
_INTEGERS = (schema.TensorType.INT8, schema.TensorType.INT32)
_KNOWN = {n: name for name, n in vars(schema.BuiltinOperator).items() if isinstance(n, int)}
_TYPES = {n: name.lower() for name, n in vars(schema.TensorType).items() if isinstance(n, int)}


@dataclass(frozen=True)
class Finding:
    """What tflite-micro does not run, or not in int8.

    Args:
        node: The operator and the tensor that it makes, or ``graph``.
        message: What is wrong, a sentence without its end.
    """

    node: str
    message: str


def lint(path: Path) -> list[Finding]:
    """Hold a .tflite file against what tflite-micro has.

    Raises:
        GraphError: It cannot be read, or is no .tflite file.
    """
    content = regular.read(path, GraphError, _LARGEST, "pass the path of a .tflite file")
    if content[4:8] != b"TFL3":
        raise GraphError(f"{path} is no .tflite file", mend="pass the path of a .tflite file")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        return list(_findings(model))
    except Exception as error:  # whatever damaged offsets make of a reader
        raise GraphError(
            f"{path} is damaged: {type(error).__name__}: {error}", mend="bring the file again"
        ) from None


def _findings(model: Any) -> Iterator[Finding]:
    if len(model.subgraphs) != 1:
        yield Finding("graph", f"{len(model.subgraphs)} subgraphs: this target's files have one")
    graph = model.subgraphs[0]
    for what, places in (("input", graph.inputs), ("output", graph.outputs)):
        for place in places:
            tensor = graph.tensors[place]
            if tensor.type != _INT8:
                yield Finding("graph", f"{what} {_text(tensor.name)} is {_TYPES[tensor.type]} and not int8")
            if tensor.shapeSignature is not None and -1 in list(tensor.shapeSignature):
                yield Finding("graph", f"{what} {_text(tensor.name)} has no fixed shape")
    for operator in graph.operators:
        yield from _of(operator, model, graph)


def _of(operator: Any, model: Any, graph: Any) -> Iterator[Finding]:
    opcode = model.operatorCodes[operator.opcodeIndex]
    code = _KNOWN[max(opcode.builtinCode, opcode.deprecatedBuiltinCode)]
    made = [graph.tensors[place] for place in operator.outputs]
    node = f"{code} {_text(made[0].name) if made else ''}"
    if code == "CUSTOM":
        yield Finding(
            node, f"the custom operator {_text(opcode.customCode)} is none of tflite-micro's int8 kernels"
        )
    elif code not in ADDED:
        yield Finding(node, "tflite-micro has no int8 kernel of it")
    if code == "CONCATENATION" and len(operator.inputs) > MOST_JOINED:
        yield Finding(
            node, f"it joins {len(operator.inputs)} tensors, and tflite-micro {MOST_JOINED} at most"
        )
    read = [graph.tensors[place] for place in operator.inputs if place >= 0]
    others = {_TYPES[tensor.type] for tensor in (*read, *made) if tensor.type not in _INTEGERS}
    if others:
        yield Finding(node, f"it computes with {', '.join(sorted(others))}, not in int8")


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
