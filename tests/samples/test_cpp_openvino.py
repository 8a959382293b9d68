"""samples/cpp-openvino, built as its README says: the answers of edgeeff, and outputs bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino
import pytest

import edgeeff

ROOT = Path(openvino.__file__).parent


@pytest.fixture(scope="module")
def build(compiled, samples):
    """``build(bundle)``: the program for a bundle."""
    library = next((ROOT / "libs").glob("libopenvino.so.*"))
    flags = ("-isystem", ROOT / "include", library, f"-Wl,-rpath,{ROOT / 'libs'}")
    return lambda bundle: compiled(samples / "cpp-openvino" / "run.cpp", *flags, bundle=bundle)


@pytest.mark.slow
def test_photos_get_edgeeffs_outputs_bit_for_bit(
    build, tiny_bundle, photo_files, answered, same_answers, tmp_path
):
    # A run of four photos: nine of them end in one that is not full.
    bundle = tiny_bundle("cpu-fp32", batch=4, exif=True)
    program = build(bundle)
    lines, _ = answered(program, bundle.folder, *photo_files, "--save", tmp_path / "all.f32")
    same_answers(bundle, photo_files, lines, np.fromfile(tmp_path / "all.f32", np.float32))

    # What is wrong ends in one line.
    other = tiny_bundle("cpu-fp32", "features")
    (tmp_path / "text.jpg").write_text("this is no photo")
    for arguments, why in (
        ((bundle.folder, tmp_path / "text.jpg"), "text.jpg: it is no JPEG, PPM or PGM file"),
        ((bundle.folder, tmp_path / "none.jpg"), "none.jpg: it is not there, or empty"),
        ((other.folder, photo_files[0]), "is not the bundle that this program was built for (tiny-cpu-fp32"),
        ((tmp_path, photo_files[0]), "manifest.json: it is not there, or empty"),
        ((), "usage:"),
    ):
        lines, complaint = answered(program, *arguments, status=2)
        assert not lines and why in complaint and complaint.count("\n") == 1, complaint
    (bundle.folder / "model.xml").unlink()
    assert "model.xml: it is not there" in answered(program, bundle.folder, photo_files[0], status=2)[1]
    assert answered(program, "--help")[0][0][0].startswith("usage: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("multilabel", {"batch": "dynamic:4", "squash": True}),
        ("features", {}),
        ("detection", {"letterbox": (127.5, 110.0, 1.0), "crop": 1.0}),
        ("detection", {"where": "runtime", "batch": 2}),
        ("classification", {"mean": (120.0,), "std": (60.0,), "interpolation": "bilinear"}),
    ],
)
def test_every_task(build, tiny_bundle, photo_files, answered, same_answers, tmp_path, task, options):
    bundle = tiny_bundle("cpu-fp32", task, **options)
    made = options.get("where") == "runtime"
    save = [] if made else ["--save", tmp_path / "all.f32"]
    lines, _ = answered(build(bundle), bundle.folder, *photo_files, *save)
    same_answers(bundle, photo_files, lines, None if made else np.fromfile(tmp_path / "all.f32", np.float32))


@pytest.mark.slow
def test_lite0_on_photos_of_imagenet(build, samples, photos, answered, same_answers, tmp_path):
    (made,) = edgeeff.build(
        model="lite0",
        targets=["cpu-int8"],
        output=tmp_path,
        effort="fast",
        calibration=[p.path for p in photos],
    )
    bundle, paths = made.bundle, [photo.path for photo in photos]
    lines, _ = answered(build(bundle), bundle.folder, *paths, "--save", tmp_path / "all.f32")
    same_answers(bundle, paths, lines, np.fromfile(tmp_path / "all.f32", np.float32))
