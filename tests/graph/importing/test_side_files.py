"""Weights outside of the file: read from its own folder, and from nowhere else."""

from __future__ import annotations

import onnx
import pytest

from edgeeff.errors import GraphError
from edgeeff.graph import importing


@pytest.fixture
def saved(small, export, tmp_path):
    """The path of a model whose weights lie in ``weights.bin`` beside it, and the model."""
    model = export(small())
    path = tmp_path / "folder" / "model.onnx"
    path.parent.mkdir()
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
        convert_attribute=True,
    )
    return path


def pointed(path, **changes):
    """Change what the file says of where its first tensor lies."""
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = changes.get(entry.key, entry.value)
    path.write_bytes(model.SerializeToString())


def test_beside_the_file(saved, imports):
    imports(saved)


def test_length_left_out(saved, imports):
    model = onnx.load(saved, load_external_data=False)
    tensors = [*model.graph.initializer]
    last = max(tensors, key=lambda t: int({e.key: e.value for e in t.external_data}["offset"]))
    kept = [(e.key, e.value) for e in last.external_data if e.key != "length"]
    del last.external_data[:]
    for key, value in kept:
        last.external_data.add(key=key, value=value)
    saved.write_bytes(model.SerializeToString())
    imports(saved)


@pytest.mark.parametrize(
    "location", ["../secret.bin", "/etc/hostname", "sub/../../secret.bin", "link.bin", "sub/x"]
)
def test_outside_of_the_folder(location, saved):
    (saved.parent.parent / "secret.bin").write_bytes(bytes(10**5))
    (saved.parent / "link.bin").symlink_to(saved.parent.parent / "secret.bin")
    (saved.parent / "sub").symlink_to(saved.parent.parent)
    pointed(saved, location=location)
    with pytest.raises(GraphError, match="said to lie outside of the file's folder"):
        importing.read(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"location": "other.bin"}, "'other.bin', which is not there"),
        ({"location": ""}, "lies in a side file '', which is not there"),
        ({"location": "a\0b"}, "which is not there"),
        ({"offset": "99999999"}, "needs .* bytes; weights.bin has"),
        ({"offset": "-1"}, "needs .* bytes; weights.bin has"),
        ({"length": "4000000000000"}, "needs .* bytes; weights.bin has"),
        ({"length": "many"}, "needs .* bytes; weights.bin has"),
    ],
)
def test_what_is_not_there(changes, message, saved):
    pointed(saved, **changes)
    with pytest.raises(GraphError, match=message):
        importing.read(saved)


def test_side_file_cut_short(saved):
    weights = saved.parent / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(GraphError, match=r"weights.bin has 100, and not those"):
        importing.read(saved)


def test_a_model_in_memory_has_no_folder(saved):
    model = onnx.load(saved, load_external_data=False)
    with pytest.raises(GraphError, match="lies in a side file\n  → pass the file's path"):
        importing.from_proto(model, "x.onnx")
