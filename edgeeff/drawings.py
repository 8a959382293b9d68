"""A folder of photos with what is said of them drawn on, and a video of such frames."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image

from edgeeff import regular, streams
from edgeeff.errors import MissingRuntimeError, OptionError, OutputError
from edgeeff.files import TEMPORARY, refuse_special, refuse_unwritable, write_file, writing
from edgeeff.images.picture import Picture
from edgeeff.installing import install_line

#: Files that hold no pictures: a name that ends so is no folder's by mistake.
_DATA = frozenset({".csv", ".tsv", ".json", ".jsonl", ".txt", ".npy", ".npz", ".zip", ".h5", ".html"})
#: Files whose pixels are exact stay so; others become JPEG.
_EXACT = frozenset({".png", ".bmp", ".gif", ".npz", ".tif", ".tiff", ".ppm", ".pgm"})
#: Bytes of a file's name, without the ending, that every file system takes.
_LONGEST = 120
#: Ticks of a video's clock in a second; MPEG-4 has 65 535 at most.
_TICKS = 60_000
#: Frames a second of a source that tells no times.
_RATE = 25


class Drawings:
    """The folder that drawn photos go to; it is made when the first one is there.

    Args:
        folder: Its path; a file of the same name in it is replaced.
        drawn: What is drawn: 0007.jpg becomes 0007.boxes.jpg, so that it never takes the photo's place.

    Raises:
        OptionError: The path is that of a file.
        OutputError: It cannot be written.
    """

    def __init__(self, folder: Path, drawn: str = "boxes") -> None:
        files = {*Image.registered_extensions(), *streams.SUFFIXES, *_DATA}
        if folder.suffix.lower() in files or regular.is_file(folder):
            raise OptionError(
                f"--save {folder} is no folder",
                mend=f"name a folder for pictures with {drawn}, or a file that ends in .npz for the outputs; "
                "the video of a stream ends in .mp4",
            )
        refuse_unwritable(folder)
        self._folder, self._ending = folder, f".{drawn}"
        self._names: dict[str, int] = {}

    def photo(self, picture: Picture, image: Image.Image, mask: bytes | None = None) -> Path:
        """Write one drawn photo, and beside it the PNG of its mask; returns the file that it is in.

        Args:
            picture: The photo.
            image: The same, drawn on.
            mask: 0007.mask.png beside 0007.overlay.jpg.
        """
        exact = picture.path.suffix.lower() in _EXACT
        row = "" if picture.index is None else f"-{picture.index}"
        path = self._free(picture.path.stem + row, ".png" if exact else ".jpg")
        content = io.BytesIO()
        image.save(content, "PNG" if exact else "JPEG", **({} if exact else {"quality": 92}))
        write_file(path, content.getvalue())
        if mask is not None:
            stem = path.name.removesuffix(f"{self._ending}{path.suffix}")
            write_file(path.with_name(f"{stem}.mask.png"), mask)
        return path

    def video(self, source: str) -> Film:
        """A video to add the drawn frames of this source to."""
        return Film(self._free(_stem(source), ".mp4"))

    def _free(self, stem: str, suffix: str) -> Path:
        """A name that no other photo of this run has."""
        stem = stem.encode("utf-8", "surrogateescape")[:_LONGEST].decode("utf-8", "ignore") or "image"
        name, number = f"{stem}{self._ending}{suffix}", self._names.get(stem + suffix, 0) + 1
        self._names[stem + suffix] = number
        if number > 1:
            return self._free(f"{stem}-{number}", suffix)
        return self._folder / name


def _stem(source: str) -> str:
    """What a source's video is called: by its file, else by the host and path of its address, or its kind."""
    scheme, colon, rest = source.partition("://")
    if colon:
        return re.sub(r"[^\w.-]+", "-", rest.partition("?")[0].rpartition("@")[2]).strip("-.") or scheme
    if source.startswith("gst:") or ("/" not in source and " " in source):
        return source.partition(":")[0].replace(" ", "-")
    return Path(source).stem


class Film:
    """A video of drawn frames; it is written, whole, when the block is left.

    What was added until an interruption is kept; after an error nothing is.

    Args:
        path: Where it goes, an MP4.

    Raises:
        MissingRuntimeError: PyAV is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            import av
        except ImportError:
            raise MissingRuntimeError(
                "writing video needs PyAV, which is not installed",
                mend=f"install it: {install_line('video')}",
            ) from None
        self._av: Any = av
        self._path = path
        self._staged = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}.mp4"
        self._container: Any = None
        self._stream: Any = None
        self._last = -1

    def __enter__(self) -> Film:
        refuse_special(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._container is None:
            return
        try:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                with self._written():
                    self._container.mux(self._stream.encode(None))
                    self._container.close()
                    self._staged.replace(self._path)
        finally:
            self._container.close()
            self._staged.unlink(missing_ok=True)

    def add(self, picture: Image.Image, seconds: float | None) -> None:
        """The next frame.

        Args:
            picture: Drawn already, RGB; all frames get the size of the first one.
            seconds: From the source's start; None: one frame after the last.
        """
        with self._written():
            if self._container is None:
                self._begin(picture.size)
            size = (self._stream.width, self._stream.height)
            if picture.size != size:
                picture = _onto(picture, size)
            frame = self._av.VideoFrame.from_image(picture)
            after = self._last + 1 if seconds is not None else self._last + _TICKS // _RATE
            self._last = max(after, 0 if seconds is None else round(seconds * _TICKS))
            frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
            self._container.mux(self._stream.encode(frame))

    def _begin(self, size: tuple[int, int]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self._staged), "w", format="mp4")
        self._stream = self._container.add_stream(_encoder(self._av), rate=_RATE)
        # Two by two pixels share a colour: odd sides get a border of one pixel.
        self._stream.width, self._stream.height = (side + side % 2 for side in size)
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        if self._stream.codec_context.name == "mpeg4":
            self._stream.bit_rate = 8_000_000

    @contextmanager
    def _written(self) -> Iterator[None]:
        """PyAV's refusals as ours."""
        try:
            with writing(self._path):
                yield
        except self._av.FFmpegError as error:
            raise OutputError(
                f"cannot write {self._path}: {error}", mend="choose another folder with --save"
            ) from None


def _encoder(av: Any) -> str:
    """H.264 where the FFmpeg that PyAV brings can write it, else MPEG-4, which each can."""
    return "libx264" if "libx264" in av.codecs_available else "mpeg4"


def _onto(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture at the top left of a frame; one that is larger is made smaller first."""
    picture = picture.copy()
    if picture.width > size[0] or picture.height > size[1]:
        picture.thumbnail(size)
    frame = Image.new("RGB", size)
    frame.paste(picture)
    return frame
