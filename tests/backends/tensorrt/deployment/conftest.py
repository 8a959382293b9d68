"""Bundles' graphs with the files of the ecosystems beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import onnx
import pytest

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt import deployment, graphs
from edgeeff.preprocess import Preprocess

GRAPH = "model.qdq.onnx"
#: ImageNet's, whose standard deviation differs by channel.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@pytest.fixture
def imagenet(emission: Emission) -> Emission:
    """The emission of a network with ImageNet's normalisation."""
    return replace(emission, preprocess=Preprocess(emission.preprocess.size, MEAN, STD))


@pytest.fixture
def deployed(lite_hub: onnx.ModelProto) -> Callable[..., tuple[dict[str, bytes], dict[str, bytes]]]:
    """``deployed(emission)``: the files that a bundle seals of its graph, and those beside them."""

    def make(emission: Emission, hub: Any = None) -> tuple[dict[str, bytes], dict[str, bytes]]:
        sealed = graphs.pair(hub or lite_hub, emission, graphs.QUANTISED)
        return sealed, deployment.beside(sealed, emission, GRAPH)

    return make
