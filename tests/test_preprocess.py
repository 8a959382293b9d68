from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgeeff.preprocess import FOUR, Preprocess

PREPROCESS = Preprocess(size=(24, 32), mean=(124.0, 116.0, 104.0), std=(58.0, 57.0, 56.0))


@pytest.mark.parametrize("preprocess", [PREPROCESS, replace(PREPROCESS, mean=(127.0,) * 3, std=(128.0,) * 3)])
def test_normalises_channel_by_channel(preprocess):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)
    found = preprocess.normalise(pixels)
    np.testing.assert_array_equal(preprocess.normalise_channels_last(pixels).transpose(0, 3, 1, 2), found)
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((2, 3, 24, 32), np.float32, True)
    for channel in range(3):
        expected = (pixels[..., channel] - preprocess.mean[channel]) / preprocess.std[channel]
        np.testing.assert_allclose(found[:, channel], expected, rtol=1e-6)


def test_an_image_of_the_networks_size_is_taken_whole():
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    np.testing.assert_array_equal(PREPROCESS.fit(Image.fromarray(pixels)), pixels)


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0.1, 1.0))
def test_any_photo_fits(width, height, crop):
    preprocess = Preprocess(size=(24, 32), mean=(0.0,) * 3, std=(1.0,) * 3, crop=crop)
    found = preprocess.fit(Image.new("L", (width, height), 200))
    assert (found.shape, found.dtype) == ((24, 32, 3), np.uint8)
    assert (found == 200).all()


@pytest.mark.parametrize(("width", "height"), [(160, 80), (80, 160)])
def test_the_middle_of_the_photo_is_kept_unstretched(width, height):
    """A disc in the middle stays a disc in the middle, of the size that the crop says."""
    y, x = np.mgrid[:height, :width]
    disc = (x - width / 2 + 0.5) ** 2 + (y - height / 2 + 0.5) ** 2 < 20**2
    preprocess = Preprocess(size=(64, 64), mean=(0.0,) * 3, std=(1.0,) * 3, crop=0.8)
    found = preprocess.fit(Image.fromarray((disc * 255).astype(np.uint8)))[..., 0] > 127
    rows, columns = np.nonzero(found)
    for axis in (rows, columns):
        assert abs(axis.mean() - 31.5) < 0.6
        # 80 pixels × 0.8 become 64: the scale is one.
        assert abs((axis.max() - axis.min() + 1) - 40) <= 2


def test_interpolation_is_as_it_says():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8))
    bicubic = Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3, interpolation="bicubic").fit(photo)
    bilinear = Preprocess((32, 32), (0.0,) * 3, (1.0,) * 3, interpolation="bilinear").fit(photo)
    assert not np.array_equal(bicubic, bilinear)


@pytest.mark.parametrize(
    "preprocess",
    [
        PREPROCESS,
        replace(PREPROCESS, exif=True, white=4095.0, squash=True),
        Preprocess((8, 8), (127.0,), (128.0,)),
        Preprocess((8, 8), (1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)),
    ],
)
def test_json_and_back(preprocess):
    assert Preprocess.from_json(json.loads(json.dumps(preprocess.to_json()))) == preprocess


def test_a_manifest_of_before_exif_and_white_is_read():
    data = PREPROCESS.to_json()
    for key in ("squash", "exif", "white"):
        del data[key]
    assert Preprocess.from_json(data) == PREPROCESS


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_photo_in_as_many_channels_as_the_network_has(channels):
    preprocess = Preprocess((6, 6), (0.0,) * channels, (1.0,) * channels)
    for mode in ("RGB", "L", "RGBA", "P", "1", "CMYK", "LA", "I;16"):
        assert preprocess.fit(Image.new(mode, (9, 7))).shape == (6, 6, channels)


