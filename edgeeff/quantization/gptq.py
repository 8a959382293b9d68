"""Rounding that looks at what a layer reads: each column's rounding error is made good by the later ones.

For one output channel with weights w, the layer's squared output error is eᵀHe, e = w − ŵ and H = Σ x xᵀ over
the layer's (quantised) inputs. Columns are rounded in the order of their energy, and what a rounding did is
spread over those still open by the inverse of H (Frantar et al. 2023, GPTQ; Frantar & Alistarh 2022). A
depthwise convolution has one small H for each channel: all channels are rounded side by side.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Codes = npt.NDArray[np.int8]

#: Added to H's diagonal, as a share of its mean. EfficientNets' inputs are nearly collinear: without a floor
#: the inverse makes rounding worse than to nearest.
DAMPING = 0.01


def round_dense(
    weight: npt.NDArray[np.float32], scale: npt.NDArray[np.float32], hessian: Tensor, largest: int
) -> Codes:
    """Codes of a dense layer.

    Args:
        weight: [O, …], flattened to [O, n].
        scale: [O].
        hessian: H, float64 [n, n], in the order of the flattened weights.
        largest: The largest code.
    """
    rows, step = _rows(weight), torch.from_numpy(scale).double()[:, None]
    order = torch.argsort(torch.diagonal(hessian), descending=True, stable=True)
    codes = torch.empty_like(rows)
    root = _inverse_root(hessian[order][:, order])
    codes[:, order] = _round(rows[:, order], step, root, largest)
    return _codes(_surely(codes, rows, step, hessian, largest), weight)


def round_depthwise(
    weight: npt.NDArray[np.float32], scale: npt.NDArray[np.float32], hessians: Tensor, largest: int
) -> Codes:
    """Codes of a depthwise convolution.

    Args:
        weight: [C, 1, k, k].
        scale: [C].
        hessians: One for each channel, float64 [C, k², k²].
        largest: The largest code.
    """
    rows, step = _rows(weight), torch.from_numpy(scale).double()[:, None]
    order = torch.argsort(torch.diagonal(hessians, dim1=1, dim2=2), dim=1, descending=True, stable=True)
    channel = torch.arange(len(rows))[:, None, None]
    roots = _inverse_root(hessians[channel, order[:, :, None], order[:, None]])
    left = rows.gather(1, order)
    codes = torch.empty_like(rows)
    for i in range(rows.shape[1]):
        codes[:, i] = (left[:, i] / step[:, 0]).round().clamp(-largest, largest)
        error = (left[:, i] - codes[:, i] * step[:, 0]) / roots[:, i, i]
        left[:, i + 1 :] -= error[:, None] * roots[:, i, i + 1 :]
    codes = torch.empty_like(rows).scatter_(1, order, codes)
    return _codes(_surely(codes, rows, step, hessians, largest), weight)


def _rows(weight: npt.NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(weight.reshape(len(weight), -1)).double()


def _codes(codes: Tensor, weight: npt.NDArray[np.float32]) -> Codes:
    return np.asarray(codes.to(torch.int8).reshape(weight.shape).numpy())


def _surely(codes: Tensor, rows: Tensor, step: Tensor, hessian: Tensor, largest: int) -> Tensor:
    """The codes, but to nearest in channels that this serves better: what is spread is spread greedily."""
    nearest = (rows / step).round().clamp(-largest, largest)

    def lost(tried: Tensor) -> Tensor:
        error = rows - tried * step
        return ((error[:, None] @ hessian)[:, 0] * error).sum(1, keepdim=True)

    return torch.where(lost(nearest) < lost(codes), nearest, codes)


def _round(rows: Tensor, step: Tensor, root: Tensor, largest: int, block: int = 64) -> Tensor:
    """Round columns from the first to the last; within a block at once, the rest a block at a time."""
    columns, scale = rows.T.contiguous(), step[:, 0]  # a column is what is read and written at a time
    codes = torch.empty_like(columns)
    for first in range(0, len(columns), block):
        last = min(first + block, len(columns))
        errors = torch.empty_like(columns[first:last])
        for i in range(first, last):
            codes[i] = (columns[i] / scale).round().clamp(-largest, largest)
            error = (columns[i] - codes[i] * scale) / root[i, i]
            columns[i + 1 : last].addr_(root[i, i + 1 : last], error, alpha=-1)
            errors[i - first] = error
        columns[last:].addmm_(root[first:last, last:].T, errors, alpha=-1)
    return codes.T


def _inverse_root(hessian: Tensor) -> Tensor:
    """The upper Cholesky factor of H⁻¹, H with its floor, [… n, n]."""
    diagonal = torch.diagonal(hessian, dim1=-2, dim2=-1)
    floor = (DAMPING * diagonal.mean(-1)).clamp_min(1e-12)
    # A channel that was never active has zeros: the floor alone then rounds it to nearest.
    damped = hessian + torch.diag_embed(floor[..., None].expand_as(diagonal))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    root: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return root
