"""TRT013: not as many scales as channels."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT013"
SEVERITY = "error"
TITLE = "not as many scales as channels"
WHY = (
    "A Q or DQ has one scale, or one for each element of its axis (importer). Blocks of scales, of the "
    "data's rank, are read from 10.0 on."
)
MEND = "give each channel of the axis its scale"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Compare each scale's shape with that of the data."""
    for node in view.nodes(*QDQ):
        scale, data = view.scale(node), view.shapes.get(view.source(node))
        if scale is None or scale.size == 1 or data is None:
            continue
        axis = view.axis(node)
        axis = 1 if axis is None else axis + len(data) * (axis < 0)
        if len(scale.shape) > 1:
            if view.version < Version(10, 0) or len(scale.shape) != len(data):
                yield view.name(node), f"scales of shape {list(scale.shape)} for data of {list(data)}"
        elif not 0 <= axis < len(data):
            yield view.name(node), f"its axis is {axis}, and its data have {len(data)} dimensions"
        elif data[axis] and data[axis] != scale.size:
            yield view.name(node), f"{scale.size} scales for axis {axis} of {list(data)}"
