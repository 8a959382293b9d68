"""TRT016: FP16 scales for TensorRT 8."""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto

from edgeeff.backends.tensorrt.lint.types import type_name
from edgeeff.backends.tensorrt.lint.versions import Version
from edgeeff.backends.tensorrt.lint.view import QDQ, View

IDENTIFIER = "TRT016"
SEVERITY = "error"
TITLE = "scales that are no float32, for TensorRT 8"
WHY = "The importers of 8.5 and 8.6 read the scale's bytes as float32 whatever their type (importer)."
MEND = "keep scales float32 for TensorRT 8, and let the builder choose FP16 by its flag"
BEFORE = Version(9, 0)


def check(view: View) -> Iterator[tuple[str, str]]:
    """Look at the scales' types."""
    for node in view.nodes(*QDQ):
        scale = view.scale(node)
        if scale is not None and scale.data_type != TensorProto.FLOAT:
            yield view.name(node), f"a {type_name(scale.data_type)} scale would be read as float32"
