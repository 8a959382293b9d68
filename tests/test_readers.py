"""Users' files are read by one reader for each kind, typed and bounded: nothing else opens or parses them."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

import edgeeff
from edgeeff import regular
from edgeeff.errors import MissingFileError

ROOT = Path(edgeeff.__file__).parent
#: What opens or parses a file: methods of paths, and functions by their modules.
METHODS = {"read_text", "read_bytes", "open", "model_validate_json"}
FUNCTIONS = {
    ("json", "load"), ("json", "loads"), ("tomllib", "load"), ("tomllib", "loads"), ("np", "load"),
    ("np", "fromfile"), ("np", "memmap"), ("np", "loadtxt"), ("np", "genfromtxt"), ("pickle", "load"),
    ("pickle", "loads"), ("torch", "load"), ("onnx", "load"), ("onnx", "load_model"), ("io", "open"),
    ("zipfile", "ZipFile"), ("h5py", "File"), ("safetensors", "safe_open"),
}  # fmt: skip
#: Where it is done, and why there. The scripts of ``device`` are of Python 3.8 and import nothing of ours.
ALLOWED = {
    # The readers.
    "regular.py": "any file",
    "text.py": "text and JSON",
    "digests.py": "any file that was looked at, block by block",
    "pipeline/request/config.py": "TOML, read by text.py: it names the line of what is wrong",
    "toml.py": "TOML",
    "zoo/formats/_pickled.py": "torch's, weights only",
    "zoo/archives.py": "the names of a zip archive's members",
    "zoo/formats/keras_file.py": "the members of a .keras archive",
    "zoo/formats/torch_file.py": "the sizes of a torch archive's members",
    "zoo/formats/_hdf5.py": "HDF5, links and sizes looked at first",
    "zoo/formats/safetensors_file.py": "the library's, which checks its header",
    "images/arrays.py": "the members of an .npz",
    "images/decoding.py": "Pillow's, of a file that is known to be regular",
    "images/survey.py": "the same",
    "images/annotations/mask_pixels.py": "the same",
    "depth.py": "the same, and what Pillow shows of its file",
    "streams/kinds/video.py": "PyAV's, of a regular file",
    "streams/kinds/camera.py": "PyAV's, of a camera",
    "streams/kinds/rtsp.py": "PyAV's, of a server",
    "streams/kinds/http.py": "the same, and Pillow's of photos whose size is looked at first",
    "streams/kinds/gstreamer.py": "PyAV's, of what GStreamer writes",
    "backends/openvino/serve.py": "a sealed graph, its size looked at first",
    "backends/tensorrt/serve.py": "what a device wrote beside its engine",
    "serving.py": "the first line of a file, bounded",
    "streams/kinds/raw.py": "a pipe of frames whose size is known",
    "foreign/tflite_file.py": "the labels in a .tflite's archive, their size looked at first",
    "bundle.py": "sealed files",
    "manifest.py": "a manifest's bytes, read by regular.py, and typed",
    "backends/tensorrt/results.py": "a device's result, read by regular.py, and typed",
    "pipeline/variants.py": "a tuning file, read by text.py, and typed",
    # What this program wrote itself: the cache of the user's machine, and its own processes.
    "cache.py": "entries of the cache",
    "pipeline/stages/stage.py": "the same",
    "pipeline/stages/statistics.py": "the same",
    "pipeline/stages/doubts.py": "the same",
    "pipeline/stages/floating.py": "the same",
    "pipeline/stages/trained.py": "the same",
    "zoo/sources/__init__.py": "the same",
    "calibration/statistics.py": "the same",
    "calibration/selection.py": "the same",
    "calibration/judgement.py": "the same",
    "quantization/learning/states.py": "the same",
    "quantization/steps/learn.py": "images that it wrote a moment ago",
    "training/checkpoint.py": "what it wrote a moment ago",
    "training/features.py": "entries of the cache",
    "training/state.py": "the same",
    "training/trunk.py": "the same",
    "quantization/sensitivity.py": "the same",
    "harness/fresh_process.py": "what a process of ours prints",
    # What is sealed by a bundle's manifest, checked before.
    "cli/run.py": "Bundle.open",
    "backends/onnxruntime/run.py": "sealed graphs",
    "backends/tensorrt/examine.py": "sealed graphs",
    "backends/tensorrt/builds.py": "sealed graphs",
    "backends/tensorrt/rtx.py": "sealed graphs",
    # What belongs to this machine.
    "backends/openvino/emit.py": "what OpenVINO wrote a moment ago",
    "backends/tensorrt/emit.py": "our own scripts",
    "backends/tflite/metadata.py": "an archive that was written a moment ago",
    "cli/__init__.py": "our own verbs, for their help",
    "cli/inspect.py": "a manifest that was read and typed",
    "cli/streams.py": "the null device and standard input",
    "files.py": "what is written",
    "drawings.py": "a video that is written",
    "labels.py": "our own table of COCO's classes",
    "pipeline/request/writing.py": "our own document",
    "training/writing.py": "the same",
    "report/page.py": "our own templates",
    "saved.py": "an archive that is written",
    "memory.py": "the kernel's own files",
    "apart.py": "the same, and the null device",
    "onboard/resident.py": "the same",
    "onboard/sensors.py": "the same",
    "onboard/lock.py": "the lock of a machine, and the note beside it: bounded, and checked by name",
    "onboard/receiving.py": "a bundle that is written on a board",
    "onboard/store.py": "its lock",
    "onboard/agent.py": "the store of a board: what was sent there, its digest checked",
    "onboard/bundles.py": "the same; arrays without objects",
    "onboard/describing.py": "installed packages",
    "onboard/seals.py": "files of a bundle, block by block",
    "onboard/children.py": "what the agent tells its own processes",
    "devices/lab/claim.py": "what our own keeper prints",
    "devices/lab/keeper.py": "what the run that it serves tells it",
    "devices/lab/notes.py": "notes of our own runs: bounded, and checked by name",
    "c_header.py": "the first line of the file that it would replace",
    "devices/parcel.py": "our own modules",
    "devices/sending.py": "sealed files, block by block",
    "onboard/frames.py": "headers of messages: their size and sum looked at first, and typed",
    "written.py": "text that text.py read, and typed",
    "harness/resuming.py": "the state of our own run: arrays without objects, and its key and types checked",
    "harness/shards.py": "states of our own runs, the same",
    "backends/openvino/tool.py": "what OpenVINO's benchmark wrote a moment ago",
    "backends/tflite/tool.py": "what LiteRT's benchmark wrote a moment ago",
    "plugins/installed.py": "installed packages",
    "matrix/facts.py": "our own sources, and our own data through JSON",
    "matrix/store.py": "a folder, to sync it",
    "matrix/work.py": "the token of our own client, our own data through JSON, and a log that is written",
    "zoo/hub_cache.py": "the hub library's cache, hashed",
}


def _calls(path: Path) -> list[str]:
    """What a module calls that opens or parses."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id == "open":
            found.append("open")
        elif isinstance(called, ast.Attribute):
            owner = called.value.id if isinstance(called.value, ast.Name) else ""
            if called.attr in METHODS or (owner.replace("json_library", "json"), called.attr) in FUNCTIONS:
                found.append(f"{owner}.{called.attr}")
    return found


