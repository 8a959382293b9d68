"""Mutations of the files that hold networks: checkpoints of all formats, and ONNX."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import helper, numpy_helper, parser

from edgeeff.backends.tensorrt.lint import lint
from edgeeff.errors import CheckpointError
from edgeeff.graph import importing
from edgeeff.graph.model import load_graph
from edgeeff.zoo import formats
from edgeeff.zoo.formats import _hdf5 as hdf5_file

STATE = {"conv.weight": torch.arange(54.0).reshape(2, 3, 3, 3), "bn.running_var": torch.ones(2)}
TEXT = """<ir_version: 8, opset_import: ["" : 17]>
net (float[N,3,32,32] x) => (float[N,5] y) {
    c = Conv<kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]>(x, w)
    r = Clip(c, low, high)
    q = QuantizeLinear(r, scale, zero)
    d = DequantizeLinear(q, scale, zero)
    g = GlobalAveragePool(d)
    f = Flatten(g)
    y = Gemm<transB = 1>(f, m, b)
}"""


def _torch(state: object, **options: bool) -> bytes:
    held = io.BytesIO()
    torch.save(state, held, **options)
    return held.getvalue()


def _hdf5() -> bytes:
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        layer = file.create_group("conv2d/conv2d")
        layer["kernel:0"] = np.zeros((3, 3, 3, 2), np.float32)
        file.attrs["layer_names"] = [b"conv2d"]
        file["conv2d"].attrs["weight_names"] = [b"conv2d/kernel:0"]
    return held.getvalue()


def _onnx() -> bytes:
    model = parser.parse_model(TEXT)
    values = {
        "w": np.ones((4, 3, 3, 3)),
        "m": np.ones((5, 4)),
        "b": np.ones(5),
        "low": np.zeros(()),
        "high": np.full((), 6.0),
        "scale": np.full((), 0.1),
    }
    for name, value in values.items():
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((), np.int8), "zero"))
    content: bytes = model.SerializeToString()
    return content


def _linted(path: Path) -> object:
    return lint(load_graph(path))


KINDS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "safetensors": ("a.safetensors", safetensors.torch.save(STATE, {"a": "b"}), formats.read),
    "torch": ("a.pt", _torch({"state_dict": STATE, "epoch": 3}), formats.read),
    "old torch": ("a.pth", _torch(STATE, _use_new_zipfile_serialization=False), formats.read),
    "hdf5": ("a.h5", _hdf5(), formats.read),
    "onnx": ("a.onnx", _onnx(), importing.read),
    "onnx to lint": ("a.onnx", _onnx(), _linted),
}


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes(kind, fuzz, bytes_changed, tmp_path):
    name, content, read = KINDS[kind]
    fuzz(bytes_changed, read, tmp_path / name, content)


def test_a_file_that_hangs_its_library(bytes_changed, tmp_path, monkeypatch):
    """libhdf5 walks a damaged heap of strings for ever; nothing but the end of the process stops it."""
    monkeypatch.setattr(hdf5_file, "_PATIENCE", 1)  # seconds of the processor
    path = tmp_path / "a.h5"
    path.write_bytes(bytes_changed(_hdf5(), 1003701))
    with pytest.raises(CheckpointError, match=r"damaged|corrupt"):
        formats.read(path)


def _grown(body: str, **constants: np.ndarray) -> bytes:
    """A small file whose constants are worked out to something large."""
    text = f'<ir_version: 8, opset_import: ["" : 17]> net (float[1,3,32,32] x) => (float[1,5] y) {{ {body} }}'
    model = parser.parse_model(text)
    model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    content: bytes = model.SerializeToString()
    return content


def _lying(count: int, data: bytes = b"") -> bytes:
    """A graph whose initializer says that it is of another size than its bytes."""
    model = onnx.ModelProto.FromString(_onnx())
    tensor = model.graph.initializer[0]
    tensor.dims[0] = count
    tensor.raw_data = data or tensor.raw_data
    content: bytes = model.SerializeToString()
    return content


def _sparse() -> bytes:
    """A weight of 40 GB of which one value is not zero."""
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "places")
    model = onnx.ModelProto.FromString(_onnx())
    del model.graph.initializer[0]
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [10**5, 10**5]))
    content: bytes = model.SerializeToString()
    return content


HUGE = np.array([10**5, 10**5], np.int64)
BOMBS = {
    "ConstantOfShape": lambda: _grown("c = ConstantOfShape(n) y = Gemm(c, c)", n=HUGE),
    "Expand": lambda: _grown("c = Expand(one, n) y = Gemm(c, c)", n=HUGE, one=np.ones((), np.float32)),
    "Tile": lambda: _grown("c = Tile(one, n) y = Gemm(c, c)", n=HUGE, one=np.ones((1, 1), np.float32)),
    "Range": lambda: _grown(
        "c = Range(a, z, d) y = Gemm(c, c)",
        **{name: np.asarray(v, np.int64) for name, v in (("a", 0), ("z", 10**10), ("d", 1))},
    ),
    "more than it holds": lambda: _lying(10**10),
    "fewer than none": lambda: _lying(-4),
    "none": lambda: _lying(0),
    "sparse": _sparse,
}


@pytest.mark.parametrize("read", [importing.read, _linted])
@pytest.mark.parametrize("bomb", BOMBS)
def test_graphs_that_would_grow(bomb, read, tried, tmp_path):
    tried(read, tmp_path / "a.onnx", BOMBS[bomb]())
