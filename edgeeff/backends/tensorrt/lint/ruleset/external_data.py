"""TRT109: weights in a file that was not read."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT109"
SEVERITY = "warning"
TITLE = "weights in a file that was not read"
WHY = "Their values were not held against any rule, and the parser needs that file beside the graph."
MEND = "keep the data file beside the graph, or save the graph with its weights inside"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Count the constants whose values are elsewhere."""
    absent = [name for name, constant in view.constants.items() if constant.external]
    if absent and view.outer is None:
        yield "graph", f"{len(absent)} tensors lie in another file; the first is {absent[0]!r}"
