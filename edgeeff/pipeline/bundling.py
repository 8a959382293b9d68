"""One target ─▶ its verified bundle: hub graph, artifact, golden files, verification."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from edgeeff import backends
from edgeeff.harness.golden import golden_count
from edgeeff.pipeline import artifact, built, mixed, training, variants
from edgeeff.pipeline.built import Built
from edgeeff.pipeline.framed import Framed
from edgeeff.pipeline.options import Options
from edgeeff.pipeline.plugged import Used
from edgeeff.pipeline.preparing import Classes
from edgeeff.pipeline.resolve.detection import placed
from edgeeff.pipeline.resolve.source import whose
from edgeeff.pipeline.stages.drafting import Drafting
from edgeeff.pipeline.stages.hub import hub
from edgeeff.pipeline.verifying import Verifying


def bundle(
    drafting: Drafting,
    used: Used,
    folder: Path,
    classes: Classes,
    options: Options,
    made_from: str,
    warned: Iterable[str],
) -> Built:
    """One target, from the float graph to its verified bundle.

    Args:
        drafting: How the network is quantised.
        used: The target, perhaps with variants, and what else of names its bytes are decided by.
        folder: Where the bundle is to stand.
        classes: What the classes are called.
        options: What is asked of every target.
        made_from: The digest of all this.
        warned: What was warned of so far, of network, images and this target; it grows on the way.
    """
    calibration, context = drafting.calibration, drafting.context
    network, identity = calibration.network, calibration.network.source.identity
    built.warn_replaced(folder, calibration.preprocess.size, context)
    artifact.refuse_memory(network, options.batch)
    target = variants.served(used.target, network, options.cpu_class, options.tuning, options.batch)
    drafting = training.trained(drafting, target, options.keep_float, options.budget)
    floating = mixed.floating(drafting, target, options.keep_float, options.budget, options.batch)
    lowers = hub(drafting, target, floating.layers)
    framed = Framed.of(calibration, options.budget, artifact.taking(calibration.preprocess, target))
    context.progress.stage(f"{folder.name}: {target.summary}")
    meaning = placed(drafting.meaning, target, options.nms, options.batch)
    emission = artifact.emission(
        replace(drafting, meaning=meaning), target, lowers, classes.names, folder.name, options.batch
    )
    artifact.caution(emission, context)
    files = artifact.files_of(lowers, emission)
    count = golden_count(
        options.golden, options.batch, backends.artifact_outputs(emission), emission.preprocess
    )
    files |= artifact.golden(lowers, emission, framed, count)
    manifest = artifact.manifest(
        emission,
        used,
        model=identity.model,
        classes=identity.classes,
        cpu_class=options.cpu_class,
        digests={"inputs": made_from, **artifact.hub_digests(lowers, drafting)},
        origin=whose(identity),
        negative=classes.negative,
    )
    served = replace(drafting, meaning=meaning)
    verifying = Verifying(served, lowers, framed, options.budget, floating.choice)
    written, report = verifying.write(folder, manifest, files, warned)
    return Built.of(written, report, unchanged=False)
