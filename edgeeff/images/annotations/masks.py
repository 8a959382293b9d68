"""Masks of photos as masks of a network: its classes, on the masks' own pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff import labels as naming
from edgeeff.errors import ImageError, LabelsError, OptionError
from edgeeff.images import decoding
from edgeeff.images.annotations import mask_folders
from edgeeff.images.annotations.classes import plain
from edgeeff.images.annotations.mask_pixels import Rule, Seen, pixels, read_colours, seen
from edgeeff.images.annotations.truth import some
from edgeeff.images.image_set import ImageSet
from edgeeff.images.picture import file_digest
from edgeeff.preprocess import Fit, Preprocess
from edgeeff.segmentation.masks import void_of
from edgeeff.watched import stamp

Array = npt.NDArray[Any]
#: Width and height of a photo.
Size = tuple[int, int]
#: The most that a mask's ratio of sides may differ from its photo's by rounding.
_RATIO = 0.05
#: Names of what is not a class but what nobody knows.
_VOID = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled", "dont care", "don't care"})
#: Numbers by which two classes are often drawn.
TWO = {0, 255}


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of one photo.

    Args:
        path: Its mask; None: nothing is known.
        numbers: The network's class of each number of the mask, and :func:`void_of` of what is ignored.
        rule: How the mask is read.
        classes: Of the network.
        fit: Where the photo lies in the network's input.
        number: The photo's place in its set.
        counts: Pixels of each number of the mask.
    """

    path: Path | None
    numbers: tuple[tuple[int, int], ...]
    rule: Rule
    classes: int
    fit: Fit | None
    number: int
    counts: tuple[tuple[int, int], ...] = ()

    def classes_there(self) -> dict[int, int]:
        """Pixels of each of the network's classes that stands in it."""
        void, of = void_of(self.classes), dict(self.numbers)
        found = Counter[int]()
        for number, pixels_of_it in self.counts:
            if of.get(number, void) != void:
                found[of[number]] += pixels_of_it
        return dict(found)

    def read(self) -> Array | None:
        """The network's class of each pixel, [H, W], :func:`void_of` where it is to be ignored; None: nothing
        is known.

        Raises:
            ImageError: The file was damaged meanwhile.
        """
        if self.path is None:
            return None
        void = void_of(self.classes)
        table = np.full(max(number for number, _ in self.numbers) + 1, void, np.uint16)
        for number, cls in self.numbers:
            table[number] = cls
        found = pixels(self.path, self.rule.colours)
        if int(found.max(initial=0)) >= len(table):
            raise ImageError(f"{self.path} changed while it was read", mend="run again")
        return table[found].astype(np.uint8 if void == 255 else np.uint16)

    def digested(self) -> bytes:
        """What is known, for a digest: the file's bytes, and what is made of them."""
        if self.path is None:
            return b""
        said = f"{file_digest(self.path, stamp(self.path))} {self.numbers} {self.classes}"
        return said.encode()


@dataclass(frozen=True)
class Placed:
    """What is known of all images, in their order, and what may be wrong, a sentence each."""

    known: tuple[Known, ...]
    warnings: tuple[str, ...]


def given(
    images: ImageSet,
    folder: Path | str | None = None,
    ignore: Sequence[int] | int | None = None,
    palette: Path | str | None = None,
) -> ImageSet:
    """Photos with their masks.

    Args:
        images: The photos.
        folder: Of the masks; None: those that the images bear, or that lie beside them, ``masks`` in the
            place of ``images``.
        ignore: Numbers of the masks that are neither scored nor learned; None: 255.
        palette: A list of the colours of RGB masks.

    Raises:
        MissingFileError: There are no masks there.
        LabelsError: The palette is none, or a number cannot be one.
    """
    found = mask_folders.beside(images) if folder is None else mask_folders.of_folder(images, Path(folder))
    rule = found.masks
    if ignore is not None:
        numbers = (ignore,) if isinstance(ignore, int) else tuple(ignore)
        if any(not 0 <= number <= 65_535 for number in numbers):
            raise LabelsError(f"--ignore {numbers}", mend="give numbers of masks, such as 255")
        rule = replace(rule, ignore=numbers)
    if palette is not None:
        rule = replace(rule, colours=read_colours(Path(palette)))
    return replace(found, masks=rule)


