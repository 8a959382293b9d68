from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeeff.calibration.collect import _summarise
from edgeeff.preprocess import Preprocess
from edgeeff.quantization import estimators, ranges
from edgeeff.quantization.placement import Site, place
from edgeeff.quantization.plan import ActivationQuantization
from edgeeff.quantization.rewrites import swish_steps
from edgeeff.quantization.steps import ranges as steps_ranges

ends = st.floats(0, 1e6).filter(lambda v: v == 0 or v > 1e-12)
types = st.sampled_from(["int8", "uint8"])


def statistics_of(values):
    return _summarise(torch.from_numpy(np.asarray(values, np.float32).reshape(1, -1, 16, 16)))


def rounded(values, quantization):
    low, high = (-128, 127) if quantization.type == "int8" else (0, 255)
    codes = np.clip(np.rint(values / quantization.scale) + quantization.zero_point, low, high)
    return (codes - quantization.zero_point) * quantization.scale


@given(ends, ends, st.booleans(), types)
def test_a_fitted_range_covers_its_ends_and_represents_zero(below, high, symmetric, integer):
    low = 0.0 if symmetric and integer == "uint8" else -below
    found = ranges.fit(low, high, symmetric, integer)
    first, last = (-128, 127) if integer == "int8" else (0, 255)
    assert isinstance(found.zero_point, int) and first <= found.zero_point <= last
    assert found.zero_point == 0 or not symmetric
    assert found.scale == np.float32(found.scale) > 0
    smallest, largest = found.limits
    assert smallest <= 0 <= largest  # zero has a code of its own: the zero point
    # Rounding the zero point moves the range by half a step at most.
    assert (
        smallest - 0.51 * found.scale <= low * (1 + 1e-6)
        and high * (1 - 1e-6) <= largest + 0.51 * found.scale
    )
    if low < 0 and high > 0 and not symmetric:
        assert (largest - smallest) == pytest.approx(high - low, rel=1e-5, abs=1e-6)


@given(ends.filter(bool))
def test_what_is_never_negative_begins_at_zero(high):
    assert ranges.fit(0, high, True, "uint8") == ActivationQuantization(
        float(np.float32(high / 255)), 0, "uint8"
    )
    asymmetric = ranges.fit(0, high, False, "int8")
    assert asymmetric.zero_point == -128 and asymmetric.scale == pytest.approx(high / 255)
    assert ranges.fit(0, high, False, "uint8").zero_point == 0


def test_a_silent_tensor_has_a_scale():
    silent = statistics_of(np.zeros((2, 16, 16)))
    for method in estimators.names():
        low, high = ranges.value_range(silent, False, "int8", method, 1e-4)
        assert (low, high) == (0, 0)
    assert ranges.fit(0, 0, True, "int8").scale == pytest.approx(1e-9)


def test_minmax_holds_everything():
    values = np.random.default_rng(0).normal(1, 2, (8, 16, 16)).astype(np.float32)
    assert ranges.value_range(statistics_of(values), False, "int8", "minmax", 0) == (
        values.min(),
        values.max(),
    )
    positive = np.abs(values) + 3
    assert ranges.value_range(statistics_of(positive), False, "int8", "minmax", 0) == (0, positive.max())


def test_percentile_leaves_the_tail_outside():
    values = np.random.default_rng(0).normal(0, 1, (1024, 16, 16)).astype(np.float32)
    values[0, 0, 0] = 60
    low, high = ranges.value_range(statistics_of(values), False, "int8", "percentile", 1e-4)
    exact = np.quantile(values, [1e-4, 1 - 1e-4])
    bin_width = 2 * 8 / 128  # of the widest channels but the one with the outlier
    assert abs(low - exact[0]) <= bin_width and abs(high - exact[1]) <= bin_width


def test_percentile_without_a_tail_is_minmax_but_for_a_bin():
    values = np.random.default_rng(0).uniform(-1, 1, (16, 16, 16)).astype(np.float32)
    low, high = ranges.value_range(statistics_of(values), False, "int8", "percentile", 1e-4)
    assert low == pytest.approx(-1, abs=1 / 64) and high == pytest.approx(1, abs=1 / 64)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("tail", ["none", "one outlier", "laplace"])
def test_mse_is_never_much_worse_than_the_others(tail, symmetric):
    random = np.random.default_rng(1)
    values = random.uniform(-1, 1, (64, 16, 16)) if tail == "none" else random.laplace(0, 1, (64, 16, 16))
    if tail == "one outlier":
        values = np.clip(values, -3, 3)
        values[3, 2, 1] = 40
    tensor = statistics_of(values)
    errors = {}
    for method in estimators.names():
        low, high = ranges.value_range(tensor, symmetric, "int8", method, 1e-4)
        chosen = ranges.fit(low, high, symmetric, "int8")
        errors[method] = ((values - rounded(values, chosen)) ** 2).mean()
    assert errors["mse"] <= 1.05 * min(errors.values())


def test_mse_keeps_a_bounded_range_whole():
    values = np.random.default_rng(0).uniform(0, 6, (16, 16, 16)).astype(np.float32)
    low, high = ranges.value_range(statistics_of(values), True, "uint8", "mse", 0)
    assert low == 0 and high == pytest.approx(6, rel=0.03)


