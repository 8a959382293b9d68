"""Frames of a video file or a camera, through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from edgeeff.errors import ImageError, MissingFileError, MissingRuntimeError
from edgeeff.installing import install_line

SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mjpeg"})
CAMERA = "/dev/video"


def is_video(source: str) -> bool:
    """Whether a source is a video file or a camera, by its name."""
    return source.startswith(CAMERA) or Path(source).suffix.lower() in SUFFIXES


def frames(source: str) -> Iterator[Image.Image]:
    """The frames of a video or camera, RGB, in order.

    Raises:
        MissingRuntimeError: PyAV is not installed.
        MissingFileError: There is no such file or camera.
        ImageError: It holds no video, or is broken.
    """
    try:
        import av
    except ImportError:
        raise MissingRuntimeError(
            "reading video needs PyAV, which is not installed",
            mend=f"install it: {install_line('video')}",
        ) from None
    if not Path(source).exists():
        raise MissingFileError(f"no video or camera {source}", mend="pass a video file or /dev/video0")
    try:
        with av.open(source, format="v4l2" if source.startswith(CAMERA) else None) as container:
            if not container.streams.video:
                raise ImageError(f"{source} holds no video", mend="pass a file with a video stream")
            for frame in container.decode(video=0):
                yield frame.to_image()
    except av.FFmpegError as error:
        raise ImageError(f"{source} cannot be decoded: {error}", mend="convert it with ffmpeg") from None
