"""A trained detector with a class head for other classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import nn

from edgeeff.errors import CheckpointError
from edgeeff.pipeline.stages.identity import Source
from edgeeff.zoo import sources
from edgeeff.zoo.detection.efficientdet import PRIOR, EfficientDet

#: Standard deviation of new weights of the last layer (Lin et al. 2017, arXiv:1708.02002, section 4.1).
_SPREAD = 0.01


@dataclass(frozen=True)
class Headed:
    """A detector whose class head is for these classes.

    Args:
        network: In eval mode; its fusion follows its weights.
        kept: Classes that it knew already, whose part of the head is kept: their names.
    """

    network: EfficientDet
    kept: tuple[str, ...]


def detector(source: Source, size: tuple[int, int], classes: Sequence[str], seed: int) -> Headed:
    """The network of a source, of which only the last layer of the class head is new.

    Args:
        source: A detector's checkpoint.
        size: Height and width of its images.
        classes: Names, in the order of the new outputs.
        seed: Of the new weights.

    Raises:
        CheckpointError: The source is no checkpoint of tensors, or a classifier's.
        OptionError: No such size is possible.
    """
    identity = source.identity
    if identity.kind != "tensors":
        raise CheckpointError(
            f"{identity.source} is a graph or a program, and training needs a network's tensors",
            mend="pass the checkpoint that it was made from (.pt, .pth, .h5)",
        )
    if identity.geometry is None:
        raise CheckpointError(
            f"{identity.source} is a classifier ({identity.model}), and the photos have boxes",
            mend="pass a detector's checkpoint (--model efficientdet-… --checkpoint FILE), or photos in a "
            "folder for each class",
        )
    network = sources.room("tensors").network(source.asked, identity, size)
    assert isinstance(network, EfficientDet)
    if source.asked.channels == "bgr":  # what is trained takes RGB, as every bundle does
        stem = network.backbone.stem.conv
        stem.weight = nn.Parameter(stem.weight.detach().flip(1))
    kept = renamed(network, identity.labels or (), classes, seed)
    network.free()
    return Headed(network, kept)


def renamed(network: EfficientDet, old: Sequence[str], new: Sequence[str], seed: int) -> tuple[str, ...]:
    """Give a network a last layer of classes for others; a class that has the same name keeps what it knew.

    The others begin at a probability of 0.01 (Lin et al. 2017), so that background does not drown them.

    Args:
        network: Is changed.
        old: Names of its classes; none where they are not known.
        new: Names of the new ones.
        seed: Of the new weights.

    Returns:
        The names that are kept.
    """
    head = network.class_head
    last = head.predict.pointwise
    assert last.bias is not None
    anchors, wide = last.out_channels // head.outputs, last.in_channels
    weight, bias = (t.detach().reshape(anchors, head.outputs, -1) for t in (last.weight, last.bias))
    layer = nn.Conv2d(wide, anchors * len(new), 1)
    assert layer.bias is not None
    random = torch.Generator().manual_seed(seed)
    weights = torch.empty(anchors, len(new), wide).normal_(0, _SPREAD, generator=random)
    biases = torch.full((anchors, len(new), 1), -log((1 - PRIOR) / PRIOR))
    places = {name: number for number, name in enumerate(old)}
    kept = tuple(name for name in new if name in places)
    for number, name in enumerate(new):
        if name in places:
            weights[:, number], biases[:, number] = weight[:, places[name]], bias[:, places[name]]
    with torch.no_grad():
        layer.weight.copy_(weights.reshape(-1, wide, 1, 1))
        layer.bias.copy_(biases.flatten())
    head.predict.pointwise, head.outputs = layer, len(new)
    return kept
