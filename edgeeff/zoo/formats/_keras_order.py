"""The names of Keras' layers, for files that know them only as the n-th of their class.

Keras 3 addresses a layer in .weights.h5 as ``layers/conv2d_7``: the eighth Conv2D of the network, because
names may differ between two instances of one model (keras/src/saving/saving_lib.py). Newer versions write
the name beside; of older ones it follows from the config, or from the order of keras.applications.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

# Repeats of each stage of B0, and the depth coefficients of B0…B7 (Tan & Le 2019, table 1 and §5.2);
# B1 and B2 are equally deep.
_V1_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_V1_DEPTHS = (1.0, 1.1, 1.4, 1.8, 2.2, 2.6, 3.1)
# EfficientNetV2 B0…B3, S, M, L: three stages of Fused-MBConv, then of MBConv (Tan & Le 2021, table 4).
_V2_REPEATS = (
    (1, 2, 2, 3, 5, 8),
    (2, 3, 3, 4, 6, 9),
    (2, 3, 3, 4, 6, 10),
    (2, 3, 3, 5, 7, 12),
    (2, 4, 4, 6, 9, 15),
    (3, 5, 5, 7, 14, 18, 5),
    (4, 7, 7, 10, 19, 25, 7),
)
_FUSED = 3
_CONV, _DEPTHWISE, _NORM = "conv2d", "depthwise_conv2d", "batch_normalization"
_COUNTED = re.compile(r"(?P<kind>.+?)(?:_(?P<index>\d+))?")


def kind(key: str) -> str:
    """``conv2d`` of ``conv2d_7``."""
    match = _COUNTED.fullmatch(key)
    return match["kind"] if match else key


def of_config(config: Any) -> dict[str, str]:
    """The address of each layer of a model's config (``layers/conv2d_7``) → its name."""
    return {address: held["name"] for address, held in settings(config).items()}


def settings(config: Any, prefix: str = "") -> dict[str, dict[str, Any]]:
    """The address of each layer of a model's config → its settings."""
    found: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    for layer in layers(config):
        snake = _snake(layer["class_name"])
        count = counts[snake] = counts.get(snake, -1) + 1
        address = f"{prefix}layers/{snake}_{count}" if count else f"{prefix}layers/{snake}"
        found[address] = layer["config"]
        found |= settings(layer, f"{address}/")
    return found


def layers(config: Any) -> list[dict[str, Any]]:
    """The layers of a model's config that are well-formed, in order; empty of a single layer's."""
    held = config.get("config") if isinstance(config, Mapping) else None
    listed = held.get("layers") if isinstance(held, Mapping) else held  # Sequential's in Keras 2.1 is a list
    return [
        layer
        for layer in (listed if isinstance(listed, list) else [])
        if isinstance(layer, dict)
        and isinstance(layer.get("class_name"), str)
        and isinstance(layer.get("config"), dict)
        and isinstance(layer["config"].get("name"), str)
    ]


def of_applications(addresses: Collection[str]) -> dict[str, str]:
    """The address of each layer of the network of keras.applications in a file → its name.

    ``addresses`` are of the layers with variables. The network is told by how many layers of each class
    stand in one model; empty if that is none of them.
    """
    models: dict[str, list[str]] = {}
    for address in addresses:
        model, _, key = address.rpartition("/")
        models.setdefault(model, []).append(key)
    for model, keys in sorted(models.items()):
        counts = {of: sum(kind(key) == of for key in keys) for of in (_CONV, _DEPTHWISE, _NORM)}
        for named in _networks():
            if all(counts[of] == len(named[of]) for of in (_CONV, _DEPTHWISE)) and counts[_NORM] >= len(
                named[_NORM]
            ):
                return {
                    f"{model}/{of}_{index}" if index else f"{model}/{of}": name
                    for of, names in named.items()
                    for index, name in enumerate(names)
                }
    return {}


def _networks() -> Iterator[dict[str, list[str]]]:
    for depth in _V1_DEPTHS:
        yield _named([math.ceil(depth * repeats) for repeats in _V1_REPEATS], fused=0, depthwise="dwconv")
    for stages in _V2_REPEATS:
        yield _named(stages, fused=_FUSED, depthwise="dwconv2")


def _named(stages: Sequence[int], fused: int, depthwise: str) -> dict[str, list[str]]:
    """The names of a network's layers by class, each in order; its first stage does not expand."""
    named: dict[str, list[str]] = {_CONV: ["stem_conv"], _DEPTHWISE: [], _NORM: ["stem_bn"]}
    for stage, repeats in enumerate(stages, 1):
        for block in (f"block{stage}{chr(ord('a') + index)}_" for index in range(repeats)):
            if stage > 1:
                named[_CONV].append(f"{block}expand_conv")
                named[_NORM].append(f"{block}expand_bn")
            if stage > fused:
                named[_DEPTHWISE].append(f"{block}{depthwise}")
                named[_NORM].append(f"{block}bn")
                named[_CONV] += [f"{block}se_reduce", f"{block}se_expand"]
            named[_CONV].append(f"{block}project_conv")
            named[_NORM].append(f"{block}project_bn")
    named[_CONV].append("top_conv")
    named[_NORM].append("top_bn")
    return named


def _snake(name: str) -> str:
    """Keras' own way from ``DepthwiseConv2D`` to ``depthwise_conv2d``."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
