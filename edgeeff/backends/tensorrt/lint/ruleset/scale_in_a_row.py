"""TRT110: an activation's one scale in a row."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT110"
SEVERITY = "warning"
TITLE = "an activation's one scale is no scalar"
WHY = (
    "Where it has the shape [1], TensorRT-RTX 1.7.1 reads the layers behind it in float, whatever the axis "
    "(compiler). The importers of 8.5 to 10.1 take it for a scalar."
)
MEND = "give the scale the shape [], a scalar's"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the shapes of single scales on what is no constant."""
    for node in view.nodes(*QDQ):
        scale = view.scale(node)
        if scale is not None and scale.size == 1 and scale.shape and not view.is_constant(view.source(node)):
            yield view.name(node), f"its scale has the shape {list(scale.shape)}"
