"""Graphs of one network that share the weights which they have in common.

ONNX lets a tensor lie in another file of the folder, from an offset on. A variant's weights, where they are
those of a graph of the bundle, are left there: the variant's own file holds its nodes and what differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx
from onnx import TensorProto

#: Bytes below which a tensor stays in its own file: to say where it lies takes some as well.
LEAST = 256


def shared(files: Mapping[str, bytes], others: Mapping[str, bytes]) -> dict[str, bytes]:
    """The graphs of ``files``, each without the tensors that a graph of ``others`` holds.

    Args:
        files: ONNX files that hold all of their tensors, by name.
        others: What will lie beside them; ONNX files of the same folder count. Left as they are.
    """
    places: dict[bytes, tuple[str, int]] = {}
    for name, content in others.items():
        if name.endswith(".onnx") and "/" not in name:
            for raw, offset in _tensors(content):
                places.setdefault(raw, (name, offset))
    return {name: _without(content, places) for name, content in files.items()}


def _tensors(content: bytes) -> Iterator[tuple[bytes, int]]:
    """The bytes of each large tensor of a file, and where in it they lie."""
    position = 0
    for tensor in onnx.load_from_string(content).graph.initializer:
        raw = tensor.raw_data
        if len(raw) >= LEAST:
            # Tensors are written in their order; of two equal ones either will do.
            found = content.find(raw, position)
            if found >= 0:
                yield raw, found
                position = found + len(raw)


def _without(content: bytes, places: Mapping[bytes, tuple[str, int]]) -> bytes:
    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        place = places.get(tensor.raw_data)
        if place is None:
            continue
        entries = {"location": place[0], "offset": str(place[1]), "length": str(len(tensor.raw_data))}
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
    return bytes(model.SerializeToString(deterministic=True))
