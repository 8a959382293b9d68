"""The rules of the three schemes for where Q/DQ stand, on real graphs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeeff.quantization import placement
from edgeeff.quantization.placement import place, skip_input
from edgeeff.quantization.rewrites import swish_steps
from edgeeff.quantization.roles import in_squeeze_excite, is_depthwise

WHOLE = ["openvino", "tensorrt"]


def nodes_of(model):
    return {node.name: node for node in model.graph}


def producer_of(model, tensor):
    return next((n for n in model.graph if n.outputs[0].name == tensor), None)


@pytest.mark.parametrize("scheme", WHOLE)
@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_only_layers_and_skips_read_quantised_tensors(network, scheme, networks, schemes):
    model = networks[network].graph
    placed, nodes = place(model, schemes[scheme]), nodes_of(model)
    for tensor, site in placed.sites.items():
        assert site.readers and not site.output and site.fixed is None
        for reader, index in site.readers:
            node = nodes[reader]
            assert node.op_type in ("Conv", "Flatten", "Add")
            assert index == (skip_input(node) if node.op_type == "Add" else 0)
            assert node.inputs[index].name == tensor
    readers = [reader for site in placed.sites.values() for reader in site.readers]
    assert len(set(readers)) == len(readers)
    quantised_layers = {r for r, _ in readers if nodes[r].op_type == "Conv"} | {"classifier"}
    assert quantised_layers == set(placed.layers)


@pytest.mark.parametrize("scheme", WHOLE)
def test_swish_is_never_split(scheme, b0, schemes):
    placed, nodes = place(b0.graph, schemes[scheme]), nodes_of(b0.graph)
    for site in placed.sites.values():
        assert not any(nodes[reader].op_type in ("Swish", "Sigmoid", "Mul") for reader, _ in site.readers)
    for node in b0.graph.graph:
        if node.op_type == "Swish":
            assert node.inputs[0].name not in placed.sites


@pytest.mark.parametrize("scheme", WHOLE)
def test_squeeze_excite_stays_float(scheme, b0, schemes):
    placed = place(b0.graph, schemes[scheme])
    inside = [n for n in b0.graph.graph if in_squeeze_excite(n)]
    assert len(inside) == 32
    assert not {n.name for n in inside} & set(placed.layers)
    assert len(placed.layers) == 81 - 32 + 1
    for node in inside:
        assert node.inputs[0].name not in placed.sites
        assert node.outputs[0].name not in placed.sites
    gates = [n for n in b0.graph.graph if n.op_type == "Sigmoid"]
    assert len(gates) == 16
    for gate in gates:
        assert gate.outputs[0].name not in placed.sites
        (product,) = gate.outputs[0].consumers()
        site = placed.sites[product.outputs[0].name]  # the product is quantised, for the projection alone
        ((projection, index),) = site.readers
        assert projection.endswith("project.conv") and index == 0
    pools = [n.outputs[0] for n in b0.graph.graph if n.op_type == "GlobalAveragePool"]
    quantised = [v for v in pools if v.name in placed.sites]
    assert (
        len(pools) == 17
        and [r.op_type for r in quantised[0].consumers()] == ["Flatten"]
        and len(quantised) == 1
    )


@pytest.mark.parametrize("scheme", WHOLE)
@pytest.mark.parametrize(("network", "count"), [("lite0", 9), ("b0", 9)])
def test_the_skip_shares_the_quantiser_of_the_next_convolution(network, count, scheme, networks, schemes):
    model = networks[network].graph
    placed = place(model, schemes[scheme])
    additions = [n for n in model.graph if n.op_type == "Add"]
    assert len(additions) == count
    for addition in additions:
        skip = skip_input(addition)
        assert skip is not None
        tensor = addition.inputs[skip].name
        assert (addition.name, skip) in placed.sites[tensor].readers
        assert any(nodes_of(model)[r].op_type == "Conv" for r, _ in placed.sites[tensor].readers)
        other = addition.inputs[1 - skip]
        assert other.producer().op_type == "Conv" and other.name not in placed.sites


@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_openvino_zero_points_keep_off_depthwise_convolutions(network, networks, schemes, quantized):
    model = networks[network].graph
    plan, _ = quantized(network, "openvino")
    read_by_depthwise = {n.inputs[0].name for n in model.graph if is_depthwise(n)}
    assert len(read_by_depthwise) == 16
    shifted = {name for name, a in plan.activations.items() if a.zero_point != 0}
    assert not shifted & read_by_depthwise
    if network == "b0":
        assert shifted  # dense convolutions read lopsided Swish outputs
    else:
        clipped = [n.outputs[0].name for n in model.graph if n.op_type == "Clip"]
        for name in set(clipped) & set(plan.activations):
            assert (plan.activations[name].type, plan.activations[name].zero_point) == ("uint8", 0)


@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_tensorrt_zero_points_stand_where_a_bias_takes_them_over(network, networks, quantized):
    plan, _ = quantized(network, "tensorrt")
    nodes = nodes_of(networks[network].graph)
    shifted = {name for name, a in plan.activations.items() if a.zero_point}
    read = {reader for name in shifted for reader, _ in plan.readers[name]}
    # Projections read what a depthwise convolution makes, the head's Gemm what is pooled: never a negative
    # value, or hardly one. Depthwise convolutions read as much of that, but zeros beside it.
    assert read == {name for name in nodes if name.endswith("project.conv") or name == "flatten"}
    assert all(not any(nodes[name].attributes.get_ints("pads", ())) for name in read)
    assert {a.type for a in plan.activations.values()} == {"int8"}


@pytest.mark.parametrize(
    ("body", "kernel", "shifted"),
    [
        ("a = Relu (x) y = Conv (a, w)", (3, 4, 1, 1), True),
        ("a = Relu (x) y = Conv (a, w)", (3, 4, 3, 3), True),
        # V2's stem makes what a padded dense convolution reads.
        ("a = Relu (x) y = Conv <pads = [1, 1, 1, 1]> (a, w)", (3, 4, 3, 3), False),
        ("a = Relu (x) y = Conv <pads = [0, 0, 1, 1]> (a, w)", (3, 4, 3, 3), False),
        ("a = Relu (x) y = Conv <group = 4> (a, w)", (4, 1, 3, 3), True),
        ("a = Relu (x) b = Conv (a, w) y = Add (a, b)", (4, 4, 1, 1), False),
        ("a = Add (x, x) y = Conv (a, w)", (3, 4, 1, 1), False),
    ],
)
def test_padding_and_skips_forbid_a_shift(body, kernel, shifted, graph_of, weights, schemes):
    model = graph_of(body, w=weights(*kernel))
    for number, node in enumerate(model.graph):
        node.name = f"node {number}"
    assert place(model, schemes["tensorrt"]).sites["a"].symmetric == (not shifted)


@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_tflite_quantises_every_tensor(network, networks, schemes):
    model = swish_steps.rewrite(networks[network].graph)
    placed = place(model, schemes["tflite"])
    assert set(placed.layers) == {n.name for n in model.graph if n.op_type in ("Conv", "Gemm")}
    for value in [*model.graph.inputs, *(n.outputs[0] for n in model.graph)]:
        readers = [reader.op_type for reader in value.consumers()]
        fused = readers in (["Clip"], ["Relu"]) or (
            value.producer() and value.producer().op_type == "Flatten"
        )
        assert (value.name in placed.sites) == (not fused), value.name
        if not fused:
            site = placed.sites[value.name]
            assert set(site.readers) == {(node.name, index) for node, index in value.uses()}
            assert site.output == (value.name == "logits")


def test_tflite_sigmoids_have_the_specifications_scale(quantized, b0):
    plan, _ = quantized("b0", "tflite")
    model = swish_steps.rewrite(b0.graph)
    sigmoids = [n.outputs[0].name for n in model.graph if n.op_type == "Sigmoid"]
    assert len(sigmoids) == 49 + 16
    for name in sigmoids:
        found = plan.activations[name]
        assert (found.scale, found.zero_point, found.type) == (1 / 256, -128, "int8")


@pytest.mark.parametrize(
    ("scheme", "fixed"), [("openvino", None), ("tensorrt", None), ("tflite", (1 / 256, -128))]
)
def test_a_sigmoid_before_a_layer_has_the_scale_of_its_scheme(scheme, fixed, graph_of, weights, schemes):
    """As in a head with a sigmoid or tanh between two Linear layers."""
    model = graph_of("s = Sigmoid (x) y = Conv (s, w)", w=weights(4, 4, 1, 1))
    assert place(model, schemes[scheme]).sites["s"].fixed == fixed


def test_tflite_swish_shares_one_quantiser_for_both_its_readers(schemes, b0):
    model = swish_steps.rewrite(b0.graph)
    placed = place(model, schemes["tflite"])
    for node in model.graph:
        if node.op_type == "Sigmoid" and node.name.endswith(".sigmoid.sigmoid"):
            readers = {name for name, _ in placed.sites[node.inputs[0].name].readers}
            assert readers == {node.name, node.name.removesuffix(".sigmoid")}


@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_tflite_quantises_the_logits(network, quantized):
    plan, hub = quantized(network, "tflite")
    assert plan.outputs == ("logits",)
    last = next(n for n in hub.graph.node if "logits" in n.output)
    assert last.op_type == "DequantizeLinear"


def test_squeeze_excite_in_int8_is_one_word_of_the_scheme(b0, schemes):
    placed = place(b0.graph, replace(schemes["openvino"], squeeze_excite="int8"))
    assert len(placed.layers) == 82


def test_signs(networks, graph_of):
    for network in networks.values():
        for node in network.graph.graph:
            found = placement.is_nonnegative(node.outputs[0])
            statistics = network.statistics.get(node.outputs[0].name)
            if found and statistics is not None:
                assert statistics.low >= 0
            assert found or node.op_type not in ("Clip", "Sigmoid")
    model = graph_of("y = Clip (x, low, high)", low=-1, high=1)
    assert not placement.is_nonnegative(model.graph.outputs[0])
    model = graph_of("y = Clip (x, , high)", high=1)
    assert not placement.is_nonnegative(model.graph.outputs[0])
    model = graph_of("a = Relu (x) b = GlobalAveragePool (a) y = Flatten (b)", low=0)
    assert placement.is_nonnegative(model.graph.outputs[0])


def test_skip_input(graph_of):
    w = [[[[1.0]]] * 4] * 4

    def skip(body):
        model = graph_of(body, w=w)
        return skip_input(next(n for n in model.graph if n.op_type == "Add"))

    assert skip("c = Conv (x, w) y = Add (c, x)") == 1
    assert skip("c = Conv (x, w) y = Add (x, c)") == 0
    assert skip("a = Conv (x, w) b = Conv (a, w) y = Add (b, a)") == 1  # a linear bottleneck, read twice
    assert skip("a = Conv (x, w) b = Conv (x, w) y = Add (a, b)") is None
    assert skip("a = Relu (x) b = Conv (a, w) y = Add (a, b)") == 0
