"""TRT028: NMS across classes, which this version's plugin does not know."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.plugins import AGNOSTIC, EFFICIENT
from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT028"
SEVERITY = "error"
TITLE = "NMS across classes that is done for each class"
WHY = (
    "EfficientNMS_TRT has the attribute class_agnostic since 8.6; a parser passes over attributes that a "
    "plugin does not know, so that in an engine of 8.5 boxes of different classes do not drop one another."
)
MEND = "take TensorRT 8.6 or later, or let NMS keep to one class"
BEFORE = AGNOSTIC


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look for the attribute."""
    for node in view.nodes(EFFICIENT):
        if any(attribute.name == "class_agnostic" and attribute.i for attribute in node.attribute):
            yield view.name(node), f"class_agnostic is known from {AGNOSTIC} on"
