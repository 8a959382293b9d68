"""Any number of images through an artifact's runs, here and on a board."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np


class Taking(Protocol):
    """How many images a run takes."""

    @property
    def size(self) -> int:
        """Exactly, or at most."""

    @property
    def dynamic(self) -> bool:
        """Whether a run takes any number from 1 to that."""


class Runs(NamedTuple):
    """How many images an artifact takes in a run: exactly ``size``, or 1 to that where it is dynamic."""

    size: int = 1
    dynamic: bool = False

    def __str__(self) -> str:
        return f"1…{self.size}" if self.dynamic else str(self.size)


ONE = Runs()


def in_runs(pixels: Any, batch: Taking, run: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
    """Bring any number of images through runs of a batch; memory is bounded by the batch and the outputs.

    The last run of a fixed batch is filled up with its last image, and what comes of that is dropped.

    Args:
        pixels: Images [N, …], at least one.
        batch: The images of a run.
        run: One run: images [n, …] to each output by its name [n, …]; n is ``batch.size``, or less where the
            batch is dynamic. It may give views that its next call overwrites.

    Returns:
        Each output of all images, [N, …], in their order.

    Raises:
        ValueError: There is no image, or an output does not hold one result for each image of its run.
    """
    if not len(pixels):
        raise ValueError("no image to run")
    if len(pixels) == batch.size:  # a frame: nothing to fill up, and no more than a copy of what came
        return {name: _checked(name, values, batch.size).copy() for name, values in run(pixels).items()}
    found: dict[str, Any] = {}
    for start in range(0, len(pixels), batch.size):
        images = pixels[start : start + batch.size]
        count = len(images)
        for name, values in run(images if batch.dynamic else filled(images, batch.size)).items():
            expected = count if batch.dynamic else batch.size
            _checked(name, values, expected)
            if name not in found:
                found[name] = np.empty((len(pixels), *values.shape[1:]), values.dtype)
            found[name][start : start + count] = values[:count]
    return found


def _checked(name: str, values: Any, expected: int) -> Any:
    if values.ndim == 0 or len(values) != expected:
        raise ValueError(f"output {name} is {list(values.shape)} of a run of {expected} images")
    return values


def filled(images: Any, size: int) -> Any:
    """So many images [size, …]: those given, [n, …], and behind them the last one again."""
    if hasattr(images, "filled"):  # frames in planes (:class:`edgeeff.onboard.camera.Planes`)
        return images.filled(size)
    missing = size - len(images)
    return images if missing <= 0 else np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
