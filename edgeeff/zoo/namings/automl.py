"""The naming of the authors' own code, google/automl, in Keras's HDF5: blocks counted through the backbone.

A block's convolutions and normalisations are numbered in the order in which it makes them.
"""

from __future__ import annotations

import re
from dataclasses import replace

from edgeeff.zoo.architecture import Architecture, Block
from edgeeff.zoo.detection.architecture import DetectorArchitecture
from edgeeff.zoo.detection.conventions import TENSORFLOW
from edgeeff.zoo.detection.origin import DetectorOrigin
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.namings import _authors
from edgeeff.zoo.namings._places import nowhere
from edgeeff.zoo.spec import PLUS_MINUS_ONE

DETECTOR = True
_NORM = r"(?:tpu_|sync_)?batch_normalization"
_BACKBONE = re.compile(r"efficientnet-(?:b\d|lite\d)/(?P<tail>.+)")
_STEM = re.compile(rf"stem/(?:(?P<conv>conv2d)|{_NORM})(?:_\d+)?/(?P<part>\w+)")
_HEAD = re.compile(r"head/.+")
_BLOCK = re.compile(
    rf"blocks_(?P<block>\d+)/(?:conv2d(?:_(?P<conv>\d))?|(?P<depthwise>depthwise_conv2d)"
    rf"|{_NORM}(?:_(?P<norm>\d))?|se/conv2d(?P<expand>_1)?)/(?P<part>\w+)"
)
#: The reader joins a node's ``WSM``, ``WSM_1`` … to one vector.
_WEIGHTS = re.compile("WSM")


def translate(key: str, architecture: DetectorArchitecture) -> str | None:
    """Our name of ``efficientnet-b0/blocks_3/tpu_batch_normalization_1/gamma`` and the like."""
    match = _BACKBONE.fullmatch(key)
    if match is None:
        return _authors.translate(key, architecture, _WEIGHTS)
    name = _in_backbone(match["tail"], architecture.backbone)
    return f"backbone.{name}" if name else name


def _in_backbone(key: str, backbone: Architecture) -> str | None:
    if _HEAD.fullmatch(key):
        return ""  # the classifier's, which a detector does not run
    if match := _STEM.fullmatch(key):
        part = _authors.PARTS.get(match["part"])
        return f"stem.{'conv' if match['conv'] else 'norm'}.{part}" if part else None
    match = _BLOCK.fullmatch(key)
    if match is None:
        return None
    part = "weight" if match["part"] == "depthwise_kernel" else _authors.PARTS.get(match["part"])
    if part is None:
        return None
    number = int(match["block"])
    if number >= len(backbone.blocks):
        return nowhere(key)
    layer = _layer(match, key, backbone.blocks[number])
    return f"blocks.{number}.{layer}.{part}" if layer else nowhere(key)


def _layer(match: re.Match[str], key: str, block: Block) -> str | None:
    """The layer of a block, by its kind and its number among those of the kind."""
    if match["depthwise"]:
        return "depthwise.conv"
    if "/se/" in key:
        return "squeeze.expand" if match["expand"] else "squeeze.reduce"
    names = ("expand", "project") if block.expands else ("project",)
    if "batch_normalization" in key:
        names = (*names[:-1], "depthwise", names[-1])
        number, what = int(match["norm"] or 0), "norm"
    else:
        number, what = int(match["conv"] or 0), "conv"
    return f"{names[number]}.{what}" if number < len(names) else None


def origin(spec: DetectorSpec, said: str | None) -> DetectorOrigin:
    """The authors' own: a letterbox in the mean colour, resized bilinearly; anchors of the ratio √2.

    Det-AdvProp's weights take −1…1, and the letterbox is black, since it is made before (``scale_range``).
    """
    advprop = said is not None and re.search(r"adv|[-_]ap(?:[-_]|$)", said.lower()) is not None
    preprocess = spec.preprocess()
    if advprop:
        mean, std = PLUS_MINUS_ONE
        preprocess = replace(preprocess, mean=mean, std=std, letterbox=(0.0, 0.0, 0.0))
    return DetectorOrigin(
        source=f"google/automl {spec.name}{', AdvProp' if advprop else ''}",
        conventions=TENSORFLOW,
        preprocess=preprocess,
        geometry=replace(spec.geometry(), ratios=_authors.RATIOS),
        offset=1,
    )
