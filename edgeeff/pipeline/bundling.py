"""One target ─▶ its verified bundle: hub graph, artifact, golden files, verification."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from edgeeff import backends
from edgeeff.harness.golden import golden_count
from edgeeff.pipeline import artifact, built, mixed, training, variants
from edgeeff.pipeline.aside import worthwhile
from edgeeff.pipeline.built import Built
from edgeeff.pipeline.carrying import Carries, carry
from edgeeff.pipeline.framed import Framed
from edgeeff.pipeline.mixed import Floating
from edgeeff.pipeline.options import Options
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.preparing import Classes
from edgeeff.pipeline.resolve.detection import placed
from edgeeff.pipeline.resolve.source import whose
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.pipeline.stages.hub import Hub, hub
from edgeeff.pipeline.verifying import Verifying
from edgeeff.progress import Recorder
from edgeeff.target import Target


@dataclass(frozen=True)
class Quantised:
    """A target whose every decision is made: what is left is to write its bundle and to verify it.

    Args:
        drafting: How the network was quantised.
        used: The target, perhaps with variants, and what else of names its bytes are decided by.
        target: As the variant has it that serves here.
        folder: Where the bundle is to stand.
        hub: The hub graph.
        floating: Which layers stayed float.
        framed: Held-out images with the float graph's outputs, as the artifact takes them.
        options: What is asked of every target.
        carries: Variants of it that its device may choose among.
    """

    drafting: Drafting
    used: Used
    target: Target
    folder: Path
    hub: Hub
    floating: Floating
    framed: Framed
    options: Options
    carries: Carries

    @property
    def can_wait(self) -> bool:
        """Whether another thread can finish it: it is small, reads no more images, and is our own code."""
        network = self.drafting.calibration.network
        sealed = backends.runtime(self.target.runtime).plugin is None and self.target.camera is None
        return sealed and self.options.budget is None and worthwhile(len(network.graph()))

    def heard_by(self, progress: Recorder) -> Quantised:
        """The same, whose further work tells another recorder."""
        drafting = self.drafting.heard_by(progress)
        return replace(self, drafting=drafting, framed=replace(self.framed, calibration=drafting.calibration))


def quantise(drafting: Drafting, used: Used, folder: Path, options: Options) -> Quantised:
    """One target, from the float graph to its hub graph.

    Args:
        drafting: How the network is quantised.
        used: The target, perhaps with variants, and what else of names its bytes are decided by.
        folder: Where the bundle is to stand.
        options: What is asked of every target.
    """
    calibration, context = drafting.calibration, drafting.context
    network = calibration.network
    built.warn_replaced(folder, calibration.preprocess.size, context)
    artifact.refuse_memory(network, options.batch)
    target = variants.served(used.target, network, options.cpu_class, options.tuning, options.batch)
    drafting = training.trained(drafting, target, options.keep_float, options.budget)
    floating = mixed.floating(drafting, target, options.keep_float, options.budget, options.batch)
    lowers = hub(drafting, target, floating.layers)
    framed = Framed.of(calibration, options.budget, artifact.taking(calibration.preprocess, target))
    carries = Carries()
    if options.carry:
        carries = carry(drafting, used.target, lowers, floating.layers, framed, options.batch)
    return Quantised(drafting, used, target, folder, lowers, floating, framed, options, carries)


def finish(ready: Quantised, classes: Classes, made_from: str, warned: Iterable[str]) -> Built:
    """One target, from its hub graph to its verified bundle.

    Args:
        ready: The target, quantised.
        classes: What the classes are called.
        made_from: The digest of all that decides its bytes.
        warned: What was warned of so far, of network, images and this target; it grows on the way.
    """
    drafting, target, folder, options = ready.drafting, ready.target, ready.folder, ready.options
    context, identity = drafting.context, drafting.calibration.network.source.identity
    meaning = placed(drafting.meaning, target, options.nms, options.batch)
    served = replace(drafting, meaning=meaning)
    emission = artifact.emission(served, target, ready.hub, classes.names, folder.name, options.batch)
    emission = replace(emission, variants=ready.carries.graphs(options.batch))
    artifact.caution(emission, context)
    files = artifact.files_of(ready.hub, emission)
    count = golden_count(
        options.golden, options.batch, backends.artifact_outputs(emission), emission.preprocess
    )
    files |= artifact.golden(ready.hub, emission, ready.framed, count)
    files |= ready.carries.golden(emission, ready.framed, count)
    manifest = artifact.manifest(
        emission,
        ready.used,
        model=identity.model,
        classes=identity.classes,
        cpu_class=options.cpu_class,
        digests={"inputs": made_from, **artifact.hub_digests(ready.hub, drafting)},
        origin=whose(identity),
        negative=classes.negative,
    )
    manifest = replace(manifest, carrying=ready.carries.said)
    verifying = Verifying(served, ready.hub, ready.framed, options.budget, ready.floating.choice)
    written, report = verifying.write(folder, manifest, files, warned)
    return Built.of(written, report, unchanged=False)
