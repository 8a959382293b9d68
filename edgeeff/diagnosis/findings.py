"""What a diagnosis found, as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeeff.harness.golden import GoldenCheck
from edgeeff.metrics import json_number

#: Raised when a field changes its name or its meaning; new fields alone do not raise it.
SCHEMA = 1
#: What the figures mean, for whoever reads them later.
DEFINITIONS = {
    "error": "energy of the change of the logits, less their mean over the classes, summed over the images; "
    "of features that of every output, divided by its mean energy; of boxes that of scores over a floor and "
    "of the sides of those boxes",
    "share": "1 - error with all but this quantised / error with everything quantised; may be negative",
    "doubt": "standard error of the share, from image to image; null: share and alone are an estimate",
    "alone": "error with only this quantised / error with everything quantised",
    "outside": "share of the values on held-out images that lie more than half a step beyond the last code",
    "expected": "the same share on the calibration images",
    "clipping": "share of the tensor's own noise, as energy, that those values make",
}


@dataclass(frozen=True)
class Histogram:
    """Counts in bins of equal width over [low, high], as calibration saw the tensor."""

    low: float
    high: float
    counts: tuple[float, ...]


@dataclass(frozen=True)
class Finding:
    """One tensor, or the weights of one layer.

    Args:
        kind: Which of the two.
        name: Of the tensor or the layer.
        what: Its part in the network, in words.
        share: Of the output's error: see ``DEFINITIONS``, also for the next ones.
        doubt: The standard error of the share, from image to image; None: the share is not measured but
            estimated, as what the part makes alone.
        alone: The error that it makes alone.
        codes: The lowest and the highest value that its codes hold.
        seen: The lowest and the highest value: of a tensor in calibration, of weights the float ones.
        outside: Share of the values beyond the codes, 0…1; None: not known, a constant's.
        expected: The same share on the calibration images, by their histogram; None: not known.
        clipping: Share of the tensor's noise that those make, 0…1; None for weights.
        use: The part of the codes that the median channel reaches, 0…1; None where channels have their own.
        kernel: What will run the layer; None where nobody asked, or where the runtime does not say.
        advice: What to do about it; empty where nothing is to be done.
        histogram: Of a tensor's values in calibration.
    """

    kind: Literal["tensor", "weights"]
    name: str
    what: str
    share: float
    doubt: float | None
    alone: float
    codes: tuple[float, float]
    seen: tuple[float, float] | None
    outside: float | None
    expected: float | None = None
    clipping: float | None = None
    use: float | None = None
    kernel: str | None = None
    advice: str = ""
    histogram: Histogram | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        data = {**vars(self), "codes": list(self.codes), "seen": list(self.seen) if self.seen else None}
        shown = self.histogram
        data["histogram"] = None if shown is None else {**vars(shown), "counts": list(shown.counts)}
        return data


@dataclass(frozen=True)
class Group:
    """Tensors that play the same part in the network, left float together.

    Args:
        name: What they are.
        members: How many.
        share: Of the output's error.
        doubt: Its standard error.
        alone: The error that they make without the rest.
    """

    name: str
    members: int
    share: float
    doubt: float
    alone: float


@dataclass(frozen=True)
class Relief:
    """What a change of the plan would bring.

    Args:
        layers: The layers that are left float;
        widened: or the tensor whose codes reach as far as its values did in calibration.
        sqnr: The centred SQNR then, dB.
    """

    layers: tuple[str, ...]
    widened: str | None
    sqnr: float


@dataclass(frozen=True)
class OnBoard:
    """What a board made of the artifact.

    Args:
        device: The board, as the user wrote it.
        environment: What it is.
        golden: The artifact there, held against the hub graph and the float network.
    """

    device: str
    environment: Mapping[str, Any]
    golden: GoldenCheck

    @property
    def line(self) -> str:
        """The same for a person."""
        if self.golden.float_sqnr is None:
            return f"on {self.device}: {self.golden.status}: {self.golden.summary}"
        return (
            f"on {self.device}: {self.golden.float_sqnr:.1f} dB to the float network, the mean included; "
            f"{self.golden.summary}"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"device": self.device, "environment": dict(self.environment), "golden": self.golden.to_json()}


@dataclass(frozen=True)
class Diagnosis:
    """Which tensors and layers lose what.

    Args:
        model: The network's name.
        target: The target's.
        effort: The recipe's.
        notes: What the recipe's steps did.
        images: Held-out images that were looked at.
        agreeing: Of those, how many the quantised network gives the class that the float one gives; None of
            features and boxes, which name none of an image.
        sqnr: Centred SQNR of the simulated quantised network, dB.
        findings: In the order of the graph: the tensors, then the layers.
        groups: The largest first.
        boxes: Whether the network finds boxes: errors are those of what can become one.
        scope: Of a large network: how many tensors and layers were left out by themselves, and on how many
            images; empty: all, on all.
        reliefs: What changes of the plan would bring: each of the worst layers left float, and all of them;
            each of the worst tensors that are clipped given its whole range.
        advice: What to do, the most rewarding first.
        kernels: What the runtime's check says in one line, or why it was NOT RUN.
        warnings: What the user must not miss about the network and the images.
        board: What a board made of the artifact; None where none was named.
    """

    model: str
    target: str
    effort: str
    notes: tuple[str, ...]
    images: int
    agreeing: int | None
    sqnr: float
    findings: tuple[Finding, ...]
    groups: tuple[Group, ...]
    boxes: bool = False
    scope: str = ""
    reliefs: tuple[Relief, ...] = ()
    advice: tuple[str, ...] = ()
    kernels: str = "NOT RUN: not asked for (--kernels)"
    warnings: tuple[str, ...] = ()
    board: OnBoard | None = None
    definitions: Mapping[str, str] = field(default_factory=lambda: dict(DEFINITIONS))

    @property
    def judged(self) -> str:
        """What the SQNR is of, for a person."""
        if self.boxes:
            return f"on {self.images} held-out images, by what can become boxes"
        if self.agreeing is None:
            return f"on {self.images} held-out images, each output by its power"
        return f"without the mean, {self.agreeing} of {self.images} held-out images classified as in float"

    def worst(self, count: int | None = None) -> list[Finding]:
        """The findings with the largest share of the error, the largest first; None: all."""
        ranked = sorted(self.findings, key=lambda f: f.share, reverse=True)
        return ranked if count is None else ranked[:count]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "schema_version": SCHEMA,
            "kind": "diagnosis",
            **{name: value for name, value in vars(self).items() if name != "sqnr"},
            "notes": list(self.notes),
            "sqnr_db": json_number(self.sqnr),
            "findings": [f.to_json() for f in self.findings],
            "groups": [vars(g) for g in self.groups],
            "reliefs": [
                {"layers": list(r.layers), "widened": r.widened, "sqnr_db": json_number(r.sqnr)}
                for r in self.reliefs
            ],
            "advice": list(self.advice),
            "warnings": list(self.warnings),
            "board": None if self.board is None else self.board.to_json(),
        }


def decibels(signal: float, error: float) -> float:
    """Signal to noise, dB; infinite without an error."""
    if math.isnan(signal) or math.isnan(error):
        return math.nan
    return 10 * math.log10(signal / error) if error > 0 and signal > 0 else math.inf


def shown_share(part: Finding | Group) -> str:
    """A share with its standard error: ``48.1% ± 2.0``; an estimate ``~ 0.3%``."""
    if part.doubt is None:
        return f"~ {part.share:.1%}"
    return f"{part.share:.1%} ± {100 * part.doubt:.1f}"
