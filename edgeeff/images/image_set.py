"""Images in a fixed order: their classes, their digest, their batches."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from edgeeff.errors import ImageError, LabelsError
from edgeeff.images.decoding import try_decode
from edgeeff.images.picture import UNLABELLED, Picture, file_digest, stamp
from edgeeff.preprocess import Pixels, Preprocess


@dataclass
class ImageSet:
    """Images in a fixed order.

    ``bad`` names those that could not be decoded, with the reason, as :meth:`batches` comes upon them.
    ``class_names`` are the subfolders that labelled them, where that is how they are labelled.
    """

    pictures: tuple[Picture, ...]
    bad: dict[str, str] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def labels(self) -> npt.NDArray[np.int64] | None:
        """The class of each image (-1 where unknown), or None where no image has one."""
        labels = np.array([p.label for p in self.pictures], np.int64)
        return labels if (labels != UNLABELLED).any() else None

    def classes_named(self, labels: Sequence[str]) -> ImageSet:
        """The same images, a subfolder's class found by its name: the network's label, or its number.

        Subfolders with other names are classes in their sorted order, if there is one for each class.

        Raises:
            LabelsError: They are not, so nobody knows which class a subfolder is.
        """
        names = self.class_names
        if not names or (len(names) == len(labels) and not set(names) <= set(labels)):
            return self
        numbers = {label: i for i, label in enumerate(labels)}
        if all(name.isdigit() and int(name) < len(labels) for name in names):
            numbers = {name: int(name) for name in names}
        unknown = [name for name in names if name not in numbers]
        if unknown:
            raise LabelsError(
                f"{len(unknown)} of {len(names)} subfolders are no class of the network: "
                f"{', '.join(unknown[:3])}",
                mend="name each subfolder after a label or its number, or have one for each class, in order",
            )
        pictures = tuple(replace(p, label=numbers[names[p.label]]) for p in self.pictures)
        return ImageSet(pictures, self.bad)

    def digest(self) -> str:
        """SHA-256 over the bytes of the files, the rows and the crops: what was looked at, not its path."""
        whole = hashlib.sha256()
        for picture in self.pictures:
            whole.update(file_digest(picture.path, stamp(picture.path)).encode())
            whole.update(repr((picture.index, picture.crop)).encode())
        return whole.hexdigest()

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
                    decoded = list(pool.map(lambda p: try_decode(p, preprocess), part))
                kept, numbers = [], []
                for number, (picture, result) in enumerate(zip(part, decoded, strict=True), start):
                    if isinstance(result, ImageError):
                        self.bad[str(picture)] = result.what
                    else:
                        kept.append(result)
                        numbers.append(number)
                if kept:
                    yield np.stack(kept), np.array(numbers, np.int64)
