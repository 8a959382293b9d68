"""What is known of each tensor after the images have been run: a few numbers for each channel.

Histograms lie on [-edge, edge] with 128 bins and an edge that is a power of two times the finest one, so two
histograms of different edges merge exactly: the finer one's bins are added in pairs until the edges agree.
Merging chunks in a fixed order makes the result independent of how many threads computed them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]

BINS = 128


@dataclass(frozen=True)
class TensorStatistics:
    """Statistics of one tensor, for each of its C channels.

    Args:
        minimum: Smallest value, [C].
        maximum: Largest value, [C].
        mean: Mean over images and positions, [C].
        second_moment: Mean of the squares, [C].
        count: Number of values behind the mean, for each channel.
        histogram: Counts of a fixed subsample of the positions, [C, 128], over [-edge, edge].
        edge: Outer edge of each channel's histogram, [C].
    """

    minimum: F32
    maximum: F32
    mean: F64
    second_moment: F64
    count: int
    histogram: F32
    edge: F64

    @property
    def channels(self) -> int:
        """C."""
        return len(self.minimum)

    @property
    def low(self) -> float:
        """The smallest value of any channel."""
        return float(self.minimum.min())

    @property
    def high(self) -> float:
        """The largest value of any channel."""
        return float(self.maximum.max())

    def merge(self, other: TensorStatistics) -> TensorStatistics:
        """The statistics of both sets of images together."""
        count = self.count + other.count
        edge = np.maximum(self.edge, other.edge)
        return TensorStatistics(
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            mean=(self.mean * self.count + other.mean * other.count) / count,
            second_moment=(self.second_moment * self.count + other.second_moment * other.count) / count,
            count=count,
            histogram=_widen(self.histogram, self.edge, edge) + _widen(other.histogram, other.edge, edge),
            edge=edge,
        )

    def scaled(self, factor: F64) -> TensorStatistics:
        """The statistics of the tensor multiplied by a positive factor for each channel, [C] or [1]."""
        f = np.broadcast_to(np.asarray(factor, np.float64), self.mean.shape)
        return TensorStatistics(
            minimum=(self.minimum * f).astype(np.float32),
            maximum=(self.maximum * f).astype(np.float32),
            mean=self.mean * f,
            second_moment=self.second_moment * f * f,
            count=self.count,
            histogram=self.histogram,
            edge=self.edge * f,
        )

    def pooled(self, gain: F64 | None = None) -> tuple[F64, F64, F64]:
        """All channels' histograms as one sample, sorted by value.

        Bins are clipped to the channel's own extremes, so no mass lies where no value was seen.

        Args:
            gain: How much each channel weighs, [C]; None: all the same.

        Returns:
            Bin centres, counts and weights of the bins that hold anything, [n] each.
        """
        width = 2 * self.edge / BINS
        centres = (np.arange(BINS) + 0.5) * width[:, None] - self.edge[:, None]
        flat = np.clip(centres, self.minimum[:, None], self.maximum[:, None]).ravel()
        counts = self.histogram.astype(np.float64)
        weights = counts if gain is None else counts * gain[:, None]
        held = counts.ravel() > 0
        flat, counts, weights = flat[held], counts.ravel()[held], weights.ravel()[held]
        by_value = np.argsort(flat, kind="stable")
        return flat[by_value], counts[by_value], weights[by_value]


Statistics = Mapping[str, TensorStatistics]


def _widen(histogram: F32, edge: F64, wider: F64) -> F32:
    """Rebin [C, 128] from ``edge`` to ``wider``, a power of two times as wide."""
    if np.array_equal(edge, wider):
        return histogram
    steps = np.rint(np.log2(wider / edge)).astype(int)
    result = histogram.copy()
    half = BINS // 2
    while (steps > 0).any():
        rows = steps > 0
        finer = result[rows]
        # [-e, e] covers the middle half of [-2e, 2e].
        shrunk = np.zeros_like(finer)
        shrunk[:, half // 2 : half // 2 + half] = finer[:, ::2] + finer[:, 1::2]
        result[rows] = shrunk
        steps = steps - rows
    return result


def statistics_to_bytes(statistics: Statistics) -> bytes:
    """Statistics as an npz file, the same statistics giving the same bytes."""
    arrays: dict[str, npt.NDArray[np.generic]] = {"names": np.array(sorted(statistics))}
    for i, name in enumerate(sorted(statistics)):
        for field, value in vars(statistics[name]).items():
            arrays[f"{i}.{field}"] = np.asarray(value)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def statistics_from_bytes(data: bytes) -> dict[str, TensorStatistics]:
    """The reverse of :func:`statistics_to_bytes`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {
            str(name): TensorStatistics(
                minimum=arrays[f"{i}.minimum"],
                maximum=arrays[f"{i}.maximum"],
                mean=arrays[f"{i}.mean"],
                second_moment=arrays[f"{i}.second_moment"],
                count=int(arrays[f"{i}.count"]),
                histogram=arrays[f"{i}.histogram"],
                edge=arrays[f"{i}.edge"],
            )
            for i, name in enumerate(arrays["names"])
        }
