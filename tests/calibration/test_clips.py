"""Clips that calibrate: which frames are taken, which are left out, and which of them judge."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from edgeeff import streams
from edgeeff.calibration.clips import Viewing
from edgeeff.calibration.clips.choosing import farthest, held_out
from edgeeff.calibration.selection import Selection, select
from edgeeff.errors import CalibrationError, ChangedFileError, ImageError, OptionError
from edgeeff.images import Picture, decode
from edgeeff.preprocess import Preprocess
from edgeeff.progress import Silent

av = pytest.importorskip("av")

WIDE, HIGH = 64, 48
PREPROCESS = Preprocess(size=(32, 32), mean=(127.0,) * 3, std=(128.0,) * 3)
#: What each frame of a scene is in the clip that most tests read.
KINDS = ("sharp", "sharp", "blurred", "again", "black", "moved")


def photo(number: int) -> np.ndarray:
    """A photo of its own, with edges: blocks in random colours."""
    blocks = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((WIDE, HIGH), Image.Resampling.NEAREST))


def write(path: Path, frames: list[np.ndarray], times: list[int] | None = None) -> Path:
    """A clip of such frames, ten a second or at these tenths, as good as without loss."""
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        stream.options = {"qmin": "1", "qmax": "2"}
        for number, frame in enumerate(frames):
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")
            made.pts = times[number] if times else number
            container.mux(stream.encode(made))
        container.mux(stream.encode())
    return path


def scene(number: int) -> list[np.ndarray]:
    """Six frames of one scene, as :data:`KINDS` says."""
    sharp = photo(number)
    blurred = np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(2)))
    return [sharp, sharp, blurred, sharp, np.zeros_like(sharp), np.roll(sharp, 2, 1)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Ten scenes."""
    folder = tmp_path_factory.mktemp("clips")
    return write(folder / "scenes.mp4", [frame for i in range(10) for frame in scene(i)])


def chosen(
    path: Path, count: int | None = 20, validation: Path | None = None, viewing: Viewing | None = None
) -> Selection:
    return select(path, validation, count, viewing=viewing or Viewing(PREPROCESS, Silent()))


