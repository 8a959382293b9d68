"""Where images come from: one photo, a folder, a list file or an .npz; decoding and batching.

A folder whose photos lie in subfolders is labelled by them (sorted names are classes 0, 1, …). A list file
has one path a line, with the class index after it if there is one. An .npz holds ``images`` uint8
[N, H, W, 3] and, if it is labelled, ``labels`` [N].
"""

from __future__ import annotations

import hashlib
import math
import os
import warnings
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff.errors import ImageError, LabelsError, MissingFileError
from edgeeff.preprocess import Pixels, Preprocess

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm"})
UNLABELLED = -1


@dataclass(frozen=True)
class Picture:
    """One image, not yet decoded.

    Args:
        path: The file that holds it.
        index: Its row, where the file is an .npz.
        label: Its class, or -1.
        crop: Part of the photo to use: left, top, width and height as fractions of the photo's, if not all.
    """

    path: Path
    index: int | None = None
    label: int = UNLABELLED
    crop: tuple[float, float, float, float] | None = None

    def __str__(self) -> str:
        return str(self.path) if self.index is None else f"{self.path}[{self.index}]"


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
            whole.update(_file_digest(picture.path, _stamp(picture.path)).encode())
            whole.update(repr((picture.index, picture.crop)).encode())
        return whole.hexdigest()

    def batches(
        self, preprocess: Preprocess, size: int = 8
    ) -> Iterator[tuple[Pixels, npt.NDArray[np.int64]]]:
        """Decode, fit and batch: raw pixels uint8 [n, H, W, 3], and the images' numbers [n].

        Images that cannot be decoded are left out and named in ``bad``.
        """
        self.bad.clear()
        with ThreadPoolExecutor(2) as pool:
            for start in range(0, len(self.pictures), size):
                part = self.pictures[start : start + size]
                # The filter belongs to the whole process: threads would restore each other's.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    decoded = list(pool.map(lambda p: _try_decode(p, preprocess), part))
                kept, numbers = [], []
                for number, (picture, result) in enumerate(zip(part, decoded, strict=True), start):
                    if isinstance(result, ImageError):
                        self.bad[str(picture)] = result.what
                    else:
                        kept.append(result)
                        numbers.append(number)
                if kept:
                    yield np.stack(kept), np.array(numbers, np.int64)


def open_images(source: Path | str) -> ImageSet:
    """The images of a file, a folder, a list file or an .npz.

    Raises:
        MissingFileError: There is nothing there, or no image in it.
    """
    path = Path(source)
    names: tuple[str, ...] = ()
    if path.is_dir():
        pictures, names = _from_folder(path)
    elif not path.is_file():
        raise MissingFileError(
            f"no file or folder {path}", mend="pass an image, a folder of images, a list file or an .npz"
        )
    elif path.suffix == ".npz":
        pictures = _from_npz(path)
    elif path.suffix.lower() in SUFFIXES:
        pictures = [Picture(path)]
    elif path.suffix.lower() in (".txt", ".lst", ".list", ".csv"):
        pictures = _from_list(path)
    else:
        raise MissingFileError(
            f"{path} is neither an image nor a list of images",
            mend=f"images end in {', '.join(sorted(SUFFIXES))}; lists end in .txt, arrays in .npz",
        )
    if not pictures:
        raise MissingFileError(
            f"{path} holds no image", mend=f"put images there ({', '.join(sorted(SUFFIXES))})"
        )
    return ImageSet(tuple(pictures), class_names=names)


