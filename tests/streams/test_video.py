"""Videos as they arrive: whole, with damaged packets, cut off, with names that are no UTF-8."""

from __future__ import annotations

import itertools
import os
import shutil
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeeff import streams as video
from edgeeff.errors import ImageError, MissingFileError
from tests.streams.conftest import varying

av = pytest.importorskip("av")

FRAMES = 24
KINDS = [
    (codec, suffix)
    for codec in ("mpeg4", "libx264", "mjpeg", "libvpx", "libvpx-vp9")
    for suffix in (".mp4", ".avi", ".mkv")
    if codec in av.codecs_available and (codec, suffix) != ("libvpx", ".mp4")
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip of 24 frames at 10 a second, made once for each kind."""
    folder = tmp_path_factory.mktemp("clips")

    def made(codec: str, suffix: str) -> Path:
        path = folder / f"{codec}{suffix}"
        if path.exists():
            return path
        base = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
        with av.open(path, "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width = stream.height = 48
            stream.options = {"deadline": "realtime", "cpu-used": "8"} if "vpx" in codec else {}
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for i in range(FRAMES):
                frame = av.VideoFrame.from_ndarray(np.roll(base, i, 1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return made


def read(path: Path) -> tuple[list[video.Frame], video.Tally]:
    tally = video.Tally()
    return list(video.frames(str(path), tally)), tally


def tolerant(path: Path) -> int:
    """Frames that a plain loop decodes that passes over the errors of packets, as ffmpeg's own tool does."""
    count = 0
    with av.open(path) as container:
        try:
            for packet in container.demux(video=0):
                try:
                    count += len(packet.decode())
                except av.FFmpegError:
                    continue
        except av.FFmpegError:
            pass
    return count


def by_ffmpeg(path: Path) -> int:
    """Frames that ffmpeg's own tool decodes of it, none doubled or dropped; 0 where it refuses the file."""
    command = ["ffmpeg", "-v", "quiet", "-i", path, "-map", "0:v:0", "-vsync", "passthrough"]
    done = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, text=True, timeout=60)
    return sum(not line.startswith("#") for line in done.stdout.splitlines())


