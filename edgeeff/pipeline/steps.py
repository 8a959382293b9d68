"""The steps of a build, each cached by the content of what it reads.

torch is imported by the steps that need it, when they have something to do: a build that finds their results
in the cache never loads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeeff import backends, digests, regular
from edgeeff.backends import Emission
from edgeeff.cache import Cache, kept, key_of, versions
from edgeeff.calibration.judgement import Judgement
from edgeeff.calibration.selection import Selection, bad_from_json, bad_to_json, pixels
from edgeeff.calibration.statistics import Statistics
from edgeeff.files import write_file
from edgeeff.harness.verify import FEW, GOLDEN_IMAGES, golden_files
from edgeeff.images import ImageSet
from edgeeff.images.image_set import skipped
from edgeeff.labels import placeholders
from edgeeff.memory import give_back
from edgeeff.pipeline import mixed
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.mixed import Floating, Known
from edgeeff.pipeline.stages.calibration import Calibration
from edgeeff.pipeline.stages.identity import Source
from edgeeff.pipeline.stages.network import Network
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.progress import Recorder
from edgeeff.quantization.budget import Budget
from edgeeff.readme import readme
from edgeeff.target import Scheme, Target
from edgeeff.tasks import Meaning, Output, Outputs, joined
from edgeeff.watched import refusal
from edgeeff.zoo.sources import Asked, Identity

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from edgeeff.pipeline.tuning import Tuning
    from edgeeff.quantization.draft import Draft
    from edgeeff.quantization.recipe import Recipe

#: Part of every key: raised when a step computes something else from the same inputs.
VERSION = 10


@dataclass(frozen=True)
class GivenPlan:
    """Ranges that another tool chose: their file, and its SHA-256."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Options:
    """What the user may change about every target of a build."""

    task: str | None = None
    threshold: float | None = None
    softmax: bool = False
    probabilities: bool = False
    effort: str = "balanced"
    ranges: str | None = None
    plan: GivenPlan | None = None
    golden: int = GOLDEN_IMAGES
    cpu_class: str = "vnni"
    keep_float: tuple[str, ...] = ()
    budget: Budget | None = None
    tuning: Tuning | None = None


@dataclass(frozen=True)
class Hub:
    """What a backend lowers: a Q/DQ graph with its plan, or for a float target the float graph.

    ``raw`` says that the graph's input is raw pixels, not normalised ones; ``floating`` which layers the
    user or a budget kept from INT8; ``outputs`` what the graph gives.
    """

    graph: bytes
    plan: str | None
    raw: bool
    floating: Floating = field(default_factory=Floating)
    outputs: tuple[Output, ...] = ()


