"""A detector's .tflite that somebody else made, as a bundle: ``edgeeff emit net.tflite``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeeff import cli
from edgeeff.bundle import Bundle


@pytest.fixture(scope="module")
def theirs(make_cells):
    """A file that makes boxes by TFLite_Detection_PostProcess."""
    return make_cells("mobile-fp32", "runtime")


@pytest.fixture
def emit(tmp_path, capsys):
    """The verb on a file's bytes: its status, the bundle and what was warned of."""

    def call(content: bytes, *arguments: str):
        (tmp_path / "net.tflite").write_bytes(content)
        target = ("--target=mobile-fp32", f"--output={tmp_path / 'dist'}", "--json")
        with pytest.raises(SystemExit) as ended:
            cli.main(["emit", str(tmp_path / "net.tflite"), *target, *arguments])
        out, err = capsys.readouterr()
        if ended.value.code:
            return ended.value.code, None, err
        built = json.loads(out)
        return 0, Bundle.load(built["bundle"]), built["warnings"]

    return call


def test_it_finds_what_it_found(theirs, emit, photo):
    content = (theirs.folder / "model.tflite").read_bytes()
    status, bundle, warnings = emit(content, "--mean=0,0,0", "--std=1,1,1", "--letterbox=30,30,30")
    assert (status, warnings) == (0, [])
    with theirs.open() as own, bundle.open() as predict:
        expected, found = own(photo()), predict(photo())
    assert found.boxes == expected.boxes and len(found.boxes) == 2
    assert (bundle.folder / "model.tflite").read_bytes() == content


def test_what_it_does_not_say_is_warned_of(theirs, emit):
    content = (theirs.folder / "model.tflite").read_bytes()
    bare = content[: content.index(b"PK\x03\x04")]  # without the files that are appended to it
    _, bundle, warnings = emit(bare)
    assert len(warnings) == 2 and bundle.manifest.labels == ("0", "1", "2")
    assert any("holds no labels" in text for text in warnings)
    assert any("does not say how pixels are normalised" in text for text in warnings)


def test_what_is_no_such_file_is_refused(make_cells, emit):
    raw = (make_cells("mobile-fp32").folder / "model.tflite").read_bytes()
    status, _, said = emit(raw)
    assert status == 2 and "TFLite_Detection_PostProcess" in said
    status, _, said = emit(np.random.default_rng(0).bytes(999))
    assert status == 2 and json.loads(said.splitlines()[-1])["error"]["mend"]
