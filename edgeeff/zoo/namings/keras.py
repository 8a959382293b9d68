"""The naming of ``keras.applications``: ``<layer>/<variable>``, blocks by stage and letter."""

from __future__ import annotations

import re
from dataclasses import replace

from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.conventions import TENSORFLOW
from edgeeff.zoo.namings._places import block_at, nowhere
from edgeeff.zoo.origin import Origin
from edgeeff.zoo.spec import IMAGENET, Channels, ModelSpec

_NETWORK = {
    "stem_conv": "stem.conv",
    "stem_bn": "stem.norm",
    "top_conv": "head.conv",
    "top_bn": "head.norm",
    "predictions": "classifier",
}
_BLOCK = {
    "expand_conv": "expand.conv",
    "expand_bn": "expand.norm",
    "dwconv": "depthwise.conv",
    "dwconv2": "depthwise.conv",  # V2's
    "bn": "depthwise.norm",
    "se_reduce": "squeeze.reduce",
    "se_expand": "squeeze.expand",
    "project_conv": "project.conv",
    "project_bn": "project.norm",
}
_PARTS = {
    "kernel": "weight",
    "depthwise_kernel": "weight",  # Keras 2's
    "gamma": "weight",
    "bias": "bias",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# A nested network's name, or several, may stand before the layer's.
_KEY = re.compile(r"(?:[^/]+/)*(?P<layer>[^/]+)/(?P<variable>\w+)(?::\d+)?")
_IN_BLOCK = re.compile(r"block(?P<stage>\d+)(?P<letter>[^\d_])_(?P<layer>\w+)")
# Preprocessing inside the network, and the state of augmentation and dropout.
_UNNEEDED = re.compile(r"(?:normalization|rescaling)(?:_\d+)?/\w+(?::\d+)?|.*seed_generator_state(?::\d+)?")
# What people call the layers of a head of their own.
_HEAD = re.compile(r"(?:dense|pred|logit|out|fc|class|head|final|hidden|batch_norm|bn|top_dense)\w*")


def translate(key: str, architecture: Architecture) -> str | None:
    """Our name of ``block2a_expand_conv/kernel`` and the like."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    if _UNNEEDED.fullmatch(key):
        return ""
    part = _PARTS.get(match["variable"])
    if part is None:
        return None
    if match["layer"] in _NETWORK:
        return f"{_NETWORK[match['layer']]}.{part}"
    block = _IN_BLOCK.fullmatch(match["layer"])
    if block is None:
        return f"classifier.{match['layer']}.{part}" if _HEAD.match(match["layer"]) else None
    layer = _BLOCK.get(block["layer"])
    if layer is None:
        return None
    found = block_at(architecture, int(block["stage"]) - 1, ord(block["letter"]) - ord("a"))
    return f"blocks.{found[0]}.{layer}.{part}" if found else nowhere(key)


# V2-S, M and L divide by 128 where the authors divide by 127.5.
_BY_128: tuple[Channels, Channels] = (128.0, 128.0, 128.0), (128.0, 128.0, 128.0)


def origin(spec: ModelSpec, said: str | None) -> Origin:
    """TensorFlow's conventions; normalisation is part of the network: what the file says of it goes first.

    ``keras.utils.image_dataset_from_directory`` resizes bilinearly, each side on its own, and crops nothing.
    """
    mean, std = _BY_128 if spec.name in ("v2-s", "v2-m", "v2-l") else IMAGENET
    preprocess = replace(
        spec.preprocess(), mean=mean, std=std, crop=1.0, interpolation="bilinear", squash=True
    )
    assumed = ("photos resized whole, as Keras's image_dataset_from_directory does",)
    return Origin("keras.applications", TENSORFLOW, preprocess, assumed)
