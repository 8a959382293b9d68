from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.graph import expectations, passes
from edgeeff.graph.expectations import Expectation
from edgeeff.graph.export import onnx_from_torch
from edgeeff.graph.model import from_bytes, to_bytes

SIZE = (64, 64)


def test_every_normalised_convolution_is_known_by_its_final_name(make_module):
    module = make_module("b0")
    model = onnx_from_torch(module, SIZE)
    passes.run(model)
    known = expectations.read(model)
    state = module.state_dict()
    norms = [name.removesuffix(".running_mean") for name in state if name.endswith("running_mean")]
    assert len(known) == len(norms)
    assert set(known) <= {node.outputs[0].name for node in model.graph if node.op_type == "Conv"}
    stem = known["stem.conv"]
    np.testing.assert_array_equal(stem.mean, state["stem.norm.bias"].numpy())
    np.testing.assert_allclose(stem.std, np.abs(state["stem.norm.weight"].numpy()), rtol=0.05)


def test_bytes_copies_and_the_passes_keep_them(b0):
    known = expectations.read(b0.graph)
    again = from_bytes(to_bytes(b0.graph.clone()))
    passes.run(again)
    found = expectations.read(again)
    # Their names change, being made of what exporters write; their order does not.
    for after, before in zip(found.values(), known.values(), strict=True):
        np.testing.assert_array_equal(after.mean, before.mean)
        np.testing.assert_array_equal(after.std, before.std)
    onnx.checker.check_model(ir.to_proto(b0.graph))


def test_nothing_is_left_once_stripped(lite0):
    model = lite0.graph.clone()
    assert b"edgeeff.expected" in to_bytes(model)
    expectations.strip(model)
    assert b"edgeeff.expected" not in to_bytes(model)
    assert expectations.read(model) == {}
    assert expectations.read(lite0.graph)


def test_other_peoples_and_damaged_notes_are_passed_over(graph_of, weights):
    model = graph_of("a = Conv (x, w) b = Conv (a, w) c = Conv (b, w) y = Conv (c, w)", w=weights(4, 4, 1, 1))
    first, second, third, fourth = model.graph
    expectations.record(first, Expectation(np.arange(4.0), np.ones(4)))
    second.doc_string = "a convolution"
    third.doc_string = f"{first.doc_string}A"
    fourth.doc_string = "edgeeff.expected:AAAA"
    assert list(expectations.read(model)) == ["a"]
    expectations.strip(model)
    assert [node.doc_string for node in model.graph] == [None, "a convolution", None, None]
