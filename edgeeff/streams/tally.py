"""What became of a stream: how much was skipped, missing, dropped, and how often it was lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgeeff.streams.frame import Frame

#: Gaps that a warning names; the others are only counted.
_NAMED = 8
#: Gaps and changes that are kept: a camera runs for months.
_KEPT = 1000


@dataclass
class Tally:
    """What became of a stream so far; filled while its frames are read."""

    frames: int = 0
    #: Packets that could not be decoded, and places where the container could not be read.
    skipped: int = 0
    damaged: int = 0
    #: Frames that are missing between others, by the timestamps.
    missing: int = 0
    #: First and last number of each gap; of many the first ones.
    gaps: list[tuple[int, int]] = field(default_factory=list)
    #: Frames that came and were dropped, since newer ones were there.
    dropped: int = 0
    #: How often the stream was lost and came back.
    reconnections: int = 0
    #: Width and height of the last frame.
    size: tuple[int, int] | None = None
    #: The number of each frame whose size differs from that of the one before, and its size; the first too.
    changes: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    #: Frames that the file says it has; None where it does not say, or the source is no file.
    expected: int | None = None
    #: How frames were to be turned, and were not; empty: they were not to be.
    unturned: str = ""
    #: What the video says of its frames that the network's input does not show.
    traits: tuple[str, ...] = ()
    #: The frame rate is not constant: numbers are a count, and gaps by the timestamps mean nothing.
    varies: bool = False
    #: Set once the source has ended: the frame after the last.
    end: int | None = None

    def count(self, frame: Frame) -> None:
        """One more frame is there."""
        self.frames += 1
        self.damaged += frame.damaged
        self.dropped += frame.dropped
        if frame.missing:
            self.missing += frame.missing
            if len(self.gaps) < _KEPT and not frame.dropped:  # else it is not known where
                self.gaps.append((frame.number - frame.missing, frame.number - 1))
        size = frame.raster.size
        if size != self.size:
            self.size = size
            if len(self.changes) < _KEPT:
                self.changes.append((frame.number, size))

    @property
    def ended_early(self) -> bool:
        """Whether the file holds fewer frames than it says."""
        return self.end is not None and self.expected is not None and self.end < self.expected

    def warnings(self, source: str) -> list[str]:
        """Sentences on what is not as it was recorded."""
        found = self.known_early(source)
        if self.skipped:
            found.append(f"{source}: {self.skipped} damaged packets could not be decoded and were skipped")
        if self.missing and not self.varies:
            named = ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in self.gaps[:_NAMED])
            more = f" and {len(self.gaps) - _NAMED} more gaps" if len(self.gaps) > _NAMED else ""
            which = f": {named}{more}" if named else ""
            found.append(f"{source}: {self.missing} frames are missing, by the timestamps{which}")
        if self.damaged:
            found.append(f"{source}: {self.damaged} frames are decoded in part only (their data is damaged)")
        if len(self.changes) > 1:
            (_, (width, height)), (number, (wide, high)) = self.changes[:2]
            more = f", and {len(self.changes) - 2} more changes" if len(self.changes) > 2 else ""
            found.append(
                f"{source}: frames are {width} x {height} pixels, and from frame {number} on "
                f"{wide} x {high}{more}"
            )
        if self.reconnections:
            found.append(f"{source} was lost and connected to again: {self.reconnections} times")
        if self.ended_early and self.end:
            about = "about " if self.varies else "the "
            found.append(
                f"{source} ended early: after frame {self.end - 1} of {about}{self.expected} "
                "that the file says it has; it is cut off or damaged"
            )
        return found

    def known_early(self, source: str) -> list[str]:
        """Those of the sentences that the first frame brings: a camera runs for months."""
        found = [f"{source} {trait}" for trait in self.traits]
        if self.unturned:
            found.append(
                f"{source} is to be shown {self.unturned}, and its frames are taken as they are stored, as "
                "photos are: build with --exif to turn both, or turn it with ffmpeg"
            )
        return found
