"""Which tensors and layers lose what, and what to do about it.

One way down: plan of a build ─▶ error without each part (leave_one_out) and what its codes cut off (clipping)
on held-out images ─▶ findings ─▶ advice. :mod:`edgeeff.report` draws it as HTML.
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
from edgeeff.device import Device
from edgeeff.diagnosis import on_board
from edgeeff.diagnosis.examination import examine
from edgeeff.diagnosis.findings import Diagnosis
from edgeeff.diagnosis.relief import advise
from edgeeff.errors import MissingRuntimeError, OptionError
from edgeeff.files import TEMPORARY
from edgeeff.harness.verify import FEW
from edgeeff.memory import give_back
from edgeeff.pipeline import held_out, mixed, variants
from edgeeff.pipeline.build import build
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.preparing import prepare
from edgeeff.pipeline.request import BuildRequest, refuse_other_verbs
from edgeeff.pipeline.resolve.frames import resolve_frames
from edgeeff.pipeline.resolve.images import in_files
from edgeeff.pipeline.resolve.quantise import resolve_options
from edgeeff.pipeline.resolve.targets import refuse_float_layers, resolve_targets
from edgeeff.pipeline.stages.calibration import Calibration
from edgeeff.pipeline.stages.drafting import is_raw
from edgeeff.progress import Progress, Recorder, Silent, recorded
from edgeeff.quantization import precision
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
    images: int | None = None,
    kernels: bool = False,
    device: Device | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
    **keywords: Unpack[BuildKeywords],
) -> Diagnosis:
    """Find what the quantised network loses, tensor by tensor and layer by layer.

    Args:
        target: An int8 target, by name or as the path of a TOML file.
        images: Held-out images to look at, at most; None: 32, of a large detector fewer.
        kernels: Also build the bundle, in a temporary folder, and ask its runtime which kernels it takes.
        device: A board, on which the artifact is run too; it is planned for the board's class of CPU where
            none is named.
        cache: Where stage results are kept; None: the user's.
        progress: Told what is going on.
        keywords: Those of a build that have a meaning here.

    Raises:
        EdgeeffError: One of its kinds, for bad input.
    """
    progress = Recorder.of(progress)
    if images is not None and images < 1:
        raise OptionError(f"--images {images}", mend="look at one image at least, 32 say more")
    if device is not None:
        _refuse_kernels(device, kernels=kernels)
        if keywords.get("cpu_class") in (None, "auto"):
            keywords["cpu_class"] = on_board.cpu_class(device)
            progress.tell(f"planned for CPUs of the class {keywords['cpu_class']}, that of {device.name}")
    asked = BuildRequest.of(**keywords)
    refuse_other_verbs(asked, "diagnose")
    asked = _without_camera(asked, progress)
    (wanted,) = resolve_targets([target], asked.output.io)
    if wanted.scheme is None:
        raise OptionError(
            f"{wanted.name} is a float target: nothing is quantised",
            mend="choose an int8 one of `edgeeff targets`",
        )
    with in_files(asked, progress) as whole:
        context = Context.of(cache, progress)
        found = _diagnose(whole, wanted, context, images=images, kernels=kernels)
        if device is not None:
            give_back()
            found = replace(found, board=on_board.run(wanted, whole, found.images, device, context))
        return replace(found, warnings=progress.warnings)


def _without_camera(asked: BuildRequest, progress: Recorder) -> BuildRequest:
    """A request for the same network without a camera's frames: what is looked at begins at its own input."""
    if resolve_frames(asked.output) is None:
        return asked
    progress.warn(
        "diagnose begins at the network's own input, RGB of its size: what a camera's frames (--io, "
        "--resize-in-model) cost before it is not in these figures; a build says it"
    )
    return replace(asked, output=replace(asked.output, io=None, yuv=None, resize_in_model=None))


def _refuse_kernels(device: Device, *, kernels: bool) -> None:
    if kernels:
        raise OptionError(
            f"kernels with the device {device.name}: they are asked of this machine's runtime alone",
            mend="leave one of the two out",
        )


def _diagnose(
    asked: BuildRequest, wanted: Target, context: Context, *, images: int | None, kernels: bool
) -> Diagnosis:
    """The same for a request that is whole, and one int8 target."""
    options = resolve_options(asked)
    refuse_float_layers([wanted], options.float_asked)
    drafting = prepare(asked, options, context)
    network, used = drafting.calibration.network, drafting.recipe
    batch = options.tuning.batch if options.tuning else options.batch
    wanted = variants.served(wanted, network, options.cpu_class, options.tuning, batch)
    draft = drafting.draft(wanted, mixed.floating(drafting, wanted, options.keep_float, None).layers)
    drafting.calibration.tell(drafting.calibration.judgement())
    few = images is None and drafting.meaning.detection is not None
    count = min(IMAGES, precision.enough(draft)) if few else images or IMAGES
    inputs = _held_out(drafting.calibration, is_raw(wanted), count)
    if drafting.meaning.detection is not None:  # what runs side by side is kept small
        inputs = [image[None] for batch in inputs for image in batch]
    model = network.source.identity.model
    found = replace(
        examine(draft, inputs, context.progress), model=model, target=wanted.name, effort=used.name
    )
    found = advise(found, draft, used, inputs)
    if why := backends.runtime(wanted.runtime).no_float:
        context.progress.tell(
            f"float    {why}: what --keep-float would bring shows where the error is, and "
            f"a build of {wanted.name} takes none of it"
        )
    if kernels:
        del draft, inputs
        give_back()
        found = _with_kernels(found, wanted, asked, context)
    return found


def _held_out(calibration: Calibration, raw: bool, count: int) -> list[Tensor]:
    """Held-out images as inputs of the graph, in batches."""
    images, preprocess, context = calibration.images, calibration.preprocess, calibration.context
    few = replace(images.validation, pictures=images.validation.pictures[:count], bad={})
    change = preprocess.raw if raw else preprocess.normalise
    rest = images.rest(images.calibration)
    found = [torch.from_numpy(change(batch)) for batch in pixels(few, preprocess, rest=rest)]
    held_out.warn_skipped(images.calibration, dict(images.calibration.bad), context)
    held_out.warn_skipped(images.validation, few.bad, context)
    seen = sum(map(len, found))
    if seen < min(FEW, count):
        context.warn(f"only {seen} images to judge by: pass more with --validation")
    return found


def _with_kernels(found: Diagnosis, target: Target, asked: BuildRequest, context: Context) -> Diagnosis:
    """The same with the kernels that the runtime takes, if it is here: of a bundle that is gone then."""
    context.progress.stage("building it, to ask its runtime for kernels")
    with TemporaryDirectory(prefix=TEMPORARY) as folder:
        (built,) = build(
            asked, targets=[target], output=folder, golden=0, cache=context.cache, progress=Silent()
        )
        context.warn_all(built.warnings)
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
