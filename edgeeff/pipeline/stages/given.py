"""Ranges that another tool chose ─▶ the same by the names of the float graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from edgeeff import regular
from edgeeff.calibration.selection import pixels
from edgeeff.images import ImageSet
from edgeeff.pipeline.options import GivenPlan
from edgeeff.pipeline.stages.network import Network
from edgeeff.preprocess import Preprocess
from edgeeff.target import Scheme
from edgeeff.watched import refusal

#: Images that tell which tensor of the other tool's graph is which of ours.
_PROBED = 2


def ranges(
    plan: GivenPlan, network: Network, preprocess: Preprocess, images: ImageSet, scheme: Scheme
) -> Mapping[str, tuple[float, float]]:
    """The user's plan, by the names of the base graph.

    Args:
        plan: What was given.
        network: The float graph.
        preprocess: From a photo to its input.
        images: Those that calibrate: two of them tell which tensor is which.
        scheme: Says which tensors want a range.

    Raises:
        ChangedFileError: The plan's file changed since it was first read.
    """
    from edgeeff.graph import order
    from edgeeff.graph.importing import source
    from edgeeff.quantization import foreign, placement

    model, context, origin = network.model(), network.context, network.source
    sites = placement.place(model, scheme).sites
    entry = model.graph.inputs[0].name
    wanted = [name for name, site in sites.items() if not site.fixed and name != entry]
    reference = None
    if origin.identity.kind == "onnx_file":
        reference = source.load(regular.path_of(origin.identity.source))
    few = replace(images, pictures=images.pictures[:_PROBED], bad={})
    probe = preprocess.normalise(np.concatenate(list(pixels(few, preprocess))))
    if origin.asked.channels == "bgr":  # the file that the plan is of takes its channels in its own order
        order.turn_around(model)
        probe = np.ascontiguousarray(probe[:, ::-1])
    read = foreign.read(plan.path)
    if GivenPlan.of(plan.path).digest != plan.digest:
        raise refusal([plan.path])
    taps = origin.asked.taps or ()
    matched = foreign.match(read, model, reference, probe, sites=wanted, taps=taps)
    context.progress.tell(f"plan     {plan.path.name}: ranges of {len(matched.ranges)} tensors")
    if warning := matched.warning():
        context.warn(warning)
    return dict(matched.ranges)
