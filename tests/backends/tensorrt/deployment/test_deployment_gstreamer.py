from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest

from edgeeff.backends.tensorrt import deployment
from edgeeff.backends.tensorrt.deployment.gstreamer import SCRIPT
from edgeeff.preprocess import Preprocess


@pytest.fixture
def launch(emission, tmp_path):
    """``launch(preprocess, *arguments, **env)``: run.sh with a gst-launch-1.0 that says what it was given."""
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "gst-launch-1.0"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    folder = tmp_path / "a bundle's folder"

    def run(preprocess: Preprocess, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        script = folder / SCRIPT
        script.parent.mkdir(parents=True, exist_ok=True)
        changed = replace(emission, preprocess=preprocess)
        made = deployment.files(changed, shape=(1, 3, *preprocess.size), classes=10, graph="model.onnx")
        script.write_bytes(made[SCRIPT])
        return subprocess.run(
            ["sh", str(script), *arguments],
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", **env},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def preprocess(emission) -> Preprocess:
    return emission.preprocess


def elements(said: str) -> list[list[str]]:
    """A pipeline's elements with their properties."""
    return [part.split("\n") for part in said.strip("\n").split("\n!\n")]


def test_the_pipeline_of_a_usb_camera(launch, preprocess, tmp_path):
    done = launch(preprocess, "usb")
    assert done.returncode == 0 and not done.stderr
    found = elements(done.stdout)
    assert [element[0] for element in found] == [
        *("v4l2src", "video/x-raw,width=640,height=480", "videoconvert", "nvvideoconvert"),
        *("video/x-raw(memory:NVMM),format=NV12,width=32,height=32", "mux.sink_0", "nvinfer"),
        *("nvvideoconvert", "nvdsosd", "nvvideoconvert", "autovideosink"),
    ]
    assert found[0][1:] == ["device=/dev/video0"]
    mux, infer = found[5], found[6]
    assert mux[1:] == ["nvstreammux", "name=mux", "batch-size=1", "width=32", "height=32"]
    config = tmp_path / "a bundle's folder" / "deploy" / "deepstream" / "config_infer_primary.txt"
    assert infer[1:] == [f"config-file-path={config}"]


def test_the_pipelines_of_a_file_and_of_a_csi_camera(launch, preprocess, tmp_path):
    clip = tmp_path / "my clip.mp4"
    clip.touch()
    file = elements(launch(preprocess, "file", str(clip), SINK="fakesink").stdout)
    assert file[:2] == [["filesrc", f"location={clip}"], ["decodebin"]] and file[-1] == ["fakesink"]
    csi = elements(launch(preprocess, "csi", "1", "3840", "2160").stdout)
    assert csi[:2] == [
        ["nvarguscamerasrc", "sensor-id=1"],
        ["video/x-raw(memory:NVMM),width=3840,height=2160"],
    ]


@pytest.mark.parametrize("arguments", [[], ["rtsp"], ["file"], ["file", "nowhere.mp4"]])
def test_what_it_does_not_know_is_refused(arguments, launch, preprocess):
    done = launch(preprocess, *arguments)
    assert done.returncode == 2 and done.stderr.startswith("run.sh: ") and not done.stdout


@pytest.mark.parametrize("frame", [(1920, 1080), (640, 480), (1080, 1920), (1000, 1000), (33, 400)])
@pytest.mark.parametrize(
    ("size", "crop", "squash"),
    [((32, 32), 1.0, False), ((224, 224), 0.875, False), ((192, 256), 0.9531, False), ((64, 32), 0.9, True)],
)
def test_the_part_of_a_frame_is_the_one_of_the_training(frame, size, crop, squash, launch, preprocess):
    """As Preprocess says: resized to cover size / crop, and the centre cut out."""
    (width, height), (rows, columns) = frame, size
    across, down = columns / crop / width, rows / crop / height
    if not squash:
        across = down = max(across, down)
    expected = (columns / across, rows / down)
    wanted_as = replace(preprocess, size=size, crop=crop, squash=squash)
    found = elements(launch(wanted_as, "csi", "0", *map(str, frame)).stdout)
    left, top, box_width, box_height = map(int, found[2][1].removeprefix("src-crop=").split(":"))
    for value, wanted in ((box_width, expected[0]), (box_height, expected[1])):
        assert wanted - 3 <= value <= wanted + 1e-6
    for start, length, whole in ((left, box_width, width), (top, box_height, height)):
        assert start >= 0 and start + length <= whole
        assert abs(2 * start + length - whole) <= 4
    assert not any(value % 2 for value in (left, top, box_width, box_height))


def test_a_frame_of_the_networks_size_is_taken_whole(launch, preprocess):
    found = elements(launch(replace(preprocess, crop=0.5), "csi", "0", "32", "32").stdout)
    assert found[2][1] == "src-crop=0:0:32:32"


@pytest.mark.parametrize(("interpolation", "method"), [("bilinear", 1), ("bicubic", 2)])
def test_the_filter(interpolation, method, launch, preprocess):
    found = elements(launch(replace(preprocess, interpolation=interpolation), "usb").stdout)
    assert f"interpolation-method={method}" in found[3]
