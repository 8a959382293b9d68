"""How a decoder makes a class for each pixel of an encoder's features: one file for each decoder.

A decoder's file holds

- ``MARK``: a tensor that shows it: of the decoders whose own is there the first one is meant;
- ``CLASSES_AT``: the tensor whose first dimension is the number of classes;
- ``Widths``: its channels, as a frozen dataclass whose defaults are its authors', with ``wanted``, the
  strides of the features that it reads;
- ``widths(shapes)``: those that the tensors of a checkpoint have;
- ``Decoder(channels, classes, widths, conventions)``: a module of stride → features and the image's size →
  logits [N, classes, H, W].

Names of tensors are ours, without ``decoder.``. What needs no torch stands in
:data:`edgeeff.zoo.segmentation.spec.DECODERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from torch import nn

from edgeeff.zoo.architecture import Shape


class DecoderFile(Protocol):
    """A decoder's file."""

    MARK: str
    CLASSES_AT: str
    Widths: type[Any]
    widths: Callable[[Mapping[str, Shape]], Any]
    Decoder: Callable[..., nn.Module]


def decoder(name: str) -> DecoderFile:
    """A decoder's file by its name."""
    return cast(DecoderFile, import_module(f"{__name__}.{name}"))
