"""What a checkpoint says beside its weights: input size, mean and std, architecture, classes.

Trainers keep it under many names, at the top or in their settings. What is read is shown, and can be changed
by an option; what is there and makes no sense, or contradicts itself, is warned of.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from torch import Tensor

from edgeeff.preprocess import Interpolation
from edgeeff.zoo.formats._pickled import Nothing
from edgeeff.zoo.formats._values import UNREADABLE, classes_of, colours, pixels, plain

_SETTINGS = (
    *("args", "hyper_parameters", "hparams", "hyperparameters", "config", "cfg", "opt", "params", "settings"),
    *("model_args", "model_kwargs", "model_config", "data", "data_config", "dataset", "metadata", "meta"),
    *("transform", "transforms", "preprocess", "preprocessing", "preprocessor", "normalize", "normalization"),
    "model",
)
_MODEL = ("arch", "architecture", "model_name", "model", "backbone", "encoder_name", "encoder", "network")
_EFFICIENTNET = re.compile(r"efficient(?:net|det)|^(b[0-8]|l2|lite[0-4])$", re.IGNORECASE)
#: The surest first: of two that differ it is taken, and the other is warned of.
_SIZES = (
    *("test_input_size", "input_size", "img_size", "image_size", "size", "imgsz", "im_size", "img_shape"),
    *("image_shape", "input_shape", "val_crop_size", "crop_size", "resolution", "input_resolution"),
)
_MEANS = ("mean", "image_mean", "img_mean", "pixel_mean", "norm_mean", "rgb_mean")
_NAMES = ("classes", "class_names", "labels", "label_names", "class_labels", "categories", "names",
          "class_to_idx", "class_to_index", "class2idx", "label_to_idx", "label2id", "label2idx",
          "idx_to_class", "index_to_class", "idx2class", "idx_to_label", "id2label", "idx2label")  # fmt: skip
_COUNTS = (
    "num_classes",
    "n_classes",
    "nb_classes",
    "num_class",
    "number_of_classes",
    "num_labels",
    "nclasses",
)
_OF_DATA = re.compile(
    r"(^|\.)(data|dataset|meta|metadata|model\w*)\.size$"
)  # a number of images, or of layers
_ORDERS = ("input_space", "channel_order", "color_space", "colorspace", "color_mode", "bgr")
_DEEPEST = 3  # a pickle may hold itself


@dataclass(frozen=True)
class Settings:
    """What a checkpoint says.

    Args:
        labels: The classes' names, in the order of the outputs.
        said: The architecture's name.
        preprocess: As in :class:`edgeeff.zoo.formats.WeightsFile`.
        counts: How many classes it says there are: the key that says so → the number.
        warnings: What is there and was not taken, and why.
        network: As in :class:`edgeeff.zoo.formats.WeightsFile`.
    """

    labels: tuple[str, ...] | None = None
    said: str | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)


def read(content: Any) -> Settings:
    """What the content of a checkpoint says beside its tensors."""
    warnings: list[str] = []
    holders = list(_holders(content, _DEEPEST))
    for where, holder in holders:
        unread = [key for key in _SETTINGS if isinstance(holder.get(key), Nothing)]
        warnings += [f"{where}{key} is {UNREADABLE}: what it says is not known" for key in unread]
    labels, counts = _classes(holders, warnings)
    preprocess = _size(holders, warnings) | _normalisation(holders, warnings) | _resize(holders, warnings)
    _warn_of_order(holders, warnings)
    names = list(_architectures(holders))
    said = next(filter(_EFFICIENTNET.search, names), names[0] if names else None)
    made = next((h for _, h in holders if isinstance(h.get("encoder_name"), str)), {})
    network = {key: plain(value) for key, value in made.items() if isinstance(key, str)}
    return Settings(labels, said, preprocess, counts, tuple(dict.fromkeys(warnings)), network)


Holders = list[tuple[str, Mapping[str, Any]]]


def _holders(content: Any, depth: int, where: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The checkpoint itself, and the settings in it, each with how it is reached."""
    held = vars(content) if isinstance(content, Namespace) else content
    if not isinstance(held, Mapping) or depth == 0:
        return
    if where and any(isinstance(value, Tensor) and value.dim() > 1 for value in held.values()):
        return  # a state_dict
    yield where, held
    for key in _SETTINGS:
        yield from _holders(held.get(key), depth - 1, f"{where}{key}.")