def test_grey_networks_see_the_luma():
    pixels = Preprocess((2, 2), (0.0,), (1.0,)).fit(Image.new("RGB", (2, 2), (200, 100, 50)))
    assert (pixels == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()


def test_no_channel_of_four_is_weighed_by_the_fourth():
    values = np.full((8, 8, 4), 200, np.uint8)
    values[::2, :, 3] = 0
    image = Image.frombytes(FOUR, (8, 8), values.tobytes())
    assert (Preprocess((4, 4), (0.0,) * 4, (1.0,) * 4).fit(image)[..., :3] == 200).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"size": [1, 2, 3]},
        {"mean": [1, 2]},
        {"std": [1]},
        {"std": "abc"},
        {"crop": None},
        {"interpolation": "nearest"},
    ],
)
def test_data_that_makes_no_sense(changes):
    with pytest.raises((ValueError, TypeError)):
        Preprocess.from_json({**PREPROCESS.to_json(), **changes})


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize("photo", [(640, 480), (333, 500), (64, 48)])
def test_points_of_the_input_are_found_in_the_photo(photo, squash):
    """A bright spot in a photo lies in the input where it is said to, and back again."""
    preprocess = Preprocess((48, 64), (0.0,) * 3, (1.0,) * 3, crop=0.8, squash=squash)
    width, height = photo
    spot = np.array([[0.45 * width, 0.6 * height]])
    y, x = np.mgrid[:height, :width] + 0.5
    near = np.exp(-(((x - spot[0, 0]) / width) ** 2 + ((y - spot[0, 1]) / height) ** 2) * 200)
    image = Image.fromarray((255 * near).astype(np.uint8)).convert("RGB")
    fitted = preprocess.fit(image)[:, :, 0].astype(float)
    down, across = np.mgrid[:48, :64] + 0.5
    found = [(across * fitted).sum() / fitted.sum(), (down * fitted).sum() / fitted.sum()]
    place = preprocess.place(photo)
    np.testing.assert_allclose(place.to_input(spot)[0], found, atol=0.5)
    np.testing.assert_allclose(place.to_photo(place.to_input(spot)), spot)


LETTERBOX = Preprocess((48, 64), (0.0,) * 3, (1.0,) * 3, 1.0, letterbox=(124, 116, 104))


@given(st.integers(1, 700), st.integers(1, 700))
def test_a_letterbox_shows_all_of_a_photo_and_leads_back(width, height):
    photo, fit = Image.new("RGB", (width, height), (255, 255, 255)), LETTERBOX.place((width, height))
    found = LETTERBOX.fit(photo)
    shown = fit.corners_to_input(np.array([[0, 0, width, height]]))[0]
    if (width, height) != (64, 48):
        inner = [round(side) for side in shown]
        assert inner[:2] == [0, 0] and np.abs(shown - inner).max() < 1e-9
        assert inner[2] == 64 or inner[3] == 48
        assert (found[: inner[3], : inner[2]] == 255).all()
        assert (found[inner[3] :] == LETTERBOX.letterbox).all()
        assert (found[:, inner[2] :] == LETTERBOX.letterbox).all()
    np.testing.assert_allclose(fit.to_photo(fit.to_input(np.array([[3.0, 5.0]]))), [[3.0, 5.0]])
    beyond = fit.corners_to_photo(np.array([[-9.0, -9.0, 99.0, 99.0]]))
    np.testing.assert_array_equal(beyond, [[0, 0, width, height]])


def test_a_letterbox_stands_in_a_manifest_and_no_other_does():
    assert Preprocess.from_json(json.loads(json.dumps(LETTERBOX.to_json()))) == LETTERBOX
    assert "letterbox" not in PREPROCESS.to_json()
    grey = replace(LETTERBOX, mean=(0.0,), std=(1.0,), letterbox=(7,))
    assert grey.fit(Image.new("L", (64, 24), 200))[:, 0, 0].tolist() == [200] * 24 + [7] * 24
    for wrong in ([1, 2], [1, 2, 300], [1, 2, None], "grey", [1, 2, True]):
        with pytest.raises(ValueError, match=r"letterbox|number"):
            Preprocess.from_json(LETTERBOX.to_json() | {"letterbox": wrong})
    with pytest.raises(ValueError, match="letterbox"):
        Preprocess.from_json(LETTERBOX.to_json() | {"crop": 0.9})