def numbers(text: str | None) -> tuple[int, ...] | None:
    """``255,11`` as numbers; ``none`` as no number; None as itself.

    Raises:
        OptionError: It is something else.
    """
    if text is None:
        return None
    if text.strip().lower() == "none":
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--ignore {text!r:.40}", mend="write numbers of masks, such as 255,11") from None


def is_void(name: str) -> bool:
    """Whether a class of that name stands for what nobody knows."""
    return plain(name) in _VOID


def beside(images: ImageSet) -> ImageSet:
    """The images with the masks that lie beside them, where they bear none: :mod:`mask_folders`."""
    return mask_folders.beside(images)


def placed(images: ImageSet, labels: Sequence[str], preprocess: Preprocess | None) -> Placed:
    """What is known of images, in the network's classes.

    All masks are looked at, so that nothing is found out in the middle of a run.

    Args:
        images: Some of which have masks.
        labels: The network's, or what stands for them.
        preprocess: The network's; None: it is not known yet, and nothing is said of the photos' sizes.

    Raises:
        LabelsError: A class of the masks is none of the network's, a mask does not show what its photo shows,
            or none can be read.
    """
    every: list[Size | None] = [None] * len(images)
    sizes = every if preprocess is None else decoding.sizes(images.pictures, preprocess)
    paths = [picture.mask for picture in images.pictures if picture.mask is not None]
    looks = dict(zip(paths, seen(paths, images.masks.colours), strict=True))
    numbers, warnings = _classes(
        images.masks, labels, {p: s for p, s in looks.items() if isinstance(s, Seen)}
    )
    odd = _Oddities(len(images))
    known = []
    for count, (picture, size) in enumerate(zip(images.pictures, sizes, strict=True)):
        look = None if picture.mask is None else looks[picture.mask]
        if preprocess is None and isinstance(look, Seen):
            size = look.size
        if preprocess is not None and look is not None and decoding.turned_unseen(picture):
            odd.turned(str(picture), preprocess.exif)
        usable = odd.look(str(picture), picture.mask, look, size, numbers, void_of(len(labels)))
        known.append(
            Known(
                picture.mask if usable else None,
                numbers,
                images.masks,
                len(labels),
                None if size is None or preprocess is None else preprocess.place(size),
                count,
                look.counts if isinstance(look, Seen) else (),
            )
        )
    if paths and not any(one.path for one in known):
        first = next((one for one in looks.values() if isinstance(one, ImageError)), None)
        raise LabelsError(
            f"none of the {len(paths)} masks can be used" + (f": {first.what}" if first else ""),
            mend=first.mend if first else "let each photo have a mask of its size",
        )
    return Placed(tuple(known), (*warnings, *odd.sentences()))


class _Oddities:
    """What is passed over, counted, with the first of each kind."""

    def __init__(self, images: int) -> None:
        self._images = images
        self._counts, self._first = Counter[str](), dict[str, str]()

    def look(
        self,
        photo: str,
        mask: Path | None,
        look: Seen | ImageError | None,
        size: tuple[int, int] | None,
        numbers: Sequence[tuple[int, int]],
        void: int,
    ) -> bool:
        """Whether a photo's mask can be used.

        Raises:
            LabelsError: It shows something else than the photo.
        """
        if mask is None or look is None:
            return self._note("photos have no mask, and are left out", photo)
        if isinstance(look, ImageError):
            return self._note("masks cannot be read, and their photos are left out", look.what)
        if size is None:
            return False
        if look.size != size:
            _refuse_other(photo, size, mask, look.size)
            self._note(
                "masks have another size than their photos, with the same ratio of sides: they are taken to "
                "show the same, and scored on their own pixels",
                f"{mask}, {look.size[0]}×{look.size[1]} for {size[0]}×{size[1]}",
            )
        classes = dict(numbers)
        if all(classes.get(number, void) == void for number, _ in look.counts):
            self._note("masks ignore every pixel", str(mask))
        return True

    def turned(self, photo: str, exif: bool) -> None:
        """A photo has an EXIF orientation, and its mask's size is the same with and without it."""
        taken = "as upright as the photos" if exif else "as unturned as the photos are used"
        self._note(
            "photos have an EXIF orientation that changes no size: their masks are taken to be "
            f"{taken}; if not, they are wrong (save photos upright, or see --exif)",
            photo,
        )

    def _note(self, kind: str, where: str) -> bool:
        self._counts[kind] += 1
        self._first.setdefault(kind, where)
        return False

    def sentences(self) -> list[str]:
        """One for each kind."""
        return [
            f"{count} of {self._images} {kind} ({self._first[kind]})" for kind, count in self._counts.items()
        ]


