"""The numbers of frames: by their timestamps where the frame rate is constant, else by counting."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from edgeeff.streams.frame import Decoded, Frame
from edgeeff.streams.tally import Tally

#: A frame rate is constant when the mean and the nominal one differ by less than this part.
_CONSTANT = 0.01
#: Parts of a frame's time by which a step between frames may differ from whole ones, beside its rounding.
_OFF = 0.2
#: Steps that may be odd in a recording of constant rate, and their part of all: damaged timestamps.
_ODD, _ODD_PART = 2, 0.02
#: Of all steps, those longer than one frame: from this part on it is the rate that changes.
_LONG_PART = 0.25
#: Seconds by which such a recording may end before it says.
_BRIEF = 0.5
#: Packets whose timestamps are looked at before a file is read.
_LOOKED = 600


def tells_time(container: Any, stream: Any) -> bool:
    """Whether timestamps number the frames: the rate is constant, and they are those of the frames.

    An AVI has only those of packets, which are not in the order of the frames where there are B-frames.
    """
    rate, nominal = stream.average_rate, stream.base_rate
    reordered = container.format.name == "avi" and stream.codec_context.has_b_frames
    return bool(rate and nominal and abs(rate - nominal) < _CONSTANT * nominal and not reordered)


def varies(container: Any) -> bool:
    """Whether a file's first packets come at a varying rate, whatever rate it declares: screen recordings
    and cameras in the dark do, and Matroska and AVI then still name one.

    Args:
        container: Opened for this alone: its packets are read.
    """
    stream = container.streams.video[0]
    if stream.codec_context is None or not tells_time(container, stream):
        return False
    times: list[int] = []
    for packet in container.demux(stream):
        if packet.pts is not None and packet.size:
            times.append(packet.pts)
        if len(times) >= _LOOKED:
            break
    steps = _Steps(stream.average_rate, stream.time_base)
    return steps.vary(sorted(set(times)))


class _Steps:
    """Whether frames lie whole numbers of frame times apart."""

    def __init__(self, rate: Fraction, base: Fraction) -> None:
        self._of = float(base * rate)
        #: Rounded to ticks, both ends of a step.
        self._slack = _OFF + self._of
        self.all = self.odd = self.long = 0

    def add(self, ticks: int) -> None:
        """One more step."""
        step = ticks * self._of
        self.all += 1
        self.odd += abs(step - round(step)) > self._slack
        self.long += step > 1.5

    def vary(self, times: Iterable[int]) -> bool:
        """Whether frames at these times come at a varying rate."""
        before = None
        for time in times:
            if before is not None:
                self.add(time - before)
            before = time
        return self.varied or (self.long > _ODD and self.long > _LONG_PART * self.all)

    @property
    def varied(self) -> bool:
        """Whether too many steps are odd up to now for a constant rate."""
        return self.odd > _ODD and self.odd > _ODD_PART * self.all


class Clock:
    """Numbers frames by their timestamps, or else counts them and the packets that were skipped.

    Args:
        stream: PyAV's.
        tally: Says what was skipped up to now, and is told that the rate varies.
        timed: The rate is constant as far as is known.
    """

    def __init__(self, stream: Any, tally: Tally, *, timed: bool) -> None:
        self._tally = tally
        self._rate, self._base, self._start = stream.average_rate, stream.time_base, stream.start_time
        self._skipped = tally.skipped
        self._steps = _Steps(self._rate, self._base) if timed and self._base else None
        self._before: int | None = None
        self._last = self._longest = 0.0
        #: The number of the next frame, if none is missing.
        self.next = 0

    def frame(self, decoded: Any, raster: Decoded, came: float, decoding: float) -> Frame:
        """The frame with its number."""
        seconds, skipped = self._seconds(decoded.pts), self._tally.skipped
        if seconds is not None and seconds > self._last:
            self._longest, self._last = max(self._longest, seconds - self._last), seconds
        if self._steps is not None and seconds is not None and not self._varies(decoded.pts):
            number = max(self.next, round(seconds * float(self._rate)))
        else:
            number = self.next + skipped - self._skipped
        self._skipped = skipped
        missing = number - self.next
        self.next = number + 1
        shown = None if seconds is None else round(seconds, 6)
        return Frame(number, shown, raster, missing, bool(decoded.is_corrupt), came=came, decoding=decoding)

    def expected(self, duration: float) -> int | None:
        """About how many frames a file of a varying rate was to have, of how many seconds it says it is.

        None: it ends within two of its longest steps of that.
        """
        if not self._last or duration - self._last <= max(2 * self._longest, _BRIEF):
            return None
        return max(self.next + 1, round(self.next * duration / self._last))

    def _varies(self, pts: int) -> bool:
        assert self._steps is not None
        if self._before is not None and pts > self._before:
            self._steps.add(pts - self._before)
        self._before = pts
        if self._steps.varied:
            self._steps, self._tally.varies = None, True
        return self._tally.varies

    def _seconds(self, pts: int | None) -> float | None:
        if pts is None or self._base is None:
            return None
        if self._start is None:
            self._start = pts
        return float((pts - self._start) * self._base)
