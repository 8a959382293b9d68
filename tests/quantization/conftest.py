"""The schemes, what is known of each network, and its draft, plan and hub graph under each scheme."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

from edgeeff.graph.execute import prepare
from edgeeff.quantization import quantize, recipe, sensitivity
from edgeeff.quantization.draft import Draft, Evidence
from edgeeff.quantization.rewrites import fold_preprocessing
from edgeeff.target import Scheme, load_scheme


@pytest.fixture(scope="session")
def schemes() -> dict[str, Scheme]:
    return {name: load_scheme(name) for name in ("openvino", "tensorrt", "tflite")}


@pytest.fixture(scope="session")
def inputs(networks: dict[str, Any]) -> Callable[..., torch.Tensor]:
    """``inputs(network, count=8)``: its calibration images, normalised, [count, 3, 64, 64]."""

    def make(network: str, count: int = 8) -> torch.Tensor:
        n = networks[network]
        return torch.from_numpy(n.preprocess.normalise(n.images[:count]))

    return make


@pytest.fixture(scope="session")
def sensitivities(networks: dict[str, Any], inputs: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """``sensitivities(network)``: what its logits make of noise, measured once."""
    return cache(
        lambda network: sensitivity.measure(prepare(networks[network].graph), inputs(network).split(4))
    )


@pytest.fixture(scope="session")
def begun(
    networks: dict[str, Any],
    schemes: dict[str, Scheme],
    inputs: Callable[..., torch.Tensor],
    sensitivities: Callable[..., Any],
) -> Callable[..., Draft]:
    """``begun(network, scheme, raw=False, **options of begin)``: a draft in which nothing is decided."""

    def make(network: str, scheme: str, raw: bool = False, **options: Any) -> Draft:
        n = networks[network]
        graph, statistics = n.graph, n.statistics
        if raw:
            graph, statistics = fold_preprocessing.rewrite(graph, statistics, n.preprocess)
        evidence = Evidence(
            statistics,
            lambda count: iter(inputs(network, count).split(4)),
            lambda: sensitivities(network).gain,
        )
        return quantize.begin(graph, evidence, n.preprocess, schemes[scheme], **options)

    return make


@pytest.fixture(scope="session")
def finished(begun: Callable[..., Draft]) -> Callable[..., Draft]:
    """``finished(network, scheme, raw=False, effort="fast")``: the draft after a recipe, made once."""

    @cache
    def make(network: str, scheme: str, raw: bool = False, effort: str = "fast") -> Draft:
        return recipe.load(effort)(begun(network, scheme, raw))

    return make


@pytest.fixture(scope="session")
def quantized(finished: Callable[..., Draft]) -> Callable[..., Any]:
    """``quantized(network, scheme, raw=False, effort="fast")``: the plan and the hub graph, made once."""

    @cache
    def make(network: str, scheme: str, raw: bool = False, effort: str = "fast") -> Any:
        draft = finished(network, scheme, raw, effort)
        return draft.plan(), quantize.write(draft)

    return make
