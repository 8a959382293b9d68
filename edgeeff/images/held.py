"""Images that a program holds: paths, Pillow's images and arrays, alone or in a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff import depth
from edgeeff.errors import ImageError, OptionError
from edgeeff.images.decoding import decode, orientation, turned
from edgeeff.images.opening import open_images
from edgeeff.images.picture import Picture
from edgeeff.images.survey import survey
from edgeeff.onboard.camera import Planes
from edgeeff.preprocess import Fit, Pixels, Preprocess

#: What :meth:`edgeeff.bundle.Bundle.predict` takes.
Held: TypeAlias = (
    "Path | str | Image.Image | npt.NDArray[Any] | Sequence[Path | str | Image.Image | npt.NDArray[Any]]"
)

#: Images that are decoded at a time.
BATCH = 8
_FIT = "pass Pillow's images or files, or fit the pixels with manifest.preprocess.fit(Image.fromarray(…))"


#: Raw pixels uint8 [n, H, W, C], and where the photo of each of them lies.
Fitted: TypeAlias = tuple[Pixels, list[Fit]]


def batches(
    images: Held, preprocess: Preprocess, warn: Callable[[str], None], size: int = BATCH
) -> Iterator[Fitted]:
    """Raw pixels uint8 [n, H, W, C], as the network takes them, in the order given; and where photos lie.

    Args:
        images: Arrays are uint8 [H, W, C] or [N, H, W, C], RGB and of the network's size: they are taken as
            they are. Pillow's images and files are fitted. A folder or a list file stands for its images.
        preprocess: The network's.
        warn: Called with what was passed over, and how deep pixels were read where that is a guess.
        size: Images that are decoded at a time.

    Raises:
        ImageError: No image; one cannot be decoded; an array of another size or type, or something else.
        MissingFileError: No such file or folder, or no image in it.
    """
    if isinstance(images, np.ndarray):
        yield _as_they_are(images, preprocess)
        return
    items = [images] if isinstance(images, (str, Path, Image.Image)) else _items(images)
    opened = {i: open_images(item) for i, item in enumerate(items) if isinstance(item, (str, Path))}
    looked = survey([picture for one in opened.values() for picture in one.pictures], preprocess)
    for text in dict.fromkeys((*(w for one in opened.values() for w in one.warnings), *looked.warnings)):
        warn(text)

    def each() -> Iterator[Fitted]:
        for i, item in enumerate(items):
            pictures = opened[i].pictures if i in opened else ()
            yield from (_one(_decoded(picture, looked.preprocess)) for picture in pictures)
            if isinstance(item, Image.Image):
                yield _one(_fitted(item, preprocess, warn))
            elif isinstance(item, np.ndarray):
                yield _as_they_are(item, preprocess)

    found = each()
    while part := list(islice(found, size)):
        yield np.concatenate([held for held, _ in part]), [fit for _, fits in part for fit in fits]


def whole_runs(size: int) -> int:
    """How many images are decoded at a time for an artifact that takes so many in a run: whole runs of it."""
    return -(-BATCH // size) * size


def one(image: Path | str | Image.Image, preprocess: Preprocess, warn: Callable[[str], None]) -> Fitted:
    """Raw pixels uint8 [1, H, W, C] of one image and its place; arguments and errors as of :func:`batches`.

    Raises:
        ImageError: Also where a path stands for several images, or for none.
    """
    parts = batches(image, preprocess, warn)
    found = list(islice((each for part in parts for each in zip(*part, strict=True)), 2))
    if len(found) != 1:
        raise ImageError(
            f"{image} stands for several images", mend="ask for each of them: predict.each(path)"
        )
    return _one(found[0])


def _items(images: Iterable[Any]) -> list[Any]:
    known = (str, Path, Image.Image, np.ndarray)
    items = (
        list(images)
        if isinstance(images, Iterable) and not isinstance(images, (bytes, dict, set, frozenset))
        else [images]
    )
    wrong = [type(item) for item in items if not isinstance(item, known)]
    if wrong:
        raise ImageError(
            f"an image is a {wrong[0].__module__}.{wrong[0].__qualname__}",
            mend="pass a path, a Pillow image, a numpy array uint8 [H, W, C], or a list of them",
        )
    if not items:
        raise ImageError("there is no image in the list", mend="pass one at least")
    return items


def _one(fitted: tuple[Pixels, Fit]) -> Fitted:
    return fitted[0][None], [fitted[1]]


def _as_they_are(array: npt.NDArray[Any], preprocess: Preprocess) -> Fitted:
    found = pixels(array, preprocess)
    return found, [preprocess.whole] * len(found)


def _decoded(picture: Picture, preprocess: Preprocess) -> tuple[Pixels, Fit]:
    return preprocess.fitted(decode(picture, preprocess))


def _fitted(image: Image.Image, preprocess: Preprocess, warn: Callable[[str], None]) -> tuple[Pixels, Fit]:
    try:
        # Once: what Pillow leaves out of 16-bit colours is there only before the image is loaded.
        shallow, found = depth.eight_bits(image, preprocess.white)
        if found is not None and found.basis == "guessed":
            warn(
                f"an image of mode {image.mode} does not declare its range; 0…{found.white:g} is taken "
                "for it, which is a guess: pass an image of 8 bits"
            )
        return preprocess.fitted(turned(shallow, orientation(image), preprocess))
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # Pillow reads a file when it must
        raise ImageError(f"an image cannot be decoded: {error}", mend="replace it") from None


def planes(
    y: npt.NDArray[Any], uv: npt.NDArray[Any], preprocess: Preprocess, name: str
) -> tuple[Planes, bool]:
    """A camera's planes as a batch, and whether they are one frame alone; see :meth:`Predictor.planes`.

    Raises:
        ImageError: They are of another type or size.
        OptionError: The bundle ``name`` takes no NV12.
    """
    if preprocess.camera is None or not preprocess.camera.planar:
        raise OptionError(
            f"{name} takes no NV12",
            mend="build it with --io nv12, or make RGB of the planes: edgeeff.onboard.camera.rgb_of_nv12",
        )
    height, width = preprocess.taken
    single = isinstance(y, np.ndarray) and y.shape in ((height, width), (height, width, 1))
    wanted = (((height, width, 1), (height, width)), ((height // 2, width // 2, 2), (height // 2, width)))
    found = []
    for plane, shapes in zip((y, uv), wanted, strict=True):
        given = plane[None] if single and isinstance(plane, np.ndarray) else plane
        if not isinstance(given, np.ndarray) or given.dtype != np.uint8 or given.shape[1:] not in shapes:
            break
        found.append(given.reshape(len(given), *shapes[0]))
    if len(found) < len(wanted) or not len(found[0]) or len(found[0]) != len(found[1]):
        said = [
            f"{plane.dtype} {list(plane.shape)}" if isinstance(plane, np.ndarray) else type(plane).__name__
            for plane in (y, uv)
        ]
        raise ImageError(
            f"planes are {said[0]} and {said[1]}, {name} takes NV12 of {width}×{height}: uint8 "
            f"[{height}, {width}] and [{height // 2}, {width // 2}, 2], or as many of both behind [N]",
            mend="set the camera to that size, or build with --resize-in-model of the camera's; cut off what "
            "a driver puts behind each row: y[:, :width]",
        )
    return Planes(*found), single


def pixels(array: npt.NDArray[Any], preprocess: Preprocess) -> Pixels:
    """An array as a batch.

    Raises:
        ImageError: It is of another type or size.
    """
    expected = (*preprocess.taken, preprocess.channels)
    given = array.shape
    if array.shape == expected or (array.shape == expected[:2] and expected[2] == 1):
        array = array.reshape(1, *expected)
    if array.dtype == np.uint8 and array.shape[1:] == expected:
        if len(array) == 0:
            raise ImageError("there is no image in the array", mend="pass one at least")
        return array
    takes = f"the bundle takes uint8 [N, {', '.join(map(str, expected))}]"
    if array.dtype != np.uint8:
        mend = (
            "pass raw pixels of 0…255 as uint8: the bundle normalises them itself"
            if array.dtype.kind == "f"
            else "pass raw pixels of 0…255 as uint8"
        )
    elif array.shape[1:] == (expected[2], *expected[:2]) or array.shape == (expected[2], *expected[:2]):
        mend = "let the channels be the last dimension: pixels.transpose(…)"
    elif expected[2] == 3 and (array.ndim == 2 or array.shape[-1] == 1):
        mend = "make grey images RGB: pass Image.fromarray(pixels), which is fitted too"
    else:
        mend = _FIT
    raise ImageError(f"pixels are {array.dtype} {list(given)}, {takes}", mend=mend)
