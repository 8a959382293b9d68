"""What tf2onnx writes, in its operators and its names: a small network built by hand after its files.

NHWC outside and NCHW between Transposes, batch normalisation folded or as constants per channel, ReLU6 as
Relu and Min, squeeze-excite over axes 1 and 2, the head as MatMul and Add.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

IN, OUT = [0, 3, 1, 2], [0, 2, 3, 1]


class TensorFlow:
    """Appends layers as tf2onnx names them."""

    def __init__(self, opset):
        self.opset, self.nodes, self.constants, self.random = opset, [], [], np.random.default_rng(0)

    def const(self, name, array):
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"const_fold_opt__{name}"))
        return self.constants[-1].name

    def weights(self, name, *shape):
        scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 and shape[0] > 1 else 1.0
        array = self.random.normal(0, scale, shape).astype(np.float32)
        self.constants.append(numpy_helper.from_array(array, f"StatefulPartitionedCall/net/{name}:0"))
        return self.constants[-1].name

    def add(self, operator, inputs, layer, **attributes):
        name = f"StatefulPartitionedCall/net/{layer}/{operator}__{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [f"{name}:0"], name=name, **attributes))
        return f"{name}:0"

    def conv(self, x, layer, outputs, inputs, kernel=1, stride=1, group=1, norm="constants"):
        x = self.add("Transpose", [x], layer, perm=IN)
        weight = self.weights(f"{layer}/Conv2D/ReadVariableOp", outputs, inputs // group, kernel, kernel)
        bias = [self.weights(f"{layer}/Bias", outputs)] if norm == "folded" else []
        x = self.add(
            "Conv", [x, weight, *bias], layer, group=group, strides=[stride] * 2, auto_pad="SAME_UPPER"
        )
        if norm == "constants":
            x = self.add("Mul", [x, self.weights(f"{layer}/m", 1, outputs, 1, 1)], layer)
            x = self.add("Add", [x, self.weights(f"{layer}/a", 1, outputs, 1, 1)], layer)
        return self.add("Transpose", [x], layer, perm=OUT)

    def relu6(self, x, layer):
        return self.add(
            "Min", [self.add("Relu", [x], layer), self.const(f"six{len(self.nodes)}", np.float32(6))], layer
        )

    def swish(self, x, layer):
        return self.add("Mul", [x, self.add("Sigmoid", [x], layer)], layer)

    def mean(self, x, layer, keepdims):
        if self.opset < 18:
            return self.add("ReduceMean", [x], layer, axes=[1, 2], keepdims=keepdims)
        axes = self.const(f"axes{len(self.nodes)}", np.asarray([1, 2], np.int64))
        return self.add("ReduceMean", [x, axes], layer, keepdims=keepdims)


def network(opset, activation, norm):
    net = TensorFlow(opset)
    act = net.relu6 if activation == "relu6" else net.swish
    x = act(net.conv("images", "stem_conv", 8, 3, 3, 2, norm=norm), "stem_activation")
    skip = x
    x = act(net.conv(x, "block1a_expand_conv", 16, 8, norm=norm), "block1a_expand_activation")
    x = act(net.conv(x, "block1a_dwconv", 16, 16, 5, 1, 16, norm=norm), "block1a_activation")
    if activation == "swish":
        gate = net.mean(x, "block1a_se_squeeze", 0)
        gate = net.add(
            "Reshape", [gate, net.const("shape", np.asarray([-1, 1, 1, 16], np.int64))], "block1a_se_reshape"
        )
        gate = act(net.conv(gate, "block1a_se_reduce", 4, 16, norm="folded"), "block1a_se_reduce")
        gate = net.conv(gate, "block1a_se_expand", 16, 4, norm="folded")
        x = net.add("Mul", [x, net.add("Sigmoid", [gate], "block1a_se_expand")], "block1a_se_excite")
    x = net.add("Add", [net.conv(x, "block1a_project_conv", 8, 16, norm=norm), skip], "block1a_add")
    x = act(net.conv(x, "top_conv", 24, 8, norm=norm), "top_activation")
    x = net.mean(x, "avg_pool", 0)
    x = net.add("MatMul", [x, net.weights("predictions/MatMul/ReadVariableOp", 24, 7)], "predictions")
    x = net.add("Add", [x, net.weights("predictions/BiasAdd/ReadVariableOp", 7)], "predictions")
    x = net.add("Softmax", [x], "predictions", **({"axis": 1} if opset < 13 else {}))
    net.nodes.append(helper.make_node("Identity", [x], ["predictions"], name="Identity"))
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        net.nodes,
        "tf2onnx",
        [helper.make_tensor_value_info("images", floats, ["unk__1", 32, 32, 3])],
        [helper.make_tensor_value_info("predictions", floats, ["unk__2", 7])],
        net.constants,
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 2)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("norm", ["constants", "folded"])
@pytest.mark.parametrize("activation", ["swish", "relu6"])
@pytest.mark.parametrize("opset", [11, 13, 15, 18])
def test_network(opset, activation, norm, imports):
    imported = imports(network(opset, activation, norm))
    assert (imported.original.layout, imported.original.softmax, imported.classes) == ("NHWC", True, 7)
    operators = [node.op_type for node in imported.model.graph]
    assert operators.count("Conv") == (7 if activation == "swish" else 5)
    assert operators.count("Clip" if activation == "relu6" else "Swish") == (
        4 if activation == "relu6" else 5
    )
    assert operators.count("Mul") == (activation == "swish")


def test_layers_bear_the_names_of_the_network(imports):
    imported = imports(network(13, "swish", "constants"))
    layers = [node.name for node in imported.model.graph if node.op_type in ("Conv", "Gemm")]
    assert layers == [
        *("stem_conv", "block1a_expand_conv", "block1a_dwconv", "block1a_se_reduce", "block1a_se_expand"),
        *("block1a_project_conv", "top_conv", "predictions"),
    ]
    assert "block1a_dwconv.swish" in [node.name for node in imported.model.graph]


def test_nodes_without_order(imports):
    """The standard wants nodes after what they read; not every writer obeys."""
    model = network(13, "relu6", "folded")
    imports_in_order = imports(model)
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    from edgeeff.graph import importing

    again = importing.from_proto(model, "x.onnx")
    assert len(again.model.graph) == len(imports_in_order.model.graph)
