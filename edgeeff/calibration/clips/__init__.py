"""Clips as calibration images: which of their frames are used, and which of those judge.

The first pass over each clip keeps a small description of each frame; what is blank, blurred, damaged or a
repetition is left out. Of the rest those frames are chosen that lie farthest from one another. A second pass
fits the chosen frames, as photos are fitted, and keeps their pixels. Frames of one scene all calibrate or all
judge, where there are scenes enough.

The distance between two frames is that of their colours in 16 × 16 regions. Measured with a B0 trained on
pasted cut-outs, at 128 pixels, 64 frames of a clip that shows 240 such photos (held with noise and pans,
H.264, one in ten frames black or blurred), judged on 100 others; centred SQNR, dB:

=====================================  ==========  =============  ==================
calibrated by                          `cpu-int8`  `mobile-int8`  `jetson-int8`'s hub
=====================================  ==========  =============  ==================
64 such photos, mean of three choices  22.4        15.8           20.4
the three                              21.6…23.2   15.4…16.3      19.9…20.8
farthest by colours                    22.0        16.6           20.5
farthest by the network's own pooled   21.4        16.7           20.0
features
centres of 64 clusters by colours      21.4        15.9           20.1
evenly in time                         21.6        15.6           20.1
the middle of 64 shots                 20.7        15.0           19.5
seeded choice of all frames            21.6        15.2           19.7
=====================================  ==========  =============  ==================

The network's features were no better on the one clip tried, and cost a run of the network for each frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from edgeeff import streams
from edgeeff.calibration.clips import choosing, scenes
from edgeeff.calibration.clips.looking import MOST, Left, Looked, look
from edgeeff.errors import CalibrationError, ImageError, MissingFileError
from edgeeff.images import Picture
from edgeeff.images.frames import Frames
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Progress
from edgeeff.watched import refusal, stamp

SUFFIXES = streams.SUFFIXES
#: Frames under which a warning says that a clip has few.
FEW = 32
#: Share of missing frames, by the timestamps, from which on these tell nothing.
VARIES = 0.1
#: Frame numbers that a line names.
_SHOWN = 5


@dataclass(frozen=True)
class Viewing:
    """How clips are read.

    Args:
        preprocess: How their frames are fitted.
        progress: Hears of the passes.
        watch: Called with the clips before they are read.
    """

    preprocess: Preprocess
    progress: Progress
    watch: Callable[[Iterable[Path]], None] = lambda _: None


@dataclass(frozen=True)
class Chosen:
    """Frames that were chosen.

    Args:
        pictures: The frames, clip by clip in their order.
        scenes: The scene of each, by number.
        warnings: What may be wrong with the clips.
        notes: What was left out, and what was taken.
    """

    pictures: tuple[Picture, ...]
    scenes: npt.NDArray[np.int64]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def judging(self, share: int) -> npt.NDArray[np.bool_]:
        """Which of them judge, one of ``share``; see :func:`edgeeff.calibration.clips.choosing.held_out`."""
        return choosing.held_out(self.scenes, share)

    def scenes_warning(self) -> str | None:
        """A warning where frames that judge come from the scenes of those that calibrate."""
        count = len(np.unique(self.scenes))
        if count >= choosing.ENOUGH:
            return None
        return (
            f"the clips show {counted(count, 'scene')} only: held-out frames come from the same as "
            "calibration frames, and what is measured on them is better than it will be elsewhere; pass "
            "clips of more places, or others with --validation"
        )


def choose(clips: Sequence[Path], count: int, seed: int, viewing: Viewing) -> Chosen:
    """Frames of some clips, as different from one another as there are.

    Args:
        clips: Video files.
        count: How many frames at most.
        seed: Of the first one.
        viewing: How they are read.

    Raises:
        MissingRuntimeError: PyAV is not installed.
        ImageError: The only clip cannot be decoded.
        CalibrationError: No clip has a frame that can be used.
        ChangedFileError: A clip changed between the two passes.
    """
    viewing.watch(clips)
    stamps = {clip: stamp(clip) for clip in clips}
    looked, warnings = _looked(clips, viewing)
    found = scenes.of_clips(looked)
    left = [_left_out(each, blurred) for each, blurred in zip(looked, found.blurred, strict=True)]
    places = choosing.farthest(found.regions, count, seed)
    if not places:
        raise CalibrationError(
            f"no frame can be used: {'; '.join(left)}",
            mend="pass clips that show what the network will see",
        )
    used = {each.clip for i, each in enumerate(looked) if (found.clips == i).any()}
    warnings += [
        f"skipped a clip: {text}" for each, text in zip(looked, left, strict=True) if each.clip not in used
    ]
    if len(places) < min(FEW, count):
        warnings.append(
            f"{_names([*used])}: only {counted(len(places), 'frame')} to calibrate with, as all others are "
            "like these: ranges are made from few images; pass clips in which more happens, or photos beside "
            "them"
        )
    numbers = {
        each.clip: [int(found.numbers[place]) for place in places if found.clips[place] == i]
        for i, each in enumerate(looked)
        if each.clip in used
    }
    viewing.progress.stage(f"taking frames of {_names([*numbers])}")
    frames = Frames(numbers, _read)
    frames.fit(viewing.preprocess)
    if changed := [clip for clip in numbers if stamp(clip) != stamps[clip]]:
        raise refusal(changed)
    pictures = [Picture(clip, index=one, frames=frames) for clip, own in numbers.items() for one in own]
    spread = counted(len(np.unique(found.scenes[places])), "scene")
    left.append(f"{counted(len(places), 'frame')} of {spread} chosen from {_names([*used])}")
    notes = tuple(f"frames   {text}" for text in left)
    return Chosen(tuple(pictures), found.scenes[places], warnings=tuple(warnings), notes=notes)


def _looked(clips: Sequence[Path], viewing: Viewing) -> tuple[list[Looked], list[str]]:
    """What the first pass found in each clip, and warnings; clips that cannot be decoded are left out.

    Raises:
        ImageError: None of them can.
    """
    found: list[Looked] = []
    warnings: list[str] = []
    failed: ImageError | None = None
    for clip in clips:
        viewing.progress.stage(f"looking at the frames of {clip.name}")
        try:
            one = look(clip, max(1, MOST // len(clips)), turn=viewing.preprocess.exif)
        except (ImageError, MissingFileError) as error:
            failed = failed or ImageError(error.what, mend=error.mend)
            warnings.append(f"skipped a clip: {error.what}")
            continue
        found.append(one)
        warnings += _doubts(one.tally, str(clip))
    if failed is not None and not found:
        raise failed
    return found, warnings


def _doubts(tally: streams.Tally, clip: str) -> list[str]:
    """What of a clip is damaged. Gaps between frames do not matter here; where there are many, the frame rate
    varies, and how many frames there should be is not known.
    """
    varies = tally.missing > VARIES * tally.frames
    return replace(tally, missing=0, gaps=[], expected=None if varies else tally.expected).warnings(clip)


def _read(clip: Path, numbers: Sequence[int], turn: bool) -> Iterator[tuple[int, Image]]:
    """Some frames of a clip, in order.

    Raises:
        ChangedFileError: One of them is not there any more.
    """
    left = set(numbers)
    if not left:
        return
    for frame in streams.frames(str(clip), turn=turn):
        if frame.number in left:
            yield frame.number, frame.image
            left.remove(frame.number)
            if not left:
                return
    raise refusal([clip])


def _left_out(looked: Looked, blurred: Left) -> str:
    """What of a clip was left out."""
    kinds = {
        "repeat one beside them": looked.repeated,
        "are blurred": blurred,
        "are black or of one colour": looked.blank,
        "are damaged": looked.damaged,
    }
    parts = [f"{left.count} {what} ({_numbers(left)})" for what, left in kinds.items() if left.count]
    text = f"{looked.clip}: of {counted(looked.tally.frames, 'frame')}"
    return f"{text} {', '.join(parts)}, and are left out" if parts else f"{text} none is left out"


def _numbers(left: Left) -> str:
    shown = ", ".join(map(str, sorted(left.numbers)[:_SHOWN]))
    return f"{shown}, …" if left.count > _SHOWN else shown


def counted(count: int, noun: str) -> str:
    """Such as ``1 frame`` or ``2 frames``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _names(clips: Sequence[Path]) -> str:
    return str(clips[0]) if len(clips) == 1 else f"{len(clips)} clips"
