from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeeff import backends
from edgeeff.bundle import MANIFEST, Bundle, Manifest, is_ours, read_manifest, write_bundle
from edgeeff.errors import BundleError, EdgeeffError, ImageError, MissingFileError, OutputError
from edgeeff.pipeline.resolve.folders import resolve_output
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target

PREPROCESS = Preprocess(size=(8, 6), mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0), crop=0.9)
FILES = {"model.xml": b"<xml>", "model.bin": bytes(5000), "golden/inputs.npy": b"npy"}


def manifest(**changes):
    fields = {
        **{"name": "b0-cpu-int8", "model": "b0", "target": "cpu-int8", "runtime": "openvino"},
        **{"precision": "int8", "input": "uint8", "softmax": False, "cpu_class": "vnni"},
        **{"preprocess": PREPROCESS, "labels": ("Katze", "chien à poil"), "classes": 2},
        **{"runtime_properties": {"PERFORMANCE_HINT": "LATENCY"}, "digests": {"inputs": "0" * 64}},
        **{"tools": {"numpy": "2.0"}, "files": {}},
    }
    return Manifest(**{**fields, **changes})


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "dist" / "b0-cpu-int8", manifest(), FILES)


def test_what_was_written_is_read(bundle):
    read = Bundle.load(str(bundle.folder))
    assert read == bundle
    assert read.name == "b0-cpu-int8" and read.altered() == []
    assert read.manifest.preprocess == PREPROCESS and read.manifest.labels == ("Katze", "chien à poil")
    assert read.manifest.files == {n: hashlib.sha256(c).hexdigest() for n, c in FILES.items()}
    assert set(content(bundle.folder)) == {*FILES, MANIFEST}
    assert [p.name for p in bundle.folder.parent.iterdir()] == ["b0-cpu-int8"]


def test_same_content_same_bytes_wherever_it_stands(bundle, tmp_path):
    other = write_bundle(tmp_path / "elsewhere" / "b0-cpu-int8", manifest(), dict(reversed(FILES.items())))
    assert content(other.folder) == content(bundle.folder)


def test_an_older_bundle_is_replaced_whole(bundle):
    bundle.write_measured("latency.json", {"ms": 3})
    newer = write_bundle(bundle.folder, manifest(classes=3), {"model.tflite": b"x"})
    assert set(content(newer.folder)) == {"model.tflite", MANIFEST}
    assert [p.name for p in bundle.folder.parent.iterdir()] == ["b0-cpu-int8"]


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "b").mkdir()
    assert write_bundle(tmp_path / "b", manifest(), FILES).altered() == []


@pytest.mark.parametrize("inside", ["notes.txt", MANIFEST])
def test_a_folder_that_is_not_ours_is_never_touched(inside, tmp_path):
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / inside).write_text('{"name": "an npm package"}')
    with pytest.raises(OutputError, match="is not a bundle of ours"):
        write_bundle(folder, manifest(), FILES)
    assert content(folder) == {inside: b'{"name": "an npm package"}'}
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]


def test_a_file_in_the_place_is_never_touched(tmp_path):
    (tmp_path / "b").write_text("mine")
    with pytest.raises(OutputError):
        write_bundle(tmp_path / "b", manifest(), FILES)
    assert (tmp_path / "b").read_text() == "mine" and not is_ours(tmp_path / "b")


def test_measurements_lie_outside_the_seal(tmp_path):
    seen = []

    def measure(staged):
        seen.append((staged.altered(), staged.folder.name))
        assert not (tmp_path / "b").exists()
        return {"verification.json": {"sqnr_db": 21.5}, "model.engine": b"\x00\xff"}

    bundle = write_bundle(tmp_path / "b", manifest(), FILES, measure)
    assert seen == [([], "b")]
    assert bundle.read_measured("verification.json") == {"sqnr_db": 21.5}
    assert (bundle.folder / "measured" / "model.engine").read_bytes() == b"\x00\xff"
    assert bundle.read_measured("latency.json") is None
    bundle.write_measured("latency.json", {"ms": [1.0, 2.0]})
    assert bundle.read_measured("latency.json") == {"ms": [1.0, 2.0]}
    assert bundle.altered() == [] and not any(n.startswith("measured") for n in bundle.manifest.files)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_measurement_leaves_what_was_there(error, bundle):
    before = content(bundle.folder)

    def measure(staged):
        raise error

    with pytest.raises(error):
        write_bundle(bundle.folder, manifest(classes=3), {"other": b""}, measure)
    assert content(bundle.folder) == before
    assert [p.name for p in bundle.folder.parent.iterdir()] == ["b0-cpu-int8"]


