"""What two networks of the same tensors may still do differently. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Padding = Literal["same", "symmetric"]


@dataclass(frozen=True)
class Conventions:
    """How a library computes what its tensors do not say.

    Args:
        padding: ``same``: TensorFlow's, ⌈size ÷ stride⌉ pixels out, the odd zero after the image.
            ``symmetric``: (kernel - 1) ÷ 2 zeros on every side, as torch networks of their own training have.
        epsilon: What batch normalisation adds to the variance: 1e-3 in the authors' networks, 1e-5 in
            torch's default.
        fused: The padding of Fused-MBConv's k×k convolutions, where it is not that of the others.
    """

    padding: Padding = "same"
    epsilon: float = 1e-3
    fused: Padding | None = None


TENSORFLOW = Conventions("same", 1e-3)
TORCH = Conventions("symmetric", 1e-5)
#: The authors' EdgeTPU networks stride in the 1×1 projection, after a SAME convolution of stride 1
#: (tensorflow/tpu, efficientnet/edgetpu): the very pixels that a symmetric convolution of stride 2 computes,
#: at a quarter of the work. timm 1.0 strides in the SAME convolution instead, geffnet as the authors do.
EDGETPU = Conventions("same", 1e-3, fused="symmetric")
