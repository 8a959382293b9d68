"""Photos with their masks, and the classes that masks have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from edgeeff import labels, regular
from edgeeff.errors import LabelsError, OptionError
from edgeeff.images import ImageSet
from edgeeff.images.annotations import masks
from edgeeff.images.annotations.mask_folders import MASKS, PHOTOS
from edgeeff.images.annotations.mask_pixels import Seen, seen
from edgeeff.images.annotations.truth import some
from edgeeff.pipeline.context import Context
from edgeeff.recipes import CALIBRATING, JUDGING
from edgeeff.training.photos.opening import Photos
from edgeeff.training.request import Masks


def source_of(path: Path) -> Path:
    """The photos of a folder that holds ``images`` and ``masks``, each with its parts; else the folder."""
    photos, beside = path / PHOTOS, path / MASKS
    if not (regular.is_folder(path) and regular.is_folder(photos) and regular.is_folder(beside)):
        return path
    parts = any(regular.is_folder(photos / name) for name in (*CALIBRATING, *JUDGING))
    return photos if parts or not any(regular.is_folder(path / name) for name in CALIBRATING) else path


def given(opened: Photos, asked: Masks, context: Context) -> Photos:
    """The photos with the masks that options speak of; without such options those that lie beside.

    Raises:
        EdgeeffError: There are none, or an option makes no sense.
    """
    if not asked.given and not _beside(opened.train):
        return opened
    names = labels.given(asked.mask_labels) or ()
    ignore = masks.numbers(asked.ignore)
    if asked.validation_masks is not None and opened.validation is None:
        raise OptionError("--validation-masks without --validation", mend="name the photos that judge")
    train = masks.given(opened.train, asked.masks, ignore, asked.palette)
    judging = opened.validation
    if judging is not None:
        judging = masks.given(judging, asked.validation_masks, ignore, asked.palette)
    found = Photos(_named(train, names), None if judging is None else _named(judging, names))
    for before, after in zip((opened.train, opened.validation), (found.train, found.validation), strict=True):
        if before is None or after is None:
            continue
        for note in after.notes:
            if note not in before.notes:
                context.progress.tell(note)
        context.watched.add(picture.mask for picture in after.pictures if picture.mask is not None)
    return found


def refuse_elsewhere(asked: Masks, task: str) -> None:
    """Refuse options of masks where none are learnt.

    Args:
        asked: The user's.
        task: What is learnt; empty for a swap of the activation.

    Raises:
        OptionError: One was given.
    """
    if task == "segmentation" or not asked.given:
        return
    flags = [
        f"--{one.name.replace('_', '-')}" for one in fields(asked) if getattr(asked, one.name) is not None
    ]
    what = f"in a training of {task}" if task else "with --activation"
    raise OptionError(
        f"{', '.join(flags)} {what}, which learns no masks",
        mend="leave it out; or name the folder of the photos' masks with --masks"
        if task and asked.masks is None
        else "leave it out",
    )


def _beside(images: ImageSet) -> bool:
    """Whether photos that have no classes have masks."""
    if any(picture.mask is not None for picture in images.pictures):
        return True
    if images.labelling.names or images.labels is not None or images.pictures[0].boxes is not None:
        return False
    return any(picture.mask is not None for picture in masks.beside(images).pictures)


def _named(images: ImageSet, names: Sequence[str]) -> ImageSet:
    return replace(images, masks=replace(images.masks, names=tuple(names))) if names else images


@dataclass(frozen=True)
class Classes:
    """The classes that masks have.

    Args:
        names: In the order of the network's outputs.
        shares: Of the pixels of each that are not ignored, 0…1.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]


def classes(images: ImageSet) -> Classes:
    """The classes of the masks of photos to learn from.

    With names these are the classes, but for void; else the numbers up to the largest that stands somewhere.

    Raises:
        LabelsError: No mask can be read, all of them ignore every pixel, or a number has no name.
    """
    paths = [picture.mask for picture in images.pictures if picture.mask is not None]
    looks = seen(paths, images.masks.colours)
    used = Counter[int]()
    for look in looks:
        if isinstance(look, Seen):
            used.update(dict(look.counts))
    if not paths or not used:
        why = next((look.what for look in looks if not isinstance(look, Seen)), "no photo has one")
        raise LabelsError(
            f"no mask can be read: {why}",
            mend="name the folder of the masks with --masks, called as the photos are",
        )
    rule = images.masks
    if rule.ignore is None and {*used} == masks.TWO and len(rule.called) in (0, 2):
        used = Counter({0: used[0], 1: used[255]})  # as masks.placed takes them, with a warning
    void = {*rule.ignored, *(n for n, name in enumerate(rule.called) if masks.is_void(name))}
    counted = {number: count for number, count in used.items() if number not in void}
    if not counted:
        raise LabelsError(
            f"all pixels of the {len(paths)} masks are ignored ({some(sorted(used))})",
            mend="say which numbers are ignored: --ignore 255 (or none)",
        )
    if rule.called:
        beyond = [number for number in counted if number >= len(rule.called)]
        if beyond:
            ignored = ",".join(map(str, sorted({*beyond, *rule.ignored})))
            raise LabelsError(
                f"masks hold {some(sorted(beyond))}, and there are {len(rule.called)} names",
                mend=f"complete the names, or --ignore {ignored}",
            )
        kept = [number for number in range(len(rule.called)) if number not in void]
        names = tuple(rule.called[number] for number in kept)
    else:
        kept = [*range(max(counted) + 1)]
        names = labels.placeholders(len(kept))
    if len(names) < 2:
        raise LabelsError(
            f"masks show one class alone ({some(sorted(used))}): there is nothing to tell apart",
            mend="number the background and each class, from 0; --ignore says which numbers are none",
        )
    total = sum(counted.values())
    return Classes(names, tuple(counted.get(number, 0) / total for number in kept))
