"""Arrays as payloads of frames: their bytes, with type and shape in the header. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgeeff.onboard.frames import FrameError

#: The types that cross; little-endian, as all boards are.
TYPES = ("float32", "float64", "float16", "uint8", "int8", "int32", "int64")
_MOST = 64


def pack(arrays: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Any]]:
    """What a header says of arrays, and their payloads, in one order."""
    whole = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    said = [{"name": n, "type": v.dtype.name, "shape": list(v.shape)} for n, v in whole.items()]
    return said, [values.reshape(-1).view(np.uint8).data for values in whole.values()]


def unpack(said: Any, payloads: Sequence[bytearray]) -> dict[str, Any]:
    """The arrays again, by their names; they may be written to.

    Raises:
        FrameError: Types, shapes and payloads do not fit one another.
    """
    found: dict[str, Any] = {}
    try:
        if len(said) != len(payloads) or len(said) > _MOST:
            raise ValueError(f"{len(said)} arrays in {len(payloads)} payloads")
        for one, payload in zip(said, payloads):  # noqa: B905 (Python 3.8)
            shape = tuple(int(side) for side in one["shape"])
            if one["type"] not in TYPES or any(side < 0 for side in shape):
                raise ValueError(f"an array {one['type']!r:.40} {shape}")
            found[str(one["name"])] = np.frombuffer(payload, one["type"]).reshape(shape)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise FrameError(f"arrays that cannot be understood ({error})") from None
    return found
