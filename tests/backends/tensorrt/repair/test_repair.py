"""What all repairs have in common."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from edgeeff.backends.tensorrt.lint import lint
from edgeeff.backends.tensorrt.repair import remaining, repair, repairs
from edgeeff.errors import GraphError


def test_each_comes_after_those_it_builds_on():
    names = [r.name for r in repairs()]
    assert names.index("constant_nodes") < names.index("explicit_zero_point") < names.index("float_weights")
    assert names.index("float_weights") < names.index("int8_weights") < names.index("float_bias")
    assert names[-1] == "opset_17" and len(set(names)) == len(names)


def test_our_own_hub_needs_none(hub):
    before = hub.SerializeToString()
    result, said = repair(hub)
    assert said == [] and result.SerializeToString() == before and remaining(hub) == []


def test_all_at_once(network, computed, operators, values):
    """uint8 around 128 in a pair for each reader, weights as float, an INT32 bias, zero points left out."""
    random = np.random.default_rng(0)
    model = network(
        """
        q1 = QuantizeLinear (x, s, z)
        d1 = DequantizeLinear (q1, s, z)
        q2 = QuantizeLinear (x, s, z)
        d2 = DequantizeLinear (q2, s, z)
        v = QuantizeLinear <axis = 0> (w, ws, wz)
        vd = DequantizeLinear <axis = 0> (v, ws, wz)
        bd = DequantizeLinear <axis = 0> (b32, bs)
        c = Conv <kernel_shape = [1, 1]> (d1, vd, bd)
        y = Add (c, d2)
        """,
        opset=21,
        z=np.uint8(128),
        w=random.standard_normal((4, 4, 1, 1)).astype(np.float32),
        ws=np.full(4, 0.02, np.float32),
        wz=np.full(4, 128, np.uint8),
        b32=random.integers(-9000, 9000, 4).astype(np.int32),
        bs=np.full(4, 0.0006, np.float32),
        w8=None,
        b=None,
    )
    result, said = repair(model)
    np.testing.assert_array_equal(computed(result), computed(model))
    assert operators(result) == ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "Conv", "Add"]
    assert {str(value.dtype) for value in values(result).values()} == {"int8", "float32"}
    assert result.opset_import[0].version == 17 and result.ir_version == 8
    assert len(said) == 7 and not remaining(result)
    assert not [finding for finding in lint(result) if finding.severity == "error"]
    assert repair(model)[0].SerializeToString() == result.SerializeToString()


@pytest.mark.parametrize("operator", ["QLinearConv", "ConvInteger", "DynamicQuantizeLinear"])
def test_operators_on_integers_are_refused(operator):
    node = helper.make_node(operator, ["x"], ["y"], name="odd")
    model = helper.make_model(helper.make_graph([node], "g", [], []))
    with pytest.raises(GraphError, match=r"'odd'.* computes on integers") as error:
        repair(model)
    assert "QuantFormat.QDQ" in error.value.mend


def test_graphs_with_branches_are_left_alone(network):
    model = network(z=np.uint8(128))
    branch = helper.make_graph([], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["o"], then_branch=branch, else_branch=branch))
    assert repair(model)[1] == []


@pytest.mark.parametrize("seed", range(40))
def test_damaged_graphs_raise_no_other_error(seed, network):
    """Scales, zero points and names at random places: repaired, left or refused."""
    random = np.random.default_rng(seed)
    model = network(z=np.uint8(128))
    for _ in range(4):
        match random.integers(6):
            case 0:
                tensor = model.graph.initializer[random.integers(len(model.graph.initializer))]
                tensor.dims.append(int(random.choice([0, 2, 10**12, -1])))
            case 1:
                tensor = model.graph.initializer[random.integers(len(model.graph.initializer))]
                tensor.data_type = int(random.integers(0, 30))
            case 2:
                node = model.graph.node[random.integers(len(model.graph.node))]
                if node.input:
                    del node.input[random.integers(len(node.input))]
            case 3:
                node = model.graph.node[random.integers(len(model.graph.node))]
                del node.output[:]
            case 4:
                node = model.graph.node[random.integers(len(model.graph.node))]
                node.attribute.append(helper.make_attribute("axis", int(random.integers(-9, 9))))
            case _:
                names = [n for node in model.graph.node for n in node.output] + ["x", ""]
                node = model.graph.node[random.integers(len(model.graph.node))]
                if node.input:
                    node.input[random.integers(len(node.input))] = str(random.choice(names))
    try:
        result, _ = repair(onnx.ModelProto.FromString(model.SerializeToString()))
        remaining(result)
    except GraphError as error:
        assert error.what and error.mend
