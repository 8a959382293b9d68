"""Which images calibrate, and which are held out to judge by."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeeff.calibration import clips
from edgeeff.errors import CalibrationError, ImageError, MissingRuntimeError
from edgeeff.images import ImageSet, datasets
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.recipes import CALIBRATING, bundled_recipe, choose, open_source, open_to_judge, recipe_photos

#: Images that a build calibrates with if not told otherwise: more cost time and change nothing.
DEFAULT_COUNT = 256
#: Every fifth image is held out where no validation images were named.
HELD_OUT = 5
#: Frames of clips that a build is judged by at most.
JUDGING_FRAMES = 200
#: Share of broken images beyond which a set is refused.
BAD_SHARE = 0.1
#: Images in a batch at most, and their pixels together: four of 400×400.
LARGEST_BATCH, BATCH_PIXELS = 4, 4 * 400 * 400


@dataclass(frozen=True)
class Selection:
    """Images to calibrate with, images to judge by, and what the user should know about them.

    ``held_out`` says that both are parts of one set, so that its share of broken images is counted over both;
    ``noise`` that they are no photos.
    """

    calibration: ImageSet
    validation: ImageSet
    warning: str | None = None
    held_out: bool = False
    noise: bool = False

    def rest(self, part: ImageSet) -> ImageSet | None:
        """The part, if it is one of the same set that the user passed as the other; else None."""
        return part if self.held_out else None


def select(
    calibration: Path | None,
    validation: Path | None,
    count: int | None = None,
    seed: int | None = None,
    *,
    calibrates: bool = True,
    viewing: clips.Viewing | None = None,
) -> Selection:
    """Open the images of a build.

    Without ``calibration`` the photos of installed packages are taken, with a warning. Without
    ``validation`` every fifth calibration image is held out; a photo is held out before crops are taken,
    so that no crop of a held-out photo calibrates. Where nothing ``calibrates`` (float targets alone), images
    are only judged by: those of ``validation`` do, and without photos seeded noise does.

    Of clips those frames are taken that differ most (:mod:`edgeeff.calibration.clips`), and frames that are
    held out come from other scenes; without ``viewing`` clips are no images.

    Raises:
        CalibrationError: A recipe cannot be understood, or none of its photos is here and some are needed.
        OptionError: The count or the seed makes no sense.
        MissingFileError: A path does not exist, or holds no image.
    """
    if calibration is None and not calibrates:
        return _only_judged(validation, count, seed, viewing)
    source = calibration or bundled_recipe("default")
    warning = None
    if calibration is None:
        warning = (
            "no calibration images were passed: photos of installed packages are used. "
            "Pass images of your own domain with --calibration"
        )
    if source.suffix == ".toml":
        recipe, photos = recipe_photos(source)
        wanted, chosen_seed, crops = (
            recipe.count if count is None else count,
            recipe.seed if seed is None else seed,
            recipe.crops,
        )
    else:
        videos = clips.SUFFIXES if viewing else ()
        photos, crops = open_source(source, splits=CALIBRATING, clips=videos), False
        wanted, chosen_seed = DEFAULT_COUNT if count is None else count, seed or 0
    if photos.clips and viewing is not None:
        frames = DEFAULT_COUNT if wanted is None else wanted
        return _with_clips(photos, validation, frames, chosen_seed, viewing)
    if validation is not None:
        pictures = choose(photos.pictures, wanted, chosen_seed, crops)
        judged = _to_judge(validation, chosen_seed, viewing)
        return Selection(replace(photos, pictures=tuple(pictures)), judged, warning)
    return _halved(photos, wanted, chosen_seed, crops, warning)


def _halved(photos: ImageSet, wanted: int | None, seed: int, crops: bool, warning: str | None) -> Selection:
    """Every fifth photo held out, before crops are taken."""
    chosen = choose(photos.pictures, wanted, seed)
    held_out = chosen[HELD_OUT - 1 :: HELD_OUT]
    kept = [p for i, p in enumerate(chosen) if (i + 1) % HELD_OUT]
    if not held_out:
        held_out = kept[-1:]
        warning = warning or f"only {len(chosen)} calibration images: one of them is also judged by"
    if crops and wanted and wanted > len(chosen):
        extra = wanted - len(chosen)
        judged = extra // HELD_OUT
        kept = choose(kept, len(kept) + extra - judged, seed, crops=True)
        held_out = choose(held_out, len(held_out) + judged, seed + 1, crops=True)
    judged_by = ImageSet(tuple(held_out), labelling=photos.labelling)  # the photos' warnings are said once
    return Selection(replace(photos, pictures=tuple(kept)), judged_by, warning, held_out=True)


def _with_clips(
    photos: ImageSet, validation: Path | None, count: int, seed: int, viewing: clips.Viewing
) -> Selection:
    """Frames of clips, and photos beside them: half of each, where there are enough.

    Raises:
        CalibrationError: No clip has a frame that can be used, and there are no photos.
    """
    if count < 1 or seed < 0:
        choose((), count, seed)  # refuses them
    share = count - min(len(photos.pictures), count // 2)
    try:
        found = clips.choose(photos.clips, share, seed, viewing)
    except (CalibrationError, ImageError, MissingRuntimeError) as error:
        if not photos.pictures:
            raise
        found = clips.Chosen((), np.zeros(0, np.int64), (f"clips are left out: {error.what}",))
    left = count - len(found.pictures)
    pictures = choose(photos.pictures, left, seed) if left and photos.pictures else []
    photos = replace(
        photos,
        clips=(),
        warnings=(*photos.warnings, *found.warnings),
        notes=(*photos.notes, *found.notes),
    )
    if validation is not None:
        whole = replace(photos, pictures=(*pictures, *found.pictures))
        return Selection(whole, _to_judge(validation, seed, viewing))
    judges = found.judging(HELD_OUT)
    held = [
        *pictures[HELD_OUT - 1 :: HELD_OUT],
        *(p for p, j in zip(found.pictures, judges, strict=True) if j),
    ]
    kept = [p for i, p in enumerate(pictures) if (i + 1) % HELD_OUT]
    kept += [p for p, j in zip(found.pictures, judges, strict=True) if not j]
    warning = found.scenes_warning() if found.pictures else None
    if not held or not kept:
        held, kept = [*kept, *held][-1:], [*kept, *held]
        warning = f"only {len(kept)} calibration images: one of them is also judged by"
    judged_by = ImageSet(tuple(held), labelling=photos.labelling)
    return Selection(replace(photos, pictures=tuple(kept)), judged_by, warning, held_out=True)


def _to_judge(validation: Path, seed: int, viewing: clips.Viewing | None) -> ImageSet:
    """Images to judge by; of clips as many frames as a build judges by."""
    if viewing is None or validation.suffix.lower() in (".toml", *datasets.SUFFIXES):
        return open_to_judge(validation)
    found = open_source(validation, clips=clips.SUFFIXES)
    if not found.clips:
        return found
    chosen = clips.choose(found.clips, JUDGING_FRAMES, seed, viewing)
    return replace(
        found,
        pictures=(*found.pictures, *chosen.pictures),
        clips=(),
        warnings=(*found.warnings, *chosen.warnings),
        notes=(*found.notes, *chosen.notes),
    )


def _only_judged(
    validation: Path | None, count: int | None, seed: int | None, viewing: clips.Viewing | None
) -> Selection:
    """Images for float targets, where the user named none to calibrate with."""
    if validation is not None:
        judged = _to_judge(validation, seed or 0, viewing)
        return Selection(replace(judged, pictures=judged.pictures[:1], warnings=()), judged)
    try:
        return select(None, None, count, seed)
    except CalibrationError:
        photos = recipe_photos(bundled_recipe("noise"))[1]
    return Selection(
        replace(photos, pictures=photos.pictures[:1]),
        photos,
        "no images were passed, and no photos are installed: what is built is verified on seeded noise. That "
        "says whether it computes what the network computes, and nothing of accuracy. Pass images with "
        "--validation",
        noise=True,
    )


def batch_size(preprocess: Preprocess) -> int:
    """Images that are run at a time: four, and fewer of large ones, so that memory is bounded."""
    height, width = preprocess.size
    return max(1, min(LARGEST_BATCH, BATCH_PIXELS // (height * width)))


def pixels(
    images: ImageSet,
    preprocess: Preprocess,
    size: int | None = None,
    rest: ImageSet | None = None,
    watch: Callable[[Pixels, npt.NDArray[np.int64]], None] | None = None,
) -> Iterator[Pixels]:
    """The batches of a set, of ``size`` or :func:`batch_size`, refusing a set with too many broken images.

    ``rest`` is the other part of the set, if this is a part: a single broken photo among the few that are
    held out is no tenth of what the user passed. ``watch`` sees each batch, and its images' numbers, first.

    Raises:
        CalibrationError: More than a tenth of the images cannot be decoded, or none can.
    """
    seen = 0
    for batch, numbers in images.batches(preprocess, size or batch_size(preprocess)):
        seen += len(batch)
        if watch is not None:
            watch(batch, numbers)
        yield batch
    refuse_broken(images, seen, rest)


def refuse_broken(images: ImageSet, decoded: int, rest: ImageSet | None = None) -> None:
    """Raise if a set that was run through had too many broken images, as far as is known of its ``rest``."""
    bad = {**rest.bad, **images.bad} if rest is not None else images.bad
    whole = len(images) + (len(rest) if rest is not None else 0)
    if decoded == 0 or len(bad) > BAD_SHARE * whole:
        raise CalibrationError(
            f"{len(bad)} of {whole} images cannot be decoded ({'; '.join(list(bad.values())[:3])})",
            mend="take the broken images out; up to a tenth are skipped",
        )


def bad_to_json(images: ImageSet) -> str:
    """Which images of a set were skipped and why, by their numbers: another folder may hold the same set."""
    names = ((number, str(picture)) for number, picture in enumerate(images.pictures))
    return json.dumps({n: images.bad[name].removeprefix(name) for n, name in names if name in images.bad})


def bad_from_json(images: ImageSet, text: str) -> dict[str, str]:
    """The reverse of :func:`bad_to_json`: reasons by name, as in ``images.bad``."""
    known = {str(images.pictures[int(number)]): reason for number, reason in json.loads(text).items()}
    return {name: f"{name}{reason}" for name, reason in known.items()}
