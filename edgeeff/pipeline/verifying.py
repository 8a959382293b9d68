"""Run a built artifact and hold it against the float graph and its own hub graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeeff import backends
from edgeeff.backends import Evidence, Examination
from edgeeff.bundle import Bundle
from edgeeff.errors import MissingRuntimeError, VerificationError
from edgeeff.harness import machine, verify
from edgeeff.pipeline import mixed
from edgeeff.quantization.budget import judge
from edgeeff.tasks import Outputs, joined, only

if TYPE_CHECKING:
    from edgeeff.pipeline.steps import Hub, Work

#: Held-out images that an artifact which cannot run here is examined on: all logits of so few are enough.
EXAMINED = 8


def verify_bundle(work: Work, bundle: Bundle, hub: Hub) -> tuple[dict[str, Any], Mapping[str, bytes]]:
    """Run the artifact on held-out images and hold it against the float graph; warn of what is not well.

    Returns:
        The report, and what the runtime made of the artifact that is to be kept beside it.

    Raises:
        VerificationError: The artifact does not compute what its hub graph says.
    """
    batches, float_outputs = work.judged()
    report: dict[str, Any] = {"images": sum(map(len, batches)), "bad_images": work.bad_images()}
    if hub.plan is not None:
        hub_outputs = work.infer(hub.graph, batches, hub.raw)
        report["hub"] = verify.judge(
            hub_outputs, float_outputs=float_outputs, meaning=replace(work.meaning, probable=False)
        ).to_json()
    check = bundle.check()
    report["check"] = f"{check.status}: {check.summary}" if check.status != "ok" else check.summary
    report["counts"] = dict(check.counts)
    report["fallbacks"] = list(check.fallbacks)
    if check.deviations and work.options.cpu_class == machine.cpu_class():
        raise VerificationError(
            f"{bundle.name}: {bundle.manifest.runtime} does not do what the plan relies on: "
            f"{'; '.join(check.deviations)}",
            mend="measure what this machine is fastest with: --autotune",
        )
    _warn(work, bundle, check.warnings)
    if backends.runtime(bundle.manifest.runtime).offers("examine"):
        examined = _examined(work, bundle, hub)
        report |= {**examined.report, "ladder": {**examined.ladder, **check.ladder}}
        _warn(work, bundle, examined.warnings)
    outputs: Outputs | None = None
    try:
        session = bundle.session()
    except MissingRuntimeError as error:
        report["not_run"] = error.what
        judged = report.get("hub")
        if judged is not None:
            _warn(work, bundle, judged["warnings"])
    else:
        expected = work.meaning.outputs(float_outputs, bundle.manifest.outputs)
        outputs = joined(session.infer(batch) for batch in batches)
        found = verify.judge(outputs, float_outputs=expected, meaning=work.meaning)
        report["artifact"] = found.to_json()
        _warn(work, bundle, found.warnings)
        golden = verify.check_golden(bundle)
        report["golden"] = golden.to_json()
        if golden.status == "failed":
            raise _refusal(work, bundle, golden.summary, quantised=hub.plan is not None)
    budget, choice = work.options.budget, hub.floating.choice
    if budget is not None and choice is not None:
        # Probabilities are no logits: of an artifact that ends in them the hub graph is judged.
        shown = hub_outputs if outputs is None or work.meaning.probable else outputs
        judged = judge(only(float_outputs), only(shown), *work.known())
        _warn(work, bundle, mixed.hold(budget, choice, judged, bundle.name))
        report["budget"] = {**choice.to_json(), "verified": judged.to_json()}
    return report, check.files


def _refusal(work: Work, bundle: Bundle, summary: str, *, quantised: bool) -> VerificationError:
    """The golden check failed. A network at work on what it does not know comes first as the reason."""
    wrong = f"{bundle.name} does not compute what its hub graph says: {summary}"
    own, built = work.identity.preprocess.size, work.preprocess.size
    # Those that an option settles were not warned of, and are no reason.
    suspects = [text for text in work.identity.warnings if text in work.progress.warnings]
    if own != built:
        suspects.append(f"the network is of {own[0]}×{own[1]} images and was built for {built[0]}×{built[1]}")
    if quantised:
        judged = work.calibrated.judgement()
        suspects += [*judged.trial.warnings, *judged.domain.warnings]
    report = "report it with the model, the target and the runtime's version"
    if not suspects:
        return VerificationError(wrong, mend=report)
    return VerificationError(
        f"{'; '.join(suspects)}; so its logits may be mostly noise, and {wrong}",
        mend=f"correct that first, and look whether it passes then; if it does not, {report}",
    )


def _warn(work: Work, bundle: Bundle, texts: Iterable[str]) -> None:
    for text in texts:
        work.progress.warn(text, about=bundle.name)


def _examined(work: Work, bundle: Bundle, hub: Hub) -> Examination:
    """What is said of an artifact that cannot run here, on a few held-out images."""
    batches, float_outputs = work.judged()
    images = np.concatenate(batches[:EXAMINED])[:EXAMINED]
    named = bundle.manifest.outputs
    outputs = {name: values[: len(images)] for name, values in float_outputs.items()}
    quantised = None
    if hub.plan is not None:
        found_by_hub = work.infer(hub.graph, [images], hub.raw, literal=True)
        quantised = work.meaning.outputs(found_by_hub, named)
    evidence = Evidence(images, work.meaning.outputs(outputs, named), quantised, partial(_largest, work))
    part = backends.runtime(bundle.manifest.runtime).part("examine")
    found: Examination = part.examine(bundle, evidence)
    for line in found.lines:
        work.context.say_once(line)
    return found


def _largest(work: Work) -> dict[str, float]:
    """The largest |value| that each tensor of the float graph reached on the calibration images."""
    return {name: max(-s.low, s.high) for name, s in work.calibrated.observed().statistics.items()}
