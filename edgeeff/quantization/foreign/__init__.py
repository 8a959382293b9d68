"""Ranges that another tool chose, taken in as a plan: one module for each format, found by listing.

    file ─ read ─▶ ranges by the file's names ─ match ─▶ ranges by the names of our own graph

A format is a module with two functions: ``claims(start: bytes, path: Path) -> bool``, told by the file's
first bytes before its name, and ``read(path) -> ForeignRanges``. Modules that begin with an underscore are
their parts. What a file says is taken as it is: nothing is calibrated anew.
"""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeeff.errors import CalibrationError, EdgeeffError
from edgeeff.quantization.foreign._matching import Matched, match
from edgeeff.quantization.foreign._ranges import BRING, MOST, ForeignRanges, Range, beginning

__all__ = ["ForeignRanges", "Matched", "Range", "match", "names", "read"]


def names() -> list[str]:
    """The formats, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def read(path: Path) -> ForeignRanges:
    """Read the ranges that a file holds, by the names that it uses.

    Raises:
        MissingFileError: There is no such file, or it cannot be read.
        CalibrationError: It is damaged, of no known format, or holds no range.
        GraphError: It is an ONNX file that is damaged, or is no Q/DQ graph.
    """
    start = beginning(path)
    for name in names():
        module = import_module(f"{__name__}.{name}")
        if module.claims(start, path):
            return _checked(path, module)
    raise CalibrationError(
        f"{path} is no plan: neither AIMET encodings, nor a TensorRT calibration cache, nor a Q/DQ graph",
        mend="pass AIMET's .encodings or .json, TensorRT's calibration cache, or a Q/DQ .onnx file",
    )


def _checked(path: Path, module: Any) -> ForeignRanges:
    """Read the file; no name in it may steer the terminal that a message is printed to."""
    try:
        found: ForeignRanges = module.read(path)
    except EdgeeffError as error:
        what = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in error.what)
        raise type(error)(what, mend=error.mend) from None
    if not all(name.isprintable() for name in found.tensors):
        raise CalibrationError(f"{path} is damaged: it has tensors of unprintable names", mend=BRING)
    if len(found.tensors) > MOST:
        raise CalibrationError(f"{path} has {len(found.tensors)} tensors: of no EfficientNet", mend=BRING)
    ranges = {name: range for name, range in found.tensors.items() if range.low < range.high}
    if not ranges:
        raise CalibrationError(f"{path} holds no range of an activation", mend="export it after calibration")
    return replace(found, origin=f"{path.name} ({found.origin})", tensors=ranges)