def test_nothing_else_opens_or_parses_files():
    calls = {
        str(path.relative_to(ROOT)): found
        for path in sorted(ROOT.rglob("*.py"))
        if "device" not in path.relative_to(ROOT).parts and (found := _calls(path))
    }
    assert {name: found for name, found in calls.items() if name not in ALLOWED} == {}
    assert sorted(ALLOWED.keys() - calls.keys()) == []  # no reason outlives what it was the reason for


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "f").write_bytes(b"12345")
    assert regular.read(tmp_path / "f", MissingFileError, 5, "-") == b"12345"
    for name in ("pipe", ".", "nothing", "f/x", "x" * 300, "a\0b"):
        with pytest.raises(MissingFileError, match="cannot be read"):
            regular.read(tmp_path / name, MissingFileError, 5, "-")
        assert not regular.is_file(tmp_path / name)
    with pytest.raises(MissingFileError, match="larger than 4 bytes"):
        regular.read(tmp_path / "f", MissingFileError, 4, "-")
    with pytest.raises(MissingFileError, match="no regular file"):
        regular.read(Path("/dev/zero"), MissingFileError, 5, "-")


@pytest.mark.parametrize("home", ["~/x", ""])
def test_a_home_that_cannot_be_found_is_no_error(home, monkeypatch):
    monkeypatch.setenv("HOME", home)
    for name in ("~nobody-of-that-name/x", "~/y", "z"):
        assert regular.path_of(name).name == name[-1]
