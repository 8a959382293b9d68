"""AIMET's encodings: JSON, by the names of the tensors of the ONNX file that AIMET writes beside it.

Three layouts (AIMET's "Encoding Format Specification"):

up to 0.6.1   ``activation_encodings: {name: [{min, max, scale, offset, bitwidth, is_symmetric, dtype}]}``
1.0.0         ``activation_encodings: [{name, scale: [], offset: [], bw, is_sym, enc_type, dtype}]``
2.0.0         ``encodings: [{name, y_scale, y_zero_point, output_dtype}]``, as ONNX's QuantizeLinear

An offset is that of the smallest code: value = scale · (code + offset), codes from 0. (The specification's
own TensorFlow examples have it otherwise, so the ends count wherever a file gives them.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeeff import text
from edgeeff.errors import CalibrationError
from edgeeff.quantization.foreign._ranges import BRING, ForeignRanges, Range, affine, bounded, content, number

#: V2-XL has 100,000 channels of weights, 200 bytes for each in the oldest layout.
_LARGEST = 128 << 20
_TYPE = re.compile(r"(u?)int(\d+)")
_BITS = range(2, 33)
_EXPORT = "pass the .encodings file that AIMET's sim.export or sim.onnx.export writes beside the ONNX file"


def claims(start: bytes, path: Path) -> bool:
    """A JSON object."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def read(path: Path) -> ForeignRanges:
    """Read an encodings file of any layout; what it leaves in float has no range.

    Raises:
        MissingFileError: It cannot be read.
        CalibrationError: It is no JSON, too large, of another kind, or says impossible things.
    """
    written = content(path, _LARGEST)
    try:
        said = text.parse_json(text.decode(written, path, CalibrationError), path, CalibrationError)
    except CalibrationError:
        raise CalibrationError(f"{path} is truncated or not JSON", mend=BRING) from None
    version = said.get("version", "0.4.0")
    entries = said.get("activation_encodings", said.get("encodings"))
    if not isinstance(entries, dict | list) or not isinstance(version, str):
        raise CalibrationError(f"{path} is JSON, but no AIMET encodings", mend=_EXPORT)
    tensors: dict[str, Range] = {}
    for name, encodings in _named(entries, path):
        try:
            ranges = list(_ranges(encodings))
        except (ValueError, TypeError, KeyError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise CalibrationError(f"{path}: the encoding of {name!r:.80} has {reason}", mend=BRING) from None
        for range in ranges:
            tensors[name] = range.united(tensors.get(name))
    return ForeignRanges(f"AIMET encodings {version:.10}", tensors)


def _named(entries: Mapping[str, Any] | list[Any], path: Path) -> Iterator[tuple[str, list[Any]]]:
    """Each tensor's name and encodings."""
    if isinstance(entries, Mapping):
        pairs: Iterable[tuple[Any, Any]] = entries.items()
    else:
        pairs = ((entry.get("name") if isinstance(entry, dict) else None, [entry]) for entry in entries)
    for name, encodings in pairs:
        if not isinstance(name, str) or not isinstance(encodings, list):
            raise CalibrationError(
                f"{path}: the entry {name!r:.80} is no list of encodings of a tensor", mend=_EXPORT
            )
        yield name, encodings


def _ranges(encodings: Iterable[Any]) -> Iterator[Range]:
    """The ranges of one tensor's encodings.

    Raises:
        ValueError, TypeError, KeyError: One lacks something, or says what cannot be.
    """
    for encoding in encodings:
        if not isinstance(encoding, dict):
            raise ValueError(f"{encoding!r:.40} for an encoding")
        if "y_scale" in encoding or "output_dtype" in encoding:
            yield from _like_onnx(encoding)
        elif str(encoding.get("dtype", "int")).lower() == "int":
            yield from _with_offsets(encoding)


def _with_offsets(encoding: Mapping[str, Any]) -> Iterator[Range]:
    """Layouts up to 1.0.0."""
    bits = number(encoding["bitwidth"] if "bitwidth" in encoding else encoding["bw"])
    if bits not in _BITS:
        raise ValueError(f"{bits:g} bits")
    symmetric = str(encoding.get("is_symmetric", encoding.get("is_sym"))).lower() == "true"
    if "min" in encoding and "max" in encoding:
        yield bounded(min(number(encoding["min"]), 0.0), max(number(encoding["max"]), 0.0), symmetric)
        return
    scales, offsets = _flat(encoding["scale"]), _flat(encoding["offset"])
    for scale, offset in zip(scales, offsets * (len(scales) if len(offsets) == 1 else 1), strict=True):
        yield affine(scale, offset, 1 << int(bits), symmetric)


def _like_onnx(encoding: Mapping[str, Any]) -> Iterator[Range]:
    """Layout 2.0.0, where weights stand among activations: what has an axis, or 32 bits, is one."""
    kind = _TYPE.fullmatch(str(encoding["output_dtype"]))
    if kind is None or int(kind[2]) not in _BITS:
        raise ValueError(f"the type {encoding['output_dtype']!r:.40}")
    if encoding.get("axis") is not None or kind[2] == "32":
        return
    levels = 1 << int(kind[2])
    first = (0 if kind[1] else -levels // 2) - number(encoding.get("y_zero_point") or 0)
    yield affine(number(encoding["y_scale"]), first, levels, symmetric=first == -levels // 2 and not kind[1])


def _flat(value: Any) -> list[float]:
    return [number(part) for part in value] if isinstance(value, list) else [number(value)]
