"""Local bias correction: take out of the bias what rounding the weights added to the mean.

Each layer is corrected for its own weights alone, bias += Σ (W − Ŵ)·E[x], from the statistics' means; no
image is run. (Nagel et al. 2019, section 4.2, correct for all the error before a layer too; on EfficientNets
that overfits and loses 2.5 dB once activations are quantised.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]


def correct(
    weight: Float,
    codes: npt.NDArray[np.int8],
    scale: Float,
    bias: Float,
    input_mean: npt.NDArray[np.float64],
    groups: int,
) -> Float:
    """The corrected bias, float32 [C].

    Args:
        weight: Float weights, [C, I/groups, …].
        codes: Their codes, of the same shape.
        scale: Scale of each output channel, [C].
        bias: The float layer's bias, [C].
        input_mean: Mean of each input channel, [I].
        groups: The convolution's groups; 1 for a fully connected layer.
    """
    shape = (-1, *[1] * (weight.ndim - 1))
    error = weight.astype(np.float64) - codes.astype(np.float64) * scale.astype(np.float64).reshape(shape)
    taps = error.reshape(*weight.shape[:2], -1).sum(axis=2)
    means = input_mean.reshape(groups, weight.shape[1])
    read = np.repeat(means, len(weight) // groups, axis=0)
    return np.asarray(bias.astype(np.float64) + (taps * read).sum(axis=1), np.float32)