def test_altered_and_missing_files_are_named(bundle):
    (bundle.folder / "model.bin").write_bytes(bytes(4999) + b"\1")
    (bundle.folder / "golden" / "inputs.npy").unlink()
    assert sorted(bundle.altered()) == ["golden/inputs.npy", "model.bin"]
    with pytest.raises(BundleError, match=r"model\.bin.* does not have the manifest's SHA-256"):
        bundle.session()


def test_what_is_no_bundle(tmp_path):
    with pytest.raises(MissingFileError, match="no bundle"):
        Bundle.load(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"has no manifest\.json"):
        Bundle.load(tmp_path)


def alter(bundle, **changes):
    path = bundle.folder / MANIFEST
    data = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not ...}))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "..", "a/../.."])
def test_a_manifest_that_reaches_outside_is_refused(name, bundle):
    alter(bundle, files={name: "0" * 64})
    with pytest.raises(BundleError, match="outside the bundle"):
        Bundle.load(bundle.folder)
    assert not is_ours(bundle.folder)


GOOD = PREPROCESS.to_json()


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_version": 0},
        {"schema_version": 1, "outputs": [{"name": "a", "shape": [1, 2], "meaning": "scores"}]},
        {"outputs": [{"name": "a", "shape": [1, 2], "meaning": "scores"}] * 2},
        {"outputs": [{"name": "a", "shape": [1, 0], "meaning": "scores"}]},
        {"outputs": [{"name": "a", "shape": [1, 2], "meaning": "magic"}]},
        {"batch": 0},
        {"batch": "any"},
        {"schema_version": "one"},
        {"name": ...},
        {"extra": 1},
        {"precision": "int4"},
        {"labels": "Katze"},
        {"files": {"model.bin": 3}},
        {"files": {"a\0b": "0" * 64}},
        {"preprocess": {}},
        {"preprocess": {**GOOD, "size": [8]}},
        {"preprocess": {**GOOD, "size": ["wide", 8]}},
        {"preprocess": {**GOOD, "size": None}},
        {"preprocess": {**GOOD, "size": [0, 8]}},
        {"preprocess": {**GOOD, "size": [-64, 8]}},
        {"preprocess": {**GOOD, "size": [10**9, 10**9]}},
        {"preprocess": {**GOOD, "size": [float("inf"), 8]}},
        {"preprocess": {**GOOD, "size": "88"}},
        {"preprocess": {**GOOD, "mean": "123"}},
        {"preprocess": {**GOOD, "mean": [float("nan"), 1, 2]}},
        {"preprocess": {**GOOD, "std": [0, 1, 2]}},
        {"preprocess": {**GOOD, "crop": float("nan")}},
        {"preprocess": {**GOOD, "crop": 0}},
        {"preprocess": {**GOOD, "crop": 10**400}},
        {"preprocess": {**GOOD, "white": float("inf")}},
        {"labels": []},
        {"classes": 3},
        {"classes": 10**12},
        {"preprocess": {**GOOD, "mean": [1, 2]}},
        {"preprocess": {**GOOD, "std": ["a", "b", "c"]}},
        {"preprocess": {**GOOD, "crop": "half"}},
        {"preprocess": {**GOOD, "interpolation": "magic"}},
    ],
)
def test_manifests_that_make_no_sense_are_refused(changes, bundle):
    alter(bundle, **changes)
    with pytest.raises(BundleError):
        Bundle.load(bundle.folder)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_sealed_file_that_is_no_file_is_altered(kind, bundle):
    """Nobody waits for a pipe, or reads a device to its end."""
    (name, *_) = bundle.manifest.files
    path = bundle.folder / name
    path.unlink()
    {"pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "folder": Path.mkdir}[kind](path)
    assert name in Bundle.load(bundle.folder).altered()
    (bundle.folder / MANIFEST).unlink()
    os.mkfifo(bundle.folder / MANIFEST)
    with pytest.raises(BundleError, match="not a bundle"):
        Bundle.load(bundle.folder)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema_version": 1}'])
def test_files_that_are_no_manifest_are_refused(text, bundle):
    (bundle.folder / MANIFEST).write_bytes(text)
    with pytest.raises(BundleError, match="cannot be understood") as refused:
        read_manifest(bundle.folder)
    assert "\n" not in refused.value.what and "pydantic" not in refused.value.what


def test_an_unknown_runtime_is_one_error(bundle):
    alter(bundle, runtime="../zoo")
    with pytest.raises(EdgeeffError, match="no runtime named"):
        Bundle.load(bundle.folder).session()


def test_pixels_of_another_size_are_refused(openvino_bundle):
    bundle = openvino_bundle
    for wrong in (
        np.zeros((1, 3, 64, 64), np.uint8),
        np.zeros((1, 64, 64, 3), np.float32),
        np.zeros((64, 32, 3), np.uint8),
    ):
        with pytest.raises(ImageError, match="the bundle takes uint8"):
            bundle.predict(wrong)


def test_predicts_files_as_it_predicts_their_pixels(openvino_bundle, tmp_path, make_images):
    pixels = make_images(3, 64, 9)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    expected = openvino_bundle.predict(pixels)
    assert expected.shape == (3, 10)
    np.testing.assert_array_equal(openvino_bundle.predict(tmp_path), expected)
    np.testing.assert_array_equal(openvino_bundle.predict(str(tmp_path / "1.png")), expected[1:2])
    np.testing.assert_array_equal(openvino_bundle.predict(pixels[1]), expected[1:2])
    several = [tmp_path / "2.png", Image.open(tmp_path / "0.png"), pixels[1]]
    np.testing.assert_array_equal(openvino_bundle.predict(several), expected[[2, 0, 1]])
    (tmp_path / "1.png").write_bytes(b"broken")
    with pytest.raises(ImageError, match=r"1\.png cannot be decoded"):
        openvino_bundle.predict(tmp_path)


@pytest.fixture
def openvino_bundle(tmp_path, lite0):
    from edgeeff.backends import Emission
    from edgeeff.backends.openvino.emit import emit
    from edgeeff.graph.model import expand_functions
    from edgeeff.target import load_target

    target = load_target("cpu-fp32")
    labels = tuple(f"class {i}" for i in range(10))
    files = emit(expand_functions(lite0.graph), Emission("lite0-cpu-fp32", target, lite0.preprocess, labels))
    facts = {"name": "lite0-cpu-fp32", "model": "lite0", "target": "cpu-fp32", "precision": "fp32"}
    made = manifest(**facts, preprocess=lite0.preprocess, labels=labels, classes=10)
    return write_bundle(tmp_path / "bundles" / "lite0-cpu-fp32", made, files)


WRITER = """
import sys
from pathlib import Path
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.files import sweep
from edgeeff.preprocess import Preprocess
folder, rounds, mark = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
preprocess = Preprocess((8, 8), (0.0,) * 3, (1.0,) * 3)
sweep(folder.parent)
print("ready", flush=True)
for i in range(rounds):
    version = mark + i % 50
    names = ("x",) * version
    facts = ("b", "b0", "t", "openvino", "int8", "uint8", False, "vnni", preprocess, names, version)
    manifest = Manifest(*facts, {}, {}, {}, {})
    files = {f"part{n}": bytes([version % 256]) * 200_000 for n in range(4)}
    write_bundle(folder, manifest, files, lambda staged: {"verification.json": {"version": version}})
"""


def start(folder: Path, rounds: int, mark: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(folder), str(rounds), str(mark)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def assert_whole(folder: Path) -> None:
    bundle = Bundle.load(folder)
    assert bundle.altered() == []
    version = bundle.manifest.classes
    assert (folder / "part0").read_bytes() == bytes([version % 256]) * 200_000
    assert bundle.read_measured("verification.json") == {"version": version}
    assert set(content(folder)) == {MANIFEST, "measured/verification.json", *(f"part{n}" for n in range(4))}


def test_a_kill_at_any_moment_leaves_a_whole_bundle_or_none(tmp_path):
    folder, moments, seen = tmp_path / "dist" / "b", random.Random(1), 0
    for number in range(15):
        with start(folder, 10**9) as child:
            assert child.stdout is not None and child.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.0, 0.12))
            while number == 14 and not folder.exists():  # where the machine is busy none has come so far yet
                time.sleep(0.002)
            child.send_signal(signal.SIGKILL)
            child.wait()
        if folder.exists():
            seen += 1
            assert_whole(folder)
    assert seen
    with start(folder, 1) as child:  # the next build sweeps what the killed ones left
        assert child.wait(timeout=60) == 0
    assert [p.name for p in folder.parent.iterdir()] == ["b"]
    assert_whole(folder)


