"""samples/gstreamer: frames through GStreamer give what edgeeff gives."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

PACKAGES = Path("/usr/lib/python3/dist-packages")
TAG = f"cpython-{sys.version_info.major}{sys.version_info.minor}-"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """That of a Python which sees GStreamer's bindings, and nothing else of Debian's."""
    if (
        not any(TAG in path.name for path in PACKAGES.glob("gi/_gi.*.so"))
        or shutil.which("gst-inspect-1.0") is None
    ):
        pytest.skip(
            "not installed: python3-gi for this Python, gstreamer1.0-tools (scripts/programs installs them)"
        )
    folder = tmp_path_factory.mktemp("bindings")
    (folder / "gi").symlink_to(PACKAGES / "gi")
    return {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def run(samples, environment):
    """``run(bundle, source, *options)``: the sample, ended."""

    def start(bundle, source, *options):
        command = [sys.executable, samples / "gstreamer" / "run.py", bundle.folder, source, *options]
        return subprocess.run(
            [*map(str, command)], env=environment, capture_output=True, text=True, timeout=240
        )

    return start


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A photo whose pixels every decoder gives; its name has a space, its rows are no multiple of four."""
    path = tmp_path_factory.mktemp("photo") / "a photo.png"
    coarse = Image.effect_noise((9, 7), 90).convert("RGB")
    coarse.resize((151, 101), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.mark.parametrize(
    ("target", "task", "more"),
    [
        ("cpu-fp32", "classification", {}),
        ("mobile-fp32", "multilabel", {"crop": 0.9, "squash": True}),
        ("mobile-fp32", "detection", {"crop": 1.0, "letterbox": (9.0, 8.0, 7.0)}),
        ("cpu-fp32", "detection", {"crop": 1.0, "letterbox": (9.0, 8.0, 7.0)}),
    ],
)
def test_from_equal_pixels_its_answers_are_those_of_edgeeff(
    target, task, more, tiny_bundle, same_answers, run, photo
):
    bundle = tiny_bundle(target, task, "runtime", **more)
    done = run(bundle, photo)
    assert done.returncode == 0 and "1 frames, 0 of them damaged" in done.stderr, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert {row[0] for row in rows} <= {"0"}
    lines = [[str(photo), *row[2:]] for row in rows]
    if lines:
        same_answers(bundle, [photo], lines, None)
    else:
        with bundle.open() as predict:
            found = predict(photo)
        assert not found.boxes and not found.named


def test_what_it_cannot_take_is_one_line(tiny_bundle, run, tmp_path):
    bundle = tiny_bundle("cpu-fp32")
    (tmp_path / "text.mp4").write_text("no video")
    for source, reason in ((tmp_path / "no.mp4", "no file"), (tmp_path / "text.mp4", "text.mp4: ")):
        done = run(bundle, source)
        assert done.returncode == 2 and not done.stdout, done
        assert reason in done.stderr and done.stderr.count("\n") == 1
    heads = tiny_bundle("cpu-fp32", "detection", letterbox=(0.0, 0.0, 0.0), crop=1.0)
    done = run(heads, tmp_path / "text.mp4")
    assert done.returncode == 2 and "--nms runtime" in done.stderr


def test_it_ends_when_it_is_told_to(tiny_bundle, samples, environment, tmp_path):
    """A pipe that never ends is a stream; SIGTERM ends it cleanly, with its count."""
    clip = tmp_path / "clip.mjpeg"
    frame = tmp_path / "one.jpg"
    Image.new("RGB", (64, 48), (200, 30, 30)).save(frame)
    clip.write_bytes(frame.read_bytes() * 4000)
    command = [sys.executable, samples / "gstreamer" / "run.py", tiny_bundle("cpu-fp32").folder, clip]
    with subprocess.Popen(
        [*map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("0\t")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(60) == 0
        assert "frames, 0 of them damaged" in process.stderr.read()


@pytest.fixture
def server():
    """``server(port)``: starts a camera of RTSP, and returns its process."""
    started = []

    def start(port):
        script = Path(__file__).parents[1] / "streams" / "rtsp_server.py"
        command = ["/usr/bin/python3", script, str(port), "320", "240", "25"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(process)
        if process.stdout.readline() != "ready\n":
            pytest.skip("not installed: gir1.2-gst-rtsp-server-1.0 (scripts/programs installs it)")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.slow
def test_rtsp_that_was_lost_comes_back(server, tiny_bundle, samples, environment):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    camera = server(port)
    command = [sys.executable, samples / "gstreamer" / "run.py", tiny_bundle("cpu-fp32").folder]
    command += [f"rtsp://127.0.0.1:{port}/live", "--latest"]
    with subprocess.Popen(
        [*map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = threading.Timer(200, process.kill)
        end.start()
        try:
            seen = 0
            for _ in range(3):
                for _ in range(20):
                    seen = int(process.stdout.readline().split("\t")[0])
                camera.kill()
                camera.wait()
                camera = server(port)
            while int(process.stdout.readline().split("\t")[0]) < seen + 10:
                pass
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            said = process.stderr.read()
            assert process.wait(30) == 0 and said.count("opened again") >= 3, said
        finally:
            end.cancel()
            process.kill()
