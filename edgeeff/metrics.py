"""What a quantised network is judged by: accuracy, agreement and SQNR, each with its interval.

Accumulators hold sums only, so that memory does not grow with the number of images. All sums are float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution
_RESAMPLES = 10_000


def softmax(logits: Array) -> Array:
    """Probabilities of logits [N, classes], each image's sum 1, in the type of the logits."""
    # ufuncs' own methods, in place: of one image each call of numpy's costs more than its arithmetic.
    powers = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    powers = np.exp(powers, powers) if powers.dtype.kind == "f" else np.exp(powers)
    powers /= np.add.reduce(powers, axis=1, keepdims=True)
    return np.asarray(powers)


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Proportion:
    """So many of so many, such as the images that were classified rightly.

    Args:
        successes: How many.
        total: Of how many.
        independent: How many of these say something of their own: of pixels the images; None: all of them.
    """

    successes: int
    total: int
    independent: int | None = None

    @property
    def value(self) -> float:
        """The fraction, 0…1; NaN of nothing."""
        return self.successes / self.total if self.total else math.nan

    @property
    def interval(self) -> Interval:
        """Wilson's 95 % interval of the fraction.

        Of what depends on one another, as the pixels of an image do, it is that of as many images: no image
        can differ from others by more than right and wrong throughout, so it is rather too wide.
        """
        own = self.alone
        return wilson(own.successes, own.total)

    @property
    def alone(self) -> Proportion:
        """The same share of what is independent, to the nearest whole number: what a test may count."""
        if self.independent is None or not self.total:
            return self
        return Proportion(round(self.successes * self.independent / self.total), self.independent)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "successes": self.successes,
            "total": self.total,
            "value": json_number(self.value),
            "interval": list(self.interval),
            **({} if self.independent is None else {"independent": self.independent}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proportion:
        """The reverse of :meth:`to_json`."""
        return cls(data["successes"], data["total"], data.get("independent"))


def json_number(value: float) -> float | str:
    """The number, or where JSON has none its name: ``inf``, ``-inf`` or ``nan`` (``float`` reads it back)."""
    return float(value) if math.isfinite(value) else str(float(value))


def sqnr(reference: Array, test: Array, *, per_image_mean: bool = False) -> float:
    """Signal to quantisation noise, dB: 10·log10(Σref² / Σ(test − ref)²), pooled over all values.

    Args:
        reference: An output of the float graph, [N, …].
        test: The values that are judged, same shape.
        per_image_mean: Remove each image's mean logit from both first (research calls it cdB): a shift
            of all logits of an image changes no prediction, and counts for nothing.

    Returns:
        Infinity where the two are equal, NaN where either holds a NaN.

    Raises:
        ValueError: The shapes differ, or have no dimension behind the batch.
    """
    return Noise.of(reference, test, per_image_mean=per_image_mean).sqnr


@dataclass(frozen=True)
class Noise:
    """The two sums behind an SQNR; those of batches add up.

    Args:
        signal: Σ reference².
        noise: Σ (test − reference)².
    """

    signal: float = 0.0
    noise: float = 0.0

    @classmethod
    def of(cls, reference: Array, test: Array, *, per_image_mean: bool = False) -> Noise:
        """Of a batch of one output, both [N, …]; see :func:`sqnr`.

        Raises:
            ValueError: The shapes differ, or have no dimension behind the batch.
        """
        if np.ndim(reference) < 2 or np.shape(reference) != np.shape(test):
            raise ValueError(f"outputs {np.shape(reference)} and {np.shape(test)}: want two of one [N, …]")
        ref = np.asarray(reference, np.float64)
        # Equal infinities differ by NaN, which is right: nothing can be said of such logits.
        with np.errstate(invalid="ignore"):
            error = np.asarray(test, np.float64) - ref
            if per_image_mean:
                ref = ref - ref.mean(axis=1, keepdims=True)
                error = error - error.mean(axis=1, keepdims=True)
        return cls(float(np.square(ref).sum()), float(np.square(error).sum()))

    def __add__(self, other: Noise) -> Noise:
        return Noise(self.signal + other.signal, self.noise + other.noise)

    @property
    def sqnr(self) -> float:
        """dB; infinity without noise, NaN where either sum is none."""
        if math.isnan(self.signal) or math.isnan(self.noise):
            return math.nan
        if self.noise == 0.0:
            return math.inf
        if self.signal == 0.0:
            return -math.inf
        return 10.0 * (math.log10(self.signal) - math.log10(self.noise))


def hits(logits: Array, labels: Array, k: int) -> npt.NDArray[np.bool_]:
    """For each image, whether its label is among the k largest logits.

    INT8 logits tie often. Of equal logits the lower class comes first, as ``argmax`` has it, so
    ``hits(…, 1)`` says exactly whether ``argmax`` is right. A NaN counts as larger than everything, and a
    label whose own logit is NaN is never a hit.

    Args:
        logits: [N, classes].
        labels: Integers [N], each in 0…classes − 1.
        k: At least 1.

    Raises:
        ValueError: The shapes do not fit, or a label is outside the classes.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits {logits.shape} and labels {labels.shape}: want [N, classes] and [N]")
    classes = logits.shape[1]
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels span {labels.min()}…{labels.max()}, the classes are 0…{classes - 1}")
    own = np.take_along_axis(logits, labels[:, None].astype(np.intp), axis=1)
    earlier = np.arange(classes)[None, :] < labels[:, None]
    before = (~(logits <= own) | ((logits == own) & earlier)).sum(axis=1)
    among: npt.NDArray[np.bool_] = (before < k) & ~np.isnan(own[:, 0])
    return among


def top_k(logits: Array, labels: Array, k: int) -> float:
    """The fraction of images whose label is among the k largest logits (see :func:`hits`), 0…1."""
    right = hits(logits, labels, k)
    return Proportion(int(right.sum()), len(right)).value


def agreement(reference: Array, test: Array) -> float:
    """The fraction of images [N, classes] on which both choose the same class, 0…1."""
    _check_pair(reference, test)
    same = np.argmax(reference, axis=1) == np.argmax(test, axis=1)
    return Proportion(int(same.sum()), len(same)).value


def wilson(successes: int, n: int) -> Interval:
    """Wilson's 95 % score interval of a proportion; (0, 1) of nothing.

    It stays inside 0…1 and is right for few samples and for proportions near 1, where the normal
    interval is neither (Brown, Cai and DasGupta 2001).

    Raises:
        ValueError: Not 0 ≤ successes ≤ n.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no proportion")
    if n == 0:
        return Interval(0.0, 1.0)
    p, z2 = successes / n, _Z95**2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    # At the ends the interval reaches 0 or 1 exactly; rounding would leave it a hair inside.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return Interval(low, high)


def bootstrap_ratio(a_launches: Sequence[float], b_launches: Sequence[float], seed: int) -> Interval | None:
    """The 95 % bootstrap interval of the median over launches of a / b.

    The unit that is resampled is the launch: inferences of one process share its memory layout and its
    clock, and are not independent. Launches are paired, since both figures of a launch come from one
    process. With five launches the interval is the smallest and the largest ratio, which hold the true
    median in 94 % of cases.

    Args:
        a_launches: One figure for each launch, such as the median CPU time of an inference.
        b_launches: The same of the baseline, positive.
        seed: Equal seeds give equal intervals.

    Returns:
        None with fewer than two launches, of which nothing can be said.

    Raises:
        ValueError: The two are not of one length.
    """
    if len(a_launches) != len(b_launches):
        raise ValueError(f"{len(a_launches)} launches against {len(b_launches)}: they are paired")
    if len(a_launches) < 2:
        return None
    ratios = np.asarray(a_launches, np.float64) / np.asarray(b_launches, np.float64)
    picks = np.random.default_rng(seed).integers(0, len(ratios), (_RESAMPLES, len(ratios)))
    low, high = np.quantile(np.median(ratios[picks], axis=1), [0.025, 0.975])
    return Interval(float(low), float(high))


def average_precision(scores: Array, there: npt.NDArray[np.bool_]) -> float:
    """Σ (recallₙ − recallₙ₋₁) · precisionₙ over the distinct scores, the largest first; NaN of none there."""
    if not there.any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    scores, there = scores[order], there[order]
    last = np.append(np.diff(scores) != 0, True)  # equal scores are one threshold
    right = np.cumsum(there)[last]
    precision = right / (np.arange(len(there)) + 1)[last]
    return float((np.diff(right, prepend=0) / there.sum() * precision).sum())


@dataclass(frozen=True)
class MacroScores:
    """Precision, recall and F1, each averaged over the classes that occur as a label or a prediction."""

    precision: float
    recall: float
    f1: float
    classes: int


class ClassificationAccumulator:
    """Top-1, top-5 and the scores of each class, batch by batch, from logits and labels."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._top_1 = 0
        self._top_5 = 0
        self._total = 0
        self._right = np.zeros(classes, np.int64)
        self._predicted = np.zeros(classes, np.int64)
        self._actual = np.zeros(classes, np.int64)

    def update(self, logits: Array, labels: Array) -> None:
        """Add a batch: logits [N, classes], labels [N] inside the classes."""
        first = hits(logits, labels, 1)
        self._top_1 += int(first.sum())
        self._top_5 += int(hits(logits, labels, 5).sum())
        self._total += len(first)
        labels = np.asarray(labels, np.intp)
        self._right += np.bincount(labels[first], minlength=self.classes)
        self._predicted += np.bincount(np.argmax(logits, axis=1), minlength=self.classes)
        self._actual += np.bincount(labels, minlength=self.classes)

    def state(self) -> dict[str, Array]:
        """All that was added, as arrays."""
        return {
            "images": np.array([self._top_1, self._top_5, self._total]),
            "classes": np.stack([self._right, self._predicted, self._actual]),
        }

    def add(self, state: Mapping[str, Array]) -> None:
        """Add what another accumulator of as many classes had seen.

        Raises:
            ValueError: It is of another number of classes.
        """
        if state["classes"].shape != (3, self.classes):
            raise ValueError(f"a state of {state['classes'].shape} for {self.classes} classes")
        top_1, top_5, total = (int(count) for count in state["images"])
        self._top_1, self._top_5, self._total = self._top_1 + top_1, self._top_5 + top_5, self._total + total
        right, predicted, actual = state["classes"]
        self._right, self._predicted = self._right + right, self._predicted + predicted
        self._actual = self._actual + actual

    @property
    def top_1(self) -> Proportion:
        """Images whose largest logit is their label's."""
        return Proportion(self._top_1, self._total)

    @property
    def top_5(self) -> Proportion | None:
        """Images whose label is among the five largest logits; None where there are no more classes."""
        return Proportion(self._top_5, self._total) if self.classes > 5 else None

    @property
    def per_class(self) -> npt.NDArray[np.float64]:
        """Precision, recall and F1 of each class, [classes, 3]; 0 where undefined, as scikit-learn has it."""
        right = self._right.astype(np.float64)
        precision = right / np.maximum(self._predicted, 1)
        recall = right / np.maximum(self._actual, 1)
        f1 = 2 * right / np.maximum(self._predicted + self._actual, 1)
        return np.stack([precision, recall, f1], axis=1)

    @property
    def macro(self) -> MacroScores:
        """The mean over the classes that occur: 20 photos of 1000 classes are not judged by the other 980."""
        occurring = (self._predicted + self._actual) > 0
        if not occurring.any():
            return MacroScores(math.nan, math.nan, math.nan, 0)
        precision, recall, f1 = self.per_class[occurring].mean(axis=0)
        return MacroScores(float(precision), float(recall), float(f1), int(occurring.sum()))


def _check_pair(reference: Array, test: Array) -> None:
    if np.ndim(reference) != 2 or np.shape(reference) != np.shape(test):
        raise ValueError(f"logits {np.shape(reference)} and {np.shape(test)}: want two of one [N, classes]")
