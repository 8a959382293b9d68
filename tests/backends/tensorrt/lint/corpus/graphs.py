"""What is true of the whole graph: opset, operators, types, shapes."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper


def opset_13(net):
    net.opset = 13
    net.good()


def opset_20(net):
    net.opset = 20
    net.good()
    net.breaks("TRT001", last="8.6")


def opset_21(net):
    net.opset = 21
    net.good()
    net.breaks("TRT001", last="10.13")


def opset_25(net):
    net.opset = 25
    net.good()
    net.breaks("TRT001")
    net.taken("no parser refuses an opset; what it then misreads depends on the operator")


def operator_of_no_version(net):
    net.node("Det", net.node("Reshape", net.good(), np.array([16, 8, 8])))
    net.breaks("TRT002")
    net.refused()


def operator_of_integers(net):
    codes = net.node("QuantizeLinear", "input", np.float32(0.05), np.int8(0))
    net.node("ConvInteger", codes, np.ones((16, 16, 3, 3), np.int8))
    net.breaks("TRT002")
    net.refused()


def operator_gelu(net):
    net.opset = 20
    net.node("Gelu", net.good())
    net.breaks("TRT001", last="8.6")
    net.breaks("TRT002", last="8.6")


def operator_hard_swish(net):
    net.node("HardSwish", net.good())
    net.breaks("TRT002", last="8.5")


def operator_swish(net):
    net.opset = 24
    net.node("Swish", net.good())
    net.breaks("TRT001", last="10.13")
    net.breaks("TRT023", last="10.16")


def _efficient_nms(net, name="EfficientNMS_TRT", domain="TRT", **attributes):
    net.domains = [domain] if domain else []
    boxes = net.node("Reshape", net.good(), np.array([1, 256, 4]))
    scores = net.node("Reshape", boxes, np.array([1, 256, 4]))
    net.node(name, boxes, scores, score_threshold=0.1, plugin_version="1", domain=domain, **attributes)
    net.refused("TensorRT-RTX has no plugins for NMS")


def plugin_efficient_nms(net):
    _efficient_nms(net)
    net.breaks("TRT111", first="10.13")


def plugin_of_no_domain_across_classes(net):
    _efficient_nms(net, domain="", class_agnostic=1)
    net.breaks("TRT028", last="8.5")
    net.breaks("TRT111", first="10.13")


def plugin_batched_nms(net):
    _efficient_nms(net, "BatchedNMSDynamic_TRT")
    net.breaks("TRT027", first="11.4")
    net.reason = ""


def operator_of_another_domain(net):
    net.domains = ["com.example"]
    net.node("Blur", net.good(), domain="com.example")
    net.breaks("TRT002")
    net.refused()


def quantisation_of_onnxruntimes_domain(net):
    net.domains = ["com.microsoft"]
    codes = net.node("QuantizeLinear", "input", np.float32(0.05), np.int8(0), domain="com.microsoft")
    x = net.node("DequantizeLinear", codes, np.float32(0.05), np.int8(0), domain="com.microsoft")
    net.conv(x, net.weight())


def function(net):
    net.domains = ["local"]
    body = [helper.make_node("Sigmoid", ["x"], ["s"]), helper.make_node("Mul", ["x", "s"], ["y"])]
    net.functions = [helper.make_function("local", "Silu", ["x"], ["y"], body, [helper.make_opsetid("", 17)])]
    net.node("Silu", net.good(), domain="local")
    net.breaks("TRT002", last="8.6")


def branch_with_a_bad_zero_point(net):
    inner = type(net)()
    inner.nodes.append(
        helper.make_node("Constant", [], ["z3"], value=helper.make_tensor("z", TensorProto.INT8, [], [3]))
    )
    inner.nodes.append(
        helper.make_node("Constant", [], ["s3"], value=helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]))
    )
    y = inner.qdq("outer", "s3", "z3")
    bad = helper.make_graph(inner.nodes, "bad", [], [helper.make_tensor_value_info(y, 1, [1, 16, 8, 8])])
    same = helper.make_graph(
        [helper.make_node("Identity", ["outer"], ["same"])],
        "same",
        [],
        [helper.make_tensor_value_info("same", 1, [1, 16, 8, 8])],
    )
    net.nodes.append(helper.make_node("Identity", ["input"], ["outer"], name="outer"))
    condition = net.node("Greater", net.node("ReduceMax", "input", keepdims=0), np.float32(0))
    net.node("If", condition, then_branch=bad, else_branch=same)
    net.breaks("TRT003")
    net.refused()


def dynamic_batch(net):
    net.shape = ["batch", 16, 8, 8]
    net.good()
    net.breaks("TRT106")


def bfloat16(net):
    net.opset, net.type = 19, TensorProto.BFLOAT16
    scale = helper.make_tensor("s", TensorProto.BFLOAT16, [], [0.05])
    scales = helper.make_tensor("w", TensorProto.BFLOAT16, [16], [0.01] * 16)
    net.conv(net.qdq("input", scale), net.weight(scale=scales, zero=np.zeros(16, np.int8)))
    net.breaks("TRT001", last="8.6")
    net.breaks("TRT016", last="8.6")
    net.breaks("TRT024", last="8.6")


def float8(net):
    net.opset = 19
    zero = helper.make_tensor("z", TensorProto.FLOAT8E4M3FN, [], [0.0])
    net.conv(net.qdq("input", zero=zero), net.qdq(net.floats(), np.float32(0.01), zero))
    net.breaks("TRT001", last="8.6")
    net.breaks("TRT008", last="8.6")
    net.not_compiled("SM86 has no FP8, and the linter is told no compute capability")


def int16_tensor(net):
    net.node("Add", net.good(), net.node("Cast", np.ones((1, 16, 8, 8), np.int16), to=TensorProto.FLOAT))
    net.breaks("TRT024")
    net.refused()


def pixels_cast(net):
    net.type = TensorProto.UINT8
    net.good(net.node("Cast", "input", to=TensorProto.FLOAT))


def pixels_not_cast(net):
    net.type = TensorProto.UINT8
    net.good(net.node("Cast", net.node("Transpose", "input", perm=[0, 1, 3, 2]), to=TensorProto.FLOAT))
    net.breaks("TRT025")
    net.refused()


def pixels_dequantised(net):
    net.type = TensorProto.UINT8
    x = net.node("DequantizeLinear", "input", np.float32(1 / 255), np.uint8(0))
    net.conv(net.qdq(x), net.weight())
    net.breaks("TRT007")
    net.refused()


def float32_typed(net):
    net.good()
    net.breaks("TRT108", first="11.4")


def weights_in_another_file(net):
    codes = TensorProto(data_type=TensorProto.INT8, dims=[16, 16, 3, 3], data_location=TensorProto.EXTERNAL)
    codes.external_data.add(key="location", value="weights.bin")
    net.conv(net.qdq("input"), net.weight(codes))
    net.breaks("TRT109")
    net.refused("the file is not there, and the linter is told no folder to look for it in")


def names_left_out(net):
    net.good()
    for node in net.nodes:
        node.ClearField("name")


def weights_that_are_inputs_too(net):
    net.conv(net.qdq("input"), net.weight())
    net.inputs = [
        helper.make_tensor_value_info("input", net.type, net.shape),
        *(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in net.constants),
    ]
