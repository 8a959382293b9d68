"""Images that a program holds, written to files, so that they are read as all images are.

One image is held at a time. The files hold the same pixels, without loss, and the same image makes the same
bytes: what is keyed by the content of files finds it again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff import unpacking
from edgeeff.errors import ImageError, LabelsError
from edgeeff.files import writing
from edgeeff.images.opening import open_images
from edgeeff.images.picture import UNLABELLED

#: Images that are taken at most of what has no length.
MOST = 50_000
#: Modes of Pillow that a PNG holds as they are; a TIFF holds the others.
_IN_PNG = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
_MEND = "pass paths, Pillow's images or arrays uint8 [H, W, 3] (RGB, 0…255), each alone or as (image, label)"
_LIST = "images.csv"


@dataclass(frozen=True)
class Spooled:
    """Where images were written, a folder or a list with classes; ``left`` says that there were more."""

    path: Path
    count: int
    left: bool = False


def spool(images: Any, folder: Path, *, count: int | None = None, seed: int = 0) -> Spooled:
    """Write images to files of a new folder.

    Args:
        images: An array uint8 [N, H, W, C] or of one image; an iterable (or a dataset with numbers) of paths,
            Pillow's images and arrays, each alone or with its label as ``(image, label)``, the class's number
            or its name; or a callable without arguments that returns one of these.
        folder: Is made.
        count: How many at most: a seeded choice of what has a length, else the first. None: all.
        seed: Of the choice.

    Raises:
        ImageError: There is no image, or something that is none.
        LabelsError: Labels are neither all numbers nor all names.
        MissingFileError: A path is none of an image.
        OutputError: The disk is full.
    """
    if callable(images):
        images = images()
    found, left = _chosen(images, count, seed)
    with writing(folder):
        folder.mkdir(parents=True)
    rows: list[tuple[str, Any]] = []
    for item in found:
        image, label = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        for name in _write(image, folder, len(rows)):
            rows.append((name, label))
    if not rows:
        raise ImageError("there is no image in what was passed", mend=_MEND)
    labels = [label for _, label in rows if label is not None]
    if not labels:
        return Spooled(folder, len(rows), left())
    listed = _list(rows, _are_names(labels))
    with writing(folder):
        (folder / _LIST).write_text(listed, encoding="utf-8")
    return Spooled(folder / _LIST, len(rows), left())


def _chosen(images: Any, count: int | None, seed: int) -> tuple[Iterable[Any], Callable[[], bool]]:
    """The images to write, and whether there were more, which is known when they are written."""
    if isinstance(images, (Image.Image, str, Path)):
        images = [images]
    elif isinstance(images, np.ndarray):
        images = _stack(images)
    if isinstance(images, (bytes, Mapping, Set)) or not (_is_indexed(images) or isinstance(images, Iterable)):
        raise _refused(images)
    if _is_indexed(images):
        numbers: Sequence[int] = range(len(images))
        if count is not None and count < len(images):
            numbers = sorted(np.random.default_rng(seed).choice(len(images), count, replace=False).tolist())
        return (images[number] for number in numbers), lambda: False
    stream = iter(images)

    def bounded() -> Iterator[Any]:
        yield from islice(stream, MOST if count is None else count)

    def left() -> bool:
        more = next(stream, None) is not None
        if more and count is None:
            raise ImageError(f"there are more than {MOST} images in an iterable", mend="pass fewer of them")
        return more

    return bounded(), left


def _is_indexed(images: Any) -> bool:
    """Whether it is a list, an array, or a dataset of torch, whose items have numbers."""
    return hasattr(images, "__len__") and hasattr(images, "__getitem__")


def _stack(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[N, H, W, C], [N, H, W] (grey), or one image with a first axis more."""
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)):
        return array[None]
    if array.ndim not in (3, 4):
        raise _refused(array)
    return array


def _write(image: Any, folder: Path, number: int) -> list[str]:
    """Write an image, or link to the files of a path, and return their names."""
    if isinstance(image, (str, Path)):
        names = []
        for i, picture in enumerate(open_images(Path(image).expanduser()).pictures, number):
            if picture.index is not None:
                raise ImageError(f"{image} holds arrays", mend="pass it alone, or its arrays")
            names.append(f"{i:06}-{picture.path.name}")
            with writing(folder):
                (folder / names[-1]).symlink_to(picture.path.absolute())
        return names
    if isinstance(image, np.ndarray):
        image = _of_array(image)
    if not isinstance(image, Image.Image):
        raise _refused(image)
    name = f"{number:06}.{'png' if image.mode in _IN_PNG else 'tif'}"
    content = _encoded(image)
    with writing(folder):
        (folder / name).write_bytes(content)
    return [name]


def _of_array(array: npt.NDArray[Any]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    grey = array.ndim == 2
    if not (grey or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise _refused(array)
    if array.dtype != np.uint8 and not (grey and array.dtype == np.uint16):
        raise ImageError(
            f"an image is an array {array.dtype} {list(array.shape)}",
            mend="pass raw pixels of 0…255 as uint8, the channels last: a build normalises them itself",
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _encoded(image: Image.Image) -> bytes:
    """A PNG or TIFF of the same pixels, with the EXIF orientation that the image has."""
    try:
        for level in (1, 0):  # what packs into too few bytes would be refused when it is read
            buffer = io.BytesIO()
            if image.mode in _IN_PNG:
                image.save(buffer, "PNG", compress_level=level, exif=image.getexif())
            else:
                image.save(buffer, "TIFF")
            if not unpacking.absurd(image.width * image.height * 4, buffer.tell()):
                break
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # Pillow reads a file when it must
        raise ImageError(f"an image cannot be decoded: {error}", mend="replace it") from None
    return buffer.getvalue()


def _are_names(labels: Sequence[Any]) -> bool:
    """Whether labels are names, not numbers.

    Raises:
        LabelsError: They are neither.
    """
    if all(isinstance(label, str) for label in labels):
        return True
    if all(isinstance(label, (int, np.integer)) and not isinstance(label, bool) for label in labels):
        return False
    kinds = sorted({type(label).__name__ for label in labels})
    raise LabelsError(
        f"labels of images are {', '.join(kinds)}",
        mend="let the label in (image, label) be the class's number for all images, or its name for all",
    )


def _list(rows: Sequence[tuple[str, Any]], names: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "class" if names else "class_index"))
    writer.writerows((name, UNLABELLED if label is None else label) for name, label in rows)
    return text.getvalue()


def _refused(image: Any) -> ImageError:
    what = f"{type(image).__module__}.{type(image).__qualname__}"
    if isinstance(image, np.ndarray):
        what = f"an array {image.dtype} {list(image.shape)}"
    if hasattr(image, "detach"):  # a torch tensor
        return ImageError(
            f"an image is {what}",
            mend="pass the photos as they were before they were made tensors, which are mostly normalised: "
            "Pillow's images, or arrays uint8 [H, W, 3] of 0…255",
        )
    return ImageError(f"an image is {what}", mend=_MEND)
