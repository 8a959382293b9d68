"""Run a built artifact and hold it against the float graph and its own hub graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeeff import backends
from edgeeff.backends import CheckReport, Evidence, Examination
from edgeeff.batch import regrouped
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.calibration.selection import batch_size
from edgeeff.errors import MissingRuntimeError, VerificationError
from edgeeff.harness import machine, verify
from edgeeff.harness.golden import check_golden
from edgeeff.harness.record import record
from edgeeff.pipeline import held_out, mixed
from edgeeff.pipeline.framed import Framed
from edgeeff.pipeline.stages import reference
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.pipeline.stages.hub import Hub
from edgeeff.pipeline.stages.reference import Reference
from edgeeff.preprocess import described
from edgeeff.quantization.boxed import BoxJudge, Levels
from edgeeff.quantization.budget import Budget, Choice, Judged, judge_outputs
from edgeeff.tasks import Output, Outputs

#: Raised when a bundle that stands is to be verified anew.
VERSION = 1
#: Held-out images that an artifact which cannot run here is examined on: all outputs of so few are enough.
EXAMINED = 8


@dataclass(frozen=True)
class Verifying:
    """What one target's bundle is held against.

    Args:
        drafting: The network, its images, and how it was quantised.
        hub: The hub graph that the artifact was made from.
        framed: Held-out images with the float graph's outputs, as the artifact takes them.
        budget: What had to be met.
        choice: How it was met.
    """

    drafting: Drafting
    hub: Hub
    framed: Framed
    budget: Budget | None = None
    choice: Choice | None = None

    @property
    def expected(self) -> Reference:
        """The held-out images at the network's size, and the float graph's outputs of them."""
        return self.framed.expected

    def write(
        self, folder: Path, manifest: Manifest, files: Mapping[str, bytes], warned: Iterable[str]
    ) -> tuple[Bundle, Mapping[str, Any]]:
        """Write a bundle into a temporary place, verify it there, and let it stand only then.

        Args:
            folder: Where it is to stand.
            manifest: What it says of itself.
            files: What it seals.
            warned: What was warned of so far; it grows while the bundle is verified.

        Returns:
            The bundle, and the report of its verification with all warnings.
        """
        report: dict[str, Any] = {}

        def measure(staged: Bundle) -> dict[str, dict[str, Any] | bytes]:
            found, kept = self.run(staged)
            self.drafting.context.watched.refuse_changed()
            self.drafting.context.progress.refuse_stopped()
            report.update(found, warnings=list(warned))
            own = {
                "validation": self.drafting.calibration.images.validation.digest(),
                "record": record("verification", [staged]).to_json(),
            }
            return {"verification.json": {**report, **own}, **kept}

        return write_bundle(folder, manifest, files, measure), report

    def run(self, bundle: Bundle) -> tuple[dict[str, Any], Mapping[str, bytes]]:
        """Run the artifact on held-out images, and warn of what is not well.

        Returns:
            The report, and what the runtime made of the artifact that is to be kept beside it.

        Raises:
            VerificationError: The artifact does not compute what its hub graph says, or the budget is not
                met.
        """
        images = self.drafting.calibration.images
        report: dict[str, Any] = {
            "images": self.expected.images,
            "bad_images": {**images.calibration.bad, **images.validation.bad},
        }
        if self.drafting.learned is not None:
            report["training"] = dict(self.drafting.learned.cost)
        of_hub = None
        if self.hub.plan is not None:
            found_of_hub, of_hub = self._compared(self._run_hub(), probable=False)
            report["hub"] = found_of_hub.to_json()
        if self.framed.preprocess.camera is not None:
            report["camera"] = self._framed(bundle, report.get("hub"))
        check = bundle.check()
        report |= self._checked(bundle, check)
        if backends.runtime(bundle.manifest.runtime).offers("examine"):
            examined = self._examined(bundle)
            report |= {**examined.report, "ladder": {**examined.ladder, **check.ladder}}
        of_artifact, found = self._run_artifact(bundle, report.get("hub"))
        report |= found
        if self.budget is not None and self.choice is not None:
            # Probabilities and boxes are no logits: of an artifact that ends in them the hub graph is judged.
            report["budget"] = self._held(self.budget, self.choice, of_artifact or of_hub, bundle)
        return report, check.files

    def _run_hub(self) -> Iterator[Outputs]:
        """The hub graph's outputs of the held-out images, batch by batch."""
        preprocess, batches = self.drafting.calibration.preprocess, self.expected.batches
        return reference.inferred(self.hub.graph, preprocess, batches, raw=self.hub.raw)

    def _compared(
        self, parts: Iterable[Outputs], named: Sequence[Output] = (), *, probable: bool
    ) -> tuple[verify.Verification, Judged | None]:
        """Outputs of the held-out images against the float graph's, none of which is kept where it is large.

        Args:
            parts: The outputs, batch by batch.
            named: What they are called, where the network's outputs have other names.
            probable: Whether they are probabilities.

        Returns:
            How near they are; and for a budget the same of each image's outputs, None without a budget and of
            what are not the network's own outputs.
        """
        meaning = replace(self.drafting.meaning, probable=probable)
        labels, photos = self.expected.known
        labels = None if labels is not None and labels.dtype == object else labels
        levels, found = Levels(), []

        def pairs() -> Iterator[tuple[Outputs, Outputs]]:
            for of_float, outputs in self.expected.outputs.pairs(parts):
                if self.choice is not None and not probable and outputs.keys() == of_float.keys():
                    if self.expected.outputs.large:
                        levels.update(of_float, outputs)
                    else:
                        found.append(judge_outputs(of_float, outputs, labels, photos))
                yield meaning.outputs(of_float, named), outputs

        verification = verify.judge_parts(pairs(), meaning)
        if levels.images:
            return verification, levels.judged(photos)
        return verification, found[0] if found else None

    def _checked(self, bundle: Bundle, check: CheckReport) -> dict[str, Any]:
        """What the runtime made of the artifact, for the report; warn of it."""
        if check.deviations and self.drafting.cpu_class == machine.cpu_class():
            raise VerificationError(
                f"{bundle.name}: {bundle.manifest.runtime} does not do what the plan relies on: "
                f"{'; '.join(check.deviations)}",
                mend="measure what this machine is fastest with: --autotune",
            )
        self.drafting.context.warn_all(check.warnings, about=bundle.name)
        return {
            "check": f"{check.status}: {check.summary}" if check.status != "ok" else check.summary,
            "counts": dict(check.counts),
            "fallbacks": list(check.fallbacks),
        }

    def _framed(self, bundle: Bundle, of_hub: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the artifact's own way from a frame to pixels changes, for the report; warn where it costs."""
        context, frames = self.drafting.context, described(self.framed.preprocess)
        context.progress.stage(f"{bundle.name}: what {frames} cost")
        report, found = self.framed.cost(replace(self.drafting.meaning, probable=False))
        context.warn_all([f"by {frames} alone {text}" for text in found.warnings], about=bundle.name)
        if of_hub is not None and found.sqnr < float(of_hub["sqnr_db"]) and not found.warnings:
            context.warn_all(
                [
                    f"{frames} cost more than the quantisation does: {found.sqnr:.1f} dB against the same "
                    f"frames in RGB, resized by Pillow, and INT8 {float(of_hub['sqnr_db']):.1f} dB"
                ],
                about=bundle.name,
            )
        return report

    def _run_artifact(
        self, bundle: Bundle, of_hub: Mapping[str, Any] | None
    ) -> tuple[Judged | None, dict[str, Any]]:
        """The artifact on the held-out images, for a budget (see :meth:`_compared`); and the report."""
        context, meaning = self.drafting.context, self.drafting.meaning
        try:
            session = bundle.session()
        except MissingRuntimeError as error:
            context.warn_all(of_hub["warnings"] if of_hub else (), about=bundle.name)
            return None, {"not_run": error.what}
        parts = regrouped(self.framed.frames(), bundle.manifest.batch.size)
        outputs = (session.infer(part) for part in parts)
        found, judged = self._compared(outputs, bundle.manifest.outputs, probable=meaning.probable)
        context.warn_all(found.warnings, about=bundle.name)
        golden = check_golden(bundle, session=session)
        if golden.status == "failed":
            raise self._refusal(bundle, golden.summary)
        return judged, {"artifact": found.to_json(), "golden": golden.to_json()}

    def _held(self, budget: Budget, choice: Choice, judged: Judged | None, bundle: Bundle) -> dict[str, Any]:
        """The finished bundle against its budget, for the report."""
        assert judged is not None, "a budget is of an int8 target, which has a hub graph"
        known = self.expected.known[0]
        if known is not None and known.dtype == object:
            boxes = self._judged_boxes(bundle)
            judged = replace(judged, images=boxes.images, drop=boxes.drop, drop_error=boxes.drop_error)
        warnings = mixed.hold(budget, choice, judged, bundle.name)
        self.drafting.context.warn_all(warnings, about=bundle.name)
        return {**choice.to_json(), "verified": judged.to_json()}

    def _judged_boxes(self, bundle: Bundle) -> Judged:
        """Average precision, or mean IoU, of the artifact against the float graph's, or of its hub graph."""
        from edgeeff.backends.onnxruntime.run import session_of

        drafting, context = self.drafting, self.drafting.context
        calibration, preprocess = drafting.calibration, drafting.calibration.preprocess
        images = held_out.boxed(calibration.images.validation)
        context.progress.stage(f"judging {bundle.name} by what is known", total=len(images))
        truths = held_out.truths(images)
        try:
            infer = bundle.session().infer
        except MissingRuntimeError:
            session = session_of(self.hub.graph, preprocess, "uint8" if self.hub.raw else "float32")
            infer = session.infer
        floating = session_of(calibration.network.graph(), preprocess, "float32")
        judge = BoxJudge(drafting.meaning, calibration.network.source.identity.classes)
        size = batch_size(self.framed.preprocess)
        both = (images.batches(each, size) for each in (preprocess, self.framed.preprocess))
        for (pixels, numbers), (frames, _) in zip(*both, strict=True):
            judge.update(floating.infer(pixels), infer(frames), truths[numbers])
            context.progress.advance(len(pixels))
        return judge.judged()

    def _refusal(self, bundle: Bundle, summary: str) -> VerificationError:
        """The golden check failed. A network at work on what it does not know comes first as the reason."""
        calibration = self.drafting.calibration
        identity = calibration.network.source.identity
        wrong = f"{bundle.name} does not compute what its hub graph says: {summary}"
        own, built = identity.preprocess.size, calibration.preprocess.size
        # Those that an option settles were not warned of, and are no reason.
        suspects = [text for text in identity.warnings if text in self.drafting.context.warnings]
        if own != built:
            suspects.append(
                f"the network is of {own[0]}×{own[1]} images and was built for {built[0]}×{built[1]}"
            )
        if self.hub.plan is not None:
            judged = calibration.judgement()
            suspects += [*judged.trial.warnings, *judged.domain.warnings]
        report = "report it with the model, the target and the runtime's version"
        if not suspects:
            return VerificationError(wrong, mend=report)
        return VerificationError(
            f"{'; '.join(suspects)}; so its logits may be mostly noise, and {wrong}",
            mend=f"correct that first, and look whether it passes then; if it does not, {report}",
        )

    def _examined(self, bundle: Bundle) -> Examination:
        """What is said of an artifact that cannot run here, on a few held-out images."""
        drafting, named = self.drafting, bundle.manifest.outputs
        images, of_float = self.expected.first(EXAMINED)
        quantised = None
        if self.hub.plan is not None:
            preprocess = drafting.calibration.preprocess
            of_hub = reference.infer(self.hub.graph, preprocess, [images], raw=self.hub.raw, literal=True)
            quantised = drafting.meaning.outputs(of_hub, named)
        evidence = Evidence(images, drafting.meaning.outputs(of_float, named), quantised, self._largest)
        part = backends.runtime(bundle.manifest.runtime).part("examine")
        found: Examination = part.examine(bundle, evidence)
        for line in found.lines:
            drafting.context.say_once(line)
        drafting.context.warn_all(found.warnings, about=bundle.name)
        return found

    def _largest(self) -> dict[str, float]:
        """The largest |value| that each tensor of the float graph reached on the calibration images."""
        statistics = self.drafting.calibration.observed().statistics
        return {name: max(-s.low, s.high) for name, s in statistics.items()}
