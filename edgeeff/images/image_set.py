"""Images in a fixed order: their classes, their digest, their batches."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeeff import digests
from edgeeff.errors import ImageError, LabelsError
from edgeeff.images.annotations.mask_pixels import Rule
from edgeeff.images.classes import Labelling, find, from_one, refuse_numbers
from edgeeff.images.decoding import try_decode
from edgeeff.images.picture import UNLABELLED, Picture
from edgeeff.images.seen import Seen
from edgeeff.preprocess import Pixels, Preprocess

#: Warnings of images that are skipped, one each, at most.
_SKIPPED = 5


def skipped(bad: Mapping[str, str]) -> list[str]:
    """Warnings of images that were skipped: the first ones with the reason, and how many more.

    Args:
        bad: Why each of them cannot be decoded, by its name.
    """
    reasons = sorted(set(bad.values()))
    found = [f"skipped an image: {reason}" for reason in reasons[:_SKIPPED]]
    if len(reasons) > _SKIPPED:
        found.append(f"skipped {len(reasons) - _SKIPPED} more images, the last: {reasons[-1]}")
    return found


def _labels_below(pictures: Sequence[Picture], labels: Sequence[str]) -> tuple[str, ...]:
    """A warning of images in a class's folder that lie in a folder named after another class."""
    names = {*labels}
    found = []
    for picture in pictures:
        folders = picture.path.parts[:-1]
        if picture.class_name in folders:
            last = len(folders) - folders[::-1].index(picture.class_name)
            if any(name in names for name in folders[last:]):
                found.append(picture)
    if not found:
        return ()
    return (
        f"{len(found)} of {len(pictures)} images lie in a folder called like one class, in the folder of "
        f"another, and count for the outer one: {found[0]} for {found[0].class_name}",
    )


@dataclass
class ImageSet:
    """Images in a fixed order.

    Args:
        pictures: The images.
        bad: Those that could not be decoded, with the reason, as :meth:`batches` comes upon them.
        labelling: How names gave them their classes, until :meth:`classes_named` finds the network's.
        warnings: What was passed over or may be wrong, a sentence each: every verb shows them.
        notes: What was passed over and is no image, a sentence each: shown, and no warning.
        clips: Videos that lie there, where they were asked for; none of their frames is among the pictures.
        masks: How the pictures' masks are understood, where they have any.
    """

    pictures: tuple[Picture, ...]
    bad: dict[str, str] = field(default_factory=dict)
    labelling: Labelling = field(default_factory=Labelling)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    clips: tuple[Path, ...] = ()
    masks: Rule = field(default_factory=Rule)
    _seen: Seen = field(default_factory=Seen, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """The class of each image (-1 where unknown), or None where no image has one."""
        labels = np.array([p.label for p in self.pictures], np.int64)
        return labels if (labels != UNLABELLED).any() else None

    def classes_named(self, labels: Sequence[str]) -> ImageSet:
        """The same images with the network's classes: :func:`edgeeff.images.classes.find` says how.

        Args:
            labels: The network's, or what stands for them (:func:`edgeeff.labels.placeholders`).

        Raises:
            LabelsError: A subfolder, a name or a number is no class of the network, or may be two.
        """
        if any(p.row is not None for p in self.pictures):
            return self._with_one_label_each(len(labels)).classes_named(labels)
        unnamed = [p for p in self.pictures if p.class_name is None and p.label != UNLABELLED]
        for picture in unnamed:
            if not 0 <= picture.label < len(labels):
                raise LabelsError(
                    f"{picture.place or picture}: class {picture.label}, but the network's classes are "
                    f"0…{len(labels) - 1}",
                    mend="give the classes' numbers from 0, in the order of the network's outputs",
                )
        if self.labelling.undecided:
            refuse_numbers((p.label for p in unnamed), labels, "in the list,")
        counted = from_one((p.label for p in unnamed), labels, "labels of the images are")
        if not self.labelling.names:
            return replace(self, labelling=Labelling(), warnings=(*self.warnings, *counted))
        first: dict[str, str] = {}
        for picture in self.pictures:
            if picture.class_name is not None:
                first.setdefault(picture.class_name, picture.place)
        found = find(self.labelling, labels, first)
        pictures = tuple(
            p
            if p.class_name is None
            else replace(p, label=found.numbers[p.class_name], class_name=None, place="")
            for p in self.pictures
        )
        below = () if self.labelling.listed else _labels_below(self.pictures, labels)
        warnings = (*self.warnings, *counted, *below, *found.warnings)
        return ImageSet(pictures, self.bad, warnings=warnings, notes=self.notes)

    def _with_one_label_each(self, classes: int) -> ImageSet:
        """The same, the class of an image being the one label that its row says it has.

        Raises:
            LabelsError: A row has none, or several; or columns without names are not one for each class.
        """
        pictures, columns = [], self.labelling.columns
        for picture in self.pictures:
            count = len(picture.row or ())
            if count not in (0, classes) and not columns:
                raise LabelsError(
                    f"{picture.place or picture} has {count} columns of labels, for {classes} classes",
                    mend="save the classes' numbers, labels [N], or a column for each class",
                )
            there = [i for i, value in enumerate(picture.row or ()) if value == 1]
            known = any(value >= 0 for value in picture.row or ())
            if known and len(there) != 1:
                raise LabelsError(
                    f"{picture.place or picture} has {len(there)} labels, and the network names one class",
                    mend="give each image one class, or build with --task multilabel",
                )
            label = there[0] if there else UNLABELLED
            name = columns[label] if there and columns else None
            pictures.append(replace(picture, row=None, label=label, class_name=name))
        used = {p.class_name for p in pictures}
        names = tuple(sorted(name for name in columns if name in used))
        return replace(self, pictures=tuple(pictures), labelling=Labelling(names, listed=True))

    def digest(self) -> str:
        """SHA-256 over the bytes of the files, the rows and the crops: what was looked at, not its path."""
        seen = [picture.content + repr((picture.index, picture.crop)) for picture in self.pictures]
        return digests.of_bytes("".join(seen).encode())

    def batches(
        self, preprocess: Preprocess, size: int = 8
    ) -> Iterator[tuple[Pixels, npt.NDArray[np.int64]]]:
        """Decode, fit and batch: raw pixels uint8 [n, H, W, C], and the images' numbers [n].

        Images that cannot be decoded are left out and named in ``bad``.
        """
        self.bad.clear()
        with ThreadPoolExecutor(2) as pool:
            for start in range(0, len(self.pictures), size):
                part = self.pictures[start : start + size]
                # The filter belongs to the whole process: threads would restore each other's.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    decoded = list(pool.map(partial(self._pixels, preprocess), part))
                kept, numbers = [], []
                for number, (picture, result) in enumerate(zip(part, decoded, strict=True), start):
                    if isinstance(result, ImageError):
                        self.bad[str(picture)] = result.what
                    else:
                        self._seen.keep(picture, preprocess, result)
                        kept.append(result)
                        numbers.append(number)
                if kept:
                    yield np.stack(kept), np.array(numbers, np.int64)

    def _pixels(self, preprocess: Preprocess, picture: Picture) -> Pixels | ImageError:
        """What an image is decoded to, or was when it was asked for before."""
        seen = self._seen.get(picture, preprocess)
        return try_decode(picture, preprocess) if seen is None else seen
