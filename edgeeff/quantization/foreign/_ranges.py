"""What every format gives, and what none of them may hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from edgeeff import regular
from edgeeff.errors import CalibrationError, MissingFileError

BRING = "bring the file again from where it was made"
#: Tensors of a plan at most; V2-XL has 2,500, and each has a handful of aliases in an ONNX file.
MOST = 100_000
#: Beyond it float32 could not hold a range's ends and their difference.
_LARGEST = 1e37
_START = 64


@dataclass(frozen=True)
class Range:
    """The real values that a tensor's codes reach; zero is among them.

    Args:
        low: The smallest.
        high: The largest.
        symmetric: The zero point lies in the middle, so that ``low`` says nothing of the tensor but −high.
            A code below −high, which int8 has and no runtime needs, is left out.
    """

    low: float
    high: float
    symmetric: bool = False

    def united(self, other: Range | None) -> Range:
        """The range that covers both."""
        if other is None or other == self:
            return self
        return Range(min(self.low, other.low), max(self.high, other.high), self.symmetric and other.symmetric)


@dataclass(frozen=True)
class ForeignRanges:
    """Ranges by the names that their file uses.

    Args:
        origin: Which file and format, for messages.
        tensors: The range of each activation; one of several ranges (one for each channel or reader) covers
            them all, since all our activations have one.
        graph: Of a Q/DQ graph: the float graph that it was made from, with dequantised weights and the
            tensors by the same names.
    """

    origin: str
    tensors: Mapping[str, Range]
    graph: onnx.ModelProto | None = None


def affine(scale: float, first: float, levels: int, symmetric: bool) -> Range:
    """The range of codes ``first``, ``first + 1`` … (their zero point taken off), ``levels`` of them.

    Raises:
        ValueError: The scale is negative or not finite, zero is not in the range, or it is absurdly large.
    """
    if not (math.isfinite(scale) and scale >= 0 and math.isfinite(first)):
        raise ValueError(f"a scale of {scale:g} and a zero point of {-first:g}")
    return bounded(scale * first, scale * (first + levels - 1), symmetric)


def bounded(low: float, high: float, symmetric: bool) -> Range:
    """A range from its ends; of a symmetric one the smaller end counts.

    Raises:
        ValueError: An end is not finite or absurdly large, or zero is not between them.
    """
    if not (-_LARGEST < low <= 0 <= high < _LARGEST):
        raise ValueError(f"a range of {low:g}…{high:g}")
    if symmetric and low < 0:
        high = min(-low, high)
        return Range(-high, high, symmetric=True)
    return Range(low, high)


def number(value: Any) -> float:
    """A JSON number; of a list of one element, the element.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r:.40} is no number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number of hundreds of digits") from None


def beginning(path: Path) -> bytes:
    """The first bytes of a file, which has some.

    Raises:
        MissingFileError: There is no such file, or it cannot be read.
        CalibrationError: It is empty.
    """
    return content(path, _START, whole=False)


def content(path: Path, limit: int, *, whole: bool = True) -> bytes:
    """A file's bytes, ``limit`` of them at most.

    Raises:
        MissingFileError: There is no such file, or it cannot be read.
        CalibrationError: It is empty, or ``whole`` and larger than ``limit``.
    """
    try:
        with regular.opened(path) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise MissingFileError(
            f"plan {path} cannot be read: {error.strerror}",
            mend="pass the path of a readable file",
        ) from None
    if not data:
        raise CalibrationError(f"{path} is empty", mend=BRING)
    if whole and len(data) > limit:
        raise CalibrationError(
            f"{path} is larger than {limit >> 20} MB, which no plan of an EfficientNet is", mend=BRING
        )
    return data[:limit]