@dataclass
class Work:
    """One build's steps. Each is done at most once, and only if a target asks for it.

    Large results are not held between steps but read from the cache again: a V2-XL's graph and statistics
    are 1.6 GB.
    """

    source: Source
    preprocess: Preprocess
    images: Selection
    options: Options
    context: Context
    force_calibration: bool = False
    labels: tuple[str, ...] | None = None
    meaning: Meaning = field(default_factory=Meaning)
    _done: dict[str, Any] = field(default_factory=dict)
    _raised: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        """What the user says of the network."""
        return self.source.asked

    @property
    def identity(self) -> Identity:
        """What is known of it."""
        return self.source.identity

    @property
    def cache(self) -> Cache:
        """Where results are kept."""
        return self.context.cache

    @property
    def progress(self) -> Recorder:
        """Hears of long work."""
        return self.context.progress

    @cached_property
    def network(self) -> Network:
        """checkpoint ─▶ float graph."""
        return Network(self.source, self.preprocess.size, self.context)

    @cached_property
    def calibrated(self) -> Calibration:
        """What the calibration images told."""
        return Calibration(
            *(self.network, self.preprocess, self.images, self.context),
            force=self.force_calibration,
            exclusive=self.meaning.exclusive,
        )

    def served(self, target: Target) -> Target:
        """The target as the variant has it that suits the processor and the network, or that was tuned."""
        if target.scheme is None or not target.variants:
            return target.served(None)
        activation, tuning = self.network.activation, self.options.tuning
        rule = target.variant(self.options.cpu_class, activation)
        tuned = tuning.variant(target, activation) if tuning else None
        chosen = rule if tuned is None else None if tuned == "plain" else tuned
        if chosen is not None:
            why = "as it was tuned" if tuned else f"the rule for {self.options.cpu_class} CPUs"
            self.context.say_once(f"variant  {target.name}: {chosen.name} ({why})")
        return target.served(chosen)

    def tune(self, targets: Sequence[Target], file: Path) -> None:
        """Ask this machine which variants it is fastest with, take them, and keep the answer in a file."""
        from edgeeff.pipeline import tuning

        found, text = tuning.measure(self, targets)
        self.options = replace(self.options, tuning=found)
        write_file(file, text)
        self.progress.tell(f"tuning   {file}")

    def hub(self, target: Target) -> Hub:
        """float graph and statistics ─▶ plan ─▶ Q/DQ graph; for a float target the float graph itself."""
        import onnx

        from edgeeff.graph.outputs import outputs_of

        raw = backends.runtime(target.runtime).holds_pixels(target.input)
        facts = {
            "graph": self.network.digest,
            "preprocess": self.preprocess.to_json(),
            "raw": raw,
            "scheme": vars(target.scheme) if target.scheme else None,
            "statistics": self.calibrated.key if target.scheme else None,
            "recipe": self.recipe.to_json() if target.scheme else None,
            "plan": self.options.plan.digest if target.scheme and self.options.plan else None,
            "cpu_class": self.options.cpu_class,
            "exclusive": self.meaning.exclusive,
            "tools": versions("edgeeff", "onnx", "onnx-ir", "numpy"),
            "version": VERSION,
        }
        floating = Floating()
        if target.scheme:
            floating = mixed.floating(self, target, raw, facts)
        key = key_of(**facts, floating=sorted(floating.layers))
        entry = kept(
            *(self.cache, self.progress, "hub", key), partial(self._hub, target, raw, floating.layers)
        )
        if target.scheme:
            images = self.images.calibration
            self.name_skipped(images, bad_from_json(images, entry["bad.json"].decode()))
            self.tell_judgement(Judgement.from_bytes(entry["judgement.json"]))
        outputs = outputs_of(onnx.load_model_from_string(entry["graph.onnx"]), self.meaning.task)
        give_back()
        return Hub(entry["graph.onnx"], entry["plan.json"].decode() or None, raw, floating, outputs)

    def emission(self, target: Target, hub: Hub, labels: tuple[str, ...], name: str) -> Emission:
        """What the artifact is written from, besides the graph."""
        control = partial(self._control, target)
        return Emission(
            *(name, target, self.preprocess, labels, self.meaning.probable, control),
            task=self.meaning.task,
            threshold=self.meaning.threshold,
            outputs=hub.outputs,
        )

    def emit(self, emission: Emission, hub: Hub) -> dict[str, bytes]:
        """hub graph ─▶ everything that a bundle seals: artifact, plan, golden vectors, a README."""
        import onnx

        self._caution(emission)
        graph = onnx.load_model_from_string(hub.graph)
        part = backends.runtime(emission.target.runtime).part("emit")
        files: dict[str, bytes] = dict(part.emit(graph, emission))
        del graph
        give_back()
        if hub.plan is not None:
            files["plan.json"] = hub.plan.encode()
        files |= self._golden(hub, backends.artifact_outputs(emission))
        files["README.md"] = readme(emission).encode()
        return files

    def _caution(self, emission: Emission) -> None:
        """Say what the artifact's input is where it is not the usual one, and what its runtime warns of."""
        target, runtime = emission.target, backends.runtime(emission.target.runtime)
        if backends.input_preprocess(target, self.preprocess) != self.preprocess:
            why = runtime.one_normalisation
            self.context.say_once(f"input    {target.name}: float pixels of 0…255, normalised inside ({why})")
        usage = runtime.usage()
        if usage is not None and hasattr(usage, "cautions"):
            for caution in usage.cautions(emission):
                self.progress.warn(caution, about=emission.name)

    def digests(self, hub: Hub) -> dict[str, str]:
        """What a manifest says the bundle was made from."""
        found = {"graph": self.network.digest, "hub": digests.of_bytes(hub.graph)}
        if hub.plan is not None:
            found |= {
                "plan": digests.of_bytes(hub.plan.encode()),
                "statistics": self.calibrated.key,
            }
        return found

    # The work behind the steps.

    def _hub(self, target: Target, raw: bool, floating: frozenset[str]) -> dict[str, bytes]:
        if target.scheme:
            self.calibrated.judgement()  # before anything large is held
        graph, plan = self.quantised(target, raw, floating)
        made = {"graph.onnx": graph, "plan.json": plan.encode()}
        if target.scheme:
            made["bad.json"] = bad_to_json(self.images.calibration).encode()
            made["judgement.json"] = self.calibrated.judgement().to_bytes()
        return made

    def _control(self, target: Target) -> onnx.ModelProto:
        """The float graph that takes the target's input."""
        import onnx

        return onnx.load_model_from_string(self.hub(replace(target, precision="fp32", scheme=None)).graph)

    def _once(self, name: str, work: Any) -> Any:
        """A step's result; its warnings are raised again for each target that asks for it."""
        if name not in self._done:
            with self.progress.recording() as raised:
                found = work()
            self._done[name], self._raised[name] = found, tuple(raised)
            give_back()  # a step leaves its result and nothing else
        else:
            self.progress.warn_again(self._raised[name])
        return self._done[name]

    @property
    def asks_top_1(self) -> bool:
        """Whether a budget asks for top-1, so that the images' classes matter."""
        return self.options.budget is not None and self.options.budget.max_drop is not None

    def classes_named(self, images: ImageSet) -> ImageSet:
        """The images with the network's classes, where a budget asks for top-1.

        Raises:
            LabelsError: Their subfolders are no classes of the network.
        """
        if not self.asks_top_1:
            return images
        known = self.labels or self.identity.labels
        named = images.classes_named(known or placeholders(self.identity.classes))
        self.progress.warn_again(named.warnings)
        return named

    def quantised(
        self, target: Target, raw: bool, floating: frozenset[str] = frozenset()
    ) -> tuple[bytes, str]:
        """float graph, statistics and images ─▶ Q/DQ graph and plan; for a float target the float graph."""
        from edgeeff.graph.model import expand_functions
        from edgeeff.quantization.quantize import write

        if target.scheme is None:
            model, _ = self._base(raw, {})
            return expand_functions(model).SerializeToString(deterministic=True), ""
        draft = self.draft(target, raw, floating)
        hub, plan = write(draft), draft.plan().to_json()
        del draft
        give_back()
        return hub.SerializeToString(deterministic=True), plan

    def draft(self, target: Target, raw: bool, floating: frozenset[str] = frozenset()) -> Draft:
        """float graph, statistics and images ─▶ all decisions, with the graph that they are about.

        Args:
            target: An int8 one.
            raw: Whether the graph's input is raw pixels, not normalised ones.
            floating: Layers that stay float.
        """
        from edgeeff.quantization.draft import Evidence
        from edgeeff.quantization.quantize import begin

        assert target.scheme is not None
        recipe = self.recipe
        statistics = self.calibrated.observed().statistics
        if recipe.asks_gain(self.network.activation == "bounded", target.scheme.swish):
            del statistics  # a V2-XL's are 0.8 GB: the gains are measured before anything large is held
            self.calibrated.gain()
            statistics = self.calibrated.observed().statistics
        model, statistics = self._base(raw, statistics)
        draft = begin(
            model,
            Evidence(
                statistics,
                partial(self.calibrated.inputs, raw),
                self.calibrated.gain,
                len(self.images.calibration),
                self.meaning,
            ),
            self.preprocess,
            target.scheme,
            seven_bit_weights=self.options.cpu_class in target.scheme.saturating_cpus,
            floating=floating,
            given=self._given(self.options.plan.path, target.scheme) if self.options.plan else {},
            progress=self.progress,
            cache=self.cache,
        )
        return recipe(draft)

    def _base(self, raw: bool, statistics: Statistics) -> tuple[ir.Model, Statistics]:
        """The base graph as a target's input wants it, with its statistics."""
        from edgeeff.graph import expectations
        from edgeeff.quantization.rewrites import fold_preprocessing

        model = self.network.model()
        expectations.strip(model)
        return fold_preprocessing.rewrite(model, statistics, self.preprocess) if raw else (model, statistics)

    def _given(self, plan: Path, scheme: Scheme) -> dict[str, tuple[float, float]]:
        """The user's plan, by the names of the base graph."""
        from edgeeff.graph import order
        from edgeeff.graph.importing import source
        from edgeeff.quantization import foreign, placement

        model, calibration = self.network.model(), self.images.calibration
        sites = placement.place(model, scheme).sites
        wanted = [
            name for name, site in sites.items() if not site.fixed and name != model.graph.inputs[0].name
        ]
        reference = None
        if self.identity.kind == "onnx_file":
            reference = source.load(regular.path_of(str(self.identity.source)))
        few = replace(calibration, pictures=calibration.pictures[:2], bad={})
        probe = self.preprocess.normalise(np.concatenate(list(pixels(few, self.preprocess))))
        if self.asked.channels == "bgr":  # the file that the plan is of takes its channels in its own order
            order.turn_around(model)
            probe = np.ascontiguousarray(probe[:, ::-1])
        read = foreign.read(plan)
        if self.options.plan and plan_digest(plan) != self.options.plan.digest:
            raise refusal([plan])
        matched = foreign.match(read, model, reference, probe, sites=wanted)
        self.progress.tell(f"plan     {plan.name}: ranges of {len(matched.ranges)} tensors")
        if warning := matched.warning():
            self.progress.warn(warning)
        return dict(matched.ranges)

    @cached_property
    def recipe(self) -> Recipe:
        """How the network is quantised: read once."""
        from edgeeff.quantization import recipe

        found = recipe.load(self.options.effort)
        return found if self.options.ranges is None else found.with_ranges(self.options.ranges)

    def judged(self) -> tuple[list[Pixels], Outputs]:
        """The held-out images, and the float graph's outputs of them."""
        judged: tuple[list[Pixels], Outputs] = self._once("judged", self._judge)
        return judged

    def known(self) -> Known:
        """Classes and photos of the held-out images, as far as a budget asks for them."""
        self.judged()
        found: Known = self._done["known"]
        return found

    def _judge(self) -> tuple[list[Pixels], Outputs]:
        validation = self.classes_named(self.images.validation)
        few = mixed.halves(validation, self.options.budget)[1]
        self.progress.stage("judging the float graph on held-out images")
        numbers: list[int] = []
        batches = list(
            pixels(
                few,
                self.preprocess,
                rest=self.images.rest(self.images.calibration),
                watch=lambda _, found: numbers.extend(found.tolist()),
            )
        )
        self.name_skipped(self.images.validation, few.bad)
        outputs = self.infer(self.network.graph(), batches, raw=False)
        images = sum(map(len, batches))
        if images < FEW:
            self.progress.warn(f"only {images} images to judge by: pass more with --validation")
        self._done["known"] = mixed.known(few, numbers, self.options.budget)
        return batches, outputs

    def _golden(self, hub: Hub, named: Sequence[Output]) -> dict[str, bytes]:
        """Golden inputs and outputs, by the names that the artifact has for them."""
        batches, float_outputs = self.judged()
        count = min(self.options.golden, sum(map(len, batches)))
        if count == 0:
            return {}
        inputs = np.concatenate(batches)[:count]
        hub_outputs = self.infer(hub.graph, [inputs], hub.raw, literal=True)
        few = {name: values[:count] for name, values in float_outputs.items()}
        return golden_files(inputs, *(self.meaning.outputs(found, named) for found in (hub_outputs, few)))

    def infer(self, graph: bytes, batches: list[Pixels], raw: bool, literal: bool = False) -> Outputs:
        """A graph's outputs in onnxruntime, float32 [N, …] each."""
        from edgeeff.backends.onnxruntime.run import session_of

        session = session_of(graph, self.preprocess, "uint8" if raw else "float32", literal=literal)
        return joined(session.infer(batch) for batch in batches)

    def tell_judgement(self, judged: Judgement) -> None:
        """What is known of the calibration images, for each target that they calibrate.

        Raises:
            CalibrationError: Most are blank or noise, which an earlier build was forced to take.
        """
        pictures = self.images.calibration.pictures
        if not self.force_calibration:
            judged.content.refuse(pictures)
        self.context.say_once(judged.line)
        self.progress.warn_again(judged.warnings(pictures))

    def name_skipped(self, images: ImageSet, bad: Mapping[str, str]) -> None:
        """Warn of images that cannot be read: ``bad`` says why, by name."""
        images.bad.update(bad)
        self.progress.warn_again(skipped(bad))

    def bad_images(self) -> dict[str, str]:
        """Images that cannot be read, with why."""
        return {**self.images.calibration.bad, **self.images.validation.bad}


def plan_digest(path: Path) -> str:
    """SHA-256 of the file of another tool's ranges, and of those that its weights lie in."""
    from edgeeff.graph.importing import source

    return digests.of_files(source.files(path) if path.suffix.lower() == ".onnx" else [path])


def target_facts(target: Target) -> dict[str, Any]:
    """A target as plain data, for a key."""
    return {
        **vars(target),
        "scheme": vars(target.scheme) if target.scheme else None,
        "variants": [vars(variant) for variant in target.variants],
    }
