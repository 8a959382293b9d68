"""Where trainers put a network in their checkpoints, and what they say of it beside."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from edgeeff.zoo.formats import _hub_config

# The moving average first, for it is what they evaluate. Optimizers' averages are not under these keys.
AVERAGES = (
    "state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema_weights", "ema", "averaged_model",
    "average_model_state", "swa_state_dict", "swa_model",
)  # fmt: skip
NETWORKS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights",
)  # fmt: skip
WRAPPERS = AVERAGES + NETWORKS

_LABELS = ("classes", "labels", "class_names")
_SETTINGS = (
    "args",
    "hyper_parameters",
    "hparams",
    "config",
    "cfg",
    "opt",
    "params",
    "model_args",
    "model_kwargs",
)
_MODEL = ("arch", "architecture", "model_name", "model", "backbone", "encoder_name", "encoder", "network")
_EFFICIENTNET = re.compile(r"efficientnet|^(b[0-8]|l2|lite[0-4])$", re.IGNORECASE)
# What wrappers of modules put before a tensor's name; here only to tell the same tensor in two copies.
_PREFIX = re.compile(
    r"^(?:(?:module|model|_orig_mod|net|network|ema|ema_model|model_ema|averaged_model|student|teacher)\.)+"
)
_DEEPEST = 3  # a pickle may hold itself


def state_dict(content: Any, depth: int = _DEEPEST) -> dict[str, Tensor] | None:
    """The network's tensors under the usual keys; their moving average where there is one.

    An average may lack what the trainer does not average (batch statistics): that is the network's own.
    """
    if not isinstance(content, Mapping) or depth == 0:
        return None
    network = _first(content, NETWORKS, depth)
    if network is None:
        tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
        network = tensors if tensors and all(isinstance(key, str) for key in tensors) else None
    averages = [content, *_callbacks(content)]
    for holder in averages:
        average = _first(holder, AVERAGES, depth)
        if average is not None:
            return average if network is None else _averaged(network, average)
    return network


def labels(content: Any) -> tuple[str, ...] | None:
    """The classes' names: a list of them, or torchvision's ``class_to_idx``."""
    for holder in _holders(content):
        for key in _LABELS:
            found = _hub_config.names_of_classes(holder.get(key))
            if found:
                return found
        places = holder.get("class_to_idx")
        if isinstance(places, Mapping) and places and all(isinstance(name, str) for name in places):
            ordered = {place: name for name, place in places.items() if type(place) is int}
            if sorted(ordered) == list(range(len(places))):
                return tuple(ordered[place] for place in range(len(places)))
    return None


def said(content: Any) -> str | None:
    """The architecture's name, from timm's ``arch``, a command line or Lightning's hyper-parameters."""
    names = list(_names(content))
    return next(filter(_EFFICIENTNET.search, names), names[0] if names else None)


def preprocess(content: Any) -> dict[str, Any]:
    """What the trainer's settings say of preprocessing; what cannot be meant so is left out."""
    found: dict[str, Any] = {}
    for holder in _holders(content):
        size = holder.get("img_size", holder.get("image_size"))
        given = dict(holder) | ({"input_size": [3, size, size]} if type(size) is int else {})
        for key in ("input_size", "mean", "std", "crop_pct", "interpolation"):
            try:
                found = _hub_config.from_timm({key: given.get(key)}) | found
            except ValueError:
                continue
    if not {"mean", "std"} <= found.keys():  # one alone says nothing
        found = {key: value for key, value in found.items() if key not in ("mean", "std")}
    return found


def _first(content: Mapping[Any, Any], keys: tuple[str, ...], depth: int) -> dict[str, Tensor] | None:
    for key in keys:
        found = state_dict(content.get(key), depth - 1)
        if found is not None:
            return found
    return None


def _callbacks(content: Mapping[Any, Any]) -> list[Mapping[Any, Any]]:
    """Lightning's callbacks' states; an average over no step yet is none."""
    states = content.get("callbacks")
    if not isinstance(states, Mapping):
        return []
    return [s for s in states.values() if isinstance(s, Mapping) and s.get("n_averaged", 1) != 0]


def _averaged(network: dict[str, Tensor], average: dict[str, Tensor]) -> dict[str, Tensor]:
    of = {_PREFIX.sub("", key): value for key, value in average.items()}
    plain = {key: _PREFIX.sub("", key) for key in network}
    common = [key for key, name in plain.items() if name in of and of[name].shape == network[key].shape]
    if not common:  # a whole copy under names of its own, or a mere counter called "ema"
        return average if 2 * len(average) > len(network) else network
    if len(common) == len(network):
        return average
    return network | {key: of[plain[key]] for key in common}


def _holders(content: Any) -> Iterator[Mapping[str, Any]]:
    """The checkpoint itself, and the settings in it."""
    if not isinstance(content, Mapping):
        return
    yield content
    for key in _SETTINGS:
        held = content.get(key)
        held = vars(held) if isinstance(held, Namespace) else held
        if isinstance(held, Mapping):
            yield held


def _names(content: Any) -> Iterator[str]:
    for holder in _holders(content):
        for key in _MODEL:
            value = holder.get(key)
            if isinstance(value, Mapping):
                value = value.get("name", value.get("arch"))
            if isinstance(value, str) and 0 < len(value) < 100:
                yield value
