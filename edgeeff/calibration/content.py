"""What the calibration images show, as far as it can be seen without a network: nothing, noise, or the same.

Blank
    No channel varies by more than a level or two.
Noise
    Neighbouring pixels know nothing of each other. A photo's brightness varies mostly from one region to the
    next (its spectrum falls as 1/f²; Field 1987); of noise the means of regions are as alike as their size
    makes them. An image is noise where both hold: neighbours are hardly correlated, and the regions' means
    vary no more than a few times as much as those of independent pixels. Grass and gravel have 4 times that
    or more, photos of things 15 to 200 times, noise out of a JPEG or a resize at most 3.5.
Repeated
    Two images whose small grey copies differ by brightness and contrast alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeeff.errors import CalibrationError
from edgeeff.preprocess import Pixels

F32 = npt.NDArray[np.float32]

#: Standard deviation of every channel, in levels of 0…255, under which an image shows nothing.
BLANK = 2.0
#: Correlation of neighbouring pixels, and the variance of regions' means as a multiple of what independent
#: pixels would have, under both of which an image is noise.
NOISE_CORRELATION, NOISE_REGIONS = 0.6, 3.6
#: The correlation where the shorter side is under so many pixels: shrunk to that, grass is as good as noise.
SMALL, SMALL_CORRELATION = 96, 0.3
#: Correlation of two images' small copies, of 16×16, from which one repeats the other.
ALIKE = 0.99
#: Share of blank and noise images beyond which a set is refused.
REFUSED = 0.5
#: Share of repeated images from which it is worth saying.
TOLD = 0.05
#: Names that a warning gives.
_NAMED = 3
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
#: Small copies that are compared at a time: memory is bounded.
_ROWS = 512


@dataclass(frozen=True)
class ContentReport:
    """What was found, by the images' numbers.

    Args:
        images: How many were looked at.
        blank: Those that show nothing.
        noise: Those that show noise.
        repeated: Those that repeat an earlier one, which is the number after them.
    """

    images: int
    blank: tuple[int, ...] = ()
    noise: tuple[int, ...] = ()
    repeated: tuple[tuple[int, int], ...] = ()

    @property
    def photos(self) -> int:
        """How many are neither blank nor noise."""
        return self.images - len(self.blank) - len(self.noise)

    def refuse(self, names: Sequence[object], of: int | None = None) -> None:
        """Raise if more than half of all images, ``of`` or as many as were looked at, are no photos.

        Raises:
            CalibrationError: They are; ``names`` are all images', by number.
        """
        of = self.images if of is None else of
        bad = sorted([*self.blank, *self.noise])
        if len(bad) > REFUSED * of:
            raise CalibrationError(
                f"more than half of the calibration images are no photos: of {self.images} looked at "
                f"{len(self.blank)} are blank and {len(self.noise)} noise ({_some(bad, names)})",
                mend="pass images of what the network will see, or --force-calibration to go on with these",
            )

    def warnings(self, names: Sequence[object]) -> tuple[str, ...]:
        """What the user should know, one line each; ``names`` are all images', by number."""
        lines = []
        for found, what in ((self.blank, "blank"), (self.noise, "noise, no photos")):
            if found:
                lines.append(
                    f"{what}: {len(found)} of {self.images} calibration images ({_some(found, names)}); "
                    "ranges are made for them too: take them out"
                )
        if len(self.repeated) > TOLD * self.images:
            number, earlier = self.repeated[0]
            lines.append(
                f"{len(self.repeated)} of {self.images} calibration images repeat an earlier one "
                f"({names[number]} is like {names[earlier]}): they count as "
                f"{self.images - len(self.repeated)}; pass more different ones"
            )
        return tuple(lines)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for a report and the cache."""
        return {
            "images": self.images,
            "blank": list(self.blank),
            "noise": list(self.noise),
            "repeated": [list(pair) for pair in self.repeated],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ContentReport:
        """The reverse of :meth:`to_json`."""
        repeated = tuple((int(number), int(earlier)) for number, earlier in data["repeated"])
        return cls(int(data["images"]), tuple(data["blank"]), tuple(data["noise"]), repeated)


class Examination:
    """Looks at images as they pass, a batch at a time, and keeps 256 numbers of each.

    Args:
        names: Of all images, by number.
        force: Whether a set of noise is let through.
    """

    def __init__(self, names: Sequence[object], *, force: bool = False) -> None:
        self._names = names
        self._force = force
        self._numbers: list[int] = []
        self._copies: list[F32] = []
        self._blank: list[int] = []
        self._noise: list[int] = []

    def add(self, pixels: Pixels, numbers: Iterable[int]) -> None:
        """Look at a batch, uint8 [n, H, W, 3], whose images have these numbers.

        Raises:
            CalibrationError: It is certain by now that more than half of all are blank or noise.
        """
        for image, number in zip(pixels, numbers, strict=True):
            grey = _grey(image)
            copy = _cells(grey, 16)
            self._numbers.append(int(number))
            if float(image.std((0, 1)).max()) < BLANK:
                self._blank.append(int(number))
                copy = np.zeros_like(copy)
            elif is_noise(grey):
                self._noise.append(int(number))
            self._copies.append(_standardised(copy))
        if not self._force:
            self._found().refuse(self._names, of=len(self._names))

    def report(self) -> ContentReport:
        """What was found in all that was added.

        Raises:
            CalibrationError: More than half of it is blank or noise.
        """
        found = replace(self._found(), repeated=tuple(self._repeated()))
        if not self._force:
            found.refuse(self._names)
        return found

    def _found(self) -> ContentReport:
        return ContentReport(len(self._numbers), tuple(self._blank), tuple(self._noise))

    def _repeated(self) -> list[tuple[int, int]]:
        """Each image that is like an earlier one, with the first of those."""
        if not self._copies:
            return []
        copies = np.stack(self._copies)
        found = []
        for start in range(0, len(copies), _ROWS):
            rows = copies[start : start + _ROWS]
            alike = rows @ copies[: start + len(rows)].T >= ALIKE
            for row, others in enumerate(alike, start):
                earlier = int(np.argmax(others[:row])) if others[:row].any() else None
                if earlier is not None:
                    found.append((self._numbers[row], self._numbers[earlier]))
        return found


def examine(batches: Iterable[Pixels], names: Sequence[object], *, force: bool = False) -> ContentReport:
    """Look at all images of some batches of raw pixels, uint8 [n, H, W, 3]; ``names`` has one for each.

    Raises:
        CalibrationError: More than half of them are blank or noise, and it is not forced.
    """
    examination, seen = Examination(names, force=force), 0
    for batch in batches:
        examination.add(batch, range(seen, seen + len(batch)))
        seen += len(batch)
    return examination.report()


def _grey(image: Pixels) -> F32:
    """The brightness of an image [H, W, C], of the colours alone where there is a fourth channel."""
    if image.shape[2] == 1:
        return image[..., 0].astype(np.float32)
    return np.asarray(image[..., :3].astype(np.float32) @ _LUMA, np.float32)


def is_noise(grey: F32) -> bool:
    """Whether the pixels of a grey image [H, W] are as good as independent of their neighbours."""
    centred = grey - grey.mean()
    variance = float((centred * centred).mean())
    if variance == 0.0:
        return False
    across = float((centred[:, 1:] * centred[:, :-1]).mean()) / variance
    down = float((centred[1:] * centred[:-1]).mean()) / variance
    most = NOISE_CORRELATION if min(grey.shape) >= SMALL else SMALL_CORRELATION
    if max(across, down) >= most:
        return False
    # Regions of 8 pixels a side at least, in which a texture evens out.
    count = max(2, min(16, min(grey.shape) // 8))
    height, width = grey.shape[0] // count, grey.shape[1] // count
    return bool(float(_cells(grey, count).var()) * height * width < NOISE_REGIONS * variance)


def _cells(grey: F32, count: int) -> F32:
    """The means of ``count`` × ``count`` regions; a remainder at the right and lower edge is left out."""
    height, width = grey.shape[0] // count, grey.shape[1] // count
    cut = grey[: height * count, : width * count]
    return np.asarray(cut.reshape(count, height, count, width).mean((1, 3)), np.float32)


def _standardised(copy: F32) -> F32:
    """As a vector of mean 0 and length 1, or of zeros."""
    centred = (copy - copy.mean()).ravel()
    length = float(np.linalg.norm(centred))
    return np.asarray(centred / length if length > 0 else centred, np.float32)


def _some(numbers: Sequence[int], names: Sequence[object]) -> str:
    """The first few names."""
    shown = [str(names[number]) for number in numbers[:_NAMED]]
    return ", ".join([*shown, "…"] if len(numbers) > _NAMED else shown)
