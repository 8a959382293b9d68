"""Rounding by what a layer reads does what it is for, and nothing where there is nothing to do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeeff.graph.execute import execute, prepare
from edgeeff.quantization import gptq, gptq_layers, simulate
from edgeeff.quantization import hessian as sums
from edgeeff.quantization.rounding import FULL_RANGE, SEVEN_BITS, nearest, weight_scale
from edgeeff.quantization.steps import equalise, ranges
from edgeeff.quantization.steps import round as step

#: Output channels and what each reads: more than a block of columns, and less.
DENSE = {"wide": (12, 150), "narrow": (9, 16), "one": (4, 1)}


def correlated(columns, rank, seed=0):
    """H of inputs that are mixtures of a few: nearly collinear, as EfficientNets' are."""
    random = torch.Generator().manual_seed(seed)
    rows = torch.randn(400, rank, generator=random) @ torch.randn(rank, columns, generator=random)
    rows = rows + 0.1 * torch.randn(400, columns, generator=random) + 0.3
    rows *= torch.exp(torch.randn(columns, generator=random))
    return (rows.T @ rows).double()


def weights_of(*shape, seed=0, largest=FULL_RANGE):
    weight = np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
    return weight, weight_scale(weight, np.zeros(len(weight), np.float32), 0.1, largest)


def errors(weight, codes, scale, hessian):
    """eᵀHe of each output channel; ``hessian`` is one for all, or one for each."""
    e = weight.reshape(len(weight), -1) - codes.reshape(len(weight), -1) * scale[:, None].astype(np.float64)
    return np.einsum("oi,...ij,oj->o" if hessian.ndim == 2 else "oi,oij,oj->o", e, hessian.numpy(), e)


@pytest.mark.parametrize("largest", [FULL_RANGE, SEVEN_BITS, 7])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", DENSE.values(), ids=DENSE)
def test_dense_layers_lose_less_than_to_nearest(shape, seed, largest):
    weight, scale = weights_of(*shape, seed=seed, largest=largest)
    hessian = correlated(shape[1], 6, seed)
    codes = gptq.round_dense(weight, scale, hessian, largest)
    assert (codes.shape, codes.dtype) == (weight.shape, np.int8)
    assert np.abs(codes.astype(int)).max() <= largest
    found = errors(weight, codes, scale, hessian)
    plain = errors(weight, nearest(weight, scale, largest), scale, hessian)
    assert (found <= plain * (1 + 1e-9)).all()
    if shape[1] > 100:
        assert found.sum() < 0.5 * plain.sum()


@pytest.mark.parametrize("seed", range(3))
def test_depthwise_layers_lose_less_than_to_nearest(seed):
    weight, scale = weights_of(40, 1, 3, 3, seed=seed)
    hessians = torch.stack([correlated(9, 2, 100 * seed + channel) for channel in range(40)])
    codes = gptq.round_depthwise(weight, scale, hessians, FULL_RANGE)
    assert (codes.shape, codes.dtype) == (weight.shape, np.int8)
    found = errors(weight, codes, scale, hessians)
    plain = errors(weight, nearest(weight, scale), scale, hessians)
    assert (found <= plain * (1 + 1e-9)).all()
    assert found.sum() < 0.7 * plain.sum()


@pytest.mark.parametrize("shape", [(6, 5, 3, 3), (7, 90)])
def test_inputs_that_know_nothing_of_each_other_are_rounded_to_nearest(shape):
    weight, scale = weights_of(*shape)
    energies = torch.rand(weight[0].size, generator=torch.Generator().manual_seed(1)).double() + 0.01
    codes = gptq.round_dense(weight, scale, torch.diag(energies), FULL_RANGE)
    np.testing.assert_array_equal(codes, nearest(weight, scale))
    weight, scale = weights_of(8, 1, 5, 5)
    hessians = torch.diag_embed(torch.rand(8, 25, generator=torch.Generator().manual_seed(2)).double())
    np.testing.assert_array_equal(
        gptq.round_depthwise(weight, scale, hessians, FULL_RANGE), nearest(weight, scale)
    )


def test_channels_that_were_never_active_are_rounded_to_nearest():
    weight, scale = weights_of(6, 20)
    hessian = correlated(20, 3)
    dead = [0, 7, 19]
    hessian[dead] = 0
    hessian[:, dead] = 0
    codes = gptq.round_dense(weight, scale, hessian, FULL_RANGE)
    np.testing.assert_array_equal(codes[:, dead], nearest(weight, scale)[:, dead])
    silent = gptq.round_dense(weight, scale, torch.zeros(20, 20, dtype=torch.float64), FULL_RANGE)
    np.testing.assert_array_equal(silent, nearest(weight, scale))
    weight, scale = weights_of(3, 1, 3, 3)
    hessians = torch.stack([correlated(9, 2), torch.zeros(9, 9, dtype=torch.float64), correlated(9, 3)])
    codes = gptq.round_depthwise(weight, scale, hessians, FULL_RANGE)
    np.testing.assert_array_equal(codes[1], nearest(weight, scale)[1])


