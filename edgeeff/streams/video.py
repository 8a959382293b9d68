"""Frames of a video file or a camera, through PyAV; what is damaged is skipped and counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from edgeeff.errors import ImageError, MissingFileError, MissingRuntimeError
from edgeeff.installing import install_line

SUFFIXES = frozenset({".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mjpeg"})
CAMERA = "/dev/video"

#: Reading goes on after a damaged part of the container until so many reads in a row have failed.
_TRIES = 16
#: Pixels of the largest frame: four times 8K, as a few bytes of a header can claim any size.
_LARGEST = 4 * 7680 * 4320
#: Frames by which a duration may be too long: encoders round it.
_SLACK = 1
#: A frame rate is constant when the mean and the nominal one differ by less than this part.
_CONSTANT = 0.01
#: Gaps that a warning names; the others are only counted.
_NAMED = 8


@dataclass(frozen=True)
class Frame:
    """One decoded frame.

    Attributes:
        number: From 0, by its timestamp where the frame rate is constant: frames that are missing keep
            their numbers. Otherwise, and for a camera, the count of frames.
        seconds: Of its timestamp from the stream's start; None where the stream tells none.
        missing: Frames that are missing directly before it, by the timestamps.
        damaged: The decoder says that parts of the picture are not what was recorded.
    """

    number: int
    seconds: float | None
    image: Image.Image
    missing: int
    damaged: bool


@dataclass
class Tally:
    """What became of a video so far; filled while its frames are read."""

    frames: int = 0
    #: Packets that could not be decoded, and places where the container could not be read.
    skipped: int = 0
    damaged: int = 0
    #: First and last number of each gap.
    gaps: list[tuple[int, int]] = field(default_factory=list)
    #: Frames that the file says it has; None where it does not say, or the source is a camera.
    expected: int | None = None
    #: Degrees to the left by which frames were to be turned, and were not.
    unturned: int = 0
    #: Set once the source has ended: the frame after the last.
    end: int | None = None

    @property
    def missing(self) -> int:
        """Frames that are missing between others."""
        return sum(last - first + 1 for first, last in self.gaps)

    @property
    def ended_early(self) -> bool:
        """Whether the file holds fewer frames than it says."""
        return self.end is not None and self.expected is not None and self.end < self.expected

    def warnings(self, source: str) -> list[str]:
        """Sentences on what is not as it was recorded."""
        found = []
        if self.unturned:
            found.append(
                f"{source} is to be shown turned left by {self.unturned}°, and its frames were taken as they "
                "are stored, as photos are: build with --exif to turn both, or turn it with ffmpeg"
            )
        if self.skipped:
            found.append(f"{source}: {self.skipped} damaged packets could not be decoded and were skipped")
        if self.gaps:
            named = ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in self.gaps[:_NAMED])
            more = f" and {len(self.gaps) - _NAMED} more gaps" if len(self.gaps) > _NAMED else ""
            found.append(f"{source}: {self.missing} frames are missing, by the timestamps: {named}{more}")
        if self.damaged:
            found.append(f"{source}: {self.damaged} frames are decoded in part only (their data is damaged)")
        if self.ended_early:
            found.append(
                f"{source} ended early: after frame {(self.end or 0) - 1} of the {self.expected} "
                "that the file says it has; it is cut off or damaged"
            )
        return found


def is_video(source: str) -> bool:
    """Whether a source is a video file or a camera, by its name."""
    return source.startswith(CAMERA) or (
        Path(source).suffix.lower() in SUFFIXES and not Path(source).is_dir()
    )


def frames(source: str, tally: Tally | None = None, *, turn: bool = False) -> Iterator[Frame]:
    """The frames of a video or camera, RGB, in order; packets that cannot be decoded are skipped.

    Args:
        source: A video file, or ``/dev/video0``.
        tally: Filled with what was read, skipped and missing; its ``end`` is set when the source has ended.
        turn: Turn frames as the file says they are to be shown: phones write upright videos as turned ones.

    Raises:
        MissingRuntimeError: PyAV is not installed.
        MissingFileError: There is no such file or camera.
        ImageError: It holds no video, or not one frame can be decoded.
    """
    try:
        import av
    except ImportError:
        raise MissingRuntimeError(
            "reading video needs PyAV, which is not installed",
            mend=f"install it: {install_line('video')}",
        ) from None
    camera = source.startswith(CAMERA)
    if not Path(source).exists() or not (camera or Path(source).is_file()):  # a pipe would be waited for
        raise MissingFileError(f"no video or camera {source}", mend="pass a video file or /dev/video0")
    tally = Tally() if tally is None else tally
    try:
        with av.open(source, format="v4l2" if camera else None, metadata_errors="replace") as container:
            if not container.streams.video:
                raise ImageError(f"{source} holds no video", mend="pass a file with a video stream")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise ImageError(
                    f"{source} is of a codec that is not known here", mend="convert it with ffmpeg"
                )
            _refuse_large(source, stream.codec_context)
            clock = _Clock(stream, timed=not camera and _tells_time(container, stream))
            tally.expected = None if camera else _expected(container, stream)
            for decoded in _decoded(container, stream, tally):
                yield _turned(clock.frame(decoded, tally), getattr(decoded, "rotation", 0), tally, turn)
            tally.end = clock.next
    except (av.FFmpegError, UnicodeDecodeError) as error:
        reason = "its names are not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise ImageError(f"{source} cannot be decoded: {reason}", mend="convert it with ffmpeg") from None
    if not tally.frames:
        raise ImageError(
            f"{source}: not one frame can be decoded ({tally.skipped} damaged packets)",
            mend="convert it with ffmpeg, or record it again",
        )


def _turned(frame: Frame, degrees: float, tally: Tally, turn: bool) -> Frame:
    """A frame turned left, or as it is, which the tally notes."""
    if not degrees:
        return frame
    if turn:
        return replace(frame, image=frame.image.rotate(degrees, expand=True))
    tally.unturned = round(degrees) % 360
    return frame


def _refuse_large(source: str, codec: Any) -> None:
    if codec.width * codec.height > _LARGEST:
        raise ImageError(
            f"{source}: frames of {codec.width} x {codec.height} pixels are too large",
            mend="scale the video down with ffmpeg",
        )


def _decoded(container: Any, stream: Any, tally: Tally) -> Iterator[Any]:
    """Decoded frames; an error of the container or of a packet is counted and passed over."""
    import av

    failed = 0
    ended = False
    while not ended and failed < _TRIES:
        packets = container.demux(stream)  # after an error a generator is over
        try:
            for packet in packets:
                ended = packet.size == 0  # the last one, which brings out what the decoder still holds
                if not ended:
                    failed = 0
                _refuse_large(container.name, stream.codec_context)
                try:
                    yield from packet.decode()
                except av.FFmpegError:
                    tally.skipped += not ended
            ended = True
        except av.FFmpegError:
            if not failed:
                tally.skipped += 1
            failed += 1
    if failed:
        try:
            yield from stream.codec_context.decode(None)
        except av.FFmpegError:
            return


def _tells_time(container: Any, stream: Any) -> bool:
    """Whether timestamps number the frames: the rate is constant, and they are those of the frames.

    An AVI has only those of packets, which are not in the order of the frames where there are B-frames.
    """
    rate, nominal = stream.average_rate, stream.base_rate
    reordered = container.format.name == "avi" and stream.codec_context.has_b_frames
    return bool(rate and nominal and abs(rate - nominal) < _CONSTANT * nominal and not reordered)


class _Clock:
    """Numbers frames by their timestamps, or else counts them and the packets that were skipped."""

    def __init__(self, stream: Any, *, timed: bool) -> None:
        self._timed = timed
        self._rate, self._base, self._start = stream.average_rate, stream.time_base, stream.start_time
        self._skipped = 0
        self.next = 0

    def frame(self, decoded: Any, tally: Tally) -> Frame:
        """The frame with its number; the tally is brought up to date."""
        seconds = self._seconds(decoded.pts)
        if self._timed and seconds is not None:
            number = max(self.next, round(seconds * float(self._rate)))
        else:
            number = self.next + tally.skipped - self._skipped
        self._skipped = tally.skipped
        missing = number - self.next
        if missing:
            tally.gaps.append((self.next, number - 1))
        self.next = number + 1
        tally.frames += 1
        tally.damaged += bool(decoded.is_corrupt)
        shown = None if seconds is None else round(seconds, 6)
        return Frame(number, shown, decoded.to_image(), missing, bool(decoded.is_corrupt))

    def _seconds(self, pts: int | None) -> float | None:
        if pts is None or self._base is None:
            return None
        if self._start is None:
            self._start = pts
        return float((pts - self._start) * self._base)


def _expected(container: Any, stream: Any) -> int | None:
    """Frames that a file says it has: its header's count, or its duration by the frame rate.

    An MP4's count holds frames that its edit list leaves out: there the smaller of the two counts. A cut
    AVI's duration is that of what is left: there the larger.
    """
    rate = stream.average_rate
    seconds = 0.0
    if stream.duration and stream.time_base:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:  # else it may be the sound's
        seconds = container.duration / 1_000_000
    by_time = int(seconds * float(rate)) - _SLACK if rate else 0
    counts = [count for count in (stream.frames, by_time) if count > 0]
    if not counts:
        return None
    return min(counts) if "mp4" in container.format.name else max(counts)
