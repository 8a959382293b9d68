"""Swish as arithmetic computes what Swish computes, and carries the factors of an equalisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeeff.calibration.collect import collect
from edgeeff.graph.execute import execute, prepare
from edgeeff.graph.export import base_graph
from edgeeff.graph.model import expand_functions, to_bytes
from edgeeff.quantization import quantize, ranges, recipe
from edgeeff.quantization.draft import Evidence
from edgeeff.quantization.rewrites import swish_polynomial
from edgeeff.quantization.rewrites.equalise import SUFFIX
from edgeeff.quantization.roles import roles
from edgeeff.zoo import catalog

ARITHMETIC = {"swish_form": "polynomial", "float_layers": ("depthwise",)}


def sqnr(found, reference):
    found, reference = (z - z.mean(axis=1, keepdims=True) for z in (found, reference))
    return 10 * np.log10((reference**2).sum() / ((found - reference) ** 2).sum())


def networks_with_swish():
    return [s.name for s in catalog.classifiers() if s.name != "l2" and s.activation == "swish"]


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in ("b0", "v2-b0") else pytest.mark.slow) for n in networks_with_swish()],
)
def test_each_polynomial_computes_what_its_swish_computes(name, make_module, make_images):
    """On images that it was not fitted to, each Swish by itself: a few steps of rounding.

    Not the logits: random weights multiply any error on its way, in a deep network beyond all measure.
    """
    preprocess = catalog.get(name).preprocess((64, 64))
    graph = base_graph(make_module(name), (64, 64))
    fits = swish_polynomial.fit(graph, collect(graph, preprocess, [make_images(8, 64, 1)]))
    written = {
        str(n.inputs[0].name): fits[str(n.outputs[0].name)] for n in swish_polynomial.candidates(graph)
    }
    found = {}

    def compare(tensor, value):
        if tensor in written:
            x = value.double().numpy().transpose(1, 0, 2, 3).reshape(value.shape[1], -1)
            wanted = ranges.swish(x)
            error = written[tensor](x) - wanted
            found[tensor] = 10 * np.log10((wanted**2).sum() / (error**2).sum())

    execute(prepare(graph), torch.from_numpy(preprocess.normalise(make_images(8, 64, 7))), compare)
    assert set(found) == set(written) and found
    assert min(found.values()) > 42, min(found, key=found.get)


def test_the_graph_computes_the_polynomials(b0, run_onnx):
    fits = swish_polynomial.fit(b0.graph, b0.statistics)
    images = b0.preprocess.normalise(b0.images)
    changed = expand_functions(swish_polynomial.rewrite(b0.graph, fits))
    assert sqnr(run_onnx(changed, images), run_onnx(expand_functions(b0.graph), images)) > 30


@pytest.fixture
def scheme(schemes):
    return replace(schemes["openvino"], **ARITHMETIC)


def test_the_squeeze_and_excite_vectors_keep_their_swish(b0):
    graph = b0.graph
    before = [n for n in graph.graph if n.op_type == "Swish"]
    changed = swish_polynomial.rewrite(graph, swish_polynomial.fit(graph, b0.statistics))
    left = [n for n in changed.graph if n.op_type == "Swish"]
    assert len(before) == 49 and len(left) == 16
    assert all(tuple(n.outputs[0].shape)[2:] == (1, 1) for n in left)
    assert len([n for n in graph.graph if n.op_type == "Swish"]) == 49  # the argument is as it was


def test_a_network_without_swish_is_left_alone(lite0):
    assert not swish_polynomial.fit(lite0.graph, lite0.statistics)
    assert to_bytes(swish_polynomial.rewrite(lite0.graph, {})) == to_bytes(lite0.graph)


def test_the_factors_of_an_equalisation_are_folded_in(b0, begun, run_onnx):
    draft = recipe.load("balanced")(begun("b0", "openvino"))
    fits = swish_polynomial.fit(draft.model, draft.evidence.statistics)
    changed = swish_polynomial.rewrite(draft.model, fits)
    multiplied = {
        n.outputs[0].name
        for n in draft.model.graph
        if n.op_type == "Mul" and n.outputs[0].name.endswith(f"swish{SUFFIX}")
    }
    assert len(multiplied) == 16  # what the depthwise convolutions read
    assert multiplied <= set(swish_polynomial.written(draft.model))
    assert not multiplied & {n.name for n in changed.graph if n.op_type == "Mul"}
    images = b0.preprocess.normalise(b0.images)
    found, wanted = (run_onnx(expand_functions(model), images) for model in (changed, draft.model))
    assert sqnr(found, wanted) > 30


def test_float_depthwise_convolutions_read_no_quantised_value(
    networks, scheme, inputs, sensitivities, run_onnx
):
    b0, name = networks["b0 whole"], "b0 whole"
    evidence = Evidence(
        b0.statistics, lambda n: iter(inputs(name, n).split(4)), lambda: sensitivities(name).gain
    )
    draft = recipe.load("balanced")(quantize.begin(b0.graph, evidence, b0.preprocess, scheme))
    plan, hub = draft.plan(), quantize.write(draft)
    depthwise = [n.name for n in b0.graph.graph if "depthwise" in roles(n)]
    assert sorted(plan.floating) == sorted(depthwise) and len(depthwise) == 16
    assert not set(plan.layers) & set(depthwise)
    makers = {output: node for node in hub.graph.node for output in node.output}
    for node in hub.graph.node:
        if node.name in depthwise:
            assert all(makers[i].op_type != "DequantizeLinear" for i in node.input if i in makers), node.name
    assert len(plan.arithmetic) == 33
    assert "polynomials" in plan.to_json()
    # What is read quantised is what the exact form has: the plan does not change with the form.
    exact = recipe.load("balanced")(
        quantize.begin(b0.graph, evidence, b0.preprocess, replace(scheme, swish_form="exact"))
    )
    assert exact.plan().activations == plan.activations
    images = inputs(name).numpy()
    assert sqnr(run_onnx(hub, images), run_onnx(quantize.write(exact), images)) > 15


def test_a_stem_can_stay_float_too(b0, schemes):
    stem = next(n for n in b0.graph.graph if n.op_type == "Conv")
    assert roles(stem) == {"stem"}
    draft = quantize.begin(
        b0.graph, b0.statistics, b0.preprocess, replace(schemes["openvino"], float_layers=("stem",))
    )
    assert draft.placement.floating == (stem.name,) and "input" not in draft.placement.sites


def test_writing_twice_gives_the_same_bytes(b0, scheme):
    def write():
        draft = recipe.load("fast")(quantize.begin(b0.graph, b0.statistics, b0.preprocess, scheme))
        return quantize.write(draft).SerializeToString(deterministic=True)

    assert write() == write()
