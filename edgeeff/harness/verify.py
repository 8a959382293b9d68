"""How much of the float network is left in an artifact: it warns.

Whether a runtime computes what the hub graph said is another question, of :mod:`edgeeff.harness.golden`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeeff.backends import Session
from edgeeff.backends.tensorrt.device.onboard import rule
from edgeeff.metrics import Proportion, json_number
from edgeeff.preprocess import Pixels
from edgeeff.tasks import Fidelity, Meaning, Outputs, compared, joined, lowest

if TYPE_CHECKING:
    pass

AGREEMENT_FLOOR = 0.95
SQNR_FLOOR_DB = 15.0
#: Bytes of outputs that are compared at once.
AT_ONCE = 64 << 20
#: Judged by fewer images than this, a percentage says little.
FEW = 20
#: What two runtimes keep of one graph's outputs at least; the whole rule stands in ``onboard/rule.py``.
GOLDEN_FLOOR_DB = rule.FLOOR["int8"]


@dataclass(frozen=True)
class Verification:
    """An artifact's outputs against the float graph's and the hub graph's, on the same images.

    Args:
        images: How many were compared.
        agreement: With the float graph's decisions: the class of an image; where labels do not exclude
            each other, whether a label is there, for each image and label. None where the task decides
            nothing.
        sqnr: Against the float graph, dB; of several outputs the lowest.
        sqnr_centred: The same without what changes no decision, dB: each image's mean logit, where an image
            has exactly one class.
        hub_sqnr: Against the hub graph, dB: what lowering and the runtime changed; of several outputs the
            lowest. None where no hub outputs were given.
        outputs: Of each output, by name, its SQNR against the float graph and, where given, the hub, dB.
        warnings: What the reader must not miss; empty when all is well.
    """

    images: int
    agreement: Proportion | None
    sqnr: float
    sqnr_centred: float
    hub_sqnr: float | None
    outputs: Mapping[str, tuple[float, float | None]]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "images": self.images,
            "agreement": self.agreement.to_json() if self.agreement else None,
            "sqnr_db": json_number(self.sqnr),
            "sqnr_centred_db": json_number(self.sqnr_centred),
            "hub_sqnr_db": None if self.hub_sqnr is None else json_number(self.hub_sqnr),
            "outputs": {name: as_pair("sqnr_db", *found) for name, found in self.outputs.items()},
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verification:
        """The reverse of :meth:`to_json`, of what :meth:`edgeeff.bundle.Bundle.verification` let through."""
        agreement, hub = data["agreement"], data.get("hub_sqnr_db")
        return cls(
            images=data["images"],
            agreement=Proportion.from_json(agreement) if agreement else None,
            sqnr=float(data["sqnr_db"]),
            sqnr_centred=float(data["sqnr_centred_db"]),
            hub_sqnr=None if hub is None else float(hub),
            outputs={
                name: (
                    float(one["sqnr_db"]),
                    None if one["hub_sqnr_db"] is None else float(one["hub_sqnr_db"]),
                )
                for name, one in data.get("outputs", {}).items()
            },
            warnings=tuple(data["warnings"]),
        )


def as_pair(first: str, one: float, hub: float | None) -> dict[str, Any]:
    """Two SQNRs as plain data: one by its name, and that to the hub."""
    return {first: json_number(one), "hub_sqnr_db": None if hub is None else json_number(hub)}


def fidelity_warnings(found: Fidelity) -> tuple[str, ...]:
    """What to warn of: an agreement under 95 %, an SQNR under 15 dB, or what is no comparison."""
    if not found.images:
        return ("no image was compared with the float graph",)
    warnings = []
    for name, level in found.outputs.items():
        which = f" of {name}" if len(found.outputs) > 1 else ""
        if np.isnan(level):
            warnings.append(f"some {f'values of {name}' if which else 'logits'} are not numbers (NaN)")
        elif level < SQNR_FLOOR_DB:
            warnings.append(
                f"SQNR{which} against the float graph is {level:.1f} dB, under {SQNR_FLOOR_DB:g} dB"
            )
    agreement = found.agreement
    if agreement is not None and agreement.value < AGREEMENT_FLOOR:
        warnings.append(
            f"agreement with the float graph is {agreement.value:.1%}"
            f" ({agreement.successes} of {agreement.total}), under {AGREEMENT_FLOOR:.0%}"
        )
    return tuple(warnings)


def judge(
    artifact: Outputs,
    *,
    float_outputs: Outputs,
    hub_outputs: Outputs | None = None,
    meaning: Meaning | None = None,
) -> Verification:
    """Compare an artifact's outputs with the float graph's and, where given, the hub graph's.

    Args:
        artifact: What the runtime computed, [N, …] each, by name.
        float_outputs: Of the float graph on the same images, by the same names.
        hub_outputs: Of the hub graph on the same images, by the same names.
        meaning: What all of these are; None: logits of exclusive classes.

    Raises:
        ValueError: Names or shapes differ.
    """
    found = _fidelity(meaning or Meaning(), float_outputs, artifact)
    return _verification(found, meaning, None if hub_outputs is None else compared(hub_outputs, artifact))


def judge_parts(parts: Iterable[tuple[Outputs, Outputs]], meaning: Meaning | None = None) -> Verification:
    """The same of outputs that come part by part; none of them is kept.

    Args:
        parts: The float graph's outputs of some images and the artifact's, [n, …] each, by the same names.
        meaning: What all of these are; None: logits of exclusive classes.

    Raises:
        ValueError: Names or shapes differ.
    """
    found = Fidelity()
    for float_outputs, artifact in parts:
        found += _fidelity(meaning or Meaning(), float_outputs, artifact)
    return _verification(found, meaning)


def _verification(found: Fidelity, meaning: Meaning | None, of_hub: Fidelity | None = None) -> Verification:
    hub = None if of_hub is None else of_hub.outputs
    return Verification(
        images=found.images,
        agreement=found.agreement,
        sqnr=found.sqnr,
        sqnr_centred=found.sqnr_centred,
        hub_sqnr=None if hub is None else lowest(hub.values()),
        outputs={name: (level, hub[name] if hub else None) for name, level in found.outputs.items()},
        warnings=(*fidelity_warnings(found), *_without_boxes(meaning, found)),
    )


def _without_boxes(meaning: Meaning | None, found: Fidelity) -> tuple[str, ...]:
    """What to warn of a detector that finds nothing on the images."""
    if meaning is None or meaning.detection is None or found.decisions or not found.images:
        return ()
    return (
        f"neither the float graph nor the artifact finds a box of a score of {meaning.threshold:g} on the "
        f"{found.images} images, so that nothing is known of what was lost: pass images with objects "
        "(--validation), or a lower --threshold",
    )


def _fidelity(meaning: Meaning, reference: Outputs, test: Outputs) -> Fidelity:
    """How near outputs are to the reference's; of large ones image by image, as comparing takes much more."""
    if sum(values.nbytes for values in reference.values()) <= AT_ONCE:
        return meaning.fidelity(reference, test)
    images = len(next(iter(reference.values())))
    found = Fidelity()
    for i in range(images):
        one, other = ({name: v[i : i + 1] for name, v in each.items()} for each in (reference, test))
        found += meaning.fidelity(one, other)
    return found


def verify(
    session: Session,
    batches: Iterable[Pixels],
    *,
    float_outputs: Outputs,
    hub_outputs: Outputs | None = None,
) -> Verification:
    """Run an artifact on raw pixels and :func:`judge` what it says.

    Args:
        session: The loaded artifact, ``bundle.session()``.
        batches: uint8 [N, H, W, C] each; together the images that the reference outputs belong to.
        float_outputs: [images, …] each, in the order of the batches.
        hub_outputs: The same of the hub graph.

    Raises:
        ValueError: The batches and the reference outputs are not of as many images.
    """
    artifact = joined(session.infer(batch) for batch in batches)
    return judge(artifact, float_outputs=float_outputs, hub_outputs=hub_outputs)
