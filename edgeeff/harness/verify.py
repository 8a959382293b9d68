"""Whether an artifact does what was built, and how much of the float network is left in it.

Two questions, kept apart. Fidelity: how near is the artifact to the float graph (it warns). Golden: does
this runtime compute what the hub graph said (it fails). No tolerance is exact: two runtimes, even two
optimisation levels of one, differ by some steps of the quantiser on one and the same graph.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from edgeeff import unpacking
from edgeeff.backends import Session
from edgeeff.backends.tensorrt.device.onboard import rule
from edgeeff.batch import Batch
from edgeeff.errors import BundleError, MissingRuntimeError
from edgeeff.metrics import Proportion, json_number, sqnr
from edgeeff.preprocess import Pixels
from edgeeff.tasks import Fidelity, Meaning, Outputs, compared, joined, lowest

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
#: At most, for runs of many images: five megabytes at 224 pixels.
MOST_GOLDEN = 32

GOLDEN = "golden"


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
            "outputs": {name: _pair("sqnr_db", *found) for name, found in self.outputs.items()},
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Verification:
        """The reverse of :meth:`to_json`, of what :meth:`edgeeff.bundle.Bundle.verification` let through."""
        agreement, hub = data["agreement"], data.get("hub_sqnr_db")
        return cls(
            images=data["images"],
            agreement=Proportion(agreement["successes"], agreement["total"]) if agreement else None,
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


@dataclass(frozen=True)
class GoldenCheck:
    """A bundle's artifact on its own golden inputs, on this machine.

    Args:
        status: ``ok``, ``failed``, or ``NOT RUN`` (no golden vectors, or no such runtime here).
        summary: One line for a person, with the reason where it was not run.
        images: How many golden inputs were run.
        hub_sqnr: Against the hub's outputs, dB; it decides. Of several outputs the lowest.
        float_sqnr: Against the float graph's outputs, dB; for information.
        outputs: Of each output, by name, both of these.
    """

    status: Literal["ok", "failed", "NOT RUN"]
    summary: str
    images: int = 0
    hub_sqnr: float | None = None
    float_sqnr: float | None = None
    outputs: Mapping[str, tuple[float, float | None]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "status": self.status,
            "summary": self.summary,
            "images": self.images,
            "hub_sqnr_db": None if self.hub_sqnr is None else json_number(self.hub_sqnr),
            "float_sqnr_db": None if self.float_sqnr is None else json_number(self.float_sqnr),
            "outputs": {name: _pair("float_sqnr_db", *found) for name, found in self.outputs.items()},
        }


def _pair(first: str, one: float, hub: float | None) -> dict[str, Any]:
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
    found = (meaning or Meaning()).fidelity(float_outputs, artifact)
    hub = None if hub_outputs is None else compared(hub_outputs, artifact).outputs
    return Verification(
        images=found.images,
        agreement=found.agreement,
        sqnr=found.sqnr,
        sqnr_centred=found.sqnr_centred,
        hub_sqnr=None if hub is None else lowest(hub.values()),
        outputs={name: (level, hub[name] if hub else None) for name, level in found.outputs.items()},
        warnings=fidelity_warnings(found),
    )


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


def check_golden(bundle: Bundle, *, threads: int = 1) -> GoldenCheck:
    """Run a bundle on its golden inputs; ``onboard/rule.py`` decides, as it does on a device.

    Raises:
        BundleError: The golden files are incomplete, cannot be read or do not fit one another.
    """
    folder = bundle.folder / GOLDEN
    if not folder.is_dir():
        return GoldenCheck("NOT RUN", "the bundle carries no golden vectors")
    inputs, hub, of_float = (
        golden_inputs(bundle),
        golden_outputs(bundle, "hub"),
        golden_outputs(bundle, "float"),
    )
    shapes = [{name: values.shape for name, values in found.items()} for found in (hub, of_float)]
    reals = all(values.dtype.kind == "f" for found in (hub, of_float) for values in found.values())
    if inputs.dtype != np.uint8 or inputs.ndim != 4 or shapes[0] != shapes[1] or not reals:
        raise BundleError(
            f"{folder}: inputs {inputs.dtype} {inputs.shape}, hub {shapes[0]}, float {shapes[1]}"
            " are no golden vectors",
            mend="build the bundle again",
        )
    for values in hub.values():
        if len(inputs) != len(values) or not len(inputs) or values.ndim < 2:
            raise BundleError(
                f"{folder}: {len(inputs)} golden inputs and {len(values)} outputs {values.shape}",
                mend="build the bundle again",
            )
    whole = _whole_runs(len(inputs), bundle.manifest.batch)
    inputs, hub, of_float = inputs[whole], _taken(hub, whole), _taken(of_float, whole)
    try:
        found = bundle.session(threads=threads).infer(inputs)
    except MissingRuntimeError as error:
        return GoldenCheck("NOT RUN", error.what)
    if not bundle.manifest.outputs:  # of schema 1: the only output, which has no name in the bundle
        found = dict(zip(hub, found.values(), strict=True))
    for name, values in found.items():
        if values.shape != hub[name].shape:
            raise BundleError(
                f"{bundle.folder}: the artifact gives {name or 'logits'} {values.shape}, the golden ones are "
                f"{hub[name].shape}",
                mend="build the bundle again",
            )
    meanings = {output.name: output.meaning for output in bundle.manifest.outputs}
    judged = rule.compare_all(
        "fp16" if bundle.manifest.precision == "fp16" else "int8", found, hub, of_float, meanings
    )
    each = {name: (sqnr(of_float[name], found[name]), sqnr(hub[name], found[name])) for name in hub}
    return GoldenCheck(
        "ok" if judged["passed"] else "failed",
        _told(judged),
        images=len(inputs),
        hub_sqnr=lowest(to_hub for _, to_hub in each.values()),
        float_sqnr=lowest(to_float for to_float, _ in each.values()),
        outputs={name: found for name, found in each.items() if name},
    )


def golden_count(asked: int, batch: Batch) -> int:
    """How many golden inputs a bundle carries: those asked for, and one for each place of a run at the least.

    None where none are asked for, and :data:`MOST_GOLDEN` for the places of a longer run.
    """
    return max(asked, min(batch.size, MOST_GOLDEN)) if asked else 0


def _whole_runs(images: int, batch: Batch) -> npt.NDArray[np.int64]:
    """The numbers of the golden images that are run: from the first again until all runs are full.

    So every place of a run of fixed batch is held against what belongs there.
    """
    missing = 0 if batch.dynamic else -images % batch.size
    return np.arange(images + missing) % images


def _taken(
    outputs: Mapping[str, npt.NDArray[Any]], numbers: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[Any]]:
    return {name: values[numbers] for name, values in outputs.items()}


def _told(found: dict[str, Any]) -> str:
    """Of several outputs, what decides."""
    reached, least = found["sqnr_hub_db"], found["tolerance_db"]
    asked = f"{'at least' if found['passed'] else 'must be at least'} {least:.3g}"
    if found["passed"] and reached < least:
        asked = f"under {least:.3g}, by unlucky images: it is as near to the float graph as the hub"
    each = found.get("outputs", {})
    failed = [name for name, figures in each.items() if not figures["passed"]]
    of = "" if len(each) < 2 else f"{', '.join(failed)}: " if failed else f"{len(each)} outputs, the worst "
    return f"{of}{reached:.1f} dB to the hub's outputs on {found['images']} golden inputs ({asked})"


def golden_inputs(bundle: Bundle) -> npt.NDArray[Any]:
    """A bundle's golden inputs, raw pixels uint8 [N, H, W, C].

    Raises:
        BundleError: The file is missing or no array.
    """
    return _read(bundle.folder / GOLDEN / "inputs.npy")


def golden_outputs(bundle: Bundle, kind: Literal["hub", "float"]) -> dict[str, npt.NDArray[Any]]:
    """The golden outputs of hub or float graph, [N, …] by name.

    A bundle of schema 1 has one, in ``golden/hub.npy``, which no name is given: it is called "".

    Raises:
        BundleError: A file is missing or no array.
    """
    folder = bundle.folder / GOLDEN
    if not bundle.manifest.outputs:
        return {"": _read(folder / f"{kind}.npy")}
    return {o.name: _read(folder / kind / rule.file_of(o.name)) for o in bundle.manifest.outputs}


def _read(path: Path) -> npt.NDArray[Any]:
    return unpacking.npy(path, BundleError, "build the bundle again")


def golden_files(
    inputs: Pixels, hub: Mapping[str, npt.NDArray[Any]], of_float: Mapping[str, npt.NDArray[Any]]
) -> dict[str, bytes]:
    """Golden inputs and outputs as the files of a bundle: ``golden/hub/<output>.npy`` and so on."""
    arrays = {f"{GOLDEN}/inputs.npy": inputs}
    for kind, outputs in (("hub", hub), ("float", of_float)):
        arrays |= {f"{GOLDEN}/{kind}/{rule.file_of(name)}": values for name, values in outputs.items()}
    return {name: _npy(array) for name, array in arrays.items()}


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
