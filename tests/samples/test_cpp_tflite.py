"""samples/cpp-litert and samples/cpp-tflite, built as their READMEs say, against edgeeff's own LiteRT."""

from __future__ import annotations

import importlib.util
import platform
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

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
