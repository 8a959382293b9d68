"""float graph and a few calibration images ─▶ what the outputs make of noise on each channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.network import Network
from edgeeff.pipeline.stages.stage import Stage
from edgeeff.pipeline.stages.statistics import Observed

if TYPE_CHECKING:
    from torch import Tensor

    from edgeeff.quantization.sensitivity import Sensitivity

VERSION = 2
TOOLS = ("edgeeff", "torch", "numpy", "pillow")
_FILE = "sensitivity.npz"

#: By tensor: energy of the outputs' change for each unit of variance on a channel, [C].
Gain = Mapping[str, npt.NDArray[np.float64]]


def stage(
    network: Network,
    statistics: str,
    observed: Callable[[], Observed],
    inputs: Callable[[int], Iterator[Tensor]],
    count: int,
    exclusive: bool,
    context: Context,
) -> Stage[Sensitivity]:
    """What the outputs make of noise.

    Args:
        network: The float graph.
        statistics: The key of the images' statistics: of the same graph, images and preprocessing.
        observed: Gives these; called for a network of several outputs alone, which are weighed by them.
        inputs: Gives the first so many images as inputs of the graph, float32 [N, C, H, W].
        count: How many images there are.
        exclusive: Whether the network's classes exclude each other.
        context: Hears of the images that are done.
    """
    from edgeeff.quantization import sensitivity

    return Stage(
        "sensitivity",
        VERSION,
        TOOLS,
        facts={"statistics": statistics, "images": sensitivity.IMAGES, "exclusive": exclusive},
        make=partial(_measure, network, observed, inputs, min(sensitivity.IMAGES, count), exclusive, context),
        encode=_encode,
        decode=_decode,
    )


def _measure(
    network: Network,
    observed: Callable[[], Observed],
    inputs: Callable[[int], Iterator[Tensor]],
    count: int,
    exclusive: bool,
    context: Context,
) -> Sensitivity:
    from edgeeff.graph.execute import prepare
    from edgeeff.quantization import sensitivity
    from edgeeff.quantization.centring import deciding

    model = network.model()
    known = observed().statistics if len(model.graph.outputs) > 1 else {}
    context.progress.stage("asking what the logits make of noise", total=count)
    return sensitivity.measure(
        *(prepare(model), inputs(count), context.progress.advance),
        deciding=deciding(model, known, exclusive),
    )


def _encode(found: Sensitivity) -> dict[str, bytes]:
    from edgeeff.quantization import sensitivity

    return {_FILE: sensitivity.to_bytes(found)}


def _decode(parts: Mapping[str, bytes]) -> Sensitivity:
    from edgeeff.quantization import sensitivity

    return sensitivity.from_bytes(parts[_FILE])
