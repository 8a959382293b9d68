"""What layers gain and cost in float, and what stays quantised around those that are."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from edgeeff.errors import OptionError
from edgeeff.graph.execute import execute, prepare
from edgeeff.quantization import precision, quantize, recipe
from edgeeff.quantization.placement import place
from edgeeff.quantization.rewrites import fold_preprocessing, swish_steps

SCHEMES = ["openvino", "tensorrt", "tflite"]
FIRST = ("stem.conv", "blocks.0.depthwise.conv")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_a_plan_with_float_layers_is_that_of_a_build_with_them(network, scheme, begun, finished):
    """Leaving layers out of a finished plan places Q/DQ as planning without them does."""
    anew = recipe.load("fast")(begun(network, scheme, floating=frozenset(FIRST)))
    built = anew.plan()
    kept = precision.kept(finished(network, scheme), FIRST)
    assert (kept.readers, kept.outputs, kept.floating) == (built.readers, built.outputs, built.floating)
    assert kept.layers.keys() == built.layers.keys() and not set(FIRST) & kept.layers.keys()
    assert kept.activations == built.activations
    drafted = precision.drafted(finished(network, scheme), FIRST)
    assert quantize.write(drafted).SerializeToString() == quantize.write(anew).SerializeToString()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_the_simulation_is_the_hub_graph(network, scheme, finished, begun, inputs, run_onnx):
    draft = recipe.load("fast")(begun(network, scheme, floating=frozenset(FIRST)))
    images = inputs(network)
    found = run_onnx(quantize.write(draft), images.numpy())
    simulated = precision.simulated(prepare(draft.model), draft.plan(), images)["logits"].numpy()
    # Sums in another order tip a value over a rounding step here and there.
    noise = np.abs(run_onnx(quantize.write(finished(network, scheme)), images.numpy()) - found).max()
    assert np.abs(simulated - found).mean() < 0.2 * noise


def test_two_layers_that_meet_leave_no_quantisation_between(finished):
    for scheme in SCHEMES:
        assert "stem.clip" not in precision.kept(finished("lite0", scheme), FIRST).activations
        assert "stem.clip" in precision.kept(finished("lite0", scheme), FIRST[:1]).activations


def test_a_float_layer_takes_its_swish_with_it(b0, schemes):
    model = swish_steps.rewrite(b0.graph)
    all_of_it = place(model, schemes["tflite"]).sites
    inside = {name for name in all_of_it if name.startswith("stem.")}
    left = {name for name in place(model, schemes["tflite"], {"stem.conv"}).sites if name.startswith("stem.")}
    assert len(inside) == 3  # x, σ(x) and x·σ(x)
    assert len(left) == 1 and model.graph.outputs[0].name in all_of_it
    (last,) = left
    assert {r for r, _ in all_of_it[last].readers} == {"blocks.0.depthwise.conv"}


def test_pixels_reach_a_float_stem_as_they_are(networks, schemes):
    """A raw input keeps the codes of pixels; the mean that is taken from it does not need codes."""
    for network in networks.values():
        model, _ = fold_preprocessing.rewrite(network.graph, network.statistics, network.preprocess)
        sites = place(swish_steps.rewrite(model), schemes["tflite"], {"stem.conv"}).sites
        first = next(iter(sites.values()))
        assert (first.tensor, first.fixed) == ("input", (1.0, -128))
        assert not any(reader == "stem.conv" for site in sites.values() for reader, _ in site.readers)
        assert all(index == 0 for reader, index in first.readers)


def test_a_float_classifier_gives_float_logits(networks, schemes):
    model = networks["lite0"].graph
    assert "logits" in place(model, schemes["tflite"]).sites
    assert "logits" not in place(model, schemes["tflite"], {"classifier"}).sites


@pytest.mark.parametrize("scheme", SCHEMES)
def test_gains_tell_what_float_layers_really_give(scheme, finished, inputs):
    """The layers that are said to gain most take more of the error than those said to gain least."""
    draft = finished("lite0 whole", scheme)
    found = precision.candidates(draft, images=8, confirmed=4)
    assert {c.layer for c in found} == set(draft.placement.layers)
    assert [c.gain / c.cost for c in found] == sorted((c.gain / c.cost for c in found), reverse=True)
    by_gain = [c.layer for c in sorted(found, key=lambda c: -c.gain)]
    program, images = prepare(draft.model), inputs("lite0 whole")
    reference = execute(program, images)

    def energy(layers):
        error = precision.simulated(program, precision.kept(draft, layers), images)["logits"] - reference
        return float((error - error.mean(1, keepdim=True)).square().sum())

    most, least = energy(by_gain[:4]), energy(by_gain[-4:])
    assert most < least and most < 0.97 * energy(())


def test_all_layers_in_float_are_the_float_graph(finished, inputs):
    """But for the skip inputs of additions, which no layer owns."""
    draft = finished("lite0", "openvino")
    plan = precision.kept(draft, draft.placement.layers)
    assert not plan.layers
    additions = {node.name for node in draft.model.graph if node.op_type == "Add"}
    assert {reader for readers in plan.readers.values() for reader, _ in readers} <= additions


def test_shares_of_work(lite0):
    for shares in (precision.work(lite0.graph), precision.multiply_adds(lite0.graph)):
        assert sum(shares.values()) == pytest.approx(1) and min(shares.values()) > 0
    products = precision.multiply_adds(lite0.graph)
    # 3·3·3 products for each element that is written, against 3·3 in the first depthwise convolution.
    assert products["stem.conv"] == pytest.approx(3 * products["blocks.0.depthwise.conv"])
    moved = precision.work(lite0.graph)
    assert moved["blocks.0.depthwise.conv"] > products["blocks.0.depthwise.conv"]


def test_layers_by_name_beginning_and_pattern():
    layers = ["stem.conv", "blocks.1.expand.conv", "blocks.10.expand.conv", "classifier"]
    assert precision.matching(["stem*"], layers) == {"stem.conv"}
    assert precision.matching(["blocks.1", "classifier"], layers) == {"blocks.1.expand.conv", "classifier"}
    assert precision.matching(["*.expand.*"], layers) == set(layers[1:3])
    assert precision.matching([], layers) == frozenset()
    with pytest.raises(OptionError, match="no layer 'clasifier'") as caught:
        precision.matching(["stem", "clasifier"], layers)
    assert "classifier" in caught.value.mend


@pytest.mark.parametrize("scheme", ["openvino", "tensorrt"])
def test_hub_of_float_layers_has_no_codes_there(scheme, begun):
    hub = quantize.write(recipe.load("fast")(begun("lite0", scheme, floating=frozenset(FIRST))))
    onnx.checker.check_model(hub, full_check=True)
    producers = {name: node for node in hub.graph.node for name in node.output}
    for node in hub.graph.node:
        if node.op_type == "Conv":
            quantised = [
                n in producers and producers[n].op_type == "DequantizeLinear" for n in node.input[:2]
            ]
            assert quantised == [node.name not in FIRST] * 2
