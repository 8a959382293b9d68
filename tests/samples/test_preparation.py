"""The stages of a photo, which samples are held against: of detectors, turned photos and old bundles."""

from __future__ import annotations

import json

import numpy as np
from PIL import Image, ImageOps

from edgeeff import golden_photo
from edgeeff.bundle import Bundle
from edgeeff.preparation import stages


def arrays(bundle):
    return {stage.name: stage.array for stage in stages(bundle)}


def test_a_letterbox_is_shown_and_a_photo_is_turned(tiny_bundle):
    bundle = tiny_bundle(
        "jetson-fp16", "detection", std=(58.0, 57.0, 57.0), letterbox=(127.0, 0.0, 255.0), crop=1.0, exif=True
    )
    found = arrays(bundle)
    assert [*found] == ["decode", "orient", "resize", "letterbox", "normalise", "input"]
    stored = Image.fromarray(golden_photo.pixels())
    stored.getexif()[0x0112] = golden_photo.ORIENTATION
    upright = ImageOps.exif_transpose(stored)
    assert np.array_equal(found["orient"], np.asarray(upright))
    resized = upright.resize((47, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(found["resize"], np.asarray(resized))
    assert np.array_equal(found["letterbox"][:, :47], found["resize"])
    assert (found["letterbox"][:, 47:] == (127, 0, 255)).all()
    assert np.array_equal(found["input"], found["normalise"].transpose(0, 3, 1, 2))


def test_an_artifact_that_normalises_itself_and_one_of_schema_1(tiny_bundle):
    bundle = tiny_bundle("mobile-fp32")
    path = bundle.folder / "manifest.json"
    data = json.loads(path.read_text()) | {"schema_version": 1}
    path.write_text(json.dumps({k: v for k, v in data.items() if k not in ("outputs", "batch")}))
    shown = {stage.name: stage for stage in stages(Bundle.load(bundle.folder))}
    assert "normalises them inside" in shown["normalise"].does
    assert np.array_equal(shown["input"].array[0], shown["resize"].array.astype(np.float32))