def decode(picture: Picture) -> Image.Image:
    """Decode one image to RGB.

    Raises:
        ImageError: The file is not an image, or is broken.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd EXIF and palettes, and decodes them
        return _decode(picture)


def with_crops(pictures: Sequence[Picture], count: int, seed: int) -> list[Picture]:
    """Seeded crops of the pictures, ``count`` in all, each of 40 to 100 % of a photo's width and height.

    The photos take turns, so that each gives as many crops as the others.
    """
    generator = np.random.default_rng(seed)
    crops = []
    for i in range(count):
        extent = generator.uniform(0.4, 1.0)
        left, top = generator.uniform(0, 1 - extent, 2)
        crop = (float(left), float(top), float(extent), float(extent))
        crops.append(replace(pictures[i % len(pictures)], crop=crop, label=UNLABELLED))
    return crops


def _from_folder(folder: Path) -> tuple[list[Picture], tuple[str, ...]]:
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    classes = sorted({p.relative_to(folder).parts[0] for p in files if len(p.relative_to(folder).parts) > 1})
    flat = any(p.parent == folder for p in files)
    if flat:
        return [Picture(p) for p in files], ()
    numbers = {name: i for i, name in enumerate(classes)}
    return [Picture(p, label=numbers[p.relative_to(folder).parts[0]]) for p in files], tuple(classes)


def _from_list(path: Path) -> list[Picture]:
    pictures = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, label = text, UNLABELLED
        for separator in (",", None):
            head, *tail = text.rsplit(separator, 1)
            if tail and tail[0].strip().lstrip("-").isdigit():
                name, label = head.strip(), int(tail[0])
                break
        pictures.append(Picture(path.parent / name, label=label))
    return pictures


def _from_npz(path: Path) -> list[Picture]:
    try:
        rows = len(_rows(path, _stamp(path)))
        with np.load(path, allow_pickle=False) as arrays:
            labels = arrays["labels"] if "labels" in arrays.files else np.full(rows, UNLABELLED)
        if labels.ndim != 1 or labels.dtype.kind not in "iuf":
            raise ValueError(f"labels are {labels.dtype} {list(labels.shape)}, not int [N]")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise MissingFileError(
            f"{path} does not hold images: {error}",
            mend="save it as numpy.savez(path, images=uint8 [N, H, W, 3], labels=int [N])",
        ) from None
    if len(labels) != rows:
        raise MissingFileError(
            f"{path} holds {rows} images and {len(labels)} labels", mend="save one for each"
        )
    return [Picture(path, index=i, label=int(label)) for i, label in enumerate(labels)]


@dataclass(frozen=True)
class _Rows:
    """The images of an .npz, read one at a time: memory does not grow with their number."""

    file: IO[bytes]
    offset: int
    shape: tuple[int, int, int, int]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        size = math.prod(self.shape[1:])
        # pread leaves no position behind, so that threads may read at once.
        data = os.pread(self.file.fileno(), size, self.offset + index * size)
        return np.frombuffer(data, np.uint8).reshape(self.shape[1:])


@lru_cache(maxsize=4)
def _rows(path: Path, stamp: tuple[int, int]) -> _Rows:
    """The ``images`` of an .npz, unpacked to a temporary file that goes when nobody reads it any more."""
    del stamp  # part of the cache's key: a file written anew is read anew
    copy = TemporaryFile()  # noqa: SIM115 - it lives as long as the rows do
    try:
        with zipfile.ZipFile(path) as archive, archive.open("images.npy") as member:
            while block := member.read(1 << 22):
                copy.write(block)
        copy.seek(0)
        version = np.lib.format.read_magic(copy)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read_header(copy)
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or fortran:
            raise ValueError(f"images are {dtype} {list(shape)}, not uint8 [N, H, W, 3]")
        rows = _Rows(copy, copy.tell(), shape)
    except BaseException:
        copy.close()
        raise
    weakref.finalize(rows, copy.close)
    return rows


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=65536)
def _file_digest(path: Path, stamp: tuple[int, int]) -> str:
    del stamp
    try:
        with path.open("rb") as file:
            whole = hashlib.sha256()
            while block := file.read(1 << 20):
                whole.update(block)
            return whole.hexdigest()
    except OSError:
        return "unreadable"


def _decode(picture: Picture) -> Image.Image:
    try:
        if picture.index is not None:
            image = Image.fromarray(_rows(picture.path, _stamp(picture.path))[picture.index])
        else:
            with Image.open(picture.path) as file:
                image = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ImageError(
            f"{picture} cannot be decoded: {reason}", mend="replace the image or take it out"
        ) from None
    if picture.crop is not None:
        left, top, width, height = picture.crop
        image = image.crop(
            (
                round(left * image.width),
                round(top * image.height),
                max(round((left + width) * image.width), round(left * image.width) + 1),
                max(round((top + height) * image.height), round(top * image.height) + 1),
            )
        )
    return image


def _try_decode(picture: Picture, preprocess: Preprocess) -> Pixels | ImageError:
    try:
        return preprocess.fit(_decode(picture))
    except ImageError as error:
        return error
