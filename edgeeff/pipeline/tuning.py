"""Which variant of a target a machine is fastest with: measured once, kept as a file that builds take.

The rules of a target (the ``cpu`` of its variants) were measured on other machines. ``--autotune`` asks this
one, ``--tuning FILE`` takes an answer: a build that is given the file is the same wherever it runs.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgeeff import backends, regular, text, toml
from edgeeff.errors import MissingFileError, OptionError
from edgeeff.harness import latency, machine
from edgeeff.harness.latency import Ratio
from edgeeff.pipeline import scratch
from edgeeff.target import Activation, Target, Variant

if TYPE_CHECKING:
    from edgeeff.pipeline.steps import Work

#: The target as it stands, without any variant.
PLAIN = "plain"

LAUNCHES, SECONDS = 7, 1.0


@dataclass(frozen=True)
class Tuning:
    """The variants chosen, by target and by the network's activation, as ``cpu-int8/unbounded``."""

    choices: Mapping[str, str]

    def variant(self, target: Target, activation: Activation) -> Variant | Literal["plain"] | None:
        """What was chosen for a target; None where it was not measured.

        Raises:
            OptionError: The target has no such variant.
        """
        name = self.choices.get(f"{target.name}/{activation}")
        if name is None:
            return None
        if name == PLAIN:
            return "plain"
        for variant in target.choices(activation):
            if variant.name == name:
                return variant
        known = ", ".join([PLAIN, *(v.name for v in target.choices(activation))])
        raise OptionError(
            f"the tuning names the variant {name!r}, which {target.name} does not have",
            mend=f"tune again with --autotune: its variants are {known}",
        )


class _Timed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    variant: str
    cpu_ms: float
    ratio: float
    interval: list[float]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    chosen: str
    measured: list[_Timed]


class _TuningFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    schema_version: Literal[1]
    model: str
    machine: dict[str, Any]
    targets: dict[str, _Entry]


def read(path: Path) -> Tuning:
    """Read a tuning file.

    Raises:
        MissingFileError: There is no such file.
        OptionError: It is no tuning.
    """
    if not regular.is_file(path):
        raise MissingFileError(f"no file {path}", mend="pass a tuning.json that --autotune wrote")
    try:
        content = _TuningFile.model_validate_json(text.read(path, OptionError))
    except ValidationError as error:
        raise OptionError(
            f"{path} is no tuning: {toml.first(error)}", mend="write one with --autotune"
        ) from None
    return Tuning({name: entry.chosen for name, entry in content.targets.items()})


def measure(work: Work, targets: Sequence[Target]) -> tuple[Tuning, bytes]:
    """Time every variant of every target here, in turn in the same processes.

    Args:
        work: The steps of the build.
        targets: Those without variants, and those whose runtime is not here, are passed over.

    Returns:
        What was chosen, and the text of its file.

    Raises:
        OptionError: The build is for another class of processor, or no target has anything to choose.
    """
    here = machine.cpu_class()
    if work.options.cpu_class != here:
        raise OptionError(
            f"--autotune measures this machine, which is of the class {here}, not {work.options.cpu_class}",
            mend="run it on the machine that it is for, or leave out --cpu-class",
        )
    found: dict[str, _Entry] = {}
    for target in targets:
        activation = work.network.activation
        if (
            target.scheme is None
            or not target.choices(activation)
            or backends.runtime(target.runtime).missing()
        ):
            continue
        rule = target.variant(work.options.cpu_class, activation)
        entry = _measured(work, target, [None, *target.choices(activation)], rule)
        found[f"{target.name}/{activation}"] = entry
        for timed in entry.measured:
            sign = "→" if timed.variant == entry.chosen else " "
            low, high = timed.interval
            work.progress.tell(
                f"{sign} {timed.variant:<28} {timed.cpu_ms:7.2f} ms  {timed.ratio:.3f} ({low:.3f}…{high:.3f})"
            )
    if not found:
        raise OptionError(
            f"{', '.join(t.name for t in targets)}: no variant for this network, or no runtime here",
            mend="leave out --autotune; targets/cpu-int8.toml has variants for networks with Swish",
        )
    content = _TuningFile(
        schema_version=1,
        model=work.identity.model,
        machine=machine.describe().to_json(),
        targets=found,
    )
    written = json.dumps(content.model_dump(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return Tuning({name: entry.chosen for name, entry in found.items()}), written.encode()


def choose(rule: str, ratios: Mapping[str, Ratio]) -> str:
    """The rule's variant, unless another one is certainly faster: then the fastest of those.

    Args:
        rule: The variant that the target's rules give.
        ratios: Of every variant's latency to the rule's, with 95 % intervals.
    """
    faster = {
        name: ratio.value
        for name, ratio in ratios.items()
        if name != rule and ratio.interval is not None and ratio.interval.high < 1
    }
    return min(faster, key=lambda name: faster[name]) if faster else rule


def _measured(work: Work, target: Target, variants: Sequence[Variant | None], rule: Variant | None) -> _Entry:
    work.progress.stage(f"{target.name}: timing {len(variants)} variants here")
    raw = backends.runtime(target.runtime).holds_pixels(target.input)
    names = {f"v{i}": PLAIN if v is None else v.name for i, v in enumerate(variants)}
    baseline = next(label for label, name in names.items() if name == (PLAIN if rule is None else rule.name))
    with tempfile.TemporaryDirectory() as folder:
        bundles = [
            scratch.bundle(work, target.served(v), raw, Path(folder) / label)
            for label, v in zip(names, variants, strict=True)
        ]
        report = latency.benchmark(bundles, baseline=baseline, launches=LAUNCHES, seconds=SECONDS)
    ratios, timed = {}, []
    for label, name in names.items():
        ratio, timing = report.ratio(label, baseline), report.entry(label).timing
        if ratio is None or timing is None:
            continue
        ratios[name] = ratio
        low, high = ratio.interval or (ratio.value, ratio.value)
        timed.append(
            _Timed(variant=name, cpu_ms=round(timing.cpu_ms, 3), ratio=ratio.value, interval=[low, high])
        )
    return _Entry(chosen=choose(names[baseline], ratios), measured=timed)
