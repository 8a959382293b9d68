"""What the config.json beside a repository's weights says of the network, and timm's way to say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeeff import regular, text
from edgeeff.errors import CheckpointError
from edgeeff.zoo.formats import HUB_FILES

_LARGEST = 16 << 20  # bytes of a config.json; timm's with 21 843 labels is 2 MB
_MEND = "correct the file, or move it away from beside the weights"
#: Of a number: an integer of any length may be written, which no float holds.
_LARGEST_NUMBER = 1e300


@dataclass(frozen=True)
class HubConfig:
    """As in :class:`edgeeff.zoo.formats.WeightsFile`."""

    said: str | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None
    network: Mapping[str, Any] = field(default_factory=dict)


def beside(path: Path) -> HubConfig:
    """What config.json says of the weights in ``path``; nothing if the two are not a repository's.

    The layout of segmentation_models_pytorch is understood and timm's, nested under ``pretrained_cfg`` or
    flat as until 2022 (timm's models/_hub.py). Other files' neighbours are not read: they may be of another
    network.

    Raises:
        CheckpointError: It is no JSON, says impossible things, or is of a network in transformers' layout.
    """
    config = path.with_name("config.json")
    if path.name not in HUB_FILES or not regular.is_file(config):
        return HubConfig()
    said = read_json(config)
    if said.get("model_type") is not None:
        raise CheckpointError(
            f"{path} is a network of transformers ({said['model_type']}), whose tensors are not understood",
            mend="take the same weights from a timm repository, such as timm/tf_efficientnet_b0.in1k",
        )
    network = said if isinstance(said.get("encoder_name"), str) else {}  # of segmentation_models_pytorch
    architecture = said.get("architecture", network.get("encoder_name"))
    given = said.get("pretrained_cfg")
    try:
        preprocess = from_timm(given if isinstance(given, Mapping) else said)
    except ValueError as error:
        raise CheckpointError(f"{config}: {error}", mend=_MEND) from None
    return HubConfig(
        said=architecture if isinstance(architecture, str) else None,
        preprocess=preprocess,
        labels=names_of_classes(said.get("label_names")),
        network=network,
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a small file.

    Raises:
        CheckpointError: It is something else, or too large.
    """
    try:
        content = text.read_json(path, CheckpointError, _LARGEST)
    except CheckpointError as error:
        raise CheckpointError(error.what, mend=_MEND) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no JSON object", mend=_MEND)
    return content


def names_of_classes(value: object) -> tuple[str, ...] | None:
    """A list of strings as a tuple, None of anything else."""
    if isinstance(value, list | tuple) and value and all(isinstance(label, str) for label in value):
        return tuple(value)
    return None


def from_timm(said: Mapping[str, Any]) -> dict[str, Any]:
    """Preprocessing from timm's keys, in our units; the ``test_`` values first, as timm evaluates.

    ``input_size`` is [3, H, W], ``mean`` and ``std`` are on 0…1 (values that are plainly on 0…255 are
    taken as such), ``crop_pct`` is 0…1. Keys that are missing, None or empty are left out.

    Raises:
        ValueError: A value is impossible.
    """
    found: dict[str, Any] = {}
    for key in ("test_input_size", "input_size"):
        if said.get(key) is not None:
            found.setdefault("size", _size(key, said[key]))
    for key in ("mean", "std"):
        if said.get(key) is not None:
            found[key] = _colour(key, said[key])
    for key in ("test_crop_pct", "crop_pct"):
        if said.get(key) is not None:
            found.setdefault("crop", _crop(key, said[key]))
    if isinstance(said.get("interpolation"), str) and said["interpolation"]:
        found["interpolation"] = said["interpolation"]
    if said.get("crop_mode") is not None:
        found["squash"] = said["crop_mode"] == "squash"
    return found


def _size(key: str, value: object) -> tuple[int, int]:
    if isinstance(value, list | tuple) and len(value) == 3:
        _, height, width = value
        if all(type(side) is int and 0 < side <= 1 << 14 for side in (height, width)):
            return height, width
    raise ValueError(f"{key} is {value!r:.80}, not [3, height, width]")


def _colour(key: str, value: object) -> tuple[float, ...]:
    if isinstance(value, list | tuple) and len(value) in (1, 3, 4) and all(map(_is_number, value)):
        scale = 1.0 if max(map(abs, value)) > 2 else 255.0
        if key == "mean" or min(value) > 0:
            return tuple(float(part) * scale for part in value)
    raise ValueError(
        f"{key} is {value!r:.80}, not {'positive ' * (key == 'std')}numbers, one for each channel"
    )


def _crop(key: str, value: Any) -> float:
    if _is_number(value) and 0 < value <= 1:
        return float(value)
    raise ValueError(f"{key} is {value!r:.80}, not a fraction of 0…1")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST_NUMBER
