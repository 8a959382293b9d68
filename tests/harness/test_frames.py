"""Bundles that take a camera's frames: what the artifact computes, what goes in, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image

from edgeeff.backends import Emission
from edgeeff.batch import Batch
from edgeeff.bundle import Bundle
from edgeeff.errors import BundleError, ImageError, OptionError
from edgeeff.framing import shown
from edgeeff.onboard.camera import MATRICES, RANGES, Camera, Planes, nv12_of_rgb, rgb_of_nv12
from edgeeff.preparation import stages
from edgeeff.readme import readme
from edgeeff.target import load_target

TARGETS = ("cpu-fp32", "mobile-fp32")
CAMERAS = [
    Camera("bgr"),
    Camera("nv12", matrix="bt709", range="full"),
    Camera("rgb", (20, 34)),
    Camera("nv12", (20, 34)),
]


def frames(camera, count=3, size=8):
    """Smooth frames, so that the resize has something to weigh."""
    height, width = camera.frame or (size, size)
    coarse = np.random.default_rng(1).integers(0, 256, (count, 5, 4, 3), np.uint8)
    large = [Image.fromarray(one).resize((width, height), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(one) for one in large])


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("range_", RANGES)
def test_nv12_is_what_ffmpeg_makes_of_it(matrix, range_):
    """Both ways, by PyAV; ffmpeg's tables are of whole numbers, so that a step is no difference."""
    given = frames(Camera("rgb", (64, 96)), 1)
    space = {"bt601": "ITU601", "bt709": "ITU709"}[matrix]
    full = {"limited": "MPEG", "full": "JPEG"}[range_]
    one = av.VideoFrame.from_ndarray(given[0], format="rgb24")
    made = one.reformat(format="nv12", dst_colorspace=space, dst_color_range=full).to_ndarray()
    own = nv12_of_rgb(given, matrix, range_)
    assert np.abs(own.y[0, ..., 0].astype(int) - made[:64]).max() <= 1
    assert np.abs(own.uv[0].reshape(32, 96).astype(int) - made[64:]).mean() < 1
    whole = np.concatenate([own.y[0, ..., 0], own.uv[0].reshape(32, 96)])
    film = av.VideoFrame.from_ndarray(whole, format="nv12")
    back = film.reformat(format="rgb24", src_colorspace=space, src_color_range=full).to_ndarray()
    assert np.abs(rgb_of_nv12(own, matrix, range_)[0].astype(int) - back).mean() < 3
    other = {"bt601": "bt709", "bt709": "bt601"}[matrix]
    assert np.abs(nv12_of_rgb(given, other, range_).y[0, ..., 0].astype(int) - made[:64]).max() > 4


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("camera", CAMERAS)
def test_an_artifact_sees_what_its_frames_show(make_bundle, target, camera):
    """The mean of the pixels that numpy makes of the frames, by two batches of two."""
    bundle = make_bundle(target=target, camera=camera, batch=Batch(2))
    given = frames(camera)
    expected = shown(given, bundle.manifest.preprocess).mean(axis=(1, 2)) / 42.5
    with Bundle.load(bundle.folder).open() as predict:
        np.testing.assert_allclose([one.outputs["logits"] for one in predict(given)], expected, atol=1e-4)
        if camera.planar:
            planes = nv12_of_rgb(given, camera.matrix, camera.range)
            found = predict.planes(planes.y, planes.uv)
            np.testing.assert_array_equal(found[2].outputs["logits"], predict(given)[2].outputs["logits"])


@pytest.mark.parametrize("target", TARGETS)
def test_the_planes_of_a_photo_are_shown(make_bundle, target):
    """`inspect --preprocess`: both planes, as the runtime's own session is given them."""
    camera = Camera("nv12", (20, 34))
    bundle = make_bundle(target=target, camera=camera)
    given = {one.name: one.array for one in stages(bundle) if one.array is not None}
    planes = nv12_of_rgb(given["frame"][None], camera.matrix, camera.range)
    np.testing.assert_array_equal(given["input-y"].reshape(20, 34), planes.y[0, ..., 0])
    np.testing.assert_array_equal(given["input-uv"].reshape(10, 17, 2), planes.uv[0])


