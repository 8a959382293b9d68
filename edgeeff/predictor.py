"""A loaded bundle: opened once, asked for each frame.

``Bundle.open`` makes one. What a frame costs beyond the runtime is the check of its pixels; names and
probabilities are computed when one of them is first read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeeff.errors import BundleError
from edgeeff.images import held
from edgeeff.images.held import Held
from edgeeff.onboard.camera import Planes
from edgeeff.preprocess import Fit, Pixels, Preprocess
from edgeeff.tasks import Meaning, Naming, Outputs, Prediction

_BYTES = np.dtype(np.uint8)


class _Session(Protocol):
    """A loaded artifact, as :class:`edgeeff.backends.Session` has it."""

    def infer(self, pixels: Any) -> Outputs: ...


class Predictor:
    """Predictions of images, by one session of a runtime.

    Threads may share one: it runs one call after the other, since a runtime's session takes no two at once.
    For calls that run side by side open one for each thread.

    Args:
        name: The bundle's, for messages.
        session: Its artifact, loaded.
        preprocess: From a photo to the input.
        meaning: What the outputs mean.
        naming: How classes and labels are called.
        warn: Called with each thing that the user must not miss, once.
        run: Images that the artifact takes at a time.
    """

    def __init__(
        self,
        name: str,
        session: _Session,
        preprocess: Preprocess,
        meaning: Meaning,
        naming: Naming,
        warn: Callable[[str], None],
        run: int = 1,
    ) -> None:
        self.preprocess = preprocess
        self.meaning = meaning
        self.naming = naming
        self._name = name
        self._session: _Session | None = session
        self._warn = warn
        # What a detector gives of one image may be a hundred megabytes: no more at a time than a run takes.
        self._at_a_time = run if meaning.detection is not None or meaning.by_pixel else held.whole_runs(run)
        self._frame = (*preprocess.taken, preprocess.channels)
        self._shapes = _shapes(meaning, len(naming.labels))
        self._whole = preprocess.whole
        self._warned: set[str] = set()
        self._lock = Lock()

    def __enter__(self) -> Predictor:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @overload
    def __call__(self, image: Path | str | Image.Image) -> Prediction: ...
    @overload
    def __call__(self, image: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...
    @overload
    def __call__(self, image: npt.NDArray[Any]) -> Any: ...

    def __call__(self, image: Held) -> Prediction | list[Prediction]:
        """What the network says of an image, or of each of several.

        A detector's boxes, and masks, are in pixels of the photo; of an array in its own.

        Args:
            image: A file, a Pillow image, or RGB pixels uint8 [H, W, C] of the network's size: one
                prediction. A list of these, or pixels [N, H, W, C]: a list of as many.

        Raises:
            ImageError: It cannot be decoded, or pixels are not uint8 or not of the network's size; a folder
                or a list file, which stands for several images: see :meth:`each`.
            MissingFileError: There is no such file.
            BundleError: It was closed.
        """
        if isinstance(image, np.ndarray):
            if image.shape == self._frame and image.dtype == _BYTES:
                return self._told(image[None], ())[0]
            pixels = held.pixels(image, self.preprocess)
            found = self._told(pixels, ())
            return found if image.ndim == 4 else found[0]
        if isinstance(image, str | Path | Image.Image):
            return self._told(*held.one(image, self.preprocess, self._once))[0]
        return self.each(image)

    def each(self, images: Held) -> list[Prediction]:
        """The same of several images, in their order: also of a folder or a list file.

        Of a detector, and of masks, they are without ``outputs``: those of a thousand photos would be
        gigabytes.

        Raises:
            ImageError, MissingFileError, BundleError: As above.
        """
        self._open()
        batches = held.batches(images, self.preprocess, self._once, self._at_a_time)
        found = (one for pixels, fits in batches for one in self._told(pixels, fits))
        # Before the next batch is read: what names a mask's classes keeps the mask, not the outputs.
        return [one if one.boxes is None and one.mask is None else replace(one, outputs={}) for one in found]

    def planes(self, y: npt.NDArray[Any], uv: npt.NDArray[Any]) -> Any:
        """What the network says of a camera's frame in NV12, of a bundle that takes such (``--io nv12``).

        No RGB is made of it: the planes go to the runtime as they are, and rows that a driver pads
        (``y[:, :width]``) are copied once.

        Args:
            y: Brightness, uint8 [H, W] or [H, W, 1] of the size that the bundle takes; several frames:
                [N, H, W] or [N, H, W, 1].
            uv: Colours, uint8 [H/2, W/2, 2], or [H/2, W] as they lie in a buffer; the same behind [N].

        Returns:
            One prediction, or a list of as many as there are frames. Boxes are in pixels of the frame.

        Raises:
            ImageError: They are not uint8 or not of the size that the bundle takes.
            OptionError: The bundle takes no NV12.
            BundleError: It was closed, or it runs on a board.
        """
        found, single = held.planes(y, uv, self.preprocess, self._name)
        predictions = self._told(found, ())
        return predictions[0] if single else predictions

    def of_pixels(self, pixels: Pixels | Planes, fits: Sequence[Fit] = ()) -> list[Prediction]:
        """Of raw pixels uint8 [N, H, W, C] of the size that it takes, which are not checked.

        Args:
            pixels: As :meth:`edgeeff.preprocess.Preprocess.fit` gives them.
            fits: Where the photo of each image lies in them, so that boxes are in its pixels; none: images
                are taken whole.

        Raises:
            BundleError: The artifact does not give a value for each of the bundle's classes.
        """
        found = self.outputs(pixels)
        labels = len(self.naming.labels)
        if self.meaning.by_pixel:  # its decoding refuses what is no mask of these classes
            return self.meaning.decode(found, self.naming, fits or [self._whole] * len(pixels))
        if labels and any(v.shape[1:] != self._shapes.get(k, self._shapes.get("")) for k, v in found.items()):
            shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in found.items())
            said = f"names {labels} classes"
            if self.meaning.detection is not None:
                wanted = (f"{name} {[len(pixels), *shape]}" for name, shape in self._shapes.items())
                said = f"says {', '.join(wanted)}"
            raise BundleError(f"{self._name} gives {shapes}, its manifest {said}", mend="build it again")
        return self.meaning.decode(found, self.naming, fits or [self._whole] * len(pixels))

    def _told(self, pixels: Pixels | Planes, fits: Sequence[Fit]) -> list[Prediction]:
        """The same, with warnings of a detector's boxes."""
        found = self.of_pixels(pixels, fits)
        for text in doubts(self._name, found, self.meaning):
            self._once(text)
        return found

    def outputs(self, pixels: Pixels | Planes) -> Outputs:
        """The artifact's outputs of such pixels, [N, …] by name."""
        with self._lock:
            return self._open().infer(pixels)

    def close(self) -> None:
        """Let go of the runtime's session; calls after it are refused."""
        with self._lock:
            self._session = None

    def _open(self) -> _Session:
        session = self._session
        if session is None:
            raise BundleError(f"{self._name} is closed", mend="open it again: with bundle.open() as predict")
        return session

    def _once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)


