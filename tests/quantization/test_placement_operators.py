"""What schemes do with operators that choose among values, or have one scale for what they read and make."""

from __future__ import annotations

import pytest

from edgeeff.quantization.placement import place
from edgeeff.target import load_scheme

BODY = (
    "c = Conv (x, w) r = Relu (c) m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r) d = Conv (m, w) "
    "a = AveragePool <kernel_shape = [2, 2]> (d) e = Relu (a) b = Concat <axis = 1> (a, e) y = Conv (b, w8)"
)


@pytest.fixture
def graph(graph_of, weights):
    model = graph_of(BODY, w=weights(4, 4, 1, 1), w8=weights(4, 8, 1, 1))
    for node in model.graph:
        node.name = node.outputs[0].name
    return model


def test_codes_pass_through_what_only_chooses(graph):
    found = place(graph, load_scheme("tflite")).sites
    assert found["r"].readers == (("m", 0),) and "m" not in found
    found = place(graph, load_scheme("openvino")).sites
    assert found["r"].readers == (("m", 0),) and "m" not in found
    # TensorRT's layers read their own quantiser.
    found = place(graph, load_scheme("tensorrt")).sites
    assert found["m"].readers == (("d", 0),) and "r" not in found


def test_a_mean_has_the_scale_of_what_it_is_taken_of_and_a_concat_one_for_all_that_it_alone_reads(graph):
    found = place(graph, load_scheme("tflite")).sites
    assert {name: site.scale_of for name, site in found.items() if site.scale_of} == {"a": "d", "e": "b"}
