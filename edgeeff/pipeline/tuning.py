"""Which variant of each target this machine is fastest with: measured once, kept as a file that builds take.

The rules of a target (the ``cpu`` of its variants) were measured on other machines. ``--autotune`` asks this
one, ``--tuning FILE`` takes an answer: a build that is given the file is the same wherever it runs.

A target whose runtime is on a device alone is asked there: ``--autotune`` puts its variants into the bundle
(carrying.py), and ``import-result`` makes such a file of what the device says (brought_home.py).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgeeff import backends
from edgeeff.batch import ONE, Batch
from edgeeff.errors import OptionError
from edgeeff.files import write_file
from edgeeff.harness import machine
from edgeeff.harness.latency import Ratio
from edgeeff.pipeline import artifact, timings
from edgeeff.pipeline.options import Options
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.pipeline.variants import PLAIN, Entry, Timed, Tuning, TuningFile, of_batch
from edgeeff.target import Activation, Target, Variant

#: An even number: each of two variants is loaded first equally often.
LAUNCHES, SECONDS = 8, 0.6


def asked(drafting: Drafting, targets: Sequence[Target], file: Path, options: Options) -> Options:
    """The options with what ``--autotune`` brings: a tuning by this machine, variants for devices to time.

    Raises:
        OptionError: As for :func:`measure`; or variants for a device are asked for beside training.
    """
    activation = drafting.calibration.network.activation
    away = [target for target in targets if chooses_on_device(target) and target.choices(activation)]
    if away and options.training is not None:
        raise OptionError(
            f"--autotune puts variants into {away[0].name}, and --train fits the weights to one of them",
            mend="leave out --train; then build with --train and the --tuning that the device gave",
        )
    here = [target for target in targets if target not in away]
    if not away or any(_can_be_timed(target, activation) for target in here):
        options = replace(options, tuning=tune(drafting, here, file, options.batch))
    return replace(options, carry=True)


def chooses_on_device(target: Target) -> bool:
    """Whether a bundle of the target can carry its variants, for its device to choose among."""
    return target.scheme is not None and backends.runtime(target.runtime).chooses_on_device


def _can_be_timed(target: Target, activation: Activation) -> bool:
    """Whether there is something to choose, and a runtime here to ask."""
    if target.scheme is None or not target.choices(activation) or chooses_on_device(target):
        return False
    return not backends.runtime(target.runtime).missing()


def tune(drafting: Drafting, targets: Sequence[Target], file: Path, batch: Batch = ONE) -> Tuning:
    """Ask this machine which variants it is fastest with, and keep the answer in a file.

    ``batch`` is that of the artifacts that are built by it.

    Raises:
        OptionError: As for :func:`measure`.
        OutputError: The file cannot be written.
    """
    found, text = measure(drafting, targets, batch)
    write_file(file, text)
    drafting.context.progress.tell(f"tuning   {file}")
    return found


def measure(drafting: Drafting, targets: Sequence[Target], batch: Batch = ONE) -> tuple[Tuning, bytes]:
    """Time every variant of every target here, in turn in the same processes.

    Args:
        drafting: How the network is quantised.
        targets: Those without variants, and those whose runtime is not here, are passed over.
        batch: Images in a run; of a run of any number the most are timed.

    Returns:
        What was chosen, and the text of its file.

    Raises:
        OptionError: The build is for another class of processor, or no target has anything to choose.
    """
    here, network = machine.cpu_class(), drafting.calibration.network
    if drafting.cpu_class != here:
        raise OptionError(
            f"--autotune measures this machine, which is of the class {here}, not {drafting.cpu_class}",
            mend="run it on the machine that it is for, or leave out --cpu-class",
        )
    found: dict[str, Entry] = {}
    for target in targets:
        activation = network.activation
        choices = target.choices(activation)
        if not _can_be_timed(target, activation):
            continue
        rule = target.variant(drafting.cpu_class, activation)
        entry = _measured(drafting, target, [None, *choices], rule, batch)
        found[f"{target.name}/{activation}"] = entry
        for timed in entry.measured:
            drafting.context.progress.tell(_line(timed, chosen=timed.variant == entry.chosen))
    if not found:
        raise OptionError(
            f"{', '.join(t.name for t in targets)}: no variant for this network, or no runtime here",
            mend="leave out --autotune; targets/cpu-int8.toml has variants for networks with Swish",
        )
    content = TuningFile(
        schema_version=1,
        model=network.source.identity.model,
        machine=machine.describe().to_json(),
        targets=found,
        batch=batch.to_json(),
    )
    written = json.dumps(content.model_dump(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return Tuning.of(found, batch), written.encode()


def _line(timed: Timed, *, chosen: bool) -> str:
    low, high = timed.interval
    sign = "→" if chosen else " "
    return f"{sign} {timed.variant:<28} {timed.cpu_ms or 0:7.2f} ms  {timed.ratio:.3f} ({low:.3f}…{high:.3f})"


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


def _measured(
    drafting: Drafting, target: Target, variants: Sequence[Variant | None], rule: Variant | None, batch: Batch
) -> Entry:
    drafting.context.progress.stage(f"{target.name}: timing {len(variants)} variants here")
    names = {f"v{i}": PLAIN if v is None else v.name for i, v in enumerate(variants)}
    baseline = next(label for label, name in names.items() if name == (PLAIN if rule is None else rule.name))
    with tempfile.TemporaryDirectory() as folder:
        bundles = [
            artifact.scratch(drafting, target.served(of_batch(v, batch)), Path(folder) / label, batch=batch)
            for label, v in zip(names, variants, strict=True)
        ]
        report = timings.timed(
            bundles, drafting.context.progress, launches=LAUNCHES, seconds=SECONDS, baseline=baseline
        )
    ratios, timed = {}, []
    for label, name in names.items():
        ratio, timing = report.ratio(label, baseline), report.entry(label).timing
        if ratio is None or timing is None:
            continue
        ratios[name] = ratio
        low, high = ratio.interval or (ratio.value, ratio.value)
        timed.append(
            Timed(variant=name, cpu_ms=round(timing.cpu_ms, 3), ratio=ratio.value, interval=[low, high])
        )
    chosen = choose(names[baseline], ratios)
    return Entry(chosen=chosen, measured=timed, doubts=list(timings.doubts(report)))
