"""Mean and standard deviation that a network subtracts and divides by itself, held as its buffers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from edgeeff.errors import CheckpointError

_MEAN = re.compile(r"(?P<of>_?(?:(?:image|img|pixel|input|norm|rgb|channel|data)_)?)mean(?P<end>s|_rgb)?_?")
_LARGEST_ON_ONE = 2.0  # a mean or deviation beyond it is on pixels of 0…255


@dataclass(frozen=True)
class Normalisation:
    """What the buffers say.

    Args:
        layer: Their module's name in the file.
        parts: Their own names.
        preprocess: ``mean`` and ``std`` on pixels of 0…255, RGB.
        lines: A sentence for the user.
    """

    layer: str
    parts: tuple[str, str]
    preprocess: Mapping[str, Any]
    lines: tuple[str, ...]


def normalisation(layers: Mapping[str, Mapping[str, Tensor]], path: object) -> Normalisation | None:
    """The one pair of buffers ``mean`` and ``std`` among the layers, if there is one.

    Args:
        layers: A layer's name → its tensors by their part.
        path: Of the file, for messages.

    Raises:
        CheckpointError: Several pairs, or values on no scale that is known.
    """
    pairs = [
        (name, mean, mean.replace("mean", "std"))
        for name, parts in layers.items()
        for mean in parts
        if _MEAN.fullmatch(mean) and mean.replace("mean", "std") in parts
    ]
    if not pairs:
        return None
    shown = [f"{name}.{mean}" if name else mean for name, mean, _ in pairs]
    if len(pairs) > 1:
        raise CheckpointError(
            f"{path} normalises its input more than once: it holds {', '.join(shown)}",
            mend="export the network to ONNX and pass that",
        )
    name, mean, std = pairs[0]
    values = _three(layers[name][mean]), _three(layers[name][std])
    if values[0] is None or values[1] is None:
        return None  # of other shapes: tensors that nothing is known of
    found = on_pixels(values[0], values[1])
    if found is None:
        raise CheckpointError(
            f"{path}: {shown[0]} is {_numbers(values[0])} and its std {_numbers(values[1])}, which does not "
            "say whether pixels are 0…1 or 0…255",
            mend="export the network to ONNX and pass that, or save the state_dict without the two, and pass "
            "--mean and --std on pixels of 0…255",
        )
    line = f"the network's own {shown[0]} and {std} are its preprocessing"
    return Normalisation(name, (mean, std), {"mean": found[0], "std": found[1]}, (line,))


def on_pixels(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Mean and std on pixels of 0…255, from either scale, told by magnitude; None: neither or both fit.

    A mean of 0 with a std of 1 is the same on both scales and means different things.
    """
    if not all(value > 0 for value in std) or not all(-512 < v < 512 for v in (*mean, *std)):
        return None
    large_mean = max(abs(value) for value in mean) > _LARGEST_ON_ONE
    large_std = max(std) > _LARGEST_ON_ONE
    if large_mean or (large_std and not any(mean)):
        return mean, std
    if large_std or (not any(mean) and set(std) == {1.0}):
        return None
    return tuple(value * 255 for value in mean), tuple(value * 255 for value in std)


def _three(tensor: Tensor) -> tuple[float, ...] | None:
    if not tensor.is_floating_point() or tensor.numel() not in (1, 3) or tensor.dim() > 4:
        return None
    if tensor.numel() == 3 and sorted(tensor.shape)[-1] != 3:
        return None
    values = [float(value) for value in tensor.flatten().tolist()]
    return tuple(values if len(values) == 3 else values * 3)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
