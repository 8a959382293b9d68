"""Whether a runtime computes what the hub graph said: a bundle on its own golden inputs.

No tolerance is exact: two runtimes, even two optimisation levels of one, differ by some steps of the
quantiser on one and the same graph.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
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
from edgeeff.harness.verify import as_pair
from edgeeff.metrics import json_number, sqnr
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.tasks import Output, lowest

if TYPE_CHECKING:
    from edgeeff.bundle import Bundle

#: Golden images of a bundle: single images lie tens of dB apart, and groups of four were too often unlucky.
GOLDEN_IMAGES = 8
#: At most, for runs of many images: five megabytes at 224 pixels.
MOST_GOLDEN = 32

#: Bytes of golden outputs, of which hub and float graph have as many each: a detector's are values of each
#: anchor, 18 MB of one image for D0 with 90 classes.
MOST_BYTES = 24 << 20

GOLDEN = "golden"


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
            "outputs": {name: as_pair("float_sqnr_db", *found) for name, found in self.outputs.items()},
        }


def check_golden(bundle: Bundle, *, threads: int = 1, session: Session | None = None) -> GoldenCheck:
    """Run a bundle on its golden inputs; ``onboard/rule.py`` decides, as it does on a device.

    A ``session`` of the bundle that is open already is taken, else one is opened.

    Raises:
        BundleError: The golden files are incomplete, cannot be read or do not fit one another.
    """
    folder = bundle.folder / GOLDEN
    if not folder.is_dir():
        return GoldenCheck("NOT RUN", "the bundle carries no golden vectors")
    inputs = golden_inputs(bundle)
    hub, of_float = golden_outputs(bundle, "hub"), golden_outputs(bundle, "float")
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
        found = (session or bundle.session(threads=threads)).infer(inputs)
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


def golden_count(
    asked: int, batch: Batch, outputs: Sequence[Output] = (), preprocess: Preprocess | None = None
) -> int:
    """How many golden inputs a bundle carries: those asked for, and one for each place of a run at the least.

    None where none are asked for, and :data:`MOST_GOLDEN` for the places of a longer run. Of outputs so large
    that :data:`MOST_BYTES` would be passed fewer, but one.

    Args:
        asked: By the user.
        batch: Of the artifact.
        outputs: Of the artifact.
        preprocess: Of an artifact that resizes frames itself: they are larger than the network's input.
    """
    if not asked:
        return 0
    each = 4 * sum(math.prod(output.shape) for output in outputs)
    if preprocess is not None and preprocess.taken != preprocess.size:
        each = max(each, 3 * math.prod(preprocess.taken))
    most = max(1, MOST_BYTES // each) if each else MOST_GOLDEN + asked
    return min(max(asked, min(batch.size, MOST_GOLDEN)), most)


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
