"""One pass over a clip: what each frame looks like, in a few hundred bytes of it.

A frame becomes its colours in 16 × 16 regions, and a number for how sharp it is. Frames that show nothing or
are damaged are left out at once, and of frames that are alike one after the other the sharpest is kept, so
that memory grows with what happens in the clip and not with its length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff import streams

F32 = npt.NDArray[np.float32]

#: Regions of a side.
REGIONS = 16
#: Root mean square of the difference between two frames' regions, in levels of 0…255, under which they are
#: alike. In a clip of 240 photos at 128 pixels, held with noise and pans, H.264, nine of ten frames that
#: repeat the one before had 0.7 at most, half of the others 1.6 and more.
ALIKE = 1.0
#: Standard deviation over the regions in each channel, in levels, under which a frame shows nothing: black
#: frames with noise had 0.5, the flattest photo 3.2.
BLANK = 1.5
#: Pixels of the longer side at which sharpness is looked at: finer blur does not reach a network's input.
SIDE = 256
#: Frames of all clips that are kept at most; of a clip with more every second one is let go, and so on.
MOST = 4096
#: Frame numbers that a report keeps of each kind.
NAMED = 64


@dataclass(frozen=True)
class Left:
    """Frames that were left out for one reason: how many, and the numbers of the first ones."""

    count: int = 0
    numbers: tuple[int, ...] = ()

    def with_one(self, number: int) -> Left:
        """One more."""
        return Left(self.count + 1, (*self.numbers, number) if len(self.numbers) < NAMED else self.numbers)


@dataclass
class Looked:
    """What a pass over a clip found.

    Args:
        clip: The file.
        numbers: Of the frames that are kept, ascending.
        regions: Their colours, uint8 [N, 16, 16, 3].
        sharpness: Of each, comparable within a shot.
        tally: What became of the clip's frames.
        blank: Frames that show nothing.
        damaged: Frames that were decoded in part.
        repeated: Frames that are as good as one beside them.
    """

    clip: Path
    numbers: list[int] = field(default_factory=list)
    regions: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    sharpness: list[float] = field(default_factory=list)
    tally: streams.Tally = field(default_factory=streams.Tally)
    blank: Left = Left()
    damaged: Left = Left()
    repeated: Left = Left()


def look(
    clip: Path, most: int = MOST, *, turn: bool, advance: Callable[[int], None] = lambda _: None
) -> Looked:
    """Look at all frames of a clip.

    Args:
        clip: A video file.
        most: Frames that are kept at most.
        turn: Turn frames as the file says they are to be shown.
        advance: Told of each frame, for a progress bar.

    Raises:
        MissingRuntimeError: PyAV is not installed.
        ImageError: No frame can be decoded.
    """
    found, stride, seen = Looked(clip), 1, 0
    last: F32 | None = None
    for frame in streams.frames(str(clip), found.tally, turn=turn):
        advance(1)
        if frame.damaged:
            found.damaged = found.damaged.with_one(frame.number)
            continue
        regions, sharpness = described(frame.image)
        if float(regions.std((0, 1)).max()) < BLANK:
            found.blank = found.blank.with_one(frame.number)
            continue
        if last is not None and distance(regions, last) < ALIKE:
            if sharpness > found.sharpness[-1]:
                found.repeated = found.repeated.with_one(found.numbers[-1])
                _put(found, frame.number, regions, sharpness, instead=True)
                last = regions
            else:
                found.repeated = found.repeated.with_one(frame.number)
            continue
        seen += 1
        _put(found, frame.number, regions, sharpness, instead=bool(found.numbers) and seen % stride != 0)
        last = regions
        if len(found.numbers) > most:
            stride *= 2
            for values in (found.numbers, found.regions, found.sharpness):
                del values[1::2]
    return found


def _put(found: Looked, number: int, regions: F32, sharpness: float, *, instead: bool) -> None:
    """Keep a frame, behind the others or instead of the last."""
    kept = np.rint(regions).astype(np.uint8)
    if instead:
        found.numbers[-1], found.regions[-1], found.sharpness[-1] = number, kept, sharpness
    else:
        found.numbers.append(number)
        found.regions.append(kept)
        found.sharpness.append(sharpness)


def described(image: Image.Image) -> tuple[F32, float]:
    """The colours of a frame's regions, float32 [16, 16, 3], and how sharp it is.

    Sharpness is the variance of the Laplacian over that of the brightness, so that neither light nor contrast
    changes it.
    """
    small = image.reduce(max(1, max(image.size) // SIDE))
    regions = np.asarray(small.resize((REGIONS, REGIONS), Image.Resampling.BOX), np.float32)
    grey = np.asarray(small.convert("L"), np.float32)
    if min(grey.shape) < 3:
        return regions, 0.0
    edges = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return regions, float(edges.var() / (grey.var() + 1))


def distance(one: F32, other: F32) -> float:
    """How far two frames' regions lie apart: root mean square, levels of 0…255."""
    return float(np.sqrt(np.mean((one - other) ** 2)))
