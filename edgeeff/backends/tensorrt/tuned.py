"""What a device's ``autotune.json`` holds, held against the bundle it is of.

``device/onboard/autotune.py`` writes it. Nothing of it is believed that can be checked: the choice follows
from the ratios, the ratios from the latencies, and the verdicts from the bundle's own golden outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from edgeeff import regular
from edgeeff.backends.tensorrt import results
from edgeeff.backends.tensorrt.device.onboard import autotune, sealed, variants
from edgeeff.backends.tensorrt.device_result import (
    Clocks,
    Count,
    EngineRecord,
    Golden,
    Images,
    Part,
    Ratio,
    Sha256,
    Text,
    Times,
)
from edgeeff.errors import BundleError, MissingFileError

SCRIPT = "build_engine.py --autotune"
_AGAIN = (
    "run build_engine.py --autotune of this bundle on the device again, and take its measured/autotune.json"
)
#: Names of variants, ``plain`` and ``fp16`` among them.
Name = Text


class TunedLatency(Part):
    """All engines that were faithful, and the control, timed in turn; a run takes so many ``images``."""

    runs: Count
    rounds: Count
    times: dict[Name, Times]
    to_own: dict[Name, Ratio]
    to_control: dict[Name, Ratio]
    spin_wait: bool
    images: Images = 1
    no_cuda_graph: dict[Name, Annotated[str, Field(max_length=300)]]


class Autotuned(Part):
    """A whole ``autotune.json``."""

    schema_version: Literal[1]
    kind: Literal["autotune"]
    bundle: Text
    run_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    manifest_sha256: Sha256
    measured_at: AwareDatetime
    board: Text | None
    tensorrt: Text
    compute_capability: Text
    l4t: str
    own: Name
    engines: dict[Name, EngineRecord]
    failed: dict[Name, Annotated[str, Field(max_length=300)]]
    golden: dict[Name, Golden]
    latency: TunedLatency
    clocks: Clocks
    chosen: str
    control_wins: bool

    @model_validator(mode="after")
    def _agrees(self) -> Autotuned:
        faithful = {n for n, g in self.golden.items() if n != variants.CONTROL and g.passed}
        latency = self.latency
        if not {self.own, variants.CONTROL} <= set(self.engines) or set(self.engines) != set(self.golden):
            raise ValueError("engines and golden results are not of the same variants")
        if set(latency.times) != faithful | {variants.CONTROL} or set(latency.to_control) != faithful:
            raise ValueError("what was timed is not what was faithful, and the control")
        if set(latency.to_own) != (faithful if self.own in faithful else set()):
            raise ValueError("the ratios to the bundle's own graph are not of what was faithful")
        if set(self.failed) & set(self.engines):
            raise ValueError("a variant has an engine and could not be built")
        self._hold_ratios()
        to_own, to_control = (_plain(ratios) for ratios in (latency.to_own, latency.to_control))
        if self.chosen != variants.decide(self.own, to_own, to_control):
            raise ValueError(f"the choice of {self.chosen or 'nothing'} does not follow from the ratios")
        holds = self.golden[variants.CONTROL].passed
        if self.control_wins != variants.control_wins(self.chosen, to_control, faithful=holds):
            raise ValueError("what is said of FP16 does not follow from the ratios")
        for record in self.engines.values():
            if any(getattr(record, f) != getattr(self, f) for f in ("tensorrt", "compute_capability", "l4t")):
                raise ValueError("an engine was not built where it was run")
        return self

    def _hold_ratios(self) -> None:
        times = self.latency.times
        for ratios, base in ((self.latency.to_control, variants.CONTROL), (self.latency.to_own, self.own)):
            for name, said in ratios.items():
                quotient = times[name].gpu_ms.p50 / times[base].gpu_ms.p50
                # A median of quotients is not the quotient of medians; a quarter is beyond any such excuse.
                if not said.low / 1.25 <= quotient <= said.high * 1.25:
                    raise ValueError(f"{name}: a ratio of {said.value} does not follow from the p50s")


def _plain(ratios: Mapping[str, Ratio]) -> dict[str, Any]:
    return {name: ratio.model_dump() for name, ratio in ratios.items()}


def is_tuned(path: Path) -> bool:
    """Whether a file is an ``autotune.json``, and no ``verify.json``, by the kind that it names."""
    try:
        content = regular.read(path, MissingFileError, results.LARGEST, "pass a file that the device wrote")
    except MissingFileError:
        return False
    return f'"kind": "{autotune.KIND}"'.encode() in content


def read(path: Path) -> Autotuned:
    """Read an ``autotune.json``.

    Raises:
        MissingFileError: There is no such file, it cannot be read, or it is too large.
        BundleError: It is malformed, or says what cannot be.
    """
    return results.read_as(Autotuned, path, SCRIPT)


def hold(found: Autotuned, folder: Path) -> None:
    """Hold a result against the bundle it is to be of.

    Raises:
        BundleError: It is of another bundle, or says of this one what its own files contradict.
    """
    manifest = results.manifest_of(found.bundle, found.manifest_sha256, folder)
    for wrong in _contradictions(found, folder, manifest):
        raise BundleError(f"the result of {found.bundle} cannot be: {wrong}", mend=_AGAIN)


def _contradictions(found: Autotuned, folder: Path, manifest: dict[str, Any]) -> Iterator[str]:
    if found.bundle != manifest["name"]:
        yield f"the bundle's name is {manifest['name']}"
    try:
        slugs = variants.carried(manifest)
    except sealed.RefusedError as refusal:
        yield str(refusal)
        return
    if next(iter(slugs)) != found.own:
        yield f"the bundle's own graph is called {next(iter(slugs))}, not {found.own}"
    if {*found.engines, *found.failed} != {*slugs, variants.CONTROL}:
        yield f"it is of {', '.join(found.engines)}, and the bundle carries {', '.join(slugs)}"
        return
    for name, record in found.engines.items():
        precision = "fp16" if name == variants.CONTROL else "int8"
        if record.precision != precision or record.variant != slugs.get(name, ""):
            yield f"the engine of {name} is {record.precision} {record.variant}"
            continue
        yield from results.of_engine(precision, record, manifest)
        yield from results.of_golden(precision, found.golden[name], record, folder, manifest)


def lines(found: Autotuned) -> list[str]:
    """What was found, for a person, as the device printed it."""
    return autotune.lines(found.model_dump(mode="json"))
