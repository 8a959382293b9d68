"""From float weights to int8 codes, per output channel and symmetric."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]

#: Largest code. −128 is not used: the range stays symmetric, as TensorRT and TFLite demand.
FULL_RANGE = 127
#: Largest code on CPUs whose int8 dot products saturate in 16 bits: 2 · 255 · 64 < 2¹⁵.
SEVEN_BITS = 64
#: A bias is an INT32 at input scale × weight scale in TFLite; this keeps it well inside.
_LARGEST_BIAS_CODE = 2.0**30
#: Below it a channel is as good as zeros: float32 could not hold its scale times an input's.
_DEAD = 1e-20


def weight_scale(weight: Float, bias: Float, input_scale: float, largest: int = FULL_RANGE) -> Float:
    """Scale of each output channel, float32 [C]: :func:`peak_scale`, or a larger one that its bias needs.

    A channel whose bias is vast beside its weights gets a scale at which the bias still fits 32 bits.
    """
    floor = np.abs(bias.astype(np.float64)) / (input_scale * _LARGEST_BIAS_CODE)
    return np.maximum(peak_scale(weight, largest), floor.astype(np.float32))


def peak_scale(weight: Float, largest: int = FULL_RANGE) -> Float:
    """Scale of each output channel, float32 [C], from the largest weight of the channel.

    A channel of zeros, or of nearly nothing, gets its layer's middle scale: one of nearly nothing would
    overflow.
    """
    peak = np.abs(weight.reshape(len(weight), -1)).max(axis=1).astype(np.float64)
    scale = peak / largest
    dead = peak < _DEAD
    if dead.any():
        scale[dead] = 1.0 if dead.all() else np.median(scale[~dead])
    return np.asarray(scale, np.float32)


def nearest(weight: Float, scale: Float, largest: int = FULL_RANGE) -> npt.NDArray[np.int8]:
    """Codes by rounding to nearest, ties to even."""
    ratio = weight.astype(np.float64) / scale.astype(np.float64).reshape(-1, *[1] * (weight.ndim - 1))
    return np.asarray(np.clip(np.rint(ratio), -largest, largest), np.int8)
