"""TensorRT's calibration cache: a line of text for each tensor.

    TRT-8503-EntropyCalibration2
    input: 3c010a14
    /stem/Conv_output_0: 3d8a4553

The header names TensorRT's version and the calibrator. A scale is a float32 in hex, most significant byte
first, and is the dynamic range / 127 (NVIDIA's sampleINT8, "Calibration file"); TensorRT's INT8 is symmetric.
Names are those of the ONNX file's tensors; the parser's own, such as ``(Unnamed Layer* 22)
[Constant]_output``, are in no graph.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from edgeeff.errors import CalibrationError
from edgeeff.quantization.foreign._ranges import BRING, MOST, ForeignRanges, Range, affine, content

_LARGEST = 16 << 20
_HEADER = re.compile(r"TRT-\w+-(\w+)")
_LINE = re.compile(r"(.+): ?([0-9a-fA-F]{1,8})")


def claims(start: bytes, path: Path) -> bool:
    """The header."""
    return start.startswith(b"TRT-")


def read(path: Path) -> ForeignRanges:
    """Read a cache.

    Raises:
        MissingFileError: It cannot be read.
        CalibrationError: It is no text, too large, or a line of it is damaged.
    """
    try:
        header, *lines = content(path, _LARGEST).decode().splitlines()
    except UnicodeDecodeError:
        raise CalibrationError(f"{path} is no text", mend=BRING) from None
    calibrator = _HEADER.fullmatch(header.strip())
    if calibrator is None:
        raise CalibrationError(f"{path} begins with {header!r:.60}, no calibrator's name", mend=BRING)
    if len(lines) > MOST:
        raise CalibrationError(f"{path} has {len(lines)} lines: it is of no EfficientNet", mend=BRING)
    tensors: dict[str, Range] = {}
    for count, line in enumerate(lines, 2):
        if not line.strip():
            continue
        entry = _LINE.fullmatch(line.strip())
        if entry is None:
            raise CalibrationError(f"{path}, line {count}: {line!r:.60} is no tensor's scale", mend=BRING)
        (scale,) = struct.unpack(">f", bytes.fromhex(entry[2].zfill(8)))
        try:
            range = affine(scale, -128, 256, symmetric=True)
        except ValueError as error:
            raise CalibrationError(
                f"{path}, line {count}: {entry[1]!r} has {error}", mend="calibrate again in TensorRT"
            ) from None
        if entry[1] in tensors:
            raise CalibrationError(f"{path}, line {count}: {entry[1]!r} is there twice", mend=BRING)
        tensors[entry[1]] = range
    return ForeignRanges(f"TensorRT, {calibrator[1]}", tensors)
