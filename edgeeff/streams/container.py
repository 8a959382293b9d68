"""Frames out of a container that PyAV has opened; what is damaged is skipped and counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from edgeeff.errors import ImageError, MissingRuntimeError
from edgeeff.installing import install_line
from edgeeff.streams.clock import Clock, tells_time
from edgeeff.streams.frame import Decoded, Frame
from edgeeff.streams.kinds import LostError
from edgeeff.streams.tally import Tally
from edgeeff.streams.traits import UPRIGHT, Traits
from edgeeff.streams.traits import turn as turn_of

#: Reading goes on after a damaged part of the container until so many reads in a row have failed.
_TRIES = 16
#: Pixels of the largest frame: four times 8K, as a few bytes of a header can claim any size.
_LARGEST = 4 * 7680 * 4320
#: Frames by which a duration may be too long: encoders round it.
_SLACK = 1


def library() -> Any:
    """PyAV, imported.

    Raises:
        MissingRuntimeError: It is not installed.
    """
    try:
        import av
    except ImportError:
        raise MissingRuntimeError(
            "reading video needs PyAV, which is not installed",
            mend=f"install it: {install_line('video')}",
        ) from None
    return av


def read(
    container: Any, name: str, tally: Tally, *, live: bool = False, turn: bool = False
) -> Iterator[Frame]:
    """The frames of a container's video, in order; packets that cannot be decoded are skipped.

    Args:
        container: Opened by PyAV.
        name: For messages.
        tally: Gets what was skipped and how many frames there are to be, and its ``end`` when the source has
            ended; frames are for the caller to count. Its ``varies`` may be set before.
        live: It is no file: frames are counted and not numbered by their timestamps, and an error of the
            network ends it.
        turn: Turn frames as the file says they are to be shown: phones write upright videos as turned ones.

    Raises:
        ImageError: It holds no video, one of an unknown codec, or not one frame can be decoded.
        LostError: The network failed, or nothing came for too long.
    """
    av = library()
    try:
        if not container.streams.video:
            raise ImageError(f"{name} holds no video", mend="pass a source with a video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise ImageError(f"{name} is of a codec that is not known here", mend="convert it with ffmpeg")
        _refuse_large(name, stream.codec_context)
        timed = not live and not tally.varies and tells_time(container, stream)
        clock = Clock(stream, tally, timed=timed)
        tally.expected = None if live else _expected(container, stream)
        traits = Traits(stream)
        for decoded, came, seconds in _decoded(container, stream, name, tally, live=live):
            tally.traits, shown = traits.look(decoded), turn_of(decoded)
            if shown != UPRIGHT and not turn:
                tally.unturned = str(shown)
            raster = Decoded(decoded, shown if turn else UPRIGHT)
            yield clock.frame(decoded, raster, came, seconds)
        if tally.varies and "mp4" not in container.format.name:
            tally.expected = clock.expected(_seconds(container, stream))
        tally.end = clock.next
    except (av.FFmpegError, UnicodeDecodeError) as error:
        raise undecodable(name, error) from None
    if not clock.next and not live:
        raise ImageError(
            f"{name}: not one frame can be decoded ({tally.skipped} damaged packets)",
            mend="convert it with ffmpeg, or record it again",
        )


def undecodable(name: str, error: Exception) -> ImageError:
    """What PyAV says of a source that it cannot decode, as an error of ours."""
    said = getattr(error, "strerror", None) or error
    reason = "its names are not UTF-8" if isinstance(error, UnicodeDecodeError) else said
    return ImageError(f"{name} cannot be decoded: {reason}", mend="convert it with ffmpeg")


def _refuse_large(source: str, codec: Any) -> None:
    if codec.width * codec.height > _LARGEST:
        raise ImageError(
            f"{source}: frames of {codec.width} x {codec.height} pixels are too large",
            mend="scale the video down with ffmpeg",
        )


def _decoded(
    container: Any, stream: Any, name: str, tally: Tally, *, live: bool
) -> Iterator[tuple[Any, float, float]]:
    """Decoded frames, when their decoding began, and its seconds.

    An error of the container or of a packet is counted and passed over; one of the network is not.
    """
    av = library()
    failed = 0
    ended = False
    while not ended and failed < _TRIES:
        packets = container.demux(stream)  # after an error a generator is over
        try:
            for packet in packets:
                ended = packet.size == 0  # the last one, which brings out what the decoder still holds
                if not ended:
                    failed = 0
                _refuse_large(name, stream.codec_context)
                came = time.perf_counter()
                try:
                    found = packet.decode()
                except av.FFmpegError:
                    tally.skipped += not ended
                    continue
                seconds = (time.perf_counter() - came) / max(len(found), 1)
                yield from ((frame, came, seconds) for frame in found)
            ended = True
        except av.FFmpegError as error:
            if live and (reason := _of_network(error)):
                raise LostError(reason) from None
            if not failed:
                tally.skipped += 1
            failed += 1
    if failed:
        came = time.perf_counter()
        try:
            found = stream.codec_context.decode(None)
        except av.FFmpegError:
            return
        yield from ((frame, came, 0.0) for frame in found)


def _of_network(error: Any) -> str | None:
    """Why a connection is lost; None: the data are damaged, and more of them may come."""
    av = library()
    if isinstance(error, av.error.ExitError | TimeoutError):
        return "nothing came any more"
    return (error.strerror or str(error)) if isinstance(error, OSError) else None


def _expected(container: Any, stream: Any) -> int | None:
    """Frames that a file says it has: its header's count, or its duration by the frame rate.

    An MP4's count holds frames that its edit list leaves out: there the smaller of the two counts. A cut
    AVI's duration is that of what is left: there the larger.
    """
    rate = stream.average_rate
    by_time = int(_seconds(container, stream) * float(rate)) - _SLACK if rate else 0
    counts = [count for count in (stream.frames, by_time) if count > 0]
    if not counts:
        return None
    return min(counts) if "mp4" in container.format.name else max(counts)


def _seconds(container: Any, stream: Any) -> float:
    """How long a file says it is; 0: it does not say."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:  # else it may be the sound's
        return float(container.duration / 1_000_000)
    return 0.0
