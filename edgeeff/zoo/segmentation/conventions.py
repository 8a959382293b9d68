"""What two segmenters of the same tensors may still do differently. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from edgeeff.zoo import conventions
from edgeeff.zoo.conventions import Conventions

#: Strides of the encoder's features, pixels of the image a pixel of the feature.
STRIDES = (2, 4, 8, 16, 32)
Interpolation = Literal["nearest", "bilinear"]


@dataclass(frozen=True)
class SegmenterConventions:
    """How a library computes what a segmenter's tensors do not say.

    Args:
        backbone: Of the encoder.
        taps: How many blocks have run where the feature of each of :data:`STRIDES` is read; 0 is the stem's
            output. None: the last block of each stride.
        coarsest: Stride of the coarsest features: blocks beyond it are dilated instead of strided.
        whole: Whether of the first dilated block the strided convolution is dilated too (smp's own
            encoders); else from the next block on (timm's ``output_stride``).
        epsilon: Of batch normalisation in the decoder.
        rates: Dilations of atrous spatial pyramid pooling.
        interpolation: How features are resized on the way up, where the decoder leaves a choice.
    """

    backbone: Conventions = conventions.TENSORFLOW
    taps: tuple[int, ...] | None = None
    coarsest: int = 32
    whole: bool = False
    epsilon: float = 1e-3
    rates: tuple[int, ...] = (12, 24, 36)
    interpolation: Interpolation = "nearest"

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> SegmenterConventions:
        """From plain data: its fields, with lists for tuples."""
        taps = data["taps"] and tuple(data["taps"])
        return cls(
            **{
                **data,
                "backbone": Conventions.of(data["backbone"]),
                "taps": taps,
                "rates": tuple(data["rates"]),
            }
        )

    @property
    def sensible(self) -> bool:
        """Whether its fields are what they can be: a file may say anything."""
        taps = self.taps
        return (
            self.coarsest in STRIDES
            and isinstance(self.whole, bool)
            and isinstance(self.epsilon, float)
            and 0 < self.epsilon < 1
            and all(type(rate) is int and 0 < rate < 1000 for rate in self.rates)
            and self.interpolation in get_args(Interpolation)
            and (taps is None or (len(taps) == len(STRIDES) and all(type(tap) is int for tap in taps)))
        )

    def padded(self, option: str, own: int) -> SegmenterConventions:
        """The same with the padding that a value of ``--padding`` names, see :meth:`Conventions.padded`."""
        return replace(self, backbone=self.backbone.padded(option, own))

    def with_epsilon(self, epsilon: float) -> SegmenterConventions:
        """The same with this epsilon in every batch normalisation of the encoder."""
        return replace(self, backbone=replace(self.backbone, epsilon=epsilon))

    def __str__(self) -> str:
        """One phrase, as a build shows it."""
        parts = [str(self.backbone)]
        if self.epsilon != self.backbone.epsilon:
            parts.append(f"in the decoder {self.epsilon:g}")
        if self.coarsest != STRIDES[-1]:
            parts.append(f"dilated beyond stride {self.coarsest}")
        return ", ".join(parts)
