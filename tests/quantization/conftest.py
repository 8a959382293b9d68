"""The schemes, and each network's plan and hub graph under each of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from edgeeff.quantization.quantize import quantize
from edgeeff.quantization.recipe import Recipe
from edgeeff.quantization.rewrites import fold_preprocessing
from edgeeff.target import Scheme, load_scheme


@pytest.fixture(scope="session")
def schemes() -> dict[str, Scheme]:
    return {name: load_scheme(name) for name in ("openvino", "tensorrt", "tflite")}


@pytest.fixture(scope="session")
def quantized(networks: dict[str, Any], schemes: dict[str, Scheme]) -> Callable[..., Any]:
    """``quantized(network, scheme, raw=False)``: the plan and the hub graph, made once."""

    @cache
    def make(network: str, scheme: str, raw: bool = False) -> Any:
        n = networks[network]
        graph, statistics = n.graph, n.statistics
        if raw:
            graph, statistics = fold_preprocessing.rewrite(graph, statistics, n.preprocess)
        return quantize(graph, statistics, n.preprocess, schemes[scheme], Recipe())

    return make
