"""What a build must meet, what was found, and whether the one is within the other."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgeeff.errors import OptionError
from edgeeff.metrics import Array, hits, json_number
from edgeeff.tasks import DETECTION, SEGMENTATION, Outputs

#: One-sided 95 % of the normal distribution, and two-sided.
_LOWER, _BOTH = 1.645, 1.960


@dataclass(frozen=True)
class Budget:
    """What a build must meet.

    Args:
        min_sqnr: Of the worst output against the float graph's, dB, with 95 % confidence.
        max_drop: Points of top-1 that may be lost, of a detector of mean average precision, of a segmenter of
            mean IoU.
        max_cost: Latency that may be added, as a fraction of that with all layers in INT8.
    """

    min_sqnr: float | None = None
    max_drop: float | None = None
    max_cost: float | None = None


@dataclass(frozen=True)
class Judged:
    """Logits against the float graph's on the same images.

    Args:
        images: How many.
        sqnr: Pooled, dB.
        sqnr_error: Its standard error, dB, by the jackknife over images.
        drop: Points lost of top-1, of a detector of mean average precision; None without labels.
        drop_error: Half of its paired 95 % interval, points.
    """

    images: int
    sqnr: float
    sqnr_error: float
    drop: float | None = None
    drop_error: float | None = None

    @property
    def line(self) -> str:
        """For a person."""
        shown = f"{self.sqnr:.1f} dB"
        if self.drop is None:
            return shown
        return f"{shown}, {self.drop:+.2f} ± {self.drop_error:.2f} points lost"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


@dataclass(frozen=True)
class Cost:
    """Latency that float layers add, as a fraction; ``how`` it is known."""

    value: float
    how: str
    interval: tuple[float, float] | None = None

    @property
    def line(self) -> str:
        """For a person."""
        between = f" ({self.interval[0]:+.1%} to {self.interval[1]:+.1%})" if self.interval else ""
        return f"{self.value:+.1%}{between} {self.how}"


@dataclass(frozen=True)
class Choice:
    """The layers that stay float, and how they were found.

    Args:
        layers: In the order of what they gain for their cost.
        plain: Without them.
        found: With them.
        curve: How many of the ordered layers stayed float, and what that gave.
        cost: What they cost; None where no ceiling was asked for, or there are none.
    """

    layers: tuple[str, ...]
    plain: Judged
    found: Judged
    curve: tuple[tuple[int, Judged], ...]
    cost: Cost | None = None

    @property
    def line(self) -> str:
        """For a person."""
        if not self.layers:
            return f"float    no layer: all in INT8 gives {self.plain.line} on {self.plain.images} images"
        cost = f"; latency {self.cost.line}" if self.cost else ""
        return (
            f"float    {', '.join(self.layers)}: {self.plain.line} → {self.found.line} "
            f"on {self.found.images} images{cost}"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found: dict[str, Any] = _plain(asdict(self))
        return found

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Choice:
        """The reverse of :meth:`to_json`."""
        cost = data["cost"]
        if cost is not None:
            cost = Cost(cost["value"], cost["how"], tuple(cost["interval"]) if cost["interval"] else None)
        return cls(
            layers=tuple(data["layers"]),
            plain=_judged(data["plain"]),
            found=_judged(data["found"]),
            curve=tuple((count, _judged(judged)) for count, judged in data["curve"]),
            cost=cost,
        )


def read(
    min_sqnr: float | None, max_drop: float | str | None, max_latency_cost: float | str | None
) -> Budget | None:
    """A budget as a user writes it: 26, ``0.3pt``, ``3%``.

    Raises:
        OptionError: A value makes no sense.
    """
    drop = _number(
        "--max-drop",
        max_drop,
        ("pt", "points", "mAP", "mIoU", "miou"),
        "0.3pt, points of top-1, 0.3mAP or 0.3mIoU",
    )
    cost = _number("--max-latency-cost", max_latency_cost, ("%",), "3%")
    for name, value, most in (("--min-sqnr", min_sqnr, 100), ("--max-drop", drop, 100)):
        if value is not None and not 0 < value < most:
            raise OptionError(f"{name} {value:g}", mend=f"give more than 0 and less than {most}")
    if cost is not None and not 0 <= cost <= 1000:
        raise OptionError(f"--max-latency-cost {cost:g}%", mend="give a percentage such as 3%")
    if min_sqnr is None and drop is None and cost is None:
        return None
    return Budget(min_sqnr, drop, None if cost is None else cost / 100)


def refuse_drop(budget: Budget | None, task: str, *, exclusive: bool, said: float | str | None) -> None:
    """Refuse a budget of a metric that the network does not have.

    Args:
        budget: What a build must meet.
        task: What the network is built for.
        exclusive: Whether its images have one class each.
        said: The option as it was written.

    Raises:
        OptionError: There is one.
    """
    if budget is None or budget.max_drop is None:
        return
    of = {"map": DETECTION, "miou": SEGMENTATION}
    named = next((unit for unit in of if isinstance(said, str) and said.lower().endswith(unit)), None)
    if isinstance(said, str) and named is not None and of[named] != task:
        raise OptionError(
            f"--max-drop {said} speaks of {said[-len(named) :]}, and the network is built for {task}",
            mend="write 0.3pt",
        )
    if task != DETECTION and not exclusive:
        raise OptionError(
            f"--max-drop speaks of top-1, and the network is built for {task}", mend="use --min-sqnr"
        )


def judge(
    float_logits: Array, logits: Array, labels: Array | None = None, photos: Array | None = None
) -> Judged:
    """How near logits are to the float graph's.

    Args:
        float_logits: [N, classes].
        logits: The same of what is judged.
        labels: [N], −1 where unknown; None: there are none.
        photos: Which photo each image is of, integers [N]: crops of one are one sample. None: each its own.
    """
    reference = np.asarray(float_logits, np.float64)
    signal = np.square(reference).sum(1)
    noise = np.square(np.asarray(logits, np.float64) - reference).sum(1)
    value, error = level(signal, noise, photos)
    images = len(reference)
    known = np.zeros(images, bool) if labels is None else np.asarray(labels) >= 0
    if not known.any():
        return Judged(images, value, error)
    assert labels is not None
    before = hits(float_logits[known], labels[known], 1).astype(float)
    lost = before - hits(logits[known], labels[known], 1)
    # Where no image is judged otherwise, the rule of three bounds how many of all could be.
    half = max(
        _BOTH * float(lost.std(ddof=1)) / math.sqrt(len(lost)) if len(lost) > 1 else 1.0, 3 / len(lost)
    )
    return Judged(images, value, error, 100 * float(lost.mean()), 100 * half)


def level(signal: Array, noise: Array, photos: Array | None = None) -> tuple[float, float]:
    """The SQNR over all images, dB, and its standard error by the jackknife over photos.

    Args:
        signal: Of each image the sum of the squared values, [N].
        noise: Of each the sum of the squared errors.
        photos: Which photo each image is of, integers [N]; None: each its own.
    """
    total = signal.sum(), noise.sum()
    value = _decibels(*total)
    of = np.arange(len(signal)) if photos is None else np.unique(photos, return_inverse=True)[1]
    signal, noise = np.bincount(of, signal), np.bincount(of, noise)
    n = len(signal)
    error = 0.0
    if n > 1 and math.isfinite(value):
        without = np.array(
            [_decibels(total[0] - s, total[1] - e) for s, e in zip(signal, noise, strict=True)]
        )
        error = float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))
    elif math.isfinite(value):
        error = math.inf
    return value, error


def judge_outputs(
    float_outputs: Outputs, outputs: Outputs, labels: Array | None = None, photos: Array | None = None
) -> Judged:
    """How near outputs are to the float graph's, by the worst of them; arguments as of :func:`judge`."""
    found = [
        judge(_rows(reference), _rows(outputs[name]), labels, photos)
        for name, reference in float_outputs.items()
    ]
    return min(found, key=lambda one: one.sqnr)


