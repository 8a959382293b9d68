"""TRT105: quantised outputs."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT105"
SEVERITY = "warning"
TITLE = "quantised outputs"
WHY = "Nothing in INT8 follows an output: rounding it saves nothing and costs accuracy."
MEND = "put out what stands before its last Q/DQ"
_ENDS = ("Softmax", "Sigmoid")


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at what writes each output, through a Softmax or a Sigmoid."""
    for value in view.graph.output if view.outer is None else ():
        writer = view.producer.get(value.name)
        name = view.source(writer) if writer is not None and writer.op_type in _ENDS else value.name
        if view.origin(name) != name and not view.is_constant(name):
            yield value.name, "it is quantised just before it is put out"
