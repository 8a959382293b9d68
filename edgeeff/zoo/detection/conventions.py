"""What two detectors of the same tensors may still do differently. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from edgeeff.zoo import conventions
from edgeeff.zoo.conventions import Conventions, Padding

#: What surrounds an image where max-pooling's window reaches over its border.
Border = Literal["nothing", "zeros"]
#: Which of a cell's two ways through the levels ends in what it puts out, where a level is on both.
Way = Literal["up", "down"]


@dataclass(frozen=True)
class DetectorConventions:
    """How a library computes what a detector's tensors do not say.

    Args:
        backbone: Of the backbone.
        epsilon: What batch normalisation of pyramid and heads adds to the variance.
        pooling: How max-pooling between levels is padded: ``same`` as TensorFlow's, ``symmetric`` by one
            pixel on every side.
        border: With what: ``nothing`` leaves the largest value of the image's own pixels; ``zeros`` counts
            zeros too, which are more than pixels below zero (zylo117's networks).
        outputs: Whether a cell's outputs are those of its way up, as in the paper, or of its way down.
    """

    backbone: Conventions = conventions.TENSORFLOW
    epsilon: float = 1e-3
    pooling: Padding = "same"
    border: Border = "nothing"
    outputs: Way = "up"

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> DetectorConventions:
        """From plain data: its fields, with lists for tuples."""
        return cls(**{**data, "backbone": Conventions.of(data["backbone"])})

    def padded(self, option: str, own: int) -> DetectorConventions:
        """The same with the padding that a value of ``--padding`` names, see :meth:`Conventions.padded`."""
        backbone = self.backbone.padded(option, own)
        return replace(self, backbone=backbone, pooling=backbone.padding)

    def with_epsilon(self, epsilon: float) -> DetectorConventions:
        """The same with this epsilon in every batch normalisation."""
        return replace(self, epsilon=epsilon, backbone=replace(self.backbone, epsilon=epsilon))

    def __str__(self) -> str:
        """One phrase, as a build shows it."""
        parts = [str(self.backbone)]
        if self.epsilon != self.backbone.epsilon:
            parts.append(f"in pyramid and heads {self.epsilon:g}")
        if self.pooling != self.backbone.padding:
            parts.append(f"max-pooling padded {'as SAME' if self.pooling == 'same' else 'symmetrically'}")
        if self.border == "zeros":
            parts.append("max-pooling padded with zeros")
        if self.outputs == "down":
            parts.append("cells put out their way down")
        return ", ".join(parts)


#: The authors' (google/automl), and of networks that were ported from them.
TENSORFLOW = DetectorConventions()
#: effdet's own training: the backbone of timm's own, symmetric padding throughout.
EFFDET = DetectorConventions(backbone=conventions.TORCH, pooling="symmetric")
#: zylo117's: max-pooling sees the zeros of its padding (Yet-Another-EfficientDet-Pytorch#352, #356).
ZYLO117 = DetectorConventions(border="zeros")
#: xuannianz's: it kept what the authors' first release computed by mistake, and their weights of then compute
#: (google/automl, README, 26 March 2020: "Fixed a few bugs and updated all checkpoints"; its own issue 112).
XUANNIANZ = DetectorConventions(epsilon=1e-4, outputs="down")