def damaged(path: Path, to: Path, kind: str) -> Path:
    """One packet overwritten, 30 bytes of noise, or the file cut at six tenths."""
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    if kind == "packet":
        start, size = places[9]
        data[start : start + size] = b"\xff" * size
    elif kind == "noise":
        rng = np.random.default_rng(1)
        first, last = places[2][0], sum(places[-3])
        for at in rng.integers(first, last, 30):
            data[at] = rng.integers(256)
    else:
        del data[len(data) * 6 // 10 :]
    copy = to / f"{kind}-{path.name}"
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize(("codec", "suffix"), KINDS)
def test_a_whole_video_is_read_whole_and_nothing_is_said(clip, codec, suffix):
    found, tally = read(clip(codec, suffix))
    assert [f.number for f in found] == list(range(FRAMES))
    assert not tally.warnings("x") and not any(f.missing or f.damaged for f in found)
    assert tally.end == FRAMES and FRAMES - 1 <= tally.expected <= FRAMES


@pytest.mark.parametrize("kind", ["packet", "noise", "half"])
@pytest.mark.parametrize(("codec", "suffix"), KINDS)
def test_damage_is_passed_over_and_said(clip, codec, suffix, kind, tmp_path):
    whole = clip(codec, suffix)
    path = damaged(whole, tmp_path, kind)
    if kind == "half" and (suffix == ".mp4" or not tolerant(path)):  # an MP4's index was at the end
        with pytest.raises(ImageError, match=r"can(not)? be decoded"):
            read(path)
        return
    found, tally = read(path)
    numbers = [f.number for f in found]
    assert len(found) == tally.frames >= tolerant(path)
    assert numbers == sorted(set(numbers))
    if kind == "noise" and path.read_bytes() != whole.read_bytes() and len(found) == FRAMES:
        return  # what the decoder cannot notice, nobody can
    assert tally.warnings("x")
    # Every frame is there, or in a gap, or after the end; B-frames of an AVI have no times of their own.
    absent = tally.missing + FRAMES - tally.end
    assert len(found) + absent == FRAMES
    if kind == "half":
        assert tally.ended_early and "ended early" in tally.warnings("x")[-1]
    elif codec != "libx264" and suffix != ".mkv" and kind == "packet":
        assert tally.gaps == [(9, 9)] and tally.skipped == 1
        assert [f.missing for f in found if f.missing] == [1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg's own tool is not installed")
@pytest.mark.parametrize("kind", ["whole", "packet", "noise", "half"])
@pytest.mark.parametrize(("codec", "suffix"), KINDS)
def test_no_frame_is_lost_that_ffmpeg_decodes(clip, codec, suffix, kind, tmp_path):
    path = clip(codec, suffix) if kind == "whole" else damaged(clip(codec, suffix), tmp_path, kind)
    theirs = by_ffmpeg(path)
    try:
        ours = len(read(path)[0])
    except ImageError:
        ours = 0
    assert ours >= theirs
    assert theirs == FRAMES or kind != "whole"


def test_later_frames_keep_their_numbers_and_their_pictures(clip, tmp_path):
    whole = clip("mjpeg", ".avi")
    found, _ = read(damaged(whole, tmp_path, "packet"))
    clean, _ = read(whole)
    for frame in found:
        assert frame.image.tobytes() == clean[frame.number].image.tobytes()
        assert frame.seconds == pytest.approx(frame.number / 10)


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
@pytest.mark.parametrize("times", ["screen", "dark"])
def test_a_varying_rate_is_no_damage(suffix, times, tmp_path):
    """A screen is recorded when it changes; a camera is slower in the dark. Both declare 50 a second."""
    steps = [20, 37, 55, 90, 121] * 8 if times == "screen" else [20] * 10 + [100] * 30
    path = varying(tmp_path / f"x{suffix}", steps)
    found, tally = read(path)
    count = len({at // 20 for at in itertools.accumulate(steps)})
    assert [f.number for f in found] == list(range(len(found))) and len(found) >= count
    assert not tally.missing and not tally.warnings("x") and not tally.ended_early
    if suffix == ".mkv":
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        found, tally = read(path)
        assert tally.ended_early and " of about " in tally.warnings("x")[-1]


T = Image.Transpose
#: What a display matrix (a, b, c, d) makes of a picture.
SHOWN = {
    (0, 1, -1, 0): T.ROTATE_270,
    (-1, 0, 0, -1): T.ROTATE_180,
    (0, -1, 1, 0): T.ROTATE_90,
    (-1, 0, 0, 1): T.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): T.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): T.TRANSPOSE,
    (0, -1, -1, 0): T.TRANSVERSE,
}


def test_turned_and_mirrored_videos(clip, tmp_path):
    """As phones write them, those of a mirrored front camera too: by the matrix of the track's header."""
    path, whole = tmp_path / "x.mp4", clip("mpeg4", ".mp4")
    data = whole.read_bytes()
    header = data.index(b"tkhd") + 44
    for (a, b, c, d), transpose in SHOWN.items():
        matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        path.write_bytes(data[:header] + matrix + data[header + 36 :])
        tally = video.Tally()
        stored, shown = (next(video.frames(str(path), tally, turn=turn)).image for turn in (False, True))
        assert np.array_equal(np.asarray(stored.transpose(transpose)), np.asarray(shown))
        (warning,) = tally.known_early("x")
        assert ("mirrored" in warning) == (a * d - b * c < 0) and "--exif" in warning


def test_what_frames_do_not_show_is_said(tmp_path):
    path = tmp_path / "x.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuva420p"
        stream.codec_context.color_trc = 18
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuva420p")))
        container.mux(stream.encode())
    hdr, alpha = read(path)[1].warnings("x")
    assert "(HLG)" in hdr and "transparency" in alpha
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ildct+ilme"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode())
    fields, pixels = read(path)[1].warnings("x")
    assert "yadif" in fields and "4:3" in pixels


def test_names_that_are_no_utf8(clip, tmp_path):
    data = clip("mjpeg", ".mkv").read_bytes()
    path = tmp_path / "x.mkv"
    path.write_bytes(data.replace(b"ENCODER", b"ENC\xff\xfeER").replace(b"Lavf", b"\xff\xfe\x9b\x80"))
    assert path.read_bytes() != data
    assert read(path)[1].frames == FRAMES


@pytest.mark.parametrize("content", [b"", b"no video at all" * 99, bytes(5000)])
def test_what_is_no_video_is_refused(content, tmp_path):
    path = tmp_path / "x.avi"
    path.write_bytes(content)
    with pytest.raises(ImageError):
        read(path)


def test_not_one_frame(clip, tmp_path):
    whole = clip("mjpeg", ".avi")
    data = bytearray(whole.read_bytes())
    with av.open(whole) as container:
        for place, size in [(p.pos, p.size) for p in container.demux(video=0) if p.size]:
            data[place : place + size] = bytes(size)
    path = tmp_path / "x.avi"
    path.write_bytes(data)
    with pytest.raises(ImageError, match="not one frame"):
        read(path)


def test_pipes_and_folders_are_no_videos(tmp_path):
    os.mkfifo(tmp_path / "x.mp4")
    with pytest.raises(MissingFileError):
        read(tmp_path / "x.mp4")
    (tmp_path / "y.mp4").mkdir()
    assert not video.is_video(str(tmp_path / "y.mp4"))
