"""The walk over a file's nodes: each becomes nodes of our own graph, another view of a tensor, or a constant.

How an operator is translated stands in its file of :mod:`edgeeff.graph.operators`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from edgeeff.errors import EdgeeffError, GraphError
from edgeeff.graph.importing import features
from edgeeff.graph.importing.features import FileTap
from edgeeff.graph.importing.folding import Folder
from edgeeff.graph.importing.signature import Signature
from edgeeff.graph.model import Array, node_label
from edgeeff.graph.operators import Operator, discover
from edgeeff.graph.views import View, nchw, transposed
from edgeeff.graph.writer import OUTPUT, Step, Writer


def translate(
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, Array],
    opset: int,
    signature: Signature,
    size: tuple[int, int],
    taps: Sequence[FileTap] = (),
) -> Writer:
    """Write the graph that ``nodes`` describe, for one image of ``size`` (height, width).

    Args:
        nodes: Each after those that it reads.
        constants: What they read beside the image and each other.
        opset: The version of the standard operators.
        signature: Of the file.
        size: Of the image.
        taps: The features that are put out; none: the file's logits are.

    Raises:
        GraphError: An operator is not supported, or does something that an EfficientNet does not.
    """
    table = discover()
    writer = Writer.start(size, signature.channels)
    dims = (signature.batch or 1, signature.channels, *size)
    image = nchw(writer.graph.inputs[0], dims)
    known: dict[str, View | Array] = {
        **constants,
        signature.input: image if signature.layout == "NCHW" else transposed(image, [0, 2, 3, 1]),
    }
    # What a computed constant was computed from: the weights' names are the layers'.
    origins = {name: name for name in constants}
    folder, readers = Folder(opset), _readers(nodes)
    for node in nodes:
        inputs = tuple(known[name] if name else None for name in node.input)
        weights = tuple(origins.get(name, "") for name in node.input[1:2])
        if not any(isinstance(value, View) for value in inputs) and folder.folds(node):
            arrays = [value for value in inputs if not isinstance(value, View)]
            outputs: Sequence[View | Array] = folder.fold(node, arrays)
            origin = next((origins[name] for name in node.input if name in origins), "")
            origins |= dict.fromkeys(node.output[:1], origin)
        else:
            read_by = frozenset(readers.get(node.output[0], ()) if node.output else ())
            made = _translated(Step(node, opset, inputs, weights, writer, read_by), table)
            outputs = made if isinstance(made, list) else [made]
        known |= {name: value for name, value in zip(node.output, outputs, strict=False) if name}
        if missing := [name for name in node.output[len(outputs) :] if _is_read(name, nodes)]:
            raise GraphError(
                f"{node_label(node)}: its output {missing[0]!r} is read", mend="export in inference mode"
            )
    writer.known = known
    if taps:
        features.end(writer, known, taps)
    else:
        _end(writer, known[signature.output], signature)
    return writer


def _translated(step: Step, table: Mapping[str, Operator]) -> View | Array | list[View]:
    operator = table.get(step.node.op_type)
    if operator is None or operator.translate is None:
        known = sorted(name for name, operator in table.items() if operator.translate is not None)
        raise GraphError(
            f"operator {step.node.op_type} of {node_label(step.node)} is not supported",
            mend=f"EfficientNets are made of {', '.join(known)}",
        )
    try:
        return operator.translate(step)
    except EdgeeffError:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError) as error:
        step.refuse(str(error))


def _readers(nodes: Sequence[onnx.NodeProto]) -> dict[str, set[str]]:
    """The operators that read each tensor."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        for name in node.input:
            found.setdefault(name, set()).add(node.op_type)
    return found


def _is_read(name: str, nodes: Sequence[onnx.NodeProto]) -> bool:
    return bool(name) and any(name in node.input for node in nodes)


def _end(writer: Writer, found: View | Array, signature: Signature) -> None:
    if isinstance(found, np.ndarray):
        raise GraphError(
            f"the output {signature.output!r} does not depend on the image", mend="export the network again"
        )
    if not found.is_vector or found.value.is_graph_input():
        raise GraphError(
            f"the output {signature.output!r} has the shape {list(found.shape)}",
            mend="export a classifier, whose output is [N, classes]; for masks say --task segmentation",
        )
    found.value.name = OUTPUT
    writer.graph.outputs.append(found.value)
