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
from functools import cache

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
#: Multiplications of a product for which BLAS does not wake its threads (OpenBLAS: 2¹⁸).
_SMALL = 200_000


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
    general = _general(degree)
    reach = max(abs(statistics.low), abs(statistics.high))
    shown = np.linspace(0, min(reach, _LIMITS[-1]), _SHOWN)
    bounds = np.where(_MARGIN * reach >= _LINE, bound, _BEYOND * bound)
    mass = _magnitudes(statistics) * (1 - _ELSEWHERE)
    sums = np.repeat(_ELSEWHERE * _terms(shown, degree).mean(axis=0)[None], len(mass), axis=0)
    for edge in np.unique(statistics.edge):  # channels of one edge share their bins
        rows = statistics.edge == edge
        sums[rows] += _product(mass[rows], _bins(float(edge), mass.shape[1], degree))
    found, kept = _best(sums, degree, bounds)
    return Polynomial(
        np.where(kept, found.limit, general.limit),
        np.where(kept[:, None], found.coefficients, general.coefficients),
    )


@cache
def _general(degree: int) -> Polynomial:
    """The polynomial that is best everywhere, of one channel."""
    sums = _terms(_LINE, degree).mean(axis=0)[None]
    return _best(sums, degree, np.full(_LINE.size, np.inf))[0]


def _magnitudes(statistics: TensorStatistics) -> F64:
    """The share of each channel's values in each bin of |x|, [C, bins / 2]."""
    counts = statistics.histogram.astype(np.float64)
    half = counts.shape[1] // 2
    folded = counts[:, half:] + counts[:, :half][:, ::-1]
    return np.asarray(folded / np.maximum(folded.sum(axis=1, keepdims=True), 1))


def _best(sums: F64, degree: int, bounds: F64) -> tuple[Polynomial, npt.NDArray[np.bool_]]:
    """The best limit and coefficients of each channel; which channels have any in the bounds.

    Args:
        sums: What :func:`_terms` gives, over each channel's values, [C, limits · terms].
        degree: k.
        bounds: On the error at each point of the line.
    """
    found, left = _solve(sums.reshape(len(sums), len(_LIMITS), -1), degree)
    wanted = _LINE * _rise(_LINE)
    order = np.argsort(left, axis=1, kind="stable")
    chosen, kept = np.zeros(len(sums), int), np.zeros(len(sums), bool)
    for place in order.T:  # the best limit, where it is in the bounds, else the next
        for number in np.unique(place[~kept]):
            rows = np.flatnonzero(~kept & (place == number))
            off = np.abs(_product(found[rows, number], _bases(degree)[number]) - wanted)
            inside = rows[(off <= bounds).all(axis=1)]
            chosen[inside], kept[inside] = number, True
        if kept.all():
            break
    return Polynomial(_LIMITS[chosen], found[np.arange(len(sums)), chosen]), kept


def _product(rows: F64, matrix: F64) -> F64:
    """``rows @ matrix``, a few rows at a time: BLAS then takes one thread, and several would only spin."""
    few = max(1, _SMALL // matrix.size)
    padded = np.zeros((-(-len(rows) // few), few, rows.shape[1]))
    padded.reshape(-1, rows.shape[1])[: len(rows)] = rows
    return np.asarray((padded @ matrix).reshape(-1, matrix.shape[1])[: len(rows)], np.float64)


def _solve(sums: F64, degree: int) -> tuple[F64, F64]:
    """Coefficients [C, limits, k] of least squares, and the mean square that is left, [C, limits]."""
    unknowns = degree - 1
    matrix = sums[..., : unknowns**2].reshape(*sums.shape[:2], unknowns, unknowns)
    moment, rest = sums[..., unknowns**2 : -1], sums[..., -1]
    solution = np.linalg.solve(matrix + 1e-12 * np.eye(unknowns), moment[..., None])[..., 0]
    particular, free = (np.stack(parts) for parts in zip(*_constraints(degree), strict=True))
    found = particular + np.einsum("clu,lku->clk", solution, free)
    quadratic = np.einsum("clu,cluv,clv->cl", solution, matrix, solution)
    return found, np.asarray(quadratic - 2 * (solution * moment).sum(axis=2) + rest, np.float64)


def _terms(points: F64, degree: int) -> F64:
    """What each point adds to the least squares of each limit, [n, limits · terms].

    The coefficients are ``particular + free @ s``, with s unknown: what is left at a point, of weight 1, is
    sᵀMs − 2s·m + r, and a limit's terms are M, m and r.
    """
    wanted, found = points * _rise(points), []
    for limit, (particular, free) in zip(_LIMITS, _constraints(degree), strict=True):
        basis = _basis(points, limit, degree)
        steps, off = free.T @ basis, wanted - particular @ basis
        matrix = (steps[:, None] * steps).reshape(-1, len(points))
        found.append(np.concatenate([matrix, steps * off, (off**2)[None]]))
    return np.asarray(np.concatenate(found).T, np.float64)


@cache
def _bins(edge: float, bins: int, degree: int) -> F64:
    """The terms of values that lie evenly in each bin of [0, edge], [bins, limits · terms]."""
    points = (np.arange(bins * _PARTS) + 0.5) * edge / (bins * _PARTS)
    return np.asarray(_terms(points, degree).reshape(bins, _PARTS, -1).mean(axis=1), np.float64)


@cache
def _constraints(degree: int) -> tuple[tuple[F64, F64], ...]:
    """For each limit coefficients with g(limit) = 1/2, [k], and what leaves that as it is, [k, k − 1]."""
    found = []
    for limit in _LIMITS:
        powers = limit ** np.arange(1, degree + 1)
        found.append((powers * 0.5 / (powers @ powers), np.linalg.svd(powers[None])[2][1:].T))
    return tuple(found)


@cache
def _bases(degree: int) -> tuple[F64, ...]:
    """The basis on the line, for each limit."""
    return tuple(_basis(_LINE, limit, degree) for limit in _LIMITS)


def _basis(points: F64, limit: float, degree: int) -> F64:
    """|x|·a^j for j = 1 … k, [k, n]."""
    held = np.minimum(points, limit)
    return np.stack([points * held**j for j in range(1, degree + 1)])


def _rise(magnitude: F64) -> F64:
    """σ(u) − 1/2."""
    return np.asarray(1 / (1 + np.exp(-magnitude)) - 0.5, np.float64)