def _found(holders: Holders, keys: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """What stands under the keys, the surest key first: how it is reached, and the value."""
    for key in keys:
        for where, holder in holders:
            value = plain(holder.get(key))
            if not (value is None or (isinstance(value, str) and not value.strip())):
                yield f"{where}{key}", value


def _size(holders: Holders, warnings: list[str]) -> dict[str, Any]:
    sizes: dict[str, tuple[int, int]] = {}
    for name, value in _found(holders, _SIZES):
        if _OF_DATA.search(name):
            continue
        size = pixels(value)
        if size is None:
            warnings.append(f"{name} is {value!r:.60}, which is no input size: it is not taken (--size)")
        else:
            sizes[name] = size
    if not sizes:
        return {}
    first, size = next(iter(sizes.items()))
    for name, other in sizes.items():
        if other != size:
            warnings.append(
                f"{first} is {size[0]}×{size[1]} and {name} {other[0]}×{other[1]}: {first} is taken (--size)"
            )
            break
    if size[0] != size[1]:
        warnings.append(f"{first} is taken for height {size[0]} and width {size[1]} (--size)")
    return {"size": size}


def _normalisation(holders: Holders, warnings: list[str]) -> dict[str, Any]:
    pairs: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    for key in _MEANS:
        for where, holder in holders:
            mean, std = (holder.get(part) for part in (key, key.replace("mean", "std")))
            if mean is None and std is None:
                continue
            name, shown = f"{where}{key}", key.replace("mean", "std")
            if mean is None or std is None:
                alone = f"{where}{shown}" if mean is None else name
                warnings.append(f"{alone} stands alone: it is not taken (--mean, --std)")
                continue
            found = colours(plain(mean), plain(std))
            if found is None:
                warnings.append(
                    f"{name} is {plain(mean)!r:.60} and {shown} {plain(std)!r:.60}, which is no mean and std "
                    "of pixels: they are not taken (--mean, --std)"
                )
                continue
            if found.doubtful:
                warnings.append(f"{name} and {shown} are taken to be on pixels of 0…1 (--mean, --std)")
            pairs[name] = found.mean, found.std
    if not pairs:
        return {}
    first, (mean, std) = next(iter(pairs.items()))
    other = next((name for name, pair in pairs.items() if pair != (mean, std)), None)
    if other is not None:
        warnings.append(f"{first} and {other} differ: {first} is taken (--mean, --std)")
    return {"mean": mean, "std": std}


def _resize(holders: Holders, warnings: list[str]) -> dict[str, Any]:
    """The crop's share, the filter and whether the ratio of sides is kept, as timm or torchvision say it."""
    found: dict[str, Any] = {}
    for name, value in _found(holders, ("test_crop_pct", "crop_pct")):
        if type(value) in (int, float) and 0.1 <= value <= 1:
            found.setdefault("crop", float(value))
        else:
            warnings.append(f"{name} is {value!r:.60}, which is no share of 0.1…1: it is not taken (--crop)")
    for (_, resized), (_, cropped) in zip(
        _found(holders, ("val_resize_size",)), _found(holders, ("val_crop_size",)), strict=False
    ):
        if type(resized) is int and type(cropped) is int and 0.1 * resized <= cropped <= resized:
            found.setdefault("crop", cropped / resized)
    for name, value in _found(holders, ("interpolation",)):
        if value in get_args(Interpolation):
            found.setdefault("interpolation", value)
        else:
            warnings.append(f"{name} is {value!r:.60}, which is not taken (--interpolation)")
    for _, value in _found(holders, ("crop_mode",)):
        found.setdefault("squash", value == "squash")
    return found


def _classes(holders: Holders, warnings: list[str]) -> tuple[tuple[str, ...] | None, dict[str, int]]:
    labels: dict[str, tuple[str, ...]] = {}
    counts: dict[str, int] = {}
    for name, value in _found(holders, _NAMES):
        if type(value) is int:
            counts[name] = value
            continue
        if isinstance(value, Tensor) or (
            name.rpartition(".")[2] == "names" and not isinstance(value, Mapping)
        ):
            continue  # labels of a set of images, or names of something else
        found = classes_of(value)
        if found is None:
            warnings.append(f"{name} is {value!r:.60}, which names no classes: it is not taken (--labels)")
        elif isinstance(found, int):
            counts[name] = found
        else:
            labels[name] = found
    for name, value in _found(holders, _COUNTS):
        if type(value) is int:
            counts.setdefault(name, value)
    first = next(iter(labels), None)
    for name, found in labels.items():
        if found != labels[first or name]:
            warnings.append(f"{first} and {name} name other classes: {first} is taken (--labels)")
            break
    return labels[first] if first else None, counts


def _warn_of_order(holders: Holders, warnings: list[str]) -> None:
    for name, value in _found(holders, _ORDERS):
        if value is True or (isinstance(value, str) and value.lower() == "bgr"):
            warnings.append(f"{name} says that images are BGR, and they are given as RGB (--channels)")


def _architectures(holders: Holders) -> Iterator[str]:
    for _, holder in holders:
        for key in _MODEL:
            value = holder.get(key)
            if isinstance(value, Mapping):
                value = value.get("name", value.get("arch"))
            if isinstance(value, str) and 0 < len(value) < 100:
                yield value
