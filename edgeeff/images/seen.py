"""What a set's images were decoded to, as far as that fits into memory.

Calibration looks at the same few photos again and again: for statistics, and in each step that streams
activations, for each target. Decoding a phone's photo takes longer than running a small network on it.
"""

from __future__ import annotations

from typing import TypeAlias

from edgeeff.images.picture import Picture
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.watched import stamp

#: Bytes of pixels that a set keeps: 330 images of 224×224.
LIMIT = 48 << 20

_Key: TypeAlias = "tuple[object, ...]"


class Seen:
    """Pixels by image and preprocessing: the first ones that come, until the limit is reached.

    Nothing is dropped for what comes later: of a set that is run through again and again, and does not fit,
    the least recently used would always be the next one.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._held = limit, 0
        self._found: dict[_Key, Pixels] = {}

    def get(self, picture: Picture, preprocess: Preprocess) -> Pixels | None:
        """What an image was decoded to, of the file as it is now; None where that is not kept."""
        return self._found.get(_key(picture, preprocess)) if self._found else None

    def keep(self, picture: Picture, preprocess: Preprocess, pixels: Pixels) -> None:
        """Keep what an image was decoded to, if there is room; a clip's frames are kept elsewhere."""
        if picture.frames is not None or self._held + pixels.nbytes > self._limit:
            return
        key = _key(picture, preprocess)
        if key not in self._found:
            self._held += pixels.nbytes
            self._found[key] = pixels


def _key(picture: Picture, preprocess: Preprocess) -> _Key:
    return (picture.path, stamp(picture.path), picture.index, picture.crop, preprocess)
