"""Frames: whole or an error, whatever happens to their bytes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from edgeeff.devices.parcel import LOADER, OLDEST, contents, parcel
from edgeeff.onboard import arrays, frames
from edgeeff.onboard.frames import FrameError


def sent(header, payloads=()):
    """The bytes of a frame."""
    source, out = os.pipe()
    with os.fdopen(source, "rb") as pipe:
        frames.write(out, header, payloads)
        os.close(out)
        return pipe.read()


def received(content):
    """What a reader makes of bytes, behind which the other end closed."""
    source, out = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(out, content), os.close(out)))
    writer.start()
    try:
        return frames.read(source)
    finally:
        writer.join()
        os.close(source)


def test_what_is_sent_is_received():
    values = {"logits": np.arange(6, dtype=np.float32).reshape(2, 3), "none": np.zeros((0, 4), np.uint8)}
    said, payloads = arrays.pack({**values, "turned": values["logits"].T})
    frame = received(sent({"arrays": said, "é": 1.5}, payloads))
    assert frame.header["é"] == 1.5
    found = arrays.unpack(frame.header["arrays"], frame.payloads)
    for name, expected in {**values, "turned": values["logits"].T}.items():
        np.testing.assert_array_equal(found[name], expected)
        assert found[name].dtype == expected.dtype and found[name].flags.writeable
    assert received(b"") is None


def test_no_damaged_byte_becomes_a_value():
    """Each byte of a frame flipped, and the frame cut before each: an error, never another message."""
    whole = sent({"id": 7, "returncode": 0}, [b"result", b""])
    for place in range(len(whole)):
        for damage in (1, 128):
            content = bytearray(whole)
            content[place] ^= damage
            with pytest.raises(FrameError):
                received(bytes(content))
        if place:
            with pytest.raises(FrameError):
                received(whole[:place])


@pytest.mark.parametrize(
    "said",
    [
        [],
        [{"name": "x", "type": "object", "shape": [1]}],
        [{"name": "x", "type": "float32", "shape": [2]}],
        [{"name": "x", "type": "float32", "shape": [-1]}],
        [{"name": "x", "type": "float32"}],
        [1],
        7,
    ],
)
def test_arrays_that_do_not_fit_their_bytes_are_refused(said):
    with pytest.raises(FrameError):
        arrays.unpack(said, [bytearray(4)])


def test_a_frame_that_is_too_large_is_neither_sent_nor_read():
    with pytest.raises(FrameError, match="too large"):
        sent({"text": "x" * (frames.LARGEST_HEADER + 1)})
    with pytest.raises(FrameError, match="header of 4294967295"):
        received(b"\xff" * 64)


def test_the_agent_is_python_3_8_and_needs_numpy_alone():
    own = {name[: -len(".py")].replace("/", ".") for name in contents()}
    runtimes = {"openvino", "tensorrt", "ai_edge_litert", "tflite_runtime", "tensorflow"}
    for name, content in contents().items():
        tree = ast.parse(content, feature_version=OLDEST)
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for module in modules:
                top = module.partition(".")[0]
                known = top in sys.stdlib_module_names or top in {"numpy", *runtimes}
                carried = any(module == one or one.startswith(f"{module}.") for one in own)
                inside = any(module.startswith(f"{one}.") for one in own)
                assert known or carried or inside, f"{name} imports {module}"
    assert {"edgeeff/onboard/agent.py", "edgeeff/backends/tflite/boxes.py"} <= set(contents())


def test_the_same_agent_has_the_same_digest():
    first = parcel()
    parcel.cache_clear()
    assert parcel() == first
    ast.parse(LOADER, feature_version=(3, 4))


def test_modules_of_the_agent_are_imported_without_edgeeff(tmp_path):
    (tmp_path / "agent.zip").write_bytes(parcel().content)
    names = [name[: -len(".py")].replace("/", ".") for name in contents() if not name.endswith("__init__.py")]
    code = f"import sys; sys.path.insert(0, 'agent.zip')\nfor n in {names}: __import__(n)\n"
    code += "import edgeeff; assert 'agent.zip' in edgeeff.__file__; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "True\n", done.stderr