def _shapes(meaning: Meaning, labels: int) -> Mapping[str, tuple[int, ...]]:
    """What each output has for one image, by its name; by an empty name what any has."""
    if meaning.detection is None:
        return {"": (labels,)}
    return {name: shape[1:] for name, shape in meaning.detection.outputs(labels).items()}


def doubts(name: str, predictions: Sequence[Prediction], meaning: Meaning) -> list[str]:
    """Warnings of the boxes or masks of some images, the same each time: values that are no numbers, what is
    cut off.

    Args:
        name: The bundle's.
        predictions: Of the images.
        meaning: Of the artifact's outputs.
    """
    if meaning.by_pixel:
        return _of_masks(name, predictions)
    if meaning.detection is None:
        return []
    boxes, most = [one.boxes for one in predictions if one.boxes is not None], meaning.detection.nms.max_boxes
    found = []
    if any(each.invalid for each in boxes):
        found.append(
            f"{name} gives values that are no numbers (NaN): they make no boxes, and some may be missing"
        )
    if any(len(each) >= most for each in boxes):
        found.append(
            f"{name} keeps {most} boxes of an image at most, and one has as many over the threshold of "
            f"{meaning.threshold:g}: more may be there; build with a higher --max-boxes"
        )
    return found


def _of_masks(name: str, predictions: Sequence[Prediction]) -> list[str]:
    masks = [one.mask for one in predictions if one.mask is not None]
    found = []
    if any(mask.invalid for mask in masks):
        found.append(f"{name} gives scores that are no numbers (NaN): pixels with one have no class")
    if any(mask.cut_off for mask in masks):
        found.append(
            f"{name}: its preprocessing cuts off part of a photo, whose pixels have no class (the whole "
            "photo: --squash --crop 1 at build)"
        )
    return found
