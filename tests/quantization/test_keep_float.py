from __future__ import annotations

import pytest

from edgeeff.errors import OptionError
from edgeeff.quantization import recipe
from edgeeff.quantization.steps import correct_bias, keep_float, ranges
from edgeeff.quantization.steps import round as round_

ROUGH = {"method": "minmax"}


def decided(draft):
    return correct_bias.apply(round_.apply(ranges.apply(draft, **ROUGH)))


@pytest.mark.parametrize("network", ["b0", "lite0"])
def test_the_classifier_stays_float_and_what_it_reads_too(network, begun):
    draft = begun(network, "openvino")
    kept = keep_float.apply(draft, layers=["classifier"])
    plan, whole = decided(kept).plan(), decided(draft).plan()
    assert set(whole.layers) - set(plan.layers) == {"classifier"} == set(plan.floating)
    (pooled,) = set(whole.activations) - set(plan.activations)
    assert "pool" in pooled


def test_roles_add_up(begun):
    kept = keep_float.apply(begun("b0", "tensorrt", floating=frozenset({"head.conv"})), layers=["stem"])
    assert {"head.conv", "stem.conv"} == set(decided(kept).plan().floating)


def test_the_order_of_steps_is_held(begun):
    with pytest.raises(OptionError, match="keep_float comes after the ranges"):
        keep_float.apply(ranges.apply(begun("lite0", "openvino"), **ROUGH), layers=["stem"])


def test_what_max_keeps_in_float():
    """One layer of each network, where the scheme leaves a choice; TFLite's targets have their variant."""
    kept = {
        (bounded, swish): [*step.arguments["layers"]]
        for bounded in (True, False)
        for swish in ("whole", "steps")
        for step in recipe.load("max").steps
        if step.use == "keep_float" and step.concerns(bounded, swish) and (step.activation or step.swish)
    }
    assert kept == {(False, "whole"): ["classifier"], (True, "whole"): ["first depthwise"]}
