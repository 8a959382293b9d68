"""Q/DQ graphs from files that others wrote."""

from __future__ import annotations

from pathlib import Path

import onnx

from edgeeff.errors import GraphError
from edgeeff.graph.importing import functions, source


def load(path: Path) -> onnx.ModelProto:
    """Read a Q/DQ graph with its weights, those in side files too, and with local functions unfolded.

    Raises:
        MissingFileError: There is no such file.
        GraphError: It is damaged or no ONNX model, or weights that it names are not in its folder.
    """
    model = source.load(path)
    try:
        onnx.checker.check_model(model)
        return functions.inlined(model)
    except GraphError as error:
        raise GraphError(f"{path}: {error.what}", mend=error.mend) from None
    except Exception as error:  # what the checker raises shares no base class
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise GraphError(f"{path} is not a valid ONNX model: {reason}", mend="export it again") from None
