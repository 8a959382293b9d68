"""inspect --preprocess: what it shows and saves is what run gives the artifact."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from edgeeff.bundle import Bundle


@pytest.mark.parametrize("name", ["lite0-cpu-int8", "lite0-mobile-int8"])
def test_each_stage_is_what_run_does(name, edgeeff, lite0_bundles, tmp_path):
    bundle = Bundle.load(lite0_bundles / name)
    found = edgeeff("inspect", bundle.folder, "--preprocess", "--save", tmp_path / "out", "--json").data
    stages = {stage["name"]: stage for stage in found["stages"]}
    arrays = {key: np.load(tmp_path / "out" / f"{number}-{key}.npy") for number, key in enumerate(stages, 1)}
    for key, array in arrays.items():
        assert stages[key]["sha256"] == hashlib.sha256(array.tobytes()).hexdigest()
        assert (stages[key]["type"], stages[key]["shape"]) == (str(array.dtype), list(array.shape))
    photo = tmp_path / "out" / "photo.png"
    with Image.open(photo) as image:  # Pillow alone, which turns no PNG
        assert image.getexif()[0x0112] == 6
        assert np.array_equal(arrays["decode"], np.asarray(image))
        box = bundle.manifest.preprocess.place(image.size).box
        resized = image.resize(
            (96, 96), Image.Resampling[bundle.manifest.preprocess.interpolation.upper()], box
        )
    assert np.array_equal(arrays["resize"], np.asarray(resized))
    assert ("normalise" in stages) == (bundle.manifest.input == "float32")
    session = bundle.session()
    expected = bundle.predict(photo)
    (stored,) = session.execute(arrays["input"])
    (tensor,) = getattr(session, "outputs", {}).values()
    values = tensor.reals(stored) if hasattr(tensor, "reals") else stored
    np.testing.assert_array_equal(values, expected)


def test_it_is_readable_and_refuses_what_it_cannot_do(edgeeff, lite0_bundles, refused):
    shown = edgeeff("inspect", lite0_bundles / "lite0-cpu-int8", "--preprocess").out
    assert max(map(len, shown.splitlines())) < 80
    assert "EXIF orientation is NOT applied" in shown and "layout NHWC" in shown
    assert "--preprocess" in refused("inspect", lite0_bundles / "lite0-cpu-int8", "--save", "out")