def scenes(pictures: tuple[Picture, ...]) -> set[int]:
    return {(picture.index or 0) // len(KINDS) for picture in pictures}


def test_different_frames_are_taken_and_bad_ones_left_out_by_number(clip):
    found = chosen(clip)
    taken = [*found.calibration.pictures, *found.validation.pictures]
    assert {KINDS[(picture.index or 0) % len(KINDS)] for picture in taken} <= {"sharp", "again", "moved"}
    assert scenes(tuple(taken)) == set(range(10))
    assert not scenes(found.calibration.pictures) & scenes(found.validation.pictures)
    assert len(found.validation.pictures) == len(taken) // 5 == 4
    left, summary = found.calibration.notes
    assert "10 are blurred (2, 8, 14, 20, 26, …)" in left
    assert "10 are black or of one colour (4, 10, 16, 22, 28, …)" in left
    assert " of 10 scenes chosen from " in summary
    assert not found.calibration.warnings and found.warning is None
    again = chosen(clip)
    assert again.calibration.digest() == found.calibration.digest() != again.validation.digest()


def test_frames_are_prepared_as_run_prepares_them(clip):
    found = chosen(clip, 8)
    expected = {f.number: PREPROCESS.fit(f.image) for f in streams.frames(str(clip))}
    for batch, numbers in found.calibration.batches(PREPROCESS):
        for pixels, number in zip(batch, numbers, strict=True):
            assert np.array_equal(pixels, expected[found.calibration.pictures[number].index or 0])
    other = replace(PREPROCESS, size=(16, 16), interpolation="bilinear")  # as an artifact may want them
    first = found.calibration.pictures[0]
    fitted = {f.number: other.fit(f.image) for f in streams.frames(str(clip))}
    assert np.array_equal(np.asarray(decode(first, other)), fitted[first.index or 0])
    with pytest.raises(ImageError, match="not one of those"):
        decode(replace(first, index=4), PREPROCESS)


def test_a_count_holds_and_makes_the_first_choices_first(clip):
    assert len(chosen(clip, 5).calibration) == 4
    assert scenes(chosen(clip, 10).calibration.pictures) | scenes(chosen(clip, 10).validation.pictures) == {
        *range(10)
    }
    for count in (0, -1):
        with pytest.raises(OptionError):
            chosen(clip, count)


def test_one_scene_is_said(tmp_path):
    still = photo(0)
    path = write(tmp_path / "still.mp4", [*[still] * 8, *(np.roll(still, 4 * i, 1) // 2 for i in range(3))])
    found = chosen(write(path, [still] * 8))
    assert len(found.calibration) == len(found.validation) == 1
    assert "one of them is also judged by" in (found.warning or "")
    night = chosen(
        write(tmp_path / "night.mp4", [*[still] * 4, *(np.roll(still // 8, i, 1) for i in range(8))])
    )
    assert "the clips show 2 scenes only" in (night.warning or "")
    assert len(night.validation) >= 1
    (few,) = night.calibration.warnings
    assert "to calibrate with" in few


def test_photos_and_clips_share_the_count(clip, tmp_path):
    (tmp_path / "scenes.mp4").symlink_to(clip)
    (tmp_path / "text.mp4").write_text("no clip")
    write(tmp_path / "black.mp4", [np.zeros((HIGH, WIDE, 3), np.uint8)] * 3)
    for i in range(30):
        Image.fromarray(photo(100 + i)).save(tmp_path / f"{i:02}.png")
    found = chosen(tmp_path, 20)
    taken = [*found.calibration.pictures, *found.validation.pictures]
    assert sum(picture.index is None for picture in taken) == sum(p.frames is not None for p in taken) == 10
    assert len(found.validation) == 4 and {p.frames is None for p in found.validation.pictures} == {
        True,
        False,
    }
    assert [text.split(":")[0] for text in found.calibration.warnings] == ["skipped a clip"] * 2
    without = select(tmp_path, None, 20)  # as without `viewing` clips are no images
    assert not any(p.frames for p in without.calibration.pictures)
    assert "3 .mp4" in without.calibration.warnings[0]


def test_gaps_between_frames_are_no_damage(tmp_path):
    frames = [photo(i) for i in range(40)]
    path = write(tmp_path / "gaps.mkv", frames, [i + 2 * (i >= 20) for i in range(40)])
    tally = streams.Tally()
    assert [f.number for f in streams.frames(str(path), tally)][19:21] == [19, 22] and tally.missing == 2
    assert chosen(path, 40).calibration.warnings == ()


def test_clips_judge_too(clip, tmp_path):
    Image.fromarray(photo(50)).save(tmp_path / "one.png")
    found = chosen(tmp_path, validation=clip)
    assert len(found.calibration) == 1 and scenes(found.validation.pictures) == {*range(10)}
    assert found.rest(found.validation) is None


@pytest.mark.parametrize("name", ["black", "text", "empty"])
def test_a_clip_without_a_usable_frame_is_refused(tmp_path, name):
    path = tmp_path / f"{name}.mp4"
    path.write_bytes(b"" if name == "empty" else b"no clip")
    if name == "black":
        write(path, [np.zeros((HIGH, WIDE, 3), np.uint8)] * 3)
    with pytest.raises((CalibrationError, ImageError), match=f"{name}.mp4"):
        chosen(path)


def test_a_clip_that_changes_meanwhile_is_noticed(clip, tmp_path):
    path = tmp_path / "growing.mp4"
    path.write_bytes(clip.read_bytes())

    class Writer(Silent):
        def stage(self, text, total=None, unit="images"):
            if text.startswith("taking"):
                os.utime(path, ns=(1, 1))

    watched: list[Path] = []
    with pytest.raises(ChangedFileError, match=r"growing\.mp4"):
        chosen(path, viewing=Viewing(PREPROCESS, Writer(), watched.extend))
    assert watched == [path]


def test_the_farthest_frame_comes_next_and_whole_scenes_judge():
    line = np.array([[0.0], [1], [2], [50], [51], [100], [100]], np.float32)
    assert farthest(line, 3, 0) == [0, 3, 5]  # 50 is nearest to the mean
    assert len(farthest(line, 7, 0)) == 6  # what is alike is not taken again
    assert farthest(line, 1, 1) != farthest(line, 1, 2)
    names = np.repeat(np.arange(10), 3)
    judges = held_out(names, 5)
    assert judges.sum() == 6 and not {*names[judges]} & {*names[~judges]}
    few = held_out(np.array([0] * 10 + [1] * 5), 5)
    assert few.nonzero()[0].tolist() == [8, 9, 14]