def _refuse_other(photo: str, size: tuple[int, int], mask: Path, other: tuple[int, int]) -> None:
    """Refuse a mask whose sides have another ratio than its photo's.

    Raises:
        LabelsError: They have, by more than rounding, or rounding leaves their ratio in doubt: of a mask of
            3×2 pixels nobody can tell.
    """
    height = size[1] * other[0] / size[0]
    if abs(height - other[1]) <= min(1.0, _RATIO * height):
        return
    turned = "; is the photo turned by its EXIF orientation?" if other == size[::-1] else ""
    raise LabelsError(
        f"{mask} has {other[0]}×{other[1]} pixels, and its photo {photo} {size[0]}×{size[1]}{turned}",
        mend="give each photo a mask of its own size, cropped and turned as the photo is",
    )


def _classes(
    rule: Rule, labels: Sequence[str], looks: Mapping[Path, Seen]
) -> tuple[tuple[tuple[int, int], ...], list[str]]:
    """The network's class of each number that stands in some mask, and what of that is a guess.

    Raises:
        LabelsError: A number, or a name, is no class of the network.
    """
    used = Counter[int]()
    for look in looks.values():
        used.update(dict(look.counts))
    void = void_of(len(labels))
    if rule.ignore is None and len(labels) == 2 and {*used} == TWO:
        return ((0, 0), (255, 1)), [
            "masks hold 0 and 255 alone: 255 is taken for class 1 (--ignore 255: not)"
        ]
    if rule.ignore is None and len(labels) > 255 and 255 in used:
        raise LabelsError(
            f"masks hold 255, which is ignored unless something else is said, and class 255 of {len(labels)}",
            mend="pass --ignore none if 255 is that class, or --ignore 255",
        )
    found = {number: void for number in used if number in rule.ignored}
    rest = [number for number in sorted(used) if number not in found]
    names = rule.called
    if names and naming.are_known(labels):
        by_name = {plain(label): i for i, label in enumerate(labels)}
        own = {number: plain(names[number]) if number < len(names) else "" for number in rest}
        found |= {number: void for number, name in own.items() if name in _VOID and name not in by_name}
        found |= {number: by_name[name] for number, name in own.items() if name in by_name}
    else:
        found |= {number: number for number in rest if number < len(labels)}
    if other := [number for number in rest if number not in found]:
        _refuse(rule, other, labels, looks, used)
    return tuple(sorted(found.items())), []


def _refuse(
    rule: Rule, other: Sequence[int], labels: Sequence[str], looks: Mapping[Path, Seen], used: Counter[int]
) -> None:
    first = next(path for path, look in looks.items() if other[0] in dict(look.counts))
    share = sum(used[number] for number in other) / used.total()
    named = [f"{n} ({rule.called[n]})" if n < len(rule.called) else str(n) for n in other]
    known = some(labels) if rule.called and naming.are_known(labels) else f"0…{len(labels) - 1}"
    ignore = ",".join(map(str, sorted({*other, *(n for n in rule.ignored if n in used)})))
    raise LabelsError(
        f"masks hold {some(named)} ({share:.1%} of all pixels, first in {first}), and the network's classes "
        f"are {known}",
        mend=f"--ignore {ignore} leaves these pixels out (for build and gate ignore: [{ignore}] in a data "
        "set's YAML); else number classes as the network does",
    )