def _rows(values: Array) -> Array:
    """What is known of each image as one vector, [N, D]."""
    return values.reshape(len(values), -1)


def meets(budget: Budget, judged: Judged, *, confident: bool) -> bool:
    """Whether fidelity is within a budget.

    Args:
        budget: Its ceiling on latency counts for nothing here.
        judged: What was found.
        confident: Whether the SQNR must hold at the lower end of its interval; else at the upper end, as
            where images that the search did not see are to refute it.
    """
    slack = _LOWER * judged.sqnr_error * (-1 if confident else 1)
    enough = budget.min_sqnr is None or judged.sqnr + slack >= budget.min_sqnr
    few = judged.drop is not None and judged.drop_error is not None
    spare = 0.0 if confident or not few else judged.drop_error or 0.0
    return enough and (budget.max_drop is None or (few and (judged.drop or 0.0) - spare <= budget.max_drop))


def asked(budget: Budget) -> str:
    """A budget's demands on fidelity, for a person."""
    parts = []
    if budget.min_sqnr is not None:
        parts.append(f"{budget.min_sqnr:g} dB with 95 % confidence")
    if budget.max_drop is not None:
        parts.append(f"a loss of at most {budget.max_drop:g} points")
    return " and ".join(parts)


def curve_line(curve: Sequence[tuple[int, Judged]]) -> str:
    """How many of the ordered layers stayed float and what that gave, for a person."""
    return "float layers → fidelity: " + "; ".join(f"{count} → {judged.line}" for count, judged in curve)


def _decibels(signal: float, noise: float) -> float:
    if noise <= 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _number(option: str, value: float | str | None, units: tuple[str, ...], example: str) -> float | None:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(rf"\s*([0-9.]+)\s*({'|'.join(map(re.escape, units))})?\s*", value)
    try:
        return float(match[1]) if match else float("")
    except ValueError:
        raise OptionError(f"{option} {value!r}", mend=f"write {example}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return json_number(value) if isinstance(value, float) else value


def _judged(data: dict[str, Any]) -> Judged:
    numbers: dict[str, Any] = {name: float(v) if isinstance(v, str) else v for name, v in data.items()}
    return Judged(**numbers)
