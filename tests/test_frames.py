"""Builds whose artifacts take a camera's frames, and what of that is refused before any work."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import edgeeff
from edgeeff.cache import Cache
from edgeeff.errors import OptionError
from edgeeff.harness.golden import check_golden, golden_inputs
from edgeeff.onboard.camera import Camera
from edgeeff.zoo import catalog

TINY = "lite:width=0.25,depth=0.2,size=64"


@pytest.fixture(scope="module")
def inputs(make_module, make_images, tmp_path_factory):
    """Checkpoint and photos of a tiny network of three classes, and a cache."""
    folder = tmp_path_factory.mktemp("frames")
    torch.save(make_module(catalog.get(TINY), classes=3).state_dict(), folder / "best.pt")
    (folder / "photos").mkdir()
    for number, pixels in enumerate(make_images(12, 90, 5)):
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.png")
    said = {
        "model": TINY,
        "checkpoint": folder / "best.pt",
        "calibration": folder / "photos",
        "effort": "fast",
        "name": "tiny",
        "labels": ["nut", "bolt", "washer"],
        "cpu_class": "avx2",
    }
    return said, Cache(folder / "cache")


@pytest.mark.parametrize(
    ("more", "least"),
    [
        ({"io": "nv12", "resize_in_model": "120x80", "yuv": "bt709-full", "batch": "dynamic:2"}, 10),
        pytest.param({"resize_in_model": (120, 80)}, 30, marks=pytest.mark.slow),
    ],
)
def test_frames_are_verified_with_what_they_cost(inputs, tmp_path, more, least):
    """Golden frames; and what the artifact's pixels cost against Pillow's of the same frames."""
    said, cache = inputs
    (one,) = edgeeff.build(**said, **more, targets=["cpu-int8"], output=tmp_path, cache=cache)
    cost = json.loads((one.bundle.folder / "measured/verification.json").read_text())["camera"]
    assert golden_inputs(one.bundle).shape[1:] == (80, 120, 3)
    assert check_golden(one.bundle).status == "ok"
    assert one.verification is not None and one.verification.images == cost["images"] > 0
    level, planar = float(cost["sqnr_db"]), "io" in more
    assert level > least and (cost["pixels"]["mean"] > 0.1) == planar
    expected = Camera("nv12", (80, 120), "bt709", "full") if planar else Camera("rgb", (80, 120))
    assert one.bundle.manifest.preprocess.camera == expected
    costly = bool(cost["warnings"]) or level < one.hub.sqnr
    assert any("frames of 120×80" in text for text in one.warnings) == costly
    (again,) = edgeeff.build(**said, **more, targets=["cpu-int8"], output=tmp_path, cache=cache)
    assert again.unchanged
    judged = edgeeff.evaluate(again.bundle, said["calibration"], labels=12 * [0])
    assert any("half the resolution" in note for note in judged.notes) == planar
    frame = np.asarray(Image.open(said["calibration"] / "0.png").resize((120, 80)))
    with again.bundle.open() as predict:
        assert predict(frame).label in said["labels"]


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"io": "yuyv"}, r"--io 'yuyv'\n.*float32.*nv12"),
        ({"io": "nv12", "targets": ["cpu-int8", "jetson-int8"]}, r"jetson-int8: --io nv12.*\n.*rgb_of_nv12"),
        ({"resize_in_model": "90x90", "targets": ["jetson-int8"]}, r"--resize-in-model, and artifacts of"),
        ({"resize_in_model": "90x90", "io": "int8"}, "--resize-in-model with --io int8"),
        ({"resize_in_model": "90"}, r"--resize-in-model '90'|1280x720"),
        ({"resize_in_model": "9x9"}, "--resize-in-model 9×9"),
        ({"resize_in_model": "64x64"}, "64x64 is the network's own size"),
        ({"resize_in_model": "91x90", "io": "nv12"}, "NV12 of 91x90, width x height"),
        ({"yuv": "bt709"}, "--yuv is of NV12 alone"),
        ({"yuv": "bt2020", "io": "nv12"}, "--yuv 'bt2020'"),
    ],
)
def test_what_no_artifact_can_take_is_refused(inputs, tmp_path, more, what):
    said, cache = inputs
    with pytest.raises(OptionError, match=what):
        edgeeff.build(**{**said, "targets": ["cpu-int8"], **more}, output=tmp_path, cache=cache)
    assert not list(tmp_path.iterdir())
