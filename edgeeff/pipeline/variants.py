"""The variants of a target: which one serves a processor and a network, by rule or as it was tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from edgeeff import regular, text, toml
from edgeeff.batch import ONE, Batch
from edgeeff.errors import MissingFileError, OptionError
from edgeeff.pipeline.stages.network import Network
from edgeeff.target import Activation, Target, Variant

#: The target as it stands, without any variant.
PLAIN = "plain"


@dataclass(frozen=True)
class Tuning:
    """The variants chosen, by target and by the network's activation, as ``cpu-int8/unbounded``.

    Args:
        choices: Their names.
        batch: Images in a run, when they were timed.
        doubts: What makes the timings of each choice doubtful, by the same names.
        remarks: What else is to be warned of, by the same names.
    """

    choices: Mapping[str, str]
    batch: Batch = ONE
    doubts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Mapping[str, Entry], batch: Batch) -> Tuning:
        """From a file's entries."""
        choices = {name: entry.chosen for name, entry in entries.items()}
        doubts = {name: entry.doubts for name, entry in entries.items()}
        return cls(choices, batch, doubts, {name: entry.remarks for name, entry in entries.items()})

    def facts(self) -> dict[str, Any]:
        """What a bundle depends on: what was chosen, and what is to be warned of."""
        doubtful = {name: list(texts) for name, texts in self.doubts.items() if texts}
        remarks = {name: list(texts) for name, texts in self.remarks.items() if texts}
        said = {"doubts": doubtful, "remarks": remarks}
        return {**self.choices, **{name: texts for name, texts in said.items() if texts}}

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


class Timed(BaseModel):
    """One variant as it was measured, beside the rule's: by the processor's clock, or by a device's GPU."""

    model_config = ConfigDict(extra="forbid", strict=True)
    variant: str
    cpu_ms: float | None = None
    gpu_ms: float | None = None
    ratio: float
    interval: list[float]


class Entry(BaseModel):
    """One target and kind of network: what was chosen, and from what.

    ``doubts`` say why the timings are doubtful, ``remarks`` what a build by them says whatever was chosen.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    chosen: str
    measured: list[Timed]
    doubts: list[str] = []
    remarks: list[str] = []


class TuningFile(BaseModel):
    """A tuning as it is kept."""

    model_config = ConfigDict(extra="forbid", strict=True)
    schema_version: Literal[1]
    model: str
    machine: dict[str, Any]
    targets: dict[str, Entry]
    batch: int | str = 1


def read(path: Path) -> Tuning:
    """Read a tuning file.

    Raises:
        MissingFileError: There is no such file.
        OptionError: It is no tuning.
    """
    if not regular.is_file(path):
        raise MissingFileError(f"no file {path}", mend="pass a tuning.json that --autotune wrote")
    try:
        content = TuningFile.model_validate_json(text.read(path, OptionError))
    except ValidationError as error:
        raise OptionError(
            f"{path} is no tuning: {toml.first(error)}", mend="write one with --autotune"
        ) from None
    return Tuning.of(content.targets, Batch.read(content.batch))


def served(
    target: Target, network: Network, cpu_class: str, tuning: Tuning | None, batch: Batch = ONE
) -> Target:
    """The target as the variant has it that suits the processor and the network, or that was tuned.

    Args:
        target: Perhaps with variants.
        network: Its activation decides, where there are variants to choose from.
        cpu_class: What is planned for.
        tuning: What an earlier ``--autotune`` found.
        batch: Of a graph of open batch a runtime makes many kernels of a polynomial: there Swish stays.

    Raises:
        OptionError: The tuning names a variant that the target does not have.
    """
    if target.scheme is None or not target.variants:
        return target.served(None)
    rule = target.variant(cpu_class, network.activation)
    tuned = tuning.variant(target, network.activation) if tuning else None
    chosen = rule if tuned is None else None if tuned == "plain" else tuned
    if tuning is not None and tuned is not None:
        for doubt in tuning.doubts.get(f"{target.name}/{network.activation}", ()):
            network.context.warn(f"the variant of {target.name} was chosen by doubtful timings: {doubt}")
    for remark in tuning.remarks.get(f"{target.name}/{network.activation}", ()) if tuning else ():
        network.context.warn(remark)
    if tuning is not None and tuned is not None and tuning.batch != batch:
        network.context.warn(
            f"the tuning of {target.name} was measured with {tuning.batch} images in a run, and this build "
            f"takes {batch}: tune again with --autotune"
        )
    chosen = of_batch(chosen, batch)
    if chosen is not None:
        why = "as it was tuned" if tuning else f"the rule for {cpu_class} CPUs"
        network.context.say_once(f"variant  {target.name}: {chosen.name} ({why})")
    return target.served(chosen)


def of_batch(variant: Variant | None, batch: Batch) -> Variant | None:
    """A variant as it is built for a batch: where that is open, Swish stays as it is."""
    if variant is None or variant.swish_form != "polynomial" or not batch.dynamic:
        return variant
    return replace(variant, name=f"{variant.name}, Swish as it is (open batch)", swish_form="exact")
