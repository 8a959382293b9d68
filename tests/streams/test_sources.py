"""Sources of frames, each as it really comes: pipes, http servers, pipelines, servers of RTSP."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeeff import streams
from edgeeff.errors import (
    EdgeeffError,
    ImageError,
    MissingFileError,
    MissingRuntimeError,
    OptionError,
    StreamError,
)
from edgeeff.onboard.camera import nv12_of_rgb
from edgeeff.streams import multipart
from edgeeff.streams.frame import Decoded, Frame, Still
from edgeeff.streams.kinds import Connection, Kind, LostError, Settings
from edgeeff.streams.naming import called
from edgeeff.streams.source import Source
from edgeeff.streams.traits import Turn
from tests.streams.conftest import SIZE, jpeg, part, shades, varying

av = pytest.importorskip("av")
GREY = bytes(range(0, 240, 20))


def said(source: str, **options) -> str:
    """The one line of what is wrong with a source; it was opened, read and closed."""
    with pytest.raises(EdgeeffError) as refused, streams.open_source(source, **options) as opened:
        for _ in opened:
            pass
    assert "\n" not in refused.value.what and refused.value.exit_status == 2
    return f"{type(refused.value).__name__}: {refused.value.what}"


@pytest.mark.parametrize("form", ["rgb24", "bgr24", "gray", "nv12", "yuv420p", "yuyv422"])
def test_raw_frames_are_what_was_written(form, raw):
    left, right = (200, 40, 40), (30, 60, 210)
    pixels = np.empty((48, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = left, right
    if form in ("rgb24", "bgr24", "gray"):
        content = {"rgb24": pixels, "bgr24": pixels[..., ::-1], "gray": pixels[..., 0]}[form].tobytes()
    else:
        content = (
            av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=form).to_ndarray().tobytes()
        )
    with streams.open_source(str(raw(3 * content)), raw=f"64x48:{form}@10") as source:
        frames = list(source)
    assert [(f.number, f.seconds, f.image.size) for f in frames] == [(i, i / 10, SIZE) for i in range(3)]
    found = np.asarray(frames[2].image, int)
    wanted = pixels[..., 0] if form == "gray" else pixels
    inner = np.s_[:, [*range(30), *range(34, 64)]]  # colours of the two columns between may be mixed
    assert np.abs(found - wanted)[inner].max() <= (0 if form in ("rgb24", "bgr24", "gray") else 4)
    assert not source.live and source.tally.frames == 3 and source.tally.warnings("x") == []


def test_raw_frames_that_are_wrong(raw, tmp_path):
    path = str(raw(bytes(64 * 48 * 3 + 5)))
    with streams.open_source(path, raw="64x48:rgb24") as source:
        frames = iter(source)
        assert next(frames).seconds is None
        with pytest.raises(StreamError, match="in the middle of frame 1, after 5 of its 9216 bytes"):
            next(frames)
    assert "gave not one frame: it ended in the middle" in said(path, raw="640x480:rgb24")
    assert "gave not one frame: it ended at once" in said(str(raw(b"")), raw="64x48:gray")
    for wrong in (
        "64x48",
        "64x48:h264",
        "64x48:nv12@",
        "64x48:gray@0",
        "64x48:gray@nan",
        "64×48:gray",
        "0x48:gray",
        "99999x99999:gray",
        "63x48:nv12",
    ):
        assert said(path, raw=wrong).startswith("OptionError: --raw")
    assert "no raw frames: it begins as a JPEG" in said(str(raw(jpeg(9))), raw="4x4:gray")
    assert "OptionError: standard input is a pipe" in said("-")
    assert "MissingFileError" in said(str(tmp_path / "nothing"), raw="64x48:gray")
    os.mkfifo(tmp_path / "pipe")
    assert "nothing came for 0.3 s" in said(str(tmp_path / "pipe"), raw="64x48:gray", timeout=0.3)
    with pytest.raises(OptionError, match="--timeout"):
        streams.open_source(path, timeout=-1)


def test_a_pipe_that_is_written_slowly_and_then_stalls(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    end = threading.Event()

    def write() -> None:
        with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
            for shade in GREY[:4]:
                for half in (bytes([shade]) * 1000, bytes([shade]) * (64 * 48 - 1000)):
                    pipe.write(half)
                    time.sleep(0.01)
            end.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    with streams.open_source(str(tmp_path / "pipe"), raw="64x48:gray", timeout=0.5) as source:
        frames = iter(source)
        assert shades([next(frames).image for _ in range(4)]) == list(GREY[:4])
        with pytest.raises(StreamError, match=r"lost after frame 3: nothing came for 0\.5 s"):
            next(frames)
    end.set()
    writer.join()


def test_the_latest_frame_overtakes_those_that_wait(raw):
    path = str(raw(b"".join(bytes([shade]) * 64 * 48 for shade in GREY)))
    with streams.open_source(path, raw="64x48:gray", latest=True) as source:
        frames = iter(source)
        found = [next(frames)]
        source._thread.join()  # it has read to the end, and only one frame may wait
        found += frames
    assert len(found) <= 2 and found[-1].number == len(GREY) - 1
    assert shades([found[-1].image]) == [GREY[-1]]
    assert source.tally.frames == len(found) and source.tally.dropped == len(GREY) - len(found)
    assert sum(frame.dropped for frame in found) == source.tally.dropped


def test_what_is_made_ahead_is_bounded_and_its_error_is_raised(raw):
    made = []

    def prepare(frame):
        made.append(frame.number)
        if frame.number == 8:
            raise ZeroDivisionError
        return frame.number * 2

    path = str(raw(bytes(64 * 48 * 12)))
    with streams.open_source(path, raw="64x48:gray") as source:
        pairs = source.prepared(prepare)
        assert next(pairs)[1] == 0
        time.sleep(0.2)
        assert len(made) <= 6  # the one that was taken, those that wait, and the one in hand
        with pytest.raises(ZeroDivisionError):
            list(pairs)
        assert made[-1] == 8 and source.tally.frames == 8
        with pytest.raises(StreamError, match="has been read already"):
            next(iter(source))
    assert not source._thread.is_alive()


def test_mjpeg_of_every_camera(server):
    """With and without lengths, lines ended by LF, a part that is no photo, a change of size."""
    kind = "multipart/x-mixed-replace; boundary={}"
    parts = [
        part(jpeg(20)),
        part(b"no photo"),
        part(jpeg(60)),
        part(jpeg(100)[:-40]),
        part(jpeg(140, (32, 48))),
    ]
    server.pages["/a"] = kind.format("frame"), parts
    server.pages["/b"] = (
        kind.format('"--frame"'),
        [part(jpeg(s), length=False, end=b"\n") for s in GREY[:3]] + [b"--frame"],
    )
    with streams.open_source(server.url("/a"), reconnect=0, latest=False) as source:
        frames = list(source)
    assert source.live and [frame.number for frame in frames] == [0, 2, 4]
    assert shades([frame.image for frame in frames]) == [20, 60, 140]
    assert source.tally.skipped == 2 and "from frame 4 on 32 x 48" in source.tally.warnings("camera")[1]
    with streams.open_source(server.url("/b"), reconnect=0, latest=False) as source:
        assert shades([frame.image for frame in source]) == list(GREY[:3])


def test_mjpeg_that_is_lost_comes_back(server):
    server.pages["/live"] = "multipart/x-mixed-replace; boundary=frame", [part(jpeg(s)) for s in GREY[:3]]
    told: list[str] = []
    with streams.open_source(server.url("/live"), latest=False, tell=told.append) as source:
        frames = [frame for frame, _ in zip(source, range(8), strict=False)]
    assert [frame.number for frame in frames] == list(range(8)) and shades([frames[6].image]) == [GREY[0]]
    assert np.diff([frame.seconds for frame in frames]).min() >= 0
    assert source.tally.reconnections == 2 and "connected to again: 2 times" in source.tally.warnings("c")[-1]
    assert "was lost after frame 2: it ended" in told[0] and "is there again" in told[1]
    server.shutdown()
    server.server_close()


def test_a_source_that_does_not_come_back(server):
    server.pages["/live"] = "multipart/x-mixed-replace; boundary=frame", [part(jpeg(20))]
    with streams.open_source(server.url("/live"), reconnect=0.4) as source:
        frames = iter(source)
        next(frames)
        del server.pages["/live"]
        with pytest.raises(StreamError, match=r"not there again within 0\.4 s: .* is not there \(404\)"):
            list(frames)


def test_a_stalled_server(server):
    server.pages["/stalls"] = "multipart/x-mixed-replace; boundary=frame", [part(jpeg(20)), b"--frame"]
    message = said(server.url("/stalls"), timeout=0.3, reconnect=0)
    assert "was lost after frame 0: nothing came any more" in message


def test_what_a_server_has_that_is_no_stream(server, port, monkeypatch):
    monkeypatch.setattr(multipart, "_PART", 100_000)
    server.pages["/page"] = "text/html; charset=utf-8", [b"<html>"]
    server.pages["/text"] = "multipart/x-mixed-replace; boundary=x", [b"y" * 500_000]
    server.pages["/photo"] = "image/jpeg", [jpeg(40)]
    server.pages["/cut"] = "image/jpeg", [jpeg(40)[:100]]
    with streams.open_source(server.url("/photo")) as source:
        assert shades([frame.image for frame in source]) == [40] and not source.live
    assert "ImageError" in said(server.url("/cut"))
    assert "is a web page, and no video" in said(server.url("/page"))
    assert "is not there (404)" in said(server.url("/nothing"))
    assert "it is no MJPEG" in said(server.url("/text"))
    for address in (f"http://127.0.0.1:{port}/", f"rtsp://127.0.0.1:{port}/"):
        assert f"127.0.0.1 refuses connections to port {port}" in said(address)
    for scheme in ("rtsp", "http"):
        message = said(f"{scheme}://me:secret@no-such-host.invalid/live")
        assert "no host is called no-such-host.invalid" in message and "secret" not in message
    for wrong in ("rtsp://", "http://:80/", "rtsp://a:99999/", "http://a b/"):
        assert "no address that can be connected to" in said(wrong)


def test_a_password_with_a_slash_is_not_shown():
    assert "s3/cret" not in said("rtsp://me:s3/cret@127.0.0.1/live")
    assert called("http://host:80/a@b") == "http://host:80/a@b"


def test_passwords_are_sent_and_never_shown(server):
    server.password = "me:s p@ss"
    server.pages["/live"] = "multipart/x-mixed-replace; boundary=frame", [part(jpeg(20))]
    assert "wants another user name or password" in said(server.url("/live"))
    address = server.url("/live", "me:s%20p%40ss@")
    with streams.open_source(address, reconnect=0) as source:
        assert len(list(source)) == 1 and source.name == server.url("/live", "me:***@")


def test_a_video_behind_http_goes_on_where_it_broke(server, tmp_path):
    path = tmp_path / "clip.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.bit_rate = 96, 96, 4_000_000
        for i in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, i, 1), format="rgb24")))
        container.mux(stream.encode())
    server.pages["/clip.mp4"] = "video/mp4", [path.read_bytes()]
    server.breaks = [100, 100, 5000]
    with streams.open_source(server.url("/clip.mp4")) as source:
        found = [np.asarray(frame.image) for frame in source]
    assert all(np.array_equal(a, b.image) for a, b in zip(found, streams.frames(str(path)), strict=True))
    assert len(found) == 20 and source.tally.reconnections >= 1 and not source.tally.ended_early
    assert any("Range" in headers for _, headers in server.asked)
    server.pages["/bad.mp4"] = "video/mp4", [bytes(5000)]
    assert "ImageError" in said(server.url("/bad.mp4"))
    server.pages["/whole.mp4"] = server.pages["/clip.mp4"]  # its index is at the end
    with (
        streams.open_source(server.url("/whole.mp4")) as source,
        pytest.raises(ImageError, match="not one frame") as refused,
    ):
        next(iter(source))
    assert "faststart" in refused.value.mend and not source.tally.warnings("x")[1:]
    dark = varying(tmp_path / "x.mkv", [20] * 10 + [100] * 30)
    server.pages["/dark"] = "video/x-matroska", [dark.read_bytes()]
    with streams.open_source(server.url("/dark")) as source:
        assert [frame.number for frame in source] == list(range(41)) and not source.tally.warnings("x")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_parts_whatever_the_pieces(size):
    """Boundaries and headers may lie in two pieces."""
    bodies = [jpeg(20), b"\r\n\r\n--fram", b"", jpeg(40)]
    for length in (True, False):
        content = b"preamble" + b"".join(part(body, length=length) for body in bodies) + b"--frame--\r\n"
        pieces = iter([content[i : i + size] for i in range(0, len(content), size)])
        assert list(multipart.parts(lambda _, pieces=pieces: next(pieces, b""), "frame")) == bodies


def test_pipelines_of_gstreamer(monkeypatch):
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("no gst-launch-1.0 (gstreamer1.0-tools)")
    pipeline = "gst:videotestsrc pattern=white num-buffers=3 ! video/x-raw,width=66,height=35,framerate=10/1"
    with streams.open_source(pipeline) as source:
        frames = list(source)
    assert [(f.number, f.seconds, f.image.size) for f in frames] == [(i, i / 10, (66, 35)) for i in range(3)]
    assert (
        shades([frames[0].image]) == [255]
        and not source.live
        and source.name == "gst:videotestsrc pattern=white num-buffe…"
    )
    assert 'no element "nosuch"' in said("gst:videotestsrc num-buffers=3 ! nosuch")
    assert "could not link" in said("gst:videotestsrc num-buffers=3 ! fakesink")
    assert "Resource not found" in said("gst:filesrc location=/nothing ! decodebin")
    assert "cannot be split" in said("gst:videotestsrc 'x") and "names no pipeline" in said("gst:")
    monkeypatch.setenv("PATH", "/nothing")
    with pytest.raises(MissingRuntimeError, match="gst-launch"):
        streams.open_source("gst:videotestsrc")


def test_cameras_that_are_not_there(tmp_path, monkeypatch):
    """Pictures of a camera need one: NOT RUN."""
    assert "no camera /dev/video97" in said("/dev/video97") and "no camera /dev/video97" in said("97")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "97").mkdir()
    assert (
        not streams.is_stream("97")
        and not streams.is_stream(str(tmp_path))
        and not streams.is_stream("x.jpg")
    )
    with pytest.raises(StreamError, match="is no stream of frames"):
        streams.open_source("x.jpg")
    with pytest.raises(MissingFileError):
        next(iter(streams.open_source("nothing.mp4")))
    (tmp_path / "x.mp4").write_bytes(b"no video")
    with pytest.raises(ImageError), streams.open_source("x.mp4") as source:
        next(iter(source))


def test_a_source_whose_waits_nothing_ends():
    """As of a camera, whose kernel cannot be hurried: it is watched, but not while it is tried again."""
    back, held = time.monotonic() + 0.6, threading.Event()

    def frames(shade: int):
        yield Frame(0, None, Still(Image.new("L", SIZE, shade)))
        if shade:
            held.wait(20)
        raise LostError("unplugged")

    def connect(text, settings, tally):
        assert text == "camera"
        if connections and time.monotonic() < back:
            raise StreamError("not there", mend="-")
        connections.append(text)
        return Connection(frames(len(connections) - 1), live=True, again=True, watched=True)

    connections: list[str] = []
    kind = Kind("camera", "camera", lambda text, settings: True, connect)
    with Source(kind, "camera", Settings(timeout=0.25)) as source:
        found = iter(source)
        assert [next(found).number, next(found).number] == [0, 1] and source.tally.reconnections == 1
        with pytest.raises(StreamError, match=r"gave no frame for 0\.25 s"):
            next(found)
        held.set()


@pytest.mark.slow
def test_a_server_of_rtsp_that_is_killed(rtsp, port):
    """Frames come again in the same source, and nothing of what was opened stays open."""
    server = rtsp(port)
    told: list[str] = []
    address = f"rtsp://127.0.0.1:{port}/live"
    assert "no such stream (404)" in said(f"rtsp://127.0.0.1:{port}/other")
    with streams.open_source(address, reconnect=60, tell=told.append) as source:
        frames = iter(source)
        opened = []
        for number in range(3):
            assert next(frames).image.size == (160, 120)
            opened.append(len([*Path("/proc/self/fd").iterdir()]))
            server.send_signal((signal.SIGKILL, signal.SIGTERM)[number % 2])
            server.communicate()
            server = rtsp(port)
            while source.tally.reconnections <= number:
                next(frames)
    assert opened[1] == opened[2] and sum("is there again" in line for line in told) == 3
    server.kill()
    server.wait()
    with pytest.raises(StreamError, match="refuses connections"):
        streams.open_source(address)


@pytest.mark.slow
def test_a_server_of_rtsp_that_wants_a_password(rtsp, port):
    rtsp(port, "me:secret")
    at = partial("rtsp://{}127.0.0.1:{}/live".format)
    assert "wants another user name or password" in said(at("", port))
    assert "wants another" in said(at("me:wrong@", port)) and "wrong" not in said(at("me:wrong@", port))
    with streams.open_source(at("me:secret@", port)) as source:
        assert isinstance(next(iter(source)).image, Image.Image)


@pytest.mark.parametrize("form", ["nv12", "yuv420p", "yuvj420p", "yuyv422"])
def test_planes_for_bundles_that_take_nv12(form):
    """Of YUV that is wanted as it is, Y is what the decoder gave; else matrix and range change."""
    rgb = np.kron(
        np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8), np.ones((8, 8, 1), np.uint8)
    )
    decoded = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=form)
    decoded.colorspace, decoded.color_range = 5, 2 if "j" in form else 1
    frame = Decoded(decoded)
    for matrix, range_ in (("bt601", "full" if "j" in form else "limited"), ("bt709", "full")):
        made, wanted = (
            frame.nv12(matrix, range_),
            nv12_of_rgb(np.asarray(frame.image())[None], matrix, range_),
        )
        inner = np.s_[:, 2::8, 2::8], np.s_[:, 1::4, 1::4]
        assert np.abs(made.y.astype(int) - wanted.y)[inner[0]].max() <= 3
        assert np.abs(made.uv.astype(int) - wanted.uv)[inner[1]].max() <= 5
        if matrix == "bt601" and form != "yuyv422":
            assert np.array_equal(made.y[0, ..., 0], decoded.to_ndarray()[:48])
    assert Decoded(av.VideoFrame(64, 48, "rgb24")).nv12("bt601", "full") is None
    assert Decoded(av.VideoFrame(63, 48, form)).nv12("bt601", "full") is None
    assert Decoded(decoded, Turn(90)).nv12("bt601", "full") is None
    decoded.colorspace = 9  # BT.2020, which no bundle takes
    assert frame.nv12("bt601", "full") is None
