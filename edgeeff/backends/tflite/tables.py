"""Flatbuffers of the schemas of TFLite's metadata: tables as tuples of their fields."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt


def written(fields: tuple[Any, ...], identifier: bytes) -> bytes:
    """A flatbuffer.

    Args:
        fields: The root table's, in the schema's order: None for an absent one, an int for an enum, a NumPy
            scalar for a number or a bool; a string, a tuple for a table, bytes, an array of numbers, a list
            of floats, strings or tables, or a :class:`Laid`.
        identifier: Four bytes.
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, fields), identifier)
    return bytes(builder.Output())


class Laid(bytes):
    """A vector that is laid out already, length first: all offsets lead to places within it."""


def alike(rows: npt.NDArray[Any]) -> Laid:
    """A vector of tables of floats alone, [N, fields]: what a detector has of anchors, laid out at once."""
    count, fields = rows.shape
    size = 4 + 4 * fields
    head = np.array([4 + 2 * fields, size, *range(4, size, 4)], "<u2").tobytes()
    head += bytes(-len(head) % 4)
    start = 4 + 4 * count  # of the vtable that all of them share
    first = start + len(head)
    places = 4 + 4 * np.arange(count)
    tables = first + size * np.arange(count)
    body = np.empty((count, 1 + fields), "<i4")
    body[:, 0] = tables - start
    body[:, 1:] = np.ascontiguousarray(rows, "<f4").view("<i4")
    offsets = np.concatenate([[count], tables - places]).astype("<u4")
    return Laid(offsets.tobytes() + head + body.tobytes())


def _table(builder: flatbuffers.Builder, fields: tuple[Any, ...]) -> int:
    """Write a table by its fields."""
    plain = (int, np.generic, type(None))
    values = [field if isinstance(field, plain) else _reference(builder, field) for field in fields]
    builder.StartObject(len(fields))
    for slot, (field, value) in enumerate(zip(fields, values, strict=True)):
        if isinstance(field, int):
            builder.PrependInt8Slot(slot, field, 0)
        elif isinstance(field, np.bool_):
            builder.PrependBoolSlot(slot, bool(field), False)
        elif isinstance(field, np.floating):
            builder.PrependFloat32Slot(slot, float(field), 0.0)
        elif isinstance(field, np.integer):
            builder.PrependInt32Slot(slot, int(field), 0)
        elif field is not None:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def _reference(builder: flatbuffers.Builder, value: Any) -> int:
    """Write what a field refers to: a string, a table, or a vector."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, tuple):
        return _table(builder, value)
    if isinstance(value, bytes):
        return _laid(builder, value) if isinstance(value, Laid) else _aligned(builder, value)
    if isinstance(value, np.ndarray):
        return int(builder.CreateNumpyVector(value))
    if isinstance(value[0], float):
        return int(builder.CreateNumpyVector(np.asarray(value, np.float32)))
    parts = [_reference(builder, item) for item in value]
    builder.StartVector(4, len(parts), 4)
    for part in reversed(parts):
        builder.PrependUOffsetTRelative(part)
    return int(builder.EndVector())


def _laid(builder: flatbuffers.Builder, value: bytes) -> int:
    builder.Prep(4, len(value))
    builder.head -= len(value)
    builder.Bytes[builder.head : builder.head + len(value)] = value
    return int(builder.Offset())


def _aligned(builder: flatbuffers.Builder, value: bytes) -> int:
    """Bytes that begin at a multiple of 16: a flatbuffer within."""
    builder.StartVector(1, len(value), 16)
    builder.head -= len(value)
    builder.Bytes[builder.head : builder.head + len(value)] = value
    return int(builder.EndVector())
