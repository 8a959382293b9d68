"""The steps of a build, each cached by the content of what it reads.

torch is imported by the two steps that need it, when they have something to do: a build that finds their
results in the cache never loads it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeeff import backends, mixed
from edgeeff.backends import Emission, Evidence, Examination, Logits
from edgeeff.bundle import Bundle
from edgeeff.cache import Cache, key_of, versions
from edgeeff.calibration.judgement import Judgement
from edgeeff.calibration.selection import FEW, Selection, bad_from_json, bad_to_json, pixels
from edgeeff.calibration.statistics import Statistics, statistics_from_bytes, statistics_to_bytes
from edgeeff.errors import MissingRuntimeError, VerificationError
from edgeeff.files import write_file
from edgeeff.harness import machine, verify
from edgeeff.images import ImageSet
from edgeeff.memory import give_back
from edgeeff.mixed import Floating
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.progress import Progress
from edgeeff.quantization.budget import Budget, judge
from edgeeff.readme import readme
from edgeeff.target import Activation, Scheme, Target
from edgeeff.zoo import sources
from edgeeff.zoo.sources import Asked, Identity

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir
    from torch import Tensor

    from edgeeff.quantization.draft import Draft
    from edgeeff.quantization.recipe import Recipe
    from edgeeff.tuning import Tuning

#: Part of every key: raised when a step computes something else from the same inputs.
VERSION = 6

#: Held-out images that an artifact which cannot run here is examined on: all logits of so few are enough.
EXAMINED = 8


@dataclass(frozen=True)
class GivenPlan:
    """Ranges that another tool chose: their file, and its SHA-256."""

    path: Path
    digest: str


@dataclass(frozen=True)
class Options:
    """What the user may change about every target of a build."""

    softmax: bool = False
    effort: str = "balanced"
    ranges: str | None = None
    plan: GivenPlan | None = None
    golden: int = 4
    cpu_class: str = "vnni"
    keep_float: tuple[str, ...] = ()
    budget: Budget | None = None
    tuning: Tuning | None = None


@dataclass(frozen=True)
class Network:
    """The base graph by its SHA-256, and what the checkpoint says of its classes."""

    digest: str
    classes: int
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class Hub:
    """What a backend lowers: a Q/DQ graph with its plan, or for a float target the float graph.

    ``raw`` says that the graph's input is raw pixels, not normalised ones; ``floating`` which layers the
    user or a budget kept from INT8.
    """

    graph: bytes
    plan: str | None
    raw: bool
    floating: Floating = field(default_factory=Floating)


def identify(asked: Asked, cache: Cache, progress: Progress) -> tuple[Identity, str]:
    """What is known of the network that was asked for, and the digest of what it is made from.

    Raises:
        EdgeeffError: There is no such source, or it is damaged, unsafe to load, or no EfficientNet.
    """
    kind, source = sources.locate(asked, progress)
    room = sources.room(kind)
    progress.stage(f"reading {Path(source).name}")
    digest: str = room.digest(asked, source)
    key = key_of(
        source=digest,
        name=Path(source).name,  # a file's name and its folder's say what the file does not
        folder=Path(source).expanduser().resolve().parent.name,
        asked={**vars(asked), "source": None, "weights": None},
        kind=kind,
        tools=versions("edgeeff", "torch", "onnx", "onnx-ir", "onnxsim", "safetensors", "h5py"),
        version=VERSION,
    )
    entry = cache.get("identity", key)
    if entry is None:
        entry = {"identity.json": room.identify(asked, source).to_json().encode()}
        cache.put("identity", key, entry)
    return replace(Identity.from_json(entry["identity.json"].decode()), source=source), digest


@dataclass
class Work:
    """One build's steps. Each is done at most once, and only if a target asks for it.

    Large results are not held between steps but read from the cache again: a V2-XL's graph and statistics
    are 1.6 GB.
    """

    asked: Asked
    identity: Identity
    source_digest: str
    preprocess: Preprocess
    images: Selection
    options: Options
    cache: Cache
    progress: Progress
    force_calibration: bool = False
    labels: tuple[str, ...] | None = None
    _done: dict[str, Any] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def network(self) -> Network:
        """checkpoint ─▶ float graph."""
        network: Network = self._once("network", self._network)
        return network

    def activation(self) -> Activation:
        """Whether the network's activation has an upper bound: ReLU6 has, Swish has not."""
        found: Activation = self._once("activation", self._activation)
        return found

    def served(self, target: Target) -> Target:
        """The target as the variant has it that suits the processor and the network, or that was tuned."""
        if target.scheme is None or not target.variants:
            return target.served(None)
        activation, tuning = self.activation(), self.options.tuning
        rule = target.variant(self.options.cpu_class, activation)
        tuned = tuning.variant(target, activation) if tuning else None
        chosen = rule if tuned is None else None if tuned == "plain" else tuned
        if chosen is not None:
            why = "as it was tuned" if tuned else f"the rule for {self.options.cpu_class} CPUs"
            self._tell(f"variant  {target.name}: {chosen.name} ({why})")
        return target.served(chosen)

    def tune(self, targets: Sequence[Target], file: Path) -> None:
        """Ask this machine which variants it is fastest with, take them, and keep the answer in a file."""
        from edgeeff import tuning

        found, text = tuning.measure(self, targets)
        self.options = replace(self.options, tuning=found)
        write_file(file, text)
        self.progress.tell(f"tuning   {file}")

    def hub(self, target: Target) -> Hub:
        """float graph and statistics ─▶ plan ─▶ Q/DQ graph; for a float target the float graph itself."""
        network = self.network()
        normalises = backends.runtime(target.runtime).NORMALISES_INPUT
        raw = target.input != "float32" and not normalises
        facts = {
            "graph": network.digest,
            "preprocess": self.preprocess.to_json(),
            "raw": raw,
            "scheme": vars(target.scheme) if target.scheme else None,
            "statistics": self._statistics_key if target.scheme else None,
            "recipe": self._recipe().to_json() if target.scheme else None,
            "plan": self.options.plan.digest if target.scheme and self.options.plan else None,
            "cpu_class": self.options.cpu_class,
            "tools": versions("edgeeff", "onnx", "onnx-ir", "numpy"),
            "version": VERSION,
        }
        floating = Floating()
        if target.scheme:
            self._refuse_noise()
            floating = mixed.floating(self, target, raw, facts)
        key = key_of(**facts, floating=sorted(floating.layers))
        entry = self.cache.get("hub", key)
        if entry is None:
            graph, plan = self.quantised(target, raw, floating.layers)
            bad = bad_to_json(self.images.calibration)
            entry = {"graph.onnx": graph, "plan.json": plan.encode(), "bad.json": bad.encode()}
            self.cache.put("hub", key, entry)
        images = self.images.calibration
        self._name_skipped(images, bad_from_json(images, entry["bad.json"].decode()))
        if target.scheme:
            self._tell_judgement()
        give_back()
        return Hub(entry["graph.onnx"], entry["plan.json"].decode() or None, raw, floating)

    def emit(self, target: Target, hub: Hub, labels: tuple[str, ...], name: str) -> dict[str, bytes]:
        """hub graph ─▶ everything that a bundle seals: artifact, plan, golden vectors, a README."""
        import onnx

        control = partial(self._control, target)
        emission = Emission(name, target, self.preprocess, labels, self.options.softmax, control)
        graph = onnx.load_model_from_string(hub.graph)
        files: dict[str, bytes] = dict(backends.room(target.runtime, "emit").emit(graph, emission))
        del graph
        give_back()
        if hub.plan is not None:
            files["plan.json"] = hub.plan.encode()
        files |= golden_files(self._golden(hub))
        files["README.md"] = readme(emission).encode()
        return files

    def verify(self, bundle: Bundle, hub: Hub) -> tuple[dict[str, Any], Mapping[str, bytes]]:
        """Run the artifact on held-out images and hold it against the float graph.

        Returns:
            The report, and what the runtime made of the artifact that is to be kept beside it.

        Raises:
            VerificationError: The artifact does not compute what its hub graph says.
        """
        batches, float_logits = self._judged()
        report: dict[str, Any] = {"images": len(float_logits), "bad_images": self._bad_images()}
        if hub.plan is not None:
            hub_logits = self.infer(hub.graph, batches, hub.raw)
            report["hub"] = verify.judge(hub_logits, float_logits=float_logits).to_json()
        check = bundle.check()
        report["check"] = f"{check.status}: {check.summary}" if check.status != "ok" else check.summary
        report["counts"] = dict(check.counts)
        report["fallbacks"] = list(check.fallbacks)
        warnings = [f"{name} fell back from INT8" for name in check.fallbacks]
        if check.deviations and self.options.cpu_class == machine.cpu_class():
            raise VerificationError(
                f"{bundle.name}: {bundle.manifest.runtime} does not do what the plan relies on: "
                f"{'; '.join(check.deviations)}",
                mend="measure what this machine is fastest with: --autotune",
            )
        warnings += [f"here {sentence}" for sentence in check.deviations]
        if backends.offers(bundle.manifest.runtime, "examine"):
            examined = self._examined(bundle, hub)
            report |= {**examined.report, "ladder": {**examined.ladder, **check.ladder}}
            warnings += examined.warnings
        logits: Logits | None = None
        try:
            session = bundle.session()
        except MissingRuntimeError as error:
            report["not_run"] = error.what
            judged = report.get("hub")
            if judged is not None:
                warnings += judged["warnings"]
        else:
            expected = _softmax(float_logits) if self.options.softmax else float_logits
            logits = np.concatenate([session.infer(batch) for batch in batches])
            found = verify.judge(logits, float_logits=expected)
            report["artifact"] = found.to_json()
            warnings += found.warnings
            golden = verify.check_golden(bundle)
            report["golden"] = golden.to_json()
            if golden.status == "failed":
                raise VerificationError(
                    f"{bundle.name} does not compute what its hub graph says: {golden.summary}",
                    mend="report it with the model, the target and the runtime's version",
                )
        budget, choice = self.options.budget, hub.floating.choice
        if budget is not None and choice is not None:
            # Probabilities are no logits: of an artifact that ends in them the hub graph is judged.
            shown = hub_logits if logits is None or self.options.softmax else logits
            judged = judge(float_logits, shown, *self._done["known"])
            warnings += mixed.hold(budget, choice, judged, bundle.name)
            report["budget"] = {**choice.to_json(), "verified": judged.to_json()}
        report["warnings"] = warnings
        return report, check.files

    def digests(self, hub: Hub) -> dict[str, str]:
        """What a manifest says the bundle was made from."""
        found = {"graph": self.network().digest, "hub": hashlib.sha256(hub.graph).hexdigest()}
        if hub.plan is not None:
            found |= {
                "plan": hashlib.sha256(hub.plan.encode()).hexdigest(),
                "statistics": self._statistics_key,
            }
        return found

    # The work behind the steps.

    def _control(self, target: Target) -> onnx.ModelProto:
        """The float graph that takes the target's input."""
        import onnx

        return onnx.load_model_from_string(self.hub(replace(target, precision="fp32", scheme=None)).graph)

    def _examined(self, bundle: Bundle, hub: Hub) -> Examination:
        """What is said of an artifact that cannot run here, on a few held-out images."""
        batches, float_logits = self._judged()
        images = np.concatenate(batches[:EXAMINED])[:EXAMINED]
        outputs = float_logits[: len(images)]
        hub_outputs = self.infer(hub.graph, [images], hub.raw, literal=True) if hub.plan is not None else None
        if self.options.softmax:
            outputs = _softmax(outputs)
            hub_outputs = None if hub_outputs is None else _softmax(hub_outputs)
        evidence = Evidence(images, outputs, hub_outputs, self._largest)
        room = backends.room(bundle.manifest.runtime, "examine")
        found: Examination = room.examine(bundle, evidence)
        for line in found.lines:
            self._tell(line)
        return found

    def _tell(self, line: str) -> None:
        """Tell something once a build: several targets may have the same to say."""
        if line not in self._told:
            self._told.add(line)
            self.progress.tell(line)

    def _largest(self) -> dict[str, float]:
        """The largest |value| that each tensor of the float graph reached on the calibration images."""
        return {name: max(-s.low, s.high) for name, s in self._statistics().items()}

    def _once(self, name: str, work: Any) -> Any:
        if name not in self._done:
            self._done[name] = work()
            give_back()  # a step leaves its result and nothing else
        return self._done[name]

    def _activation(self) -> Activation:
        from edgeeff.quantization.draft import is_bounded

        return "bounded" if is_bounded(self.float_graph()) else "unbounded"

    def _network(self) -> Network:
        digest = hashlib.sha256(self._graph()).hexdigest()
        return Network(digest, self.identity.classes, self.identity.labels)

    def _graph(self) -> bytes:
        conventions = self.identity.conventions
        key = key_of(
            source=self.source_digest,
            model=self.asked.model,
            conventions=vars(conventions) if conventions else None,
            size=self.preprocess.size,
            tools=versions("edgeeff", "torch", "onnx", "onnx-ir", "onnxsim"),
            version=VERSION,
        )
        entry = self.cache.get("graph", key)
        if entry is None:
            self.progress.stage("exporting the float graph")
            from edgeeff.graph.model import to_bytes

            model = sources.room(self.identity.kind).graph(self.asked, self.identity, self.preprocess.size)
            entry = {"graph.onnx": to_bytes(model)}
            self.cache.put("graph", key, entry)
        return entry["graph.onnx"]

    @cached_property
    def _statistics_key(self) -> str:
        return key_of(
            graph=self.network().digest,
            images=self.images.calibration.digest(),
            preprocess=self.preprocess.to_json(),
            tools=versions("edgeeff", "torch", "numpy", "pillow"),
            version=VERSION,
        )

    def _statistics(self) -> Statistics:
        """float graph and images ─▶ statistics."""
        calibration = self.images.calibration
        entry = self.cache.get("statistics", self._statistics_key)
        if entry is not None:
            calibration.bad.update(bad_from_json(calibration, entry["bad.json"].decode()))
            return statistics_from_bytes(entry["statistics.npz"])
        from edgeeff.calibration import judgement
        from edgeeff.calibration.collect import collect
        from edgeeff.calibration.content import Examination
        from edgeeff.graph.model import from_bytes

        self.progress.stage("looking at a few images")
        model, force = from_bytes(self._graph()), self.force_calibration
        tried = judgement.at_sight(model, self.preprocess, calibration, force=force)
        examination = Examination(calibration.pictures, force=force)
        rest = self._rest(self.images.validation)
        self.progress.stage("calibrating", total=len(calibration))
        found = collect(
            model,
            self.preprocess,
            pixels(calibration, self.preprocess, rest=rest, watch=examination.add),
            self.progress.advance,
        )
        judged = judgement.judge(model, found, examination, tried)
        self.cache.put("judgement", self._statistics_key, {"judgement.json": judged.to_bytes()})
        del model
        give_back()
        entry = {"statistics.npz": statistics_to_bytes(found), "bad.json": bad_to_json(calibration).encode()}
        self.cache.put("statistics", self._statistics_key, entry)
        return found

    def float_graph(self) -> ir.Model:
        """The base graph."""
        from edgeeff.graph.model import from_bytes

        return from_bytes(self._graph())

    def classes_named(self, images: ImageSet) -> ImageSet:
        """The images with the network's classes, where a budget asks for top-1.

        Raises:
            LabelsError: Their subfolders are no classes of the network.
        """
        if self.options.budget is None or self.options.budget.max_drop is None:
            return images
        network = self.network()
        return images.classes_named(self.labels or network.labels or tuple(map(str, range(network.classes))))

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
        recipe = self._recipe()
        statistics = self._statistics()
        if recipe.asks_gain(self.activation() == "bounded", target.scheme.swish):
            del statistics  # a V2-XL's are 0.8 GB: the gains are measured before anything large is held
            self._gain()
            statistics = self._statistics()
        model, statistics = self._base(raw, statistics)
        draft = begin(
            model,
            Evidence(statistics, partial(self._inputs, raw), self._gain),
            self.preprocess,
            target.scheme,
            seven_bit_weights=self.options.cpu_class in target.scheme.saturating_cpus,
            floating=floating,
            given=self._given(self.options.plan.path, target.scheme) if self.options.plan else {},
            progress=self.progress,
        )
        return recipe(draft)

    def _base(self, raw: bool, statistics: Statistics) -> tuple[ir.Model, Statistics]:
        """The base graph as a target's input wants it, with its statistics."""
        from edgeeff.graph import expectations
        from edgeeff.graph.model import from_bytes
        from edgeeff.quantization.rewrites import fold_preprocessing

        model = from_bytes(self._graph())
        expectations.strip(model)
        return fold_preprocessing.rewrite(model, statistics, self.preprocess) if raw else (model, statistics)

    def _given(self, plan: Path, scheme: Scheme) -> dict[str, tuple[float, float]]:
        """The user's plan, by the names of the base graph."""
        from edgeeff.graph.importing import source
        from edgeeff.quantization import foreign, placement

        model, calibration = self.float_graph(), self.images.calibration
        sites = placement.place(model, scheme).sites
        wanted = [
            name for name, site in sites.items() if not site.fixed and name != model.graph.inputs[0].name
        ]
        reference = None
        if self.identity.kind == "onnx_file":
            reference = source.load(Path(str(self.identity.source)).expanduser())
        few = replace(calibration, pictures=calibration.pictures[:2], bad={})
        probe = self.preprocess.normalise(np.concatenate(list(pixels(few, self.preprocess))))
        matched = foreign.match(foreign.read(plan), model, reference, probe, sites=wanted)
        self.progress.tell(f"plan     {plan.name}: ranges of {len(matched.ranges)} tensors")
        if warning := matched.warning():
            self.progress.warn(warning)
        return dict(matched.ranges)

    def _recipe(self) -> Recipe:
        from edgeeff.quantization import recipe

        found = recipe.load(self.options.effort)
        return found if self.options.ranges is None else found.with_ranges(self.options.ranges)

    def _inputs(self, raw: bool, count: int) -> Iterator[Tensor]:
        """The first calibration images as inputs of a graph, float32 [N, 3, H, W]."""
        import torch

        left = count
        for batch in pixels(
            self.images.calibration, self.preprocess, rest=self._rest(self.images.validation)
        ):
            batch = batch[:left]
            left -= len(batch)
            values = self.preprocess.raw(batch) if raw else self.preprocess.normalise(batch)
            yield torch.from_numpy(values)
            if left == 0:
                return

    def _gain(self) -> Mapping[str, npt.NDArray[np.float64]]:
        """float graph and images ─▶ what the logits make of noise."""
        from edgeeff.quantization import sensitivity

        key = key_of(statistics=self._statistics_key, images=sensitivity.IMAGES, version=VERSION)
        entry = self.cache.get("sensitivity", key)
        if entry is not None:
            return sensitivity.from_bytes(entry["sensitivity.npz"]).gain
        from edgeeff.graph.execute import prepare
        from edgeeff.graph.model import from_bytes

        count = min(sensitivity.IMAGES, len(self.images.calibration))
        self.progress.stage("asking what the logits make of noise", total=count)
        found = sensitivity.measure(
            prepare(from_bytes(self._graph())), self._inputs(False, count), self.progress.advance
        )
        give_back()
        self.cache.put("sensitivity", key, {"sensitivity.npz": sensitivity.to_bytes(found)})
        return found.gain

    def _judged(self) -> tuple[list[Pixels], Logits]:
        """The held-out images, and the float graph's logits of them."""
        judged: tuple[list[Pixels], Logits] = self._once("judged", self._judge)
        return judged

    def _judge(self) -> tuple[list[Pixels], Logits]:
        validation = self.classes_named(self.images.validation)
        few = mixed.halves(validation, self.options.budget)[1]
        self.progress.stage("judging the float graph on held-out images")
        numbers: list[int] = []
        batches = list(
            pixels(
                few,
                self.preprocess,
                rest=self._rest(self.images.calibration),
                watch=lambda _, found: numbers.extend(found.tolist()),
            )
        )
        self._name_skipped(self.images.validation, few.bad)
        logits = self.infer(self._graph(), batches, raw=False)
        if len(logits) < FEW:
            self.progress.warn(f"only {len(logits)} images to judge by: pass more with --validation")
        self._done["known"] = mixed.known(few, numbers, self.options.budget)
        return batches, logits

    def _golden(self, hub: Hub) -> Mapping[str, npt.NDArray[Any]]:
        batches, float_logits = self._judged()
        count = min(self.options.golden, len(float_logits))
        if count == 0:
            return {}
        inputs = np.concatenate(batches)[:count]
        hub_logits = self.infer(hub.graph, [inputs], hub.raw, literal=True)
        outputs = {"hub": hub_logits, "float": float_logits[:count]}
        if self.options.softmax:
            outputs = {name: _softmax(logits) for name, logits in outputs.items()}
        return {"inputs": inputs, **outputs}

    def infer(self, graph: bytes, batches: list[Pixels], raw: bool, literal: bool = False) -> Logits:
        """A graph's logits in onnxruntime, float32 [N, classes]."""
        from edgeeff.backends.onnxruntime.run import session_of

        session = session_of(graph, self.preprocess, "uint8" if raw else "float32", literal=literal)
        return np.concatenate([session.infer(batch) for batch in batches])

    def _rest(self, part: ImageSet) -> ImageSet | None:
        """The other part of the set that the user passed, if calibration and validation are parts of one."""
        return part if self.images.held_out else None

    def judgement(self) -> Judgement | None:
        """What is known of the calibration images, once they have been run."""
        entry = self.cache.get("judgement", self._statistics_key)
        return Judgement.from_bytes(entry["judgement.json"]) if entry is not None else None

    def _refuse_noise(self) -> None:
        """A set that an earlier build was forced to take is not taken by one that is not."""
        judged = self.judgement()
        if judged is not None and not self.force_calibration:
            judged.content.refuse(self.images.calibration.pictures)

    def _tell_judgement(self) -> None:
        """Warn of the calibration images, once a build."""
        judged = self.judgement()
        if judged is None or judged.line in self._told:
            return
        self._told.add(judged.line)
        self.progress.tell(judged.line)
        for warning in judged.warnings(self.images.calibration.pictures):
            self.progress.warn(warning)

    def _name_skipped(self, images: ImageSet, bad: Mapping[str, str]) -> None:
        """Tell of skipped images, once a build: many targets come upon the same ones."""
        images.bad.update(bad)
        for reason in sorted(set(images.bad.values()) - self._told):
            self.progress.warn(f"skipped an image: {reason}")
            self._told.add(reason)

    def _bad_images(self) -> dict[str, str]:
        return {**self.images.calibration.bad, **self.images.validation.bad}


def target_facts(target: Target) -> dict[str, Any]:
    """A target as plain data, for a key."""
    return {
        **vars(target),
        "scheme": vars(target.scheme) if target.scheme else None,
        "variants": [vars(variant) for variant in target.variants],
    }


def golden_files(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, bytes]:
    """Golden inputs and outputs as the files of a bundle."""
    return {f"golden/{name}.npy": _npy(array) for name, array in arrays.items()}


def _softmax(logits: Logits) -> Logits:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
