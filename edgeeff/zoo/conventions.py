"""What two networks of the same tensors may still do differently. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Padding = Literal["same", "symmetric"]
Size = tuple[int, int]

#: Values of ``--padding``, as a message lists them.
OPTIONS = ("same", "symmetric", "static:SIZE", "edgetpu")
_OPTION = re.compile(r"same|symmetric|edgetpu|static(?::(\d{1,4})(?:[x×](\d{1,4}))?)?")


@dataclass(frozen=True)
class Conventions:
    """How a library computes what its tensors do not say.

    Args:
        padding: ``same``: TensorFlow's, ⌈size ÷ stride⌉ pixels out, the odd zero after the image.
            ``symmetric``: (kernel - 1) ÷ 2 zeros on every side, as torch networks of their own training have.
        epsilon: What batch normalisation adds to the variance: 1e-3 in the authors' networks, 1e-5 in
            torch's default.
        fused: The padding of Fused-MBConv's k×k convolutions, where it is not that of the others.
        static: Height and width of the images that SAME's zeros were counted for, once, when the network was
            made: images of any other size get the same zeros. None: they are counted for the images that
            the network is built for.
    """

    padding: Padding = "same"
    epsilon: float = 1e-3
    fused: Padding | None = None
    static: Size | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Conventions:
        """From plain data: its fields, with lists for tuples."""
        return cls(**{**data, "static": data["static"] and tuple(data["static"])})

    @property
    def option(self) -> str:
        """The value of ``--padding`` that asks for this padding."""
        if self.static is not None:
            return f"static:{side(self.static)}"
        return "edgetpu" if self.fused == "symmetric" and self.padding == "same" else self.padding

    def padded(self, option: str, own: int) -> Conventions:
        """The same with the padding that a value of ``--padding`` names.

        Args:
            option: One that :func:`is_option` knows.
            own: Side of the images that ``static`` alone means, pixels.
        """
        match = _OPTION.fullmatch(option)
        assert match is not None, option
        if option.startswith("static"):
            height, width = match[1] or own, match[2] or match[1] or own
            return replace(self, padding="same", fused=None, static=(int(height), int(width)))
        if option == "edgetpu":
            return replace(self, padding="same", fused="symmetric", static=None)
        return replace(
            self, padding="symmetric" if option == "symmetric" else "same", fused=None, static=None
        )

    def __str__(self) -> str:
        """One phrase, as a build shows it."""
        if self.static is not None:
            padding = f"SAME padding of {side(self.static)} px images at any size"
        elif self.fused is not None:
            padding = "SAME padding (symmetric in Fused-MBConv, as the authors compute it)"
        else:
            padding = f"{'SAME' if self.padding == 'same' else self.padding} padding"
        return f"{padding}, BN epsilon {self.epsilon:g}"


def is_option(text: str) -> bool:
    """Whether ``--padding`` takes it: same, symmetric, edgetpu, static, static:224, static:192x256."""
    match = _OPTION.fullmatch(text)
    return match is not None and all(s is None or 32 <= int(s) <= 4096 for s in match.groups())


def side(size: Size) -> str:
    """A size as options write it: ``224``, or ``192x256`` (height x width)."""
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


TENSORFLOW = Conventions("same", 1e-3)
TORCH = Conventions("symmetric", 1e-5)
#: The authors' EdgeTPU networks stride in the 1×1 projection, after a SAME convolution of stride 1
#: (tensorflow/tpu, efficientnet/edgetpu): the very pixels that a symmetric convolution of stride 2 computes,
#: at a quarter of the work. timm 1.0 strides in the SAME convolution instead, geffnet as the authors do.
EDGETPU = Conventions("same", 1e-3, fused="symmetric")
