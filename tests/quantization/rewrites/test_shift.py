"""A shift in the graph is the zero point of the plan: codes and sums are the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeeff.graph.model import to_bytes
from edgeeff.quantization import qdq, quantize
from edgeeff.quantization.rewrites import shift

NETWORKS = ["lite0", "b0"]


def sqnr(found, reference):
    return 10 * np.log10((reference**2).sum() / max(((found - reference) ** 2).sum(), 1e-30))


def alone(plan, tensor):
    """The plan that quantises one tensor and the layer that reads it."""
    ((reader, index),) = plan.readers[tensor]
    layer = "classifier" if reader == "flatten" else reader
    return replace(
        plan,
        activations={tensor: plan.activations[tensor]},
        readers={tensor: ((reader, index),)},
        layers={layer: plan.layers[layer]},
    )


@pytest.mark.parametrize("network", NETWORKS)
def test_each_shift_computes_what_its_zero_point_computes(network, finished, inputs, run_onnx):
    """One at a time: a value that falls on the other side of a tie grows beyond measure in random weights."""
    draft = finished(network, "tensorrt", effort="balanced")
    plan, x = draft.plan(), inputs(network, 1).numpy()
    shifted = [name for name, a in plan.activations.items() if a.zero_point]
    assert len(shifted) == 17
    for tensor in (shifted[0], shifted[7], shifted[-1]):
        one = alone(plan, tensor)
        expected = run_onnx(qdq.insert(draft.model, one, 17), x)
        model, without = shift.rewrite(draft.model, one)
        assert list(without.activations) == [f"{tensor}{shift.SUFFIX}"]
        assert [a.zero_point for a in without.activations.values()] == [0]
        assert sqnr(run_onnx(qdq.insert(model, without, 17), x), expected) > 60, tensor
        assert sqnr(run_onnx(draft.model, x), expected) < 55, tensor  # quantising does change something


def test_a_plan_without_zero_points_stays_as_it_is(finished):
    draft = finished("lite0", "tensorrt")
    even = {name: replace(activation, zero_point=0) for name, activation in draft.plan().activations.items()}
    plan = replace(draft.plan(), activations=even)
    model, same = shift.rewrite(draft.model, plan)
    assert to_bytes(model) == to_bytes(draft.model) and same == plan


@pytest.mark.parametrize("network", NETWORKS)
def test_the_arguments_are_left_as_they_were(network, finished):
    draft = finished(network, "tensorrt")
    before, plan = to_bytes(draft.model), draft.plan()
    biases = {name: layer.bias.copy() for name, layer in plan.layers.items()}
    quantize.write(draft)
    assert to_bytes(draft.model) == before
    assert all(np.array_equal(draft.plan().layers[name].bias, biases[name]) for name in biases)


def test_ranges_use_both_halves_of_the_codes(finished):
    """ReLU6's values are in 0…6: with the shift a step is half of what it would be."""
    draft = finished("lite0", "tensorrt")
    halved = [a for a in draft.plan().activations.values() if a.zero_point]
    for activation in halved:
        low, high = activation.limits
        assert activation.zero_point == -128 and low == 0
        assert activation.scale == pytest.approx(high / 255)
