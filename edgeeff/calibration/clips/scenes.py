"""Scenes: frames of clips that look alike, whenever they were recorded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeeff.calibration.clips.looking import F32, REGIONS, Left, Looked

#: Values of a frame.
VALUES = REGIONS * REGIONS * 3
#: Regions of a side by which scenes are told apart: fewer, so that a moving camera stays in its scene.
COARSE = 4
#: Root mean square of the difference between these, in levels of 0…255, over which two frames are of two
#: scenes. Of 100 photos the same shifted by 3 % of its width had 13 at most, by 10 % 20 at the median,
#: blurred 3; of pairs of two photos 99 of 100 had over 29, and over 20 where a few backgrounds recur.
APART = 20.0
#: The same of two frames that follow each other, of all regions, over which there is a cut between them: at
#: cuts between photos nineteen of twenty had over 30, within one 99 of 100 under 13.
CUT = 25.0
#: A frame is blurred if its sharpness is under this share of its shot's median. Of held photos sharp frames
#: had 0.65 of it and more, 99 of 100 blurred ones 0.34 and less. A camera that is never sharp is what the
#: network will see: nothing of it is left out.
BLURRED = 0.55


@dataclass(frozen=True)
class Scenes:
    """Frames of all clips, each in a scene.

    Args:
        clips: Of each frame its clip, by number.
        numbers: Of each frame its number in that clip.
        regions: float32 [N, 768], in levels of 0…255.
        scenes: Of each frame its scene, by number.
        blurred: Those that were left out, for each clip.
    """

    clips: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64]
    regions: F32
    scenes: npt.NDArray[np.int64]
    blurred: tuple[Left, ...]

    def __len__(self) -> int:
        return len(self.numbers)


def of_clips(looked: list[Looked]) -> Scenes:
    """The scenes of some clips, without their blurred frames."""
    clips = np.repeat(np.arange(len(looked)), [len(each.numbers) for each in looked])
    numbers = np.array([number for each in looked for number in each.numbers], np.int64)
    regions = np.array([each.ravel() for clip in looked for each in clip.regions], np.float32)
    regions = regions.reshape(len(numbers), VALUES)
    sharpness = np.array([each for clip in looked for each in clip.sharpness])
    scenes = _scenes(_coarse(regions))
    sharp = sharpness >= BLURRED * _usual(sharpness, _shots(regions, scenes, clips))
    blurred = [Left() for _ in looked]
    for clip, number in zip(clips[~sharp], numbers[~sharp], strict=True):
        blurred[clip] = blurred[clip].with_one(int(number))
    return Scenes(clips[sharp], numbers[sharp], regions[sharp], scenes[sharp], tuple(blurred))


def _shots(
    regions: F32, scenes: npt.NDArray[np.int64], clips: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The shot of each frame: a scene without a cut in it."""
    cut = np.zeros(len(regions), bool)
    cut[1:] = (np.diff(scenes) != 0) | (np.diff(clips) != 0)
    cut[1:] |= np.sqrt(np.mean(np.diff(regions, axis=0) ** 2, axis=1)) > CUT
    return np.cumsum(cut)


def _usual(sharpness: npt.NDArray[np.float64], shots: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The median of each frame's shot."""
    medians = np.array([np.median(sharpness[shots == shot]) for shot in np.unique(shots)])
    return np.asarray(medians[shots] if len(shots) else sharpness, np.float64)


def _scenes(regions: F32) -> npt.NDArray[np.int64]:
    """The scene of each frame: that of the frame before while its first frame is near, else the nearest one
    whose first frame is, else a new one.
    """
    firsts, count = np.empty_like(regions), 0
    found = np.zeros(len(regions), np.int64)
    present = -1
    for i, frame in enumerate(regions):
        if present < 0 or _apart(firsts[present : present + 1], frame)[0] > APART:
            apart = _apart(firsts[:count], frame)
            present = int(np.argmin(apart)) if count else 0
            if not count or apart[present] > APART:
                firsts[count] = frame
                present, count = count, count + 1
        found[i] = present
    return found


def _coarse(regions: F32) -> F32:
    side = REGIONS // COARSE
    blocks = regions.reshape(-1, COARSE, side, COARSE, side, 3)
    return np.asarray(blocks.mean((2, 4)).reshape(len(regions), COARSE * COARSE * 3), np.float32)


def _apart(frames: F32, one: F32) -> F32:
    return np.asarray(np.sqrt(np.mean((frames - one) ** 2, axis=1)), np.float32)
