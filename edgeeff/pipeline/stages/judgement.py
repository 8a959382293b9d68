"""What one run over the calibration images found ─▶ what is said of these images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from edgeeff.calibration.judgement import Judgement
from edgeeff.images import ImageSet
from edgeeff.pipeline.stages.network import Network
from edgeeff.pipeline.stages.stage import Stage
from edgeeff.pipeline.stages.statistics import Observed
from edgeeff.preprocess import Preprocess

VERSION = 1
TOOLS = ("edgeeff", "torch", "numpy", "pillow")
_FILE = "judgement.json"


def stage(
    network: Network,
    preprocess: Preprocess,
    images: ImageSet,
    statistics: str,
    observed: Callable[[], Observed],
) -> Stage[Judgement]:
    """What is said of the calibration images.

    Args:
        network: The float graph.
        preprocess: From a photo to its input.
        images: Those that calibrate.
        statistics: The key of their statistics.
        observed: Gives these.
    """
    return Stage(
        "judgement",
        VERSION,
        TOOLS,
        facts={"statistics": statistics},
        make=partial(_judge, network, preprocess, images, observed),
        encode=_encode,
        decode=_decode,
    )


def _judge(
    network: Network, preprocess: Preprocess, images: ImageSet, observed: Callable[[], Observed]
) -> Judgement:
    from edgeeff.calibration import judgement, transfer

    found, model = observed(), network.model()
    told_apart = partial(transfer.told_apart, model, preprocess, images)
    return judgement.judge(model, found.statistics, found.content, found.trial, told_apart)


def _encode(judgement: Judgement) -> dict[str, bytes]:
    return {_FILE: judgement.to_bytes()}


def _decode(parts: Mapping[str, bytes]) -> Judgement:
    return Judgement.from_bytes(parts[_FILE])
