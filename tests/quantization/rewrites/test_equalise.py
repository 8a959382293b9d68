"""Scaling channels changes no function, and the statistics that go along are those of the new graph."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edgeeff.calibration.collect import collect
from edgeeff.graph.model import constant, to_bytes
from edgeeff.quantization.rewrites import equalise, swish_steps
from edgeeff.quantization.rewrites.equalise import SUFFIX, candidates
from edgeeff.quantization.steps import equalise as step

NETWORKS = ["lite0", "b0"]


def kind(model, candidate):
    """What a candidate is, and what reads it."""
    maker = next(n for n in model.graph if n.outputs[0].name == candidate.tensor).op_type
    layer = next(n for n in model.graph if n.name == candidate.layer)
    if layer.op_type == "Conv":
        return maker, "depthwise" if layer.attributes.get_int("group", 1) > 1 else "dense"
    return maker, "classifier"


def factors_of(model, chosen, seed=0):
    """Lively factors for some candidates."""
    random = np.random.default_rng(seed)
    shapes = {str(n.outputs[0].name): n.outputs[0].shape for n in model.graph}
    return {
        c.tensor: np.exp2(random.uniform(-4, 4, int(shapes[c.tensor][1]))).astype(np.float32) for c in chosen
    }


def kinds_of(model):
    """The first candidate of each kind."""
    found = {}
    for candidate in candidates(model):
        found.setdefault(kind(model, candidate), candidate)
    return found


def test_what_can_be_equalised(networks):
    counts = Counter(kind(networks["b0"].graph, c) for c in candidates(networks["b0"].graph))
    assert counts == {
        ("Swish", "depthwise"): 16,
        ("Swish", "dense"): 16,  # inside squeeze-excite: other dense convolutions read sums or projections
        ("GlobalAveragePool", "dense"): 16,
        ("Mul", "dense"): 16,
        ("GlobalAveragePool", "classifier"): 1,
    }
    assert {kind(networks["lite0"].graph, c) for c in candidates(networks["lite0"].graph)} == {
        ("GlobalAveragePool", "classifier")
    }
    for candidate in candidates(networks["b0"].graph):
        gate = kind(networks["b0"].graph, candidate)[0] == "Mul"
        assert candidate.scaled.endswith("squeeze.sigmoid" if gate else candidate.tensor)
        assert candidate.carries == (candidate.tensor if gate else candidate.tensor + SUFFIX)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_logits_stay(name, networks, run_onnx):
    """Each kind of candidate by itself, and all candidates at once."""
    n = networks[name]
    before = to_bytes(n.graph)
    x = n.preprocess.normalise(n.images[:2])
    expected = run_onnx(n.graph, x)
    every = candidates(n.graph)
    for chosen in [*([c] for c in kinds_of(n.graph).values()), every]:
        model, _, _ = equalise.rewrite(n.graph, n.statistics, {}, factors_of(n.graph, chosen))
        found = run_onnx(model, x)
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max(), [c.tensor for c in chosen]
        assert len(model.graph) == len(n.graph.graph) + len(chosen)
    assert to_bytes(n.graph) == before


def test_swish_in_steps_stays_too(b0, run_onnx):
    model = swish_steps.rewrite(b0.graph)
    x = b0.preprocess.normalise(b0.images[:2])
    found, _, _ = equalise.rewrite(model, b0.statistics, {}, factors_of(model, candidates(model)))
    expected = run_onnx(b0.graph, x)
    assert np.abs(run_onnx(found, x) - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_statistics_carried_along_are_those_of_the_new_graph(name, networks):
    n = networks[name]
    factors = factors_of(n.graph, candidates(n.graph))
    model, carried, _ = equalise.rewrite(n.graph, n.statistics, {}, factors)
    measured = collect(model, n.preprocess, [n.images])
    gates = {f"{c.scaled}{SUFFIX}" for c in candidates(n.graph) if c.carries == c.tensor}
    assert set(measured) - gates == set(carried)  # a scaled gate is read by the product alone
    for tensor, found in carried.items():
        expected = measured[tensor]
        # Float32 rounds other values once the weights are divided: as far as the channel's own size goes.
        size = np.sqrt(expected.second_moment)
        for field in ("minimum", "maximum", "mean"):
            error = np.abs(getattr(found, field) - getattr(expected, field))
            assert (error <= 1e-3 * size + 1e-5 * size.max()).all(), (tensor, field)
        np.testing.assert_allclose(found.second_moment, expected.second_moment, rtol=1e-3)
        assert found.count == expected.count


def test_what_the_graph_is_made_of(b0):
    chosen = kinds_of(b0.graph)
    factors = factors_of(b0.graph, chosen.values())
    gain = {tensor: np.full(len(factor), 3.0) for tensor, factor in factors.items()}
    model, _, gains = equalise.rewrite(b0.graph, b0.statistics, gain, factors)
    nodes = {str(n.name): n for n in model.graph}
    old = {str(n.name): n for n in b0.graph.graph}
    for candidate in chosen.values():
        factor = factors[candidate.tensor]
        made = nodes[f"{candidate.scaled}{SUFFIX}"]
        assert (made.op_type, made.inputs[0].name) == ("Mul", candidate.scaled)
        np.testing.assert_array_equal(constant(made.inputs[1]).ravel(), factor)
        assert list(made.outputs[0].shape) == list(made.inputs[0].shape)
        # Noise on a channel that was scaled up is divided again by what reads it.
        np.testing.assert_allclose(gains[candidate.carries], 3.0 / factor.astype(float) ** 2)
        before, after = (constant(g[candidate.layer].inputs[1]) for g in (old, nodes))
        axis = 0 if kind(b0.graph, candidate)[1] == "depthwise" else 1
        shape = [-1 if i == axis else 1 for i in range(before.ndim)]
        np.testing.assert_allclose(after * factor.reshape(shape), before, rtol=1e-6)
    gate = chosen["Mul", "dense"]
    readers = {node.name for node in nodes[gate.scaled].outputs[0].consumers()}
    assert readers == {f"{gate.scaled}{SUFFIX}"}


REFUSED = {
    "two readers": "a = Swish (x) b = Conv (a, w) y = Add (b, a)",
    "the graph's output": "y = Swish (x)",
    "a grouped convolution": "a = Swish (x) y = Conv <group = 2> (a, grouped)",
    "no layer": "a = Swish (x) y = Relu (a)",
    "a product of no gate": "a = Mul (x, k) y = Conv (a, w)",
    "as weights": "a = GlobalAveragePool (x) y = Conv (x, a)",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_undone_is_left_alone(case, graph_of, weights):
    body = REFUSED[case].replace("Swish (x)", "HardSwish (x)")
    used = {"w": weights(4, 4, 1, 1), "grouped": weights(4, 2, 1, 1), "k": weights(1, 4, 1, 1)}
    model = graph_of(body, **{k: v for k, v in used.items() if f" {k})" in body})
    for node in model.graph:
        node.op_type = node.op_type.replace("HardSwish", "Swish")
    assert candidates(model) == []


def test_what_can_be_undone_is_found(graph_of, weights):
    model = graph_of("a = GlobalAveragePool (x) y = Conv (a, w)", w=weights(5, 4, 1, 1))
    assert [c.carries for c in candidates(model)] == [f"a{SUFFIX}"]


@pytest.mark.parametrize("scheme", ["openvino", "tensorrt"])
def test_the_step_scales_what_is_quantised_and_no_more(scheme, begun):
    draft = begun("b0", scheme)
    done = step.apply(draft)
    new = {str(n.name) for n in done.model.graph} - {str(n.name) for n in draft.model.graph}
    expected = {f"{c.scaled}{SUFFIX}" for c in candidates(draft.model) if c.tensor in draft.placement.sites}
    # The vectors of squeeze-excite stay float: scaling them would cost a kernel and gain nothing.
    assert new == expected and len(new) == 16 + 16 + 1
    assert done.notes == ("equalised 33 tensors",)
    assert set(done.placement.layers) == set(draft.placement.layers)
    assert set(done.placement.sites) <= set(done.evidence.statistics)


def test_factors_keep_within_their_limits(begun):
    draft = begun("b0", "openvino")
    done = step.apply(draft, limit=4.0)
    factors = [constant(n.inputs[1]) for n in done.model.graph if str(n.name).endswith(SUFFIX)]
    assert all(f.min() >= 1 and f.max() <= 4 for f in factors)
    assert any(f.max() == 4 for f in factors)
    for name, tensor in done.evidence.statistics.items():
        if name.endswith(SUFFIX):  # no channel is scaled beyond the range that the tensor had
            before = draft.evidence.statistics[name.removesuffix(SUFFIX)]
            width = max(abs(before.low), abs(before.high))
            assert max(abs(tensor.low), abs(tensor.high)) <= 4 * width
    nothing = step.apply(draft, strength=0.0)
    assert all(
        (constant(n.inputs[1]) == 1).all() for n in nothing.model.graph if str(n.name).endswith(SUFFIX)
    )


def test_what_the_user_gave_a_range_is_not_scaled(begun):
    done = step.apply(begun("b0", "openvino", given={"stem.swish": (-0.3, 5.0)}))
    names = {str(n.name) for n in done.model.graph}
    assert "stem.swish.equalised" not in names and "blocks.1.expand.swish.equalised" in names


@pytest.mark.parametrize("share", [0.0, 1e-2])
def test_reach_is_a_quantile_of_each_channel(b0, share):
    tensor = b0.statistics["stem.swish"]
    found = step.reach(tensor, share)
    seen = np.maximum(np.abs(tensor.minimum), np.abs(tensor.maximum))
    assert (found <= seen).all()
    if share == 0:
        # But for what the histogram's sample of positions missed.
        assert (found >= 0.5 * seen).all()
    else:
        bins = tensor.histogram.shape[1]
        centres = np.abs((np.arange(bins) + 0.5) * 2 / bins - 1) * tensor.edge[:, None]
        beyond = (tensor.histogram * (centres > found[:, None])).sum(1) / tensor.histogram.sum(1)
        assert (beyond <= 2 * share).all()