def test_depthwise_is_dense_channel_by_channel():
    weight, scale = weights_of(5, 1, 3, 3)
    hessians = torch.stack([correlated(9, 3, seed) for seed in range(5)])
    together = gptq.round_depthwise(weight, scale, hessians, FULL_RANGE)
    for channel in range(5):
        row = slice(channel, channel + 1)
        alone = gptq.round_dense(weight[row], scale[row], hessians[channel], FULL_RANGE)
        np.testing.assert_array_equal(together[row], alone)


#: The layers of the first blocks: all kinds there are, and small ones.
FIRST = ("stem.", "blocks.0.", "blocks.1.", "blocks.2.")


@pytest.fixture(scope="module")
def whole(networks):
    """B0 with all of its channels: a narrow one has too few weights to round."""
    return networks["b0 whole"]


@pytest.fixture(scope="module")
def first(begun, whole):
    """A draft of B0 in which only the first layers are quantised, with its ranges."""
    layers = {str(n.name) for n in whole.graph.graph if n.op_type in ("Conv", "Gemm")}
    floating = frozenset(name for name in layers if not name.startswith(FIRST))
    return ranges.apply(begun("b0 whole", "openvino", floating=floating))


def test_a_network_comes_nearer(first, whole):
    """On the images that were looked at: the logits of weights alone, activations float."""
    plain, by_gptq = step.apply(first), step.apply(first, method="gptq", images=8)
    x = torch.from_numpy(whole.preprocess.normalise(whole.images))
    program = prepare(first.model)
    reference = execute(program, x)
    lost = []
    for draft in (plain, by_gptq):
        plan = draft.plan()
        read = simulate.reader(plan, float_tensors=set(plan.activations))
        lost.append(float((execute(program, x, read=read) - reference).square().mean()))
    assert lost[1] < 0.8 * lost[0]
    for name, layer in by_gptq.layers.items():
        np.testing.assert_array_equal(layer.scale, plain.layers[name].scale)
        np.testing.assert_array_equal(layer.bias, plain.layers[name].bias)
    assert by_gptq.notes == (*first.notes, "weights: gptq")


def test_threads_and_turns_change_no_bit(first, monkeypatch):
    before = torch.get_num_threads()
    found = []
    try:
        for threads, held in ((1, sums.HELD), (3, 150_000)):
            monkeypatch.setattr(sums, "HELD", held)
            torch.set_num_threads(threads)
            found.append(step.apply(first, method="gptq", images=8).layers)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(sums.turns(first.layer_nodes())) > 2
    for name, layer in found[0].items():
        np.testing.assert_array_equal(found[1][name].codes, layer.codes, err_msg=name)


def test_a_second_target_looks_at_no_image_for_codes_that_are_found(whole, begun, first):
    """Neither for the same graph nor where a step has scaled its channels: of these H is a multiple."""
    asked = []

    def batches(count):
        asked.append(count)
        return iter([torch.from_numpy(whole.preprocess.normalise(whole.images[:count]))])

    original = gptq_layers.Original(lambda: (whole.graph, whole.statistics), batches)

    def codes(draft):
        shared = replace(draft, evidence=replace(draft.evidence, batches=None, original=original))
        return {name: one.codes for name, one in step.apply(shared, method="gptq", images=8).layers.items()}

    own = {name: one.codes for name, one in step.apply(first, method="gptq", images=8).layers.items()}
    found = codes(first)
    assert asked == [8]
    for name, expected in own.items():
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
    scaled = ranges.apply(equalise.apply(begun("b0 whole", "tensorrt")), method="percentile")
    assert any("equalised" in note for note in scaled.notes)
    apart = {n: one.codes for n, one in step.apply(scaled, method="gptq", images=8).layers.items()}
    by_factor = codes(scaled)
    assert asked == [8, 8]
    differ = sum(int((by_factor[name] != expected).sum()) for name, expected in apart.items())
    assert differ < 1e-3 * sum(expected.size for expected in apart.values())
    codes(scaled)
    assert asked == [8, 8]
    again = step.apply(replace(first, evidence=replace(first.evidence, original=original)), method="gptq")
    assert len(asked) == 3  # another number of images is another H
    assert again.layers.keys() == own.keys()
