"""TRT103: Q/DQ inside a Swish."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT103"
SEVERITY = "warning"
TITLE = "Q/DQ inside a Swish"
WHY = (
    "It breaks the fusion of Sigmoid and Mul, and rounds twice: NVIDIA/TensorRT#3629, #2204; "
    "#1114 shows mAP falling from 0.362 to 0.054."
)
MEND = "quantise what the Swish reads and what it writes, nothing between"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at each x · Sigmoid(x); the gate of a squeeze-excite is another matter and may be quantised."""
    for node in view.nodes("Mul"):
        if len(node.input) == 2 and any(_is_split(view, *pair) for pair in (node.input, node.input[::-1])):
            yield view.name(node), "Q/DQ stands between the Sigmoid and the Mul of a Swish"


def _is_split(view: View, gate: str, other: str) -> bool:
    sigmoid = view.producer.get(view.origin(gate))
    if sigmoid is None or sigmoid.op_type != "Sigmoid" or not sigmoid.input:
        return False
    if view.origin(sigmoid.input[0]) != view.origin(other):
        return False
    return view.origin(gate) != gate or sigmoid.input[0] != other
