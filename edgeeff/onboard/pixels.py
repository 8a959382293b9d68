"""From raw pixels to an artifact's own input: the same arithmetic here and on a board."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np


class Normalising:
    """What of a network's preprocessing a board needs: the photo was decoded and fitted elsewhere.

    Args:
        size: Height and width of the input, pixels.
        mean: For each channel, on pixels of 0…255.
        std: For each channel, on the same scale.
        camera: How the artifact takes its frames, where they are not RGB pixels of that size.
    """

    def __init__(
        self, size: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...], camera: Any = None
    ) -> None:
        self.size, self.mean, self.std, self.camera = size, mean, std, camera

    @property
    def taken(self) -> tuple[int, int]:
        """Height and width of the images that a session is given."""
        found: tuple[int, int] = (self.camera and self.camera.frame) or self.size
        return found

    @property
    def channels(self) -> int:
        """Of the input."""
        return len(self.mean)

    def normalise(self, pixels: Any) -> Any:
        """Raw pixels uint8 [N, H, W, C] to the float input [N, C, H, W]."""
        return channels_first(self.normalise_channels_last(pixels))

    def normalise_channels_last(self, pixels: Any, out: Any = None) -> Any:
        """The same values as [N, H, W, C]; see :func:`normalised`."""
        return normalised(pixels, self.mean, self.std, out)


def normalised(pixels: Any, mean: tuple[float, ...], std: tuple[float, ...], out: Any = None) -> Any:
    """Raw pixels uint8 [N, H, W, C] as (x − mean) / std, float32 [N, H, W, C].

    Args:
        pixels: Raw.
        mean: For each channel.
        std: For each channel.
        out: Written into and returned, contiguous; None: a new array.
    """
    found = np.empty(pixels.shape, np.float32) if out is None else out
    count, height, width, channels = pixels.shape
    if len({*mean}) == len({*std}) == 1:
        width, channels = width * channels, 1
    # Row by row, in place: broadcast over three channels numpy takes ten times as long.
    rows = found.reshape(count * height, width * channels)
    rows[...] = pixels.reshape(rows.shape)
    means, stds = _rows(mean, std, width)
    rows -= means
    rows /= stds
    return found


def channels_first(values: Any) -> Any:
    """[N, H, W, C] as [N, C, H, W], contiguous."""
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def integers(pixels: Any, input_type: str) -> Any:
    """Raw pixels uint8 [N, H, W, C] as an artifact's integer input, ``uint8`` or ``int8``."""
    if input_type == "uint8":
        return np.ascontiguousarray(pixels)
    return np.bitwise_xor(pixels, 128).view(np.int8)  # minus 128, in one pass


@lru_cache(maxsize=16)
def _rows(mean: tuple[float, ...], std: tuple[float, ...], width: int) -> Any:
    """Mean and standard deviation of each value in a row of so many pixels; one, where all are the same."""
    same = len({*mean}) == len({*std}) == 1
    arrays = [np.asarray(values, np.float32) for values in (mean, std)]
    return tuple(values[:1] if same else np.tile(values, width) for values in arrays)
