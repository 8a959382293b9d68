"""TRT002: an operator that this version's parser does not know."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.operators import FIRST_KNOWN
from edgeeff.backends.tensorrt.lint.plugins import NAMES
from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT002"
SEVERITY = "error"
TITLE = "an operator that the parser does not know"
WHY = (
    "The parser goes by the operator's name alone, whatever its domain, and refuses one that neither it nor "
    "a plugin bears (parser). What each version knows is in onnx-tensorrt's docs/operators.md."
)
MEND = "write it with older operators, or take a TensorRT that knows it"

_FUNCTIONS = Version(9, 0)
_PLUGINS = ("trt.plugins", "TRT")  # domains


def check(view: View) -> Iterator[tuple[str, str]]:
    """Hold each operator against the version that first knew it; Swish has a rule of its own."""
    if view.functions and view.version < _FUNCTIONS:
        yield "graph", f"functions, such as {view.functions[0]}, are known from {_FUNCTIONS} on"
    for node in view.graph.node:
        plugin = node.domain in _PLUGINS or str(node.op_type).startswith("TRT_") or node.op_type in NAMES
        if plugin or node.op_type == "Swish":
            continue
        first = FIRST_KNOWN.get(node.op_type)
        if first is None:
            yield view.name(node), f"{node.domain}.{node.op_type} is known to no version".lstrip(".")
        elif first > view.version:
            yield view.name(node), f"{node.op_type} is known from {first} on"
