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


def alone(plan, tensor, *makers):
    """The plan that quantises one tensor, the layer that reads it, and perhaps those that make it."""
    ((reader, index),) = plan.readers[tensor]
    layer = "classifier" if reader == "flatten" else reader
    return replace(
        plan,
        activations={tensor: plan.activations[tensor]},
        readers={tensor: ((reader, index),)},
        layers={name: plan.layers[name] for name in (layer, *makers)},
    )


@pytest.mark.parametrize(
    ("network", "tensor", "makers"),
    [
        ("b0", "blocks.0.squeeze.mul", ()),
        ("b0", "blocks.13.squeeze.mul", ()),
        ("b0", "pool.globalaveragepool.equalised", ()),
        # Behind a clamp the shift goes into the convolution, whether its bias is the plan's or the graph's.
        ("lite0", "blocks.5.depthwise.clip", ("blocks.5.depthwise.conv",)),
        ("lite0", "blocks.5.depthwise.clip", ()),
        ("lite0", "pool.globalaveragepool", ("head.conv",)),
    ],
)
def test_a_shift_computes_what_its_zero_point_computes(network, tensor, makers, finished, inputs, run_onnx):
    """One at a time: a value that falls on the other side of a tie grows beyond measure in random weights."""
    draft, x = finished(network, "tensorrt", effort="balanced"), inputs(network, 1).numpy()
    one = alone(draft.plan(), tensor, *makers)
    assert one.activations[tensor].zero_point
    model, shifted = shift.rewrite(draft.model, one)
    assert list(shifted.activations) == [f"{tensor}{shift.SUFFIX}"]
    assert [a.zero_point for a in shifted.activations.values()] == [0]
    expected = run_onnx(qdq.insert(draft.model, one, 17), x)
    assert sqnr(run_onnx(qdq.insert(model, shifted, 17), x), expected) > 60
    assert sqnr(run_onnx(draft.model, x), expected) < 55  # quantising does change something


def test_behind_a_clamp_there_is_no_node_more(finished):
    """TensorRT's kernels end in a clamp, not in a subtraction behind it."""
    draft = finished("lite0", "tensorrt")
    model, _ = shift.rewrite(draft.model, draft.plan())
    assert [n.op_type for n in model.graph] == [n.op_type for n in draft.model.graph]


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
