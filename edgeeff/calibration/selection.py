"""Which images calibrate, and which are held out to judge by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeeff.errors import CalibrationError
from edgeeff.images import ImageSet
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.recipes import bundled_recipe, choose, open_source, recipe_photos

#: Images that a build calibrates with if not told otherwise: more cost time and change nothing.
DEFAULT_COUNT = 256
#: Every fifth image is held out where no validation images were named.
HELD_OUT = 5
#: Share of broken images beyond which a set is refused.
BAD_SHARE = 0.1


@dataclass(frozen=True)
class Selection:
    """Images to calibrate with, images to judge by, and what the user should know about them."""

    calibration: ImageSet
    validation: ImageSet
    warning: str | None = None


def select(
    calibration: Path | None, validation: Path | None, count: int | None = None, seed: int | None = None
) -> Selection:
    """Open the images of a build.

    Without ``calibration`` the photos of installed packages are taken, with a warning. Without
    ``validation`` every fifth calibration image is held out; a photo is held out before crops are taken,
    so that no crop of a held-out photo calibrates.

    Raises:
        CalibrationError: There are no images, or too few to hold one out.
        MissingFileError: A path does not exist, or holds no image.
    """
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
            count or recipe.count,
            recipe.seed if seed is None else seed,
            recipe.crops,
        )
    else:
        photos, crops = list(open_source(source).pictures), False
        wanted, chosen_seed = count or DEFAULT_COUNT, seed or 0
    if validation is not None:
        pictures = choose(photos, wanted, chosen_seed, crops)
        return Selection(ImageSet(tuple(pictures)), open_source(validation), warning)
    chosen = choose(photos, wanted, chosen_seed) if wanted else photos
    held_out = chosen[HELD_OUT - 1 :: HELD_OUT]
    kept = [p for i, p in enumerate(chosen) if (i + 1) % HELD_OUT]
    if not held_out:
        held_out = kept[-1:]
        warning = warning or f"only {len(chosen)} calibration images: one of them is also judged by"
    if crops and wanted and wanted > len(chosen):
        extra = wanted - len(chosen)
        judged = extra // HELD_OUT
        kept = choose(kept, len(kept) + extra - judged, chosen_seed, crops=True)
        held_out = choose(held_out, len(held_out) + judged, chosen_seed + 1, crops=True)
    return Selection(ImageSet(tuple(kept)), ImageSet(tuple(held_out)), warning)


def pixels(images: ImageSet, preprocess: Preprocess, size: int = 8) -> Iterator[Pixels]:
    """The batches of a set, refusing one in which too many images are broken.

    Raises:
        CalibrationError: More than a tenth of the images cannot be decoded, or none can.
    """
    seen = 0
    for batch, _ in images.batches(preprocess, size):
        seen += len(batch)
        yield batch
    refuse_broken(images, seen)


def refuse_broken(images: ImageSet, decoded: int) -> None:
    """Raise if a set that was run through had too many broken images."""
    if decoded == 0 or len(images.bad) > BAD_SHARE * len(images):
        first = [f"{name}: {reason}" for name, reason in list(images.bad.items())[:3]]
        raise CalibrationError(
            f"{len(images.bad)} of {len(images)} images cannot be decoded ({'; '.join(first)})",
            mend="take the broken images out; up to a tenth are skipped",
        )
