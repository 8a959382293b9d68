"""Which tensors and layers lose what, and what to do about it.

One way down: plan of a build ─▶ error without each part (leave_one_out) and what its codes cut off (clipping)
on held-out images ─▶ findings ─▶ advice. ``page`` writes it all as HTML.
"""

from __future__ import annotations

from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgeeff import backends
from edgeeff.cache import Cache
from edgeeff.calibration.selection import pixels
from edgeeff.diagnosis.examination import examine
from edgeeff.diagnosis.findings import Diagnosis
from edgeeff.diagnosis.relief import advise
from edgeeff.errors import MissingRuntimeError, OptionError
from edgeeff.files import TEMPORARY
from edgeeff.harness.verify import FEW
from edgeeff.memory import give_back
from edgeeff.pipeline import mixed, steps
from edgeeff.pipeline.build import build, prepare
from edgeeff.pipeline.request import BuildRequest, refuse_other_verbs
from edgeeff.pipeline.resolve.quantise import resolve_options
from edgeeff.pipeline.resolve.targets import resolve_targets
from edgeeff.progress import Progress, Recorder, Silent, recorded
from edgeeff.quantization import recipe
from edgeeff.target import Target

if TYPE_CHECKING:
    from typing import Unpack  # Python 3.11's; its users are annotations, which nothing evaluates

    from edgeeff.pipeline.request.keywords import BuildKeywords

#: Held-out images that are looked at if not told otherwise.
IMAGES = 32


@recorded
def diagnose(
    target: str | Target,
    *,
    images: int = IMAGES,
    kernels: bool = False,
    cache: Cache | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[BuildKeywords],
) -> Diagnosis:
    """Find what the quantised network loses, tensor by tensor and layer by layer.

    Args:
        target: An int8 target, by name or as the path of a TOML file.
        images: Held-out images to look at, at most.
        kernels: Also build the bundle, in a temporary folder, and ask its runtime which kernels it takes.
        cache: Where stage results are kept; None: the user's.
        progress: Told what is going on.
        keywords: Those of a build that have a meaning here.

    Raises:
        EdgeeffError: One of its kinds, for bad input.
    """
    progress = Recorder.of(progress)
    if images < 1:
        raise OptionError(f"--images {images}", mend="look at one image at least, 32 say more")
    asked = BuildRequest.of(**keywords)
    refuse_other_verbs(asked, "diagnose")
    (wanted,) = resolve_targets([target], asked.output.io)
    if wanted.scheme is None:
        raise OptionError(
            f"{wanted.name} is a float target: nothing is quantised",
            mend="choose an int8 one of `edgeeff targets`",
        )
    work = prepare(asked, resolve_options(asked), cache=cache or Cache.default(), progress=progress)
    wanted = work.served(wanted)
    raw = backends.runtime(wanted.runtime).holds_pixels(wanted.input)
    draft = work.draft(wanted, raw, mixed.floating(work, wanted, raw, {}).layers)
    work.tell_judgement(work.calibrated.judgement())
    inputs = _held_out(work, raw, images)
    used = recipe.load(work.options.effort)
    used = used if work.options.ranges is None else used.with_ranges(work.options.ranges)
    found = replace(
        examine(draft, inputs, progress), model=work.identity.model, target=wanted.name, effort=used.name
    )
    found = advise(found, draft, used, inputs)
    if kernels:
        del draft, inputs
        give_back()
        found = _with_kernels(found, wanted, asked, work.cache, progress)
    return replace(found, warnings=progress.warnings)


def _held_out(work: steps.Work, raw: bool, count: int) -> list[Tensor]:
    """Held-out images as inputs of the graph, in batches."""
    validation = work.images.validation
    few = replace(validation, pictures=validation.pictures[:count], bad={})
    rest = work.images.calibration if work.images.held_out else None
    change = work.preprocess.raw if raw else work.preprocess.normalise
    found = [torch.from_numpy(change(batch)) for batch in pixels(few, work.preprocess, rest=rest)]
    work.name_skipped(work.images.calibration, work.images.calibration.bad)
    work.name_skipped(validation, few.bad)
    seen = sum(map(len, found))
    if seen < min(FEW, count):
        work.progress.warn(f"only {seen} images to judge by: pass more with --validation")
    return found


def _with_kernels(
    found: Diagnosis, target: Target, asked: BuildRequest, cache: Cache, progress: Recorder
) -> Diagnosis:
    """The same with the kernels that the runtime takes, if it is here: of a bundle that is gone then."""
    progress.stage("building it, to ask its runtime for kernels")
    with TemporaryDirectory(prefix=TEMPORARY) as folder:
        (built,) = build(asked, targets=[target], output=folder, golden=0, cache=cache, progress=Silent())
        progress.warn_again(built.warnings)
        try:
            check = built.bundle.check()
        except MissingRuntimeError as error:
            return replace(found, kernels=f"NOT RUN: {error.what}")
    # OpenVINO names the parts of a layer that it took apart stem.conv/WithoutBiases and the like.
    by_layer = {layer.name.partition("/")[0]: f"{layer.kernel} {layer.precision}" for layer in check.layers}
    by_layer |= {layer.name: f"{layer.kernel} {layer.precision}" for layer in check.layers}
    findings = [replace(f, kernel=by_layer.get(f.name)) if f.kind == "weights" else f for f in found.findings]
    state = f"{check.status}: " if check.status != "ok" else ""
    return replace(found, findings=tuple(findings), kernels=f"{state}{check.summary}")
