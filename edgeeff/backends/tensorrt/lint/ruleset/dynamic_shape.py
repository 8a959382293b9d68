"""TRT106: a dimension without a value."""

from __future__ import annotations

from collections.abc import Iterator

from edgeeff.backends.tensorrt.lint.view import View

IDENTIFIER = "TRT106"
SEVERITY = "warning"
TITLE = "a dimension without a value"
WHY = "The builder then needs an optimisation profile, and DLA takes no such network (TensorRT, DLA)."
MEND = "export with fixed dimensions, or give the builder a profile (trtexec --minShapes, --maxShapes)"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the network's inputs."""
    for value in view.inputs if view.outer is None else ():
        if not all(view.shapes.get(value.name, (0,))):
            yield value.name, "it has a dimension without a value"
