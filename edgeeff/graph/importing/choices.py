"""What a file's end chooses: along which axis, from which threshold on, and by which names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.importing.lookup import Lookup
from edgeeff.graph.model import node_label
from edgeeff.graph.views import CHANNEL, View

#: What chooses among the classes, or names what was chosen; the input of that number is the image's.
CHOICES: Mapping[str, int] = {
    **dict.fromkeys(
        ("ArgMax", "TopK", "ReduceMax", "ZipMap", "LabelEncoder", "Greater", "GreaterOrEqual"), 0
    ),
    "Gather": 1,
    "ArrayFeatureExtractor": 1,
}
#: What works along the classes.
_ALONG = ("ArgMax", "TopK", "ReduceMax", "Softmax", "LogSoftmax")
LOGITS = "export it up to its logits, and say --task multilabel if its labels do not exclude each other"


def chooses(graph: Lookup, node: onnx.NodeProto) -> bool:
    """Whether a node chooses or names, rather than takes a part of the image's features."""
    data = CHOICES.get(node.op_type)
    if data is None or len(node.input) <= data or not graph.varies(node.input[data]):
        return False
    return not any(graph.varies(name) for i, name in enumerate(node.input) if i != data and name)


def hold(nodes: Sequence[onnx.NodeProto], known: Mapping[str, object], opset: int) -> None:
    """Refuse an end that chooses along another axis than that of the classes.

    Args:
        nodes: What was cut off.
        known: How the file sees its tensors: a :class:`View` for each that was translated.
        opset: The version of the standard operators.

    Raises:
        GraphError: It does, or takes the smallest.
    """
    for node in nodes:
        view = known.get(node.input[0])
        if node.op_type == "TopK" and not _attribute(node, "largest", 1):
            raise GraphError(f"{node_label(node)} takes the smallest", mend=LOGITS)
        if node.op_type not in _ALONG or not isinstance(view, View):
            continue
        for axis in _axes(node, len(view.shape), opset):
            if not -len(view.shape) <= axis < len(view.shape) or not view.runs_over(axis, CHANNEL):
                raise GraphError(
                    f"{node_label(node)} works along axis {axis} of {list(view.shape)}, not the classes",
                    mend="export a classifier, whose output is [N, classes]",
                )


def threshold(graph: Lookup, node: onnx.NodeProto) -> float | None:
    """The probability from which on a label is there, where a node compares with one; None: it does not.

    A comparison of logits tells it by the probability that its number stands for.

    Raises:
        GraphError: It compares classes that exclude each other, or with several numbers.
    """
    if node.op_type not in ("Greater", "GreaterOrEqual"):
        return None
    numbers = graph.numbers(node.input[1])
    maker = graph.maker(graph.behind(node.input[0]))
    made = maker.op_type if maker is not None else ""
    if numbers is None or np.unique(numbers).size != 1 or made in ("Softmax", "LogSoftmax", "Log"):
        what = "a softmax" if numbers is not None and np.unique(numbers).size == 1 else "several numbers"
        raise GraphError(f"{node_label(node)} compares with {what}, which no task does", mend=LOGITS)
    value = float(numbers.reshape(-1)[0])
    found = value if made == "Sigmoid" else float(1 / (1 + np.exp(-value)))
    if not 0 < found < 1:
        raise GraphError(
            f"{node_label(node)} compares with {value:g}, which is always so or never", mend=LOGITS
        )
    return float(f"{found:.6g}")


def class_names(graph: Lookup, node: onnx.NodeProto) -> tuple[str, ...] | None:
    """Names of classes that a node looks up; None: it does not."""
    if node.op_type == "Gather":
        tensor = graph.constant(node.input[0])
        if tensor is None or tensor.data_type != onnx.TensorProto.STRING or len(tensor.dims) != 1:
            return None
        return tuple(text.decode("utf-8", "replace") for text in tensor.string_data)
    name = {"ZipMap": "classlabels_strings", "LabelEncoder": "values_strings"}.get(node.op_type, "")
    found = [text.decode("utf-8", "replace") for a in node.attribute if a.name == name for text in a.strings]
    keys = [list(a.ints) for a in node.attribute if a.name == "keys_int64s"]
    if keys and sorted(keys[0]) != list(range(len(found))):
        return None
    return tuple(found[i] for i in np.argsort(keys[0])) if keys and found else tuple(found) or None


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def _axes(node: onnx.NodeProto, rank: int, opset: int) -> Sequence[int]:
    """The axes that a node works along, as it says or by its default."""
    found = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "ReduceMax":
        axes = found.get("axes")
        return [int(a) for a in axes] if isinstance(axes, list) else [rank - 1]
    softmax = node.op_type.endswith("oftmax")
    default = (1 if opset < 13 else -1) if softmax else 0 if node.op_type == "ArgMax" else -1
    return [int(found.get("axis", default))]
