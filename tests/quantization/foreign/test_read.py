"""Which format a file is of, and files that are of none: nothing but our own errors comes out."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgeeff.errors import CalibrationError, EdgeeffError, GraphError, MissingFileError
from edgeeff.quantization import foreign

CACHE = b"TRT-8503-EntropyCalibration2\nx: 3c010a14\ny: 3d8a4553\n"
JSON = (
    b'{"version": "1.0.0", "activation_encodings": [{"name": "x", "bw": 8, "scale": [1.5], "offset": [-3]}]}'
)
#: x ─ Q ─ DQ ─ y, made once by onnx.parser.
GRAPH = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => (float[4] y) <float s = {0.5}, int8 z = {3}>'
    "{ r = Relu (x) q = QuantizeLinear (r, s, z) y = DequantizeLinear (q, s, z) }"
).SerializeToString()


def test_the_formats():
    assert foreign.names() == ["aimet", "qdq_graph", "tensorrt_cache"]


@pytest.mark.parametrize("content", [CACHE, JSON, b"\xef\xbb\xbf \n" + JSON, GRAPH])
def test_a_format_is_told_by_its_content(tmp_path, content):
    path = tmp_path / "plan"
    path.write_bytes(content)
    assert foreign.read(path).tensors


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", CalibrationError, "is empty"),
        (b"name, low, high\n", CalibrationError, "is no plan: neither AIMET.*\n.*pass AIMET's"),
        (b"\x80\x02cos\nsystem\nq\x00X\x04\x00\x00\x00true\x85R.", CalibrationError, "is no plan"),
        (b"PK\x03\x04" + bytes(60), CalibrationError, "is no plan"),
        (b"\x08" + bytes(60), GraphError, "not a valid ONNX model|no nodes"),
        (GRAPH[:-20], GraphError, "truncated"),
    ],
)
def test_other_files_are_refused(tmp_path, content, kind, message):
    path = tmp_path / "plan"
    path.write_bytes(content)
    with pytest.raises(kind, match=message):
        foreign.read(path)


def test_what_is_not_there(tmp_path):
    for path in (tmp_path / "absent", tmp_path, tmp_path / ("x" * 300)):
        with pytest.raises(MissingFileError, match="cannot be read"):
            foreign.read(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MissingFileError, match="no regular file"):
        foreign.read(tmp_path / "pipe")


def test_names_steer_no_terminal(tmp_path):
    path = tmp_path / "plan"
    for content in (CACHE.replace(b"y:", b"\x1b[2J:"), JSON.replace(b'"x"', b'"\\u001b[2J"')):
        path.write_bytes(content)
        with pytest.raises(CalibrationError, match="unprintable") as raised:
            foreign.read(path)
        assert "\x1b" not in str(raised.value)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from([CACHE, JSON, GRAPH]),
    edits=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=4),
    end=st.integers(1, 400),
    tail=st.binary(max_size=12),
)
@example(start=GRAPH, edits=[], end=400, tail=b"\x08")
def test_damaged_files_raise_only_our_errors(tmp_path, start, edits, end, tail):
    content = bytearray(start[:end] + tail)
    for place, byte in edits:
        content[place % len(content)] = byte
    path = tmp_path / "plan"
    path.write_bytes(bytes(content))
    try:
        found = foreign.read(path)
    except EdgeeffError as error:
        assert error.mend
        assert error.what.isprintable()
    else:
        assert all(range.low <= 0 <= range.high for range in found.tensors.values())
        assert all(np.isfinite([range.low, range.high]).all() for range in found.tensors.values())


@pytest.mark.parametrize("content", [CACHE, JSON, GRAPH])
def test_reading_loads_no_torch(tmp_path, content):
    path = tmp_path / "plan"
    path.write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from edgeeff.quantization import foreign; "
        "foreign.read(Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
