"""Whether an artifact does what was built, and how much of the float network is left in it.

Two questions, kept apart. Fidelity: how near is the artifact to the float graph (it warns). Golden: does
this runtime compute what the hub graph said (it fails). No tolerance is exact: two runtimes, even two
optimisation levels of one, differ by some steps of the quantiser on one and the same graph.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from edgeeff import unpacking
from edgeeff.backends import Session
from edgeeff.backends.tensorrt.device.onboard import rule
from edgeeff.errors import BundleError, MissingRuntimeError
from edgeeff.metrics import Array, Proportion, SqnrAccumulator, json_number, sqnr
from edgeeff.preprocess import Pixels
from edgeeff.tasks import Meaning

if TYPE_CHECKING:
    from edgeeff.bundle import Bundle

AGREEMENT_FLOOR = 0.95
SQNR_FLOOR_DB = 15.0
#: Judged by fewer images than this, a percentage says little.
FEW = 20
#: What two runtimes keep of one graph's outputs at least; the whole rule stands in ``onboard/rule.py``.
GOLDEN_FLOOR_DB = rule.FLOOR["int8"]
#: Golden images of a bundle: single images lie tens of dB apart, and groups of four were too often unlucky.
GOLDEN_IMAGES = 8

GOLDEN = "golden"


@dataclass(frozen=True)
class Verification:
    """An artifact's logits against the float graph's and the hub graph's, on the same images.

    Args:
        images: How many were compared.
        agreement: With the float graph's decisions: the class of an image; where labels do not exclude
            each other, whether a label is there, for each image and label.
        sqnr: Against the float logits, dB.
        sqnr_centred: The same without what changes no decision, dB: each image's mean logit, where an image
            has exactly one class.
        hub_sqnr: Against the hub graph's logits, dB: what lowering and the runtime changed. None where no
            hub logits were given.
        warnings: What the reader must not miss; empty when all is well.
    """

    images: int
    agreement: Proportion
    sqnr: float
    sqnr_centred: float
    hub_sqnr: float | None
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "images": self.images,
            "agreement": self.agreement.to_json(),
            "sqnr_db": json_number(self.sqnr),
            "sqnr_centred_db": json_number(self.sqnr_centred),
            "hub_sqnr_db": None if self.hub_sqnr is None else json_number(self.hub_sqnr),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class GoldenCheck:
    """A bundle's artifact on its own golden inputs, on this machine.

    Args:
        status: ``ok``, ``failed``, or ``NOT RUN`` (no golden vectors, or no such runtime here).
        summary: One line for a person, with the reason where it was not run.
        images: How many golden inputs were run.
        hub_sqnr: Against the hub's outputs, dB; it decides.
        float_sqnr: Against the float graph's outputs, dB; for information.
    """

    status: Literal["ok", "failed", "NOT RUN"]
    summary: str
    images: int = 0
    hub_sqnr: float | None = None
    float_sqnr: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "status": self.status,
            "summary": self.summary,
            "images": self.images,
            "hub_sqnr_db": None if self.hub_sqnr is None else json_number(self.hub_sqnr),
            "float_sqnr_db": None if self.float_sqnr is None else json_number(self.float_sqnr),
        }


class FidelityAccumulator:
    """Agreement and SQNR against reference outputs, batch by batch."""

    def __init__(self, meaning: Meaning | None = None) -> None:
        self._meaning = meaning or Meaning()
        self._agreeing = 0
        self._total = 0
        self._sqnr = SqnrAccumulator()
        self._centred = SqnrAccumulator(per_image_mean=self._meaning.exclusive)

    def update(self, reference: Array, test: Array) -> None:
        """Add a batch of logits, both [N, classes]."""
        self._sqnr.update(reference, test)
        self._centred.update(reference, test)
        same = self._meaning.decisions(reference) == self._meaning.decisions(test)
        self._agreeing += int(same.sum())
        self._total += same.size

    @property
    def agreement(self) -> Proportion:
        """Decisions that are the same: one for each image, or one for each image and label."""
        return Proportion(self._agreeing, self._total)

    @property
    def sqnr(self) -> float:
        """Pooled over all logits, dB."""
        return self._sqnr.value

    @property
    def sqnr_centred(self) -> float:
        """The same without what changes no decision, dB."""
        return self._centred.value


def fidelity_warnings(agreement: Proportion, sqnr: float) -> tuple[str, ...]:
    """What to warn of: an agreement under 95 %, an SQNR under 15 dB, or what is no comparison."""
    if not agreement.total:
        return ("no image was compared with the float graph",)
    warnings = []
    if np.isnan(sqnr):
        warnings.append("some logits are not numbers (NaN)")
    elif sqnr < SQNR_FLOOR_DB:
        warnings.append(f"SQNR against the float graph is {sqnr:.1f} dB, under {SQNR_FLOOR_DB:g} dB")
    if agreement.value < AGREEMENT_FLOOR:
        warnings.append(
            f"agreement with the float graph is {agreement.value:.1%}"
            f" ({agreement.successes} of {agreement.total}), under {AGREEMENT_FLOOR:.0%}"
        )
    return tuple(warnings)


def judge(
    artifact: Array,
    *,
    float_logits: Array,
    hub_logits: Array | None = None,
    meaning: Meaning | None = None,
) -> Verification:
    """Compare an artifact's logits with the float graph's and, where given, the hub graph's.

    Args:
        artifact: What the runtime computed, [N, classes].
        float_logits: Of the float graph on the same images, same shape.
        hub_logits: Of the hub graph on the same images, same shape.
        meaning: What all of these are; None: logits of exclusive classes.

    Raises:
        ValueError: The shapes differ.
    """
    fidelity = FidelityAccumulator(meaning)
    fidelity.update(float_logits, artifact)
    return Verification(
        images=len(artifact),
        agreement=fidelity.agreement,
        sqnr=fidelity.sqnr,
        sqnr_centred=fidelity.sqnr_centred,
        hub_sqnr=None if hub_logits is None else sqnr(hub_logits, artifact),
        warnings=fidelity_warnings(fidelity.agreement, fidelity.sqnr),
    )


def verify(
    session: Session,
    batches: Iterable[Pixels],
    *,
    float_logits: Array,
    hub_logits: Array | None = None,
) -> Verification:
    """Run an artifact on raw pixels and :func:`judge` what it says.

    Args:
        session: The loaded artifact, ``bundle.session()``.
        batches: uint8 [N, H, W, 3] each; together the images that the reference logits belong to.
        float_logits: [images, classes], in the order of the batches.
        hub_logits: The same of the hub graph.

    Raises:
        ValueError: The batches and the reference logits are not of as many images.
    """
    artifact = np.concatenate([session.infer(batch) for batch in batches])
    return judge(artifact, float_logits=float_logits, hub_logits=hub_logits)


def check_golden(bundle: Bundle, *, threads: int = 1) -> GoldenCheck:
    """Run a bundle on its golden inputs; ``onboard/rule.py`` decides, as it does on a device.

    Raises:
        BundleError: The golden files are incomplete, cannot be read or do not fit one another.
    """
    folder = bundle.folder / GOLDEN
    if not folder.is_dir():
        return GoldenCheck("NOT RUN", "the bundle carries no golden vectors")
    inputs, hub, of_float = (
        read_golden(bundle, "inputs"),
        read_golden(bundle, "hub"),
        read_golden(bundle, "float"),
    )
    if inputs.dtype != np.uint8 or inputs.ndim != 4 or hub.shape != of_float.shape or hub.ndim != 2:
        raise BundleError(
            f"{folder}: inputs {inputs.dtype} {inputs.shape}, hub {hub.shape}, float {of_float.shape}"
            " are no golden vectors",
            mend="build the bundle again",
        )
    if len(inputs) != len(hub) or not len(inputs):
        raise BundleError(
            f"{folder}: {len(inputs)} golden inputs and {len(hub)} outputs", mend="build the bundle again"
        )
    try:
        logits = bundle.session(threads=threads).infer(inputs)
    except MissingRuntimeError as error:
        return GoldenCheck("NOT RUN", error.what)
    if logits.shape != hub.shape:
        raise BundleError(
            f"{bundle.folder}: the artifact gives logits {logits.shape}, the golden ones are {hub.shape}",
            mend="build the bundle again",
        )
    found = rule.compare("fp16" if bundle.manifest.precision == "fp16" else "int8", logits, hub, of_float)
    return GoldenCheck(
        "ok" if found["passed"] else "failed",
        _told(found),
        images=len(inputs),
        hub_sqnr=sqnr(hub, logits),
        float_sqnr=sqnr(of_float, logits),
    )


def _told(found: dict[str, Any]) -> str:
    reached, least = found["sqnr_hub_db"], found["tolerance_db"]
    asked = f"{'at least' if found['passed'] else 'must be at least'} {least:.3g}"
    if found["passed"] and reached < least:
        asked = f"under {least:.3g}, by unlucky images: it is as near to the float graph as the hub"
    return f"{reached:.1f} dB to the hub's outputs on {found['images']} golden inputs ({asked})"


def read_golden(bundle: Bundle, name: Literal["inputs", "hub", "float"]) -> npt.NDArray[Any]:
    """One of a bundle's golden arrays: raw pixels uint8 [N, H, W, 3], or logits [N, classes].

    Raises:
        BundleError: The file is missing or no array.
    """
    path = bundle.folder / GOLDEN / f"{name}.npy"
    return unpacking.npy(path, BundleError, "build the bundle again")
