"""How a plan is made: the choices that are the user's, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: How an activation's range is chosen; see ranges.py.
RangeMethod = Literal["minmax", "percentile", "mse"]


@dataclass(frozen=True)
class Recipe:
    """How a plan is made.

    Args:
        ranges: How activation ranges are chosen.
        correct_bias: Whether biases are corrected for the rounding of weights.
        seven_bit_weights: For CPUs whose int8 dot products saturate in 16 bits.
    """

    ranges: RangeMethod = "percentile"
    correct_bias: bool = True
    seven_bit_weights: bool = False
