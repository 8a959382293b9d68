"""Swish as arithmetic: a polynomial for each channel, fitted where that channel's values lie.

    swish(x) = x/2 + |x|·g(|x|),   g(u) = σ(u) − 1/2 ≈ c₁a + c₂a² + … + c_k·a^k,   a = min(u, L)

g rises from 0 to 1/2, and both halves of Swish share it: that is why so low a degree will do. The fit demands
g(L) = 1/2, so beyond L the form is 0 or x as Swish itself soon is: no image can drive it out of its range.
What is left is least squares over the channel's histogram (calibration/statistics.py), with a little weight
on all values that the layer shows, so that a channel may meet more than calibration did; and no fit is taken
that errs by more than ``BOUND`` on what the layer may show, or by thrice that anywhere.

A runtime that has no fast exponential, such as OpenVINO's fused Swish, computes this in a third of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeeff.calibration.statistics import TensorStatistics

F64 = npt.NDArray[np.float64]

DEGREE = 4
#: The largest error that a fit may make on values up to a quarter beyond the layer's, in Swish's own units;
#: Swish quantised to 8 bits over [−0.28, 8] has steps of 0.03. Values beyond are not expected.
BOUND = 0.05
_MARGIN, _BEYOND = 1.25, 3.0

_LIMITS = np.arange(1.5, 9.1, 0.5)
_LINE = np.linspace(0, 14, 281)
_ELSEWHERE, _SHOWN = 0.005, 64  # the weight of all values that the layer shows, and so many points of them
_PARTS = 4  # a bin's mass is spread over so many points


@dataclass(frozen=True)
class Polynomial:
    """Swish's polynomial for C channels.

    Args:
        limit: L, [C].
        coefficients: c₁ … c_k, [C, k].
    """

    limit: F64
    coefficients: F64

    def __call__(self, x: F64) -> F64:
        """Its values at x, [C, n]."""
        magnitude = np.abs(x)
        held = np.minimum(magnitude, self.limit[:, None])
        rise = np.zeros_like(held)
        for c in self.coefficients.T[::-1]:
            rise = (rise + c[:, None]) * held
        return np.asarray(x / 2 + magnitude * rise, np.float64)

    def worst(self) -> float:
        """The largest error of any channel, anywhere."""
        line = np.tile(_LINE, (len(self.limit), 1))
        return float(np.abs(self(line) - line / (1 + np.exp(-line))).max())


def fit(statistics: TensorStatistics, degree: int = DEGREE, bound: float = BOUND) -> Polynomial:
    """The polynomials of a tensor's channels.

    Args:
        statistics: Of Swish's input, C channels.
        degree: k, 2 at least.
        bound: On the error; where no fit keeps it, a channel takes the one that is best everywhere.
    """
    channels = statistics.channels
    everywhere = np.ones((1, _LINE.size)) / _LINE.size
    general, _ = _best(everywhere, _LINE, degree, np.full(_LINE.size, np.inf))
    limit = np.repeat(general.limit, channels)
    coefficients = np.repeat(general.coefficients, channels, axis=0)
    reach = max(abs(statistics.low), abs(statistics.high))
    shown = np.linspace(0, min(reach, _LIMITS[-1]), _SHOWN)
    bounds = np.where(_MARGIN * reach >= _LINE, bound, _BEYOND * bound)
    mass = _magnitudes(statistics)
    for edge in np.unique(statistics.edge):  # channels of one edge share their bins
        rows = np.flatnonzero(statistics.edge == edge)
        bins = mass.shape[1] * _PARTS
        points = np.concatenate([(np.arange(bins) + 0.5) * edge / bins, shown])
        seen = np.repeat(mass[rows] / _PARTS, _PARTS, axis=1) * (1 - _ELSEWHERE)
        elsewhere = np.full((len(rows), _SHOWN), _ELSEWHERE / _SHOWN)
        found, kept = _best(np.concatenate([seen, elsewhere], axis=1), points, degree, bounds)
        limit[rows[kept]] = found.limit[kept]
        coefficients[rows[kept]] = found.coefficients[kept]
    return Polynomial(limit, coefficients)


def _magnitudes(statistics: TensorStatistics) -> F64:
    """The share of each channel's values in each bin of |x|, [C, bins / 2]."""
    counts = statistics.histogram.astype(np.float64)
    half = counts.shape[1] // 2
    folded = counts[:, half:] + counts[:, :half][:, ::-1]
    return np.asarray(folded / np.maximum(folded.sum(axis=1, keepdims=True), 1))


def _best(mass: F64, points: F64, degree: int, bounds: F64) -> tuple[Polynomial, npt.NDArray[np.bool_]]:
    """The best limit and coefficients for each row of ``mass`` [C, n]; which rows have any in the bounds."""
    error = np.full(len(mass), np.inf)
    limits = np.full(len(mass), _LIMITS[-1])
    coefficients = np.zeros((len(mass), degree))
    for limit in _LIMITS:
        found, left = _solve(mass, points, limit, degree)
        off = np.abs(_basis(_LINE, limit, degree).T @ found.T - (_LINE * _rise(_LINE))[:, None])
        better = (left < error) & (off <= bounds[:, None]).all(axis=0)
        error[better], limits[better], coefficients[better] = left[better], limit, found[better]
    return Polynomial(limits, coefficients), np.isfinite(error)


def _solve(mass: F64, points: F64, limit: float, degree: int) -> tuple[F64, F64]:
    """Coefficients [C, k] of least squares under g(limit) = 1/2, and the mean square that is left, [C]."""
    basis = _basis(points, limit, degree)
    wanted = points * _rise(points)
    products = (basis[:, None] * basis).reshape(degree * degree, -1)
    normal: F64 = (mass @ products.T).reshape(-1, degree, degree)
    moment = mass @ (basis * wanted).T
    powers = limit ** np.arange(1, degree + 1)
    particular = powers * 0.5 / (powers @ powers)
    free = np.linalg.svd(powers[None])[2][1:].T  # what leaves g(limit) as it is, [k, k − 1]
    matrix = free.T @ normal @ free + 1e-12 * np.eye(degree - 1)
    solution = np.linalg.solve(matrix, ((moment - normal @ particular) @ free)[..., None])[..., 0]
    found = particular + solution @ free.T
    left = np.einsum("ci,cij,cj->c", found, normal, found) - 2 * (found * moment).sum(axis=1)
    return found, np.asarray(left + mass @ wanted**2, np.float64)


def _basis(points: F64, limit: float, degree: int) -> F64:
    """|x|·a^j for j = 1 … k, [k, n]."""
    held = np.minimum(points, limit)
    return np.stack([points * held**j for j in range(1, degree + 1)])


def _rise(magnitude: F64) -> F64:
    """σ(u) − 1/2."""
    return np.asarray(1 / (1 + np.exp(-magnitude)) - 0.5, np.float64)
