"""The rooms of quantisation, called in order: statistics in, plan and Q/DQ graph out."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.calibration.statistics import Statistics
from edgeeff.errors import CalibrationError
from edgeeff.graph.model import FloatArray, constant
from edgeeff.preprocess import Preprocess
from edgeeff.quantization import bias, placement, qdq, ranges, rounding
from edgeeff.quantization.plan import LayerQuantization, Plan
from edgeeff.quantization.recipe import Recipe
from edgeeff.quantization.rewrites import swish_steps
from edgeeff.target import Scheme


def quantize(
    model: ir.Model, statistics: Statistics, preprocess: Preprocess, scheme: Scheme, recipe: Recipe
) -> tuple[Plan, onnx.ModelProto]:
    """Plan a scheme and write its hub graph.

    Args:
        model: The base graph; left as it is.
        statistics: Of its tensors.
        preprocess: What fixes the input's range.
        scheme: What the runtime wants.
        recipe: How the plan is made.

    Raises:
        CalibrationError: The statistics are of another graph.
    """
    if scheme.swish == "steps":
        model = swish_steps.rewrite(model)
    plan = make_plan(model, statistics, preprocess, scheme, recipe)
    return plan, qdq.insert(model, plan, scheme.opset)


def make_plan(
    model: ir.Model, statistics: Statistics, preprocess: Preprocess, scheme: Scheme, recipe: Recipe
) -> Plan:
    """Decide every scale, zero point, code and bias."""
    placed = placement.place(model, scheme)
    known = ranges.known_inputs(str(model.graph.inputs[0].name), preprocess, scheme)
    absent = [
        s for s, site in placed.sites.items() if s not in statistics and s not in known and not site.fixed
    ]
    if absent:
        raise CalibrationError(
            f"the statistics know nothing of {', '.join(absent[:3])}",
            mend="clear the cache (edgeeff cache clear) and build again",
        )
    activations = ranges.choose(placed.sites, statistics, scheme, recipe.ranges, known, _tail(model))
    largest = rounding.SEVEN_BITS if recipe.seven_bit_weights else rounding.FULL_RANGE
    layers = {}
    for node in model.graph:
        if node.name in placed.layers:
            source = _quantised_input(node, activations)
            input_mean = statistics[source].mean
            layers[node.name] = _layer(
                node, activations[source].scale, input_mean, largest, recipe.correct_bias
            )
    return Plan(
        scheme=scheme.name,
        activations=activations,
        readers={name: site.readers for name, site in placed.sites.items()},
        layers=layers,
        outputs=tuple(name for name, site in placed.sites.items() if site.output),
    )


def _tail(model: ir.Model) -> float:
    """The share of outliers that a percentile range may cut off, by the network's activation."""
    unbounded = any(node.op_type in ("Swish", "Sigmoid") for node in model.graph)
    return ranges.UNBOUNDED_TAIL if unbounded else ranges.BOUNDED_TAIL


def _layer(
    node: ir.Node, input_scale: float, input_mean: np.ndarray, largest: int, correct: bool
) -> LayerQuantization:
    weight, offset = layer_constants(node)
    scale = rounding.weight_scale(weight, offset, input_scale, largest)
    codes = rounding.nearest(weight, scale, largest)
    if correct:
        groups = node.attributes.get_int("group", 1)
        offset = bias.correct(weight, codes, scale, offset, input_mean, groups)
    return LayerQuantization(scale, codes, offset)


def layer_constants(node: ir.Node) -> tuple[FloatArray, FloatArray]:
    """Weight [C, …] and bias [C] of a convolution or fully connected layer; no bias is a bias of zeros."""
    weight = constant(node.inputs[1])
    assert weight is not None, f"{node.name}: the weights are not constant"
    offset = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    bias_array = np.zeros(len(weight)) if offset is None else offset
    return np.asarray(weight, np.float32), np.asarray(bias_array, np.float32)


def _quantised_input(node: ir.Node, activations: object) -> str:
    """The site that a layer reads; a classifier reads its own through Flatten."""
    value = node.inputs[0]
    assert value is not None
    producer = value.producer()
    if producer is not None and producer.op_type == "Flatten":
        value = producer.inputs[0]
    assert value is not None and value.name is not None
    return value.name