def test_a_frame_and_a_photo_of_it_show_the_same(make_bundle):
    """A photo of another size stands in the frame so that the network is shown the same part of it."""
    camera = Camera("rgb", (40, 64))
    preprocess = replace(make_bundle(target="cpu-fp32", camera=camera).manifest.preprocess, crop=0.5)
    photo = Image.fromarray(frames(Camera("rgb", (90, 60)), 1)[0])
    plain = preprocess.of_network.fit(photo).astype(float)
    assert preprocess.place(photo.size) == preprocess.of_network.place(photo.size)
    seen = shown(preprocess.fit(photo)[None], preprocess)[0]
    assert np.abs(seen - plain).mean() < 2
    assert np.abs(seen[::-1] - plain).mean() > 10  # a photo upside down is another one


def test_planes_as_drivers_give_them(make_bundle):
    """Rows with padding behind them, UV as it lies in the buffer, and one frame alone."""
    bundle = make_bundle(target="cpu-fp32", camera=Camera("nv12"))
    planes = nv12_of_rgb(frames(Camera("nv12"), 1))
    y, uv = np.zeros((8, 16), np.uint8), np.zeros((4, 16), np.uint8)
    y[:, :8], uv[:, :8] = planes.y[0, ..., 0], planes.uv[0].reshape(4, 8)
    with bundle.open() as predict:
        found = predict.planes(y[:, :8], uv[:, :8])
        assert found == predict.planes(planes.y[0], planes.uv[0]) == predict.planes(planes.y, planes.uv)[0]
        for wrong in [
            (y, uv),
            (y[:, :8].astype(np.float32), uv[:, :8]),
            (planes.y, planes.uv[0]),
            (planes.y[:0], planes.uv[:0]),
            (planes.y[0].tolist(), None),
        ]:
            with pytest.raises(ImageError, match=r"takes NV12 of 8×8: uint8 \[8, 8\] and \[4, 4, 2\]"):
                predict.planes(*wrong)
        with pytest.raises(ImageError, match=r"takes uint8 \[N, 8, 8, 3\]"):
            predict(np.zeros((9, 8, 3), np.uint8))
    with make_bundle().open() as predict, pytest.raises(OptionError, match=r"takes no NV12\n.*--io nv12"):
        predict.planes(y, uv)


@pytest.mark.parametrize(
    "camera",
    [
        {"colours": "yuyv"},
        {"colours": "nv12", "matrix": "bt2020"},
        {"colours": "nv12", "frame": [15, 16]},
        {"colours": "rgb", "frame": [16, 1 << 20]},
        {"colours": "rgb", "frame": "16"},
        {"lens": 1},
        "nv12",
    ],
)
def test_a_manifest_with_another_camera_is_refused(make_bundle, camera):
    bundle = make_bundle(target="cpu-fp32", camera=Camera("nv12"))
    path = bundle.folder / "manifest.json"
    data = bundle.manifest.preprocess.to_json() | {"camera": camera}
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"preprocess": data}))
    with pytest.raises(BundleError, match="cannot be understood"):
        Bundle.load(bundle.folder)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("camera", [Camera("nv12"), Camera("bgr", (20, 34))])
def test_the_lines_of_a_readme_run(make_bundle, target, camera, monkeypatch):
    bundle = make_bundle(target=target, camera=camera)
    emission = Emission(
        "colour",
        replace(load_target(target), camera=camera),
        bundle.manifest.preprocess,
        bundle.manifest.labels,
        outputs=bundle.manifest.outputs,
    )
    text = readme(emission)
    assert ("predict.planes(y, uv)" in text) == camera.planar
    lines = text.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(bundle.folder)
    found: dict[str, object] = {}
    exec(lines, found)
    zeros = np.zeros((1, *bundle.manifest.preprocess.taken, 3), np.uint8)
    given = zeros if not camera.planar else Planes(zeros[..., :1], zeros[:, ::2, ::2, :2])
    with bundle.open() as predict:
        np.testing.assert_allclose(found["logits"], predict.outputs(given)["logits"], atol=1e-6)