def test_two_processes_write_the_same_bundle_at_once(tmp_path):
    folder = tmp_path / "dist" / "b"
    with start(folder, 60, 0) as one, start(folder, 60, 100) as other:
        while one.poll() is None or other.poll() is None:
            time.sleep(0.02)
        assert (one.returncode, other.returncode) == (0, 0), (one.stderr.read(), other.stderr.read())  # type: ignore[union-attr]
    assert_whole(folder)
    assert [p.name for p in folder.parent.iterdir()] == ["b"]


GOOD = {
    "check": "fine",
    "warnings": ["one"],
    "validation": "0" * 64,
    "artifact": {"images": 4, "agreement": {"value": 1.0}, "sqnr_db": "inf"},
    "hub": None,
}
WRONG = (
    {"warnings": "text"},
    {"warnings": [1]},
    {"warnings": None},
    {"check": 5},
    {"not_run": ["x"]},
    {"artifact": 3},
    {"artifact": {}},
    {"artifact": {**GOOD["artifact"], "images": "4"}},
    {"artifact": {**GOOD["artifact"], "images": -1}},
    {"artifact": {**GOOD["artifact"], "agreement": 1.0}},
    {"artifact": {**GOOD["artifact"], "agreement": {"value": None}}},
    {"artifact": {**GOOD["artifact"], "agreement": {"value": float("nan")}}},
    {"hub": {**GOOD["artifact"], "sqnr_db": [1]}},
    {"hub": []},
)


