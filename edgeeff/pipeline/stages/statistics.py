"""float graph and calibration images ─▶ what one run over the images found, for all targets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from edgeeff.calibration.content import ContentReport
from edgeeff.calibration.selection import Selection, bad_from_json, bad_to_json, pixels
from edgeeff.calibration.statistics import Statistics, statistics_from_bytes, statistics_to_bytes
from edgeeff.calibration.trial import TrialReport
from edgeeff.images import ImageSet
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.network import Network
from edgeeff.pipeline.stages.stage import Stage
from edgeeff.preprocess import Preprocess

VERSION = 1
TOOLS = ("edgeeff", "torch", "numpy", "pillow")
#: Bytes of statistics that a build holds: a Lite0's are 13 MB in 428 arrays, asked for four times.
HELD = 32 << 20


@dataclass(frozen=True)
class Observed:
    """What one run over the calibration images found.

    Args:
        statistics: Of each tensor of the float graph.
        content: What the images show: blank ones, noise, repeated ones.
        trial: What other preprocessings of a few of them gave.
        skipped: Images that cannot be decoded, by name, with why.
    """

    statistics: Statistics
    content: ContentReport
    trial: TrialReport
    skipped: Mapping[str, str]


def stage(
    network: Network, preprocess: Preprocess, images: Selection, context: Context, *, force: bool
) -> Stage[Observed]:
    """One run over the calibration images.

    Args:
        network: The float graph.
        preprocess: From a photo to its input.
        images: Those of a build.
        context: Hears of the images that are done.
        force: Whether images that are blank or noise are taken too. It is no fact: the statistics are the
            same, and whoever takes them from the cache refuses such images itself.
    """
    return Stage(
        "statistics",
        VERSION,
        TOOLS,
        facts={
            "graph": network.digest,
            "images": images.calibration.digest(),
            "preprocess": preprocess.to_json(),
        },
        make=partial(_observe, network, preprocess, images, context, force),
        encode=partial(_encode, images.calibration),
        decode=partial(_decode, images.calibration),
        hold=HELD,
    )


def _observe(
    network: Network, preprocess: Preprocess, images: Selection, context: Context, force: bool
) -> Observed:
    from edgeeff.calibration import judgement
    from edgeeff.calibration.collect import collect
    from edgeeff.calibration.content import Examination

    calibration = images.calibration
    context.progress.stage("looking at a few images")
    model = network.model()
    tried = judgement.at_sight(model, preprocess, calibration, force=force)
    examination = Examination(calibration.pictures, force=force)
    rest = images.rest(images.validation)
    context.progress.stage("calibrating", total=len(calibration))
    batches = pixels(calibration, preprocess, rest=rest, watch=examination.add)
    found = collect(model, preprocess, batches, context.progress.advance)
    return Observed(found, examination.report(), tried, dict(calibration.bad))


def _encode(images: ImageSet, observed: Observed) -> dict[str, bytes]:
    reports = {"content": observed.content.to_json(), "trial": observed.trial.to_json()}
    return {
        "statistics.npz": statistics_to_bytes(observed.statistics),
        "reports.json": json.dumps(reports).encode(),
        "bad.json": bad_to_json(images).encode(),
    }


def _decode(images: ImageSet, parts: Mapping[str, bytes]) -> Observed:
    reports = json.loads(parts["reports.json"])
    return Observed(
        statistics_from_bytes(parts["statistics.npz"]),
        ContentReport.from_json(reports["content"]),
        TrialReport.from_json(reports["trial"]),
        bad_from_json(images, parts["bad.json"].decode()),
    )