def site(name, nonnegative=False, symmetric=True, fixed=None):
    return Site(name, (), nonnegative, symmetric, fixed)


def test_choice_by_site(schemes):
    values = np.random.default_rng(0).normal(0, 1, (4, 16, 16))
    statistics = {"signed": statistics_of(values), "clipped": statistics_of(np.abs(values))}
    sites = {
        s.tensor: s
        for s in (
            site("signed"),
            site("clipped", True),
            site("gate", True, fixed=(1 / 256, -128)),
            site("input"),
        )
    }
    known = {"input": ActivationQuantization(0.5, 0, "int8")}
    found = ranges.choose(sites, statistics, schemes["openvino"], "minmax", known, 0)
    assert list(found) == list(sites)
    assert (found["signed"].type, found["signed"].zero_point) == ("int8", 0)
    assert (found["clipped"].type, found["clipped"].zero_point) == ("uint8", 0)
    assert found["clipped"].scale == np.float32(np.abs(values).astype(np.float32).max() / 255)
    assert found["gate"] == ActivationQuantization(1 / 256, 0, "uint8")  # fixed is said in codes of int8
    assert found["input"] is known["input"]


LITE = Preprocess((8, 8), (127.0,) * 3, (128.0,) * 3)
IMAGENET = Preprocess((8, 8), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))


def test_input_codes_are_the_pixels_where_one_value_serves(schemes):
    assert ranges.input_quantization(LITE, schemes["tflite"]) == ActivationQuantization(1 / 128, -1, "int8")
    assert ranges.input_quantization(LITE, schemes["tensorrt"]) == ActivationQuantization(1 / 128, 0, "int8")
    pixels = np.arange(256)
    codes = rounded((pixels - 127) / 128, ranges.input_quantization(LITE, schemes["tflite"])) * 128
    np.testing.assert_array_equal(codes + 127, pixels)


@pytest.mark.parametrize("scheme", ["openvino", "tensorrt", "tflite"])
@pytest.mark.parametrize("preprocess", [LITE, IMAGENET])
def test_no_image_leaves_the_inputs_range(scheme, preprocess, schemes):
    found = ranges.input_quantization(preprocess, schemes[scheme])
    corners = np.stack([np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)])
    values = preprocess.normalise(corners)
    smallest, largest = found.limits
    assert smallest - found.scale <= values.min() and values.max() <= largest + found.scale
    assert schemes[scheme].zero_point == "any" or found.zero_point == 0


@pytest.mark.parametrize(("network", "tail", "other"), [("lite0", 1e-5, 1e-4), ("b0", 1e-4, 1e-5)])
def test_a_bounded_activation_gives_up_fewer_outliers(networks, quantized, schemes, network, tail, other):
    n = networks[network]
    plan, _ = quantized(network, "tflite")
    sites = place(n.graph, schemes["tflite"]).sites
    chosen = {
        t: plan.activations[t]
        for t, site in sites.items()
        if t in n.statistics and t != "input" and site.fixed is None
    }

    def under(share):
        return {
            t: ranges.fit(
                *ranges.value_range(n.statistics[t], sites[t].symmetric, a.type, "percentile", share),
                sites[t].symmetric,
                a.type,
            )
            for t, a in chosen.items()
        }

    assert under(tail) == chosen
    assert under(other) != chosen


def test_a_range_that_is_given_even_gets_no_shift(begun):
    """A TensorRT cache's range, say, of a tensor that would have a zero point by our own choice."""
    tensor = "blocks.1.depthwise.clip"
    free, taken = (
        steps_ranges.apply(begun("lite0", "tensorrt", given=brought), method="minmax").activations[tensor]
        for brought in ({}, {tensor: (-6.0, 6.0)})
    )
    assert free.zero_point == -128
    assert taken == ActivationQuantization(float(np.float32(6 / 127)), 0, "int8")


def test_given_ranges_are_taken_as_they_are(begun):
    given = {"input": (-9.0, 9.0), "stem.clip": (0.0, 3.0)}
    for scheme in ("openvino", "tflite"):
        draft = begun("lite0", scheme, given=given)
        assert "stem.clip" in draft.placement.sites
        found = steps_ranges.apply(draft, method="minmax").activations
        assert found["stem.clip"].limits == pytest.approx((0, 3))
        assert found["input"] == draft.known["input"]  # no image can leave that one


@pytest.mark.parametrize("steps", [False, True])
def test_what_becomes_nothing_but_swishs_input(b0, steps):
    """In one step or in two; a tensor that something else reads too needs its resolution everywhere."""
    model = swish_steps.rewrite(b0.graph) if steps else b0.graph
    found = ranges.before_swish(model)
    swishes = [node for node in b0.graph.graph if node.op_type == "Swish"]
    assert found == {node.inputs[0].name: node.outputs[0].name for node in swishes}


def test_gates_are_no_swish(graph_of):
    gate = "g = GlobalAveragePool (x) s = Sigmoid (g) y = Mul (s, x)"
    assert ranges.before_swish(graph_of(gate)) == {}
    both = "a = Relu (x) s = Sigmoid (a) b = Mul (s, a) y = Add (b, a)"
    assert ranges.before_swish(graph_of(both)) == {}


def test_swish_is_torchs():
    x = np.linspace(-800, 800, 4001)
    expected = torch.nn.functional.silu(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ranges.swish(x), expected, atol=1e-12)