def put(path: Path, data: object) -> None:
    """A file of such a content, or what is no file."""
    path.parent.mkdir(exist_ok=True)
    if data == "folder":
        path.mkdir()
    elif data == "pipe":
        os.mkfifo(path)
    elif data == "endless":
        path.symlink_to("/dev/zero")
    elif data == "dangling":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


WHOLE = json.dumps(GOOD).encode()


@pytest.mark.parametrize(
    "data",
    [
        *("folder", "pipe", "endless", "dangling"),
        *(b"", b"\0" * 100, b"\xff\xfe\x80", b"[" * 100_000, b'{"check": ' + b"9" * 5000 + b"}"),
        *(WHOLE[:cut] for cut in range(1, len(WHOLE), 29)),
        *([], "text", None, 7),
        *({**GOOD, **wrong} for wrong in WRONG),
    ],
)
def test_a_damaged_report_counts_as_none(bundle, data):
    """It is not sealed: what stands there is no more than advice."""
    put(bundle.folder / "measured" / "verification.json", data)
    found, damaged = bundle.verification()
    assert found is None and damaged is not None and "counts as not verified" in damaged


def test_a_report_that_is_not_there_is_not_damaged(bundle):
    assert bundle.verification() == (None, None)
    put(bundle.folder / "measured" / "verification.json", GOOD)
    assert bundle.verification() == (GOOD, None)


@pytest.mark.parametrize("name", ["CACHE_DIR", "WEIGHTS_PATH", "DEVICE_ID", "PERFORMANCE_HINT", "x"])
def test_a_property_of_the_manifest_that_is_not_known_is_refused(openvino_bundle, tmp_path, name):
    """The manifest is not sealed, and OpenVINO would make the folder of its cache anywhere."""
    place = tmp_path / "elsewhere"
    alter(openvino_bundle, runtime_properties={name: str(place)})
    changed = Bundle.load(openvino_bundle.folder)
    for use in (changed.session, changed.check, changed.profiled_session):
        with pytest.raises(BundleError, match=f"no runtime property {name} ="):
            use()
    assert not place.exists()


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "tflite"])
def test_every_runtime_says_its_properties(runtime):
    assert backends.runtime(runtime).unknown_property({}) is None
    for name in ("CACHE_DIR", "", "delegate\n"):
        assert backends.runtime(runtime).unknown_property({name: "/tmp/x"})


def test_a_link_is_not_written_through(bundle, tmp_path):
    (tmp_path / "outside").mkdir()
    (bundle.folder / "measured").symlink_to(tmp_path / "outside")
    with pytest.raises(OutputError, match="measured is a symbolic link"):
        bundle.write_measured("latency.json", {"ms": 3})
    assert not any((tmp_path / "outside").iterdir())


def test_a_link_in_the_place_of_a_bundle_is_refused_at_once(bundle, tmp_path):
    place = tmp_path / "other" / "b0-cpu-int8"
    place.parent.mkdir()
    place.symlink_to(bundle.folder)
    before = content(bundle.folder)
    with pytest.raises(OutputError, match="symbolic link"):
        resolve_output(place.parent, "b0", [load_target("cpu-int8")])
    with pytest.raises(OutputError, match="symbolic link"):
        write_bundle(place, manifest(), FILES)
    assert place.is_symlink() and content(bundle.folder) == before
