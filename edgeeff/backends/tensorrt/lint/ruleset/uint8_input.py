"""TRT025: uint8 that is read by anything but a cast."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT025"
SEVERITY = "error"
TITLE = "an input of uint8 that is not cast to float at once"
WHY = "UINT8 is a type of network inputs and outputs alone (onnx-tensorrt's docs/operators.md, from 8.5 on)."
MEND = "cast it to float first thing"


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the readers of uint8 inputs."""
    for value in view.inputs if view.outer is None else ():
        if view.types.get(value.name) != TensorProto.UINT8:
            continue
        for node in view.readers.get(value.name, []):
            if node.op_type not in ("Cast", *QDQ):
                yield view.name(node), f"it reads the uint8 input {value.name!r}"
