"""Zero points: TensorRT has symmetric int8 alone."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

READS_INT8 = "taken and wrong: the parser reads INT8 whatever the zero point's type says"


def of_activations_3(net):
    net.conv(net.qdq("input", zero=np.int8(3)), net.weight())
    net.breaks("TRT003")
    net.refused()


def of_weights_not_0(net):
    zero = np.zeros(16, np.int8)
    zero[5] = -2
    net.conv(net.qdq("input"), net.weight(zero=zero))
    net.breaks("TRT003")
    net.refused()


def of_activations_128(net):
    net.conv(net.qdq("input", zero=np.uint8(128)), net.weight())
    net.breaks("TRT003")
    net.breaks("TRT007")
    net.refused()


def of_activations_uint8(net):
    net.conv(net.qdq("input", zero=np.uint8(0)), net.weight())
    net.breaks("TRT007")
    net.taken(READS_INT8)


def missing(net):
    net.conv(net.qdq("input", zero=None), net.weight())
    net.breaks("TRT004")
    net.taken("taken and wrong: ONNX means uint8, the parser quantises to INT8")


def missing_and_int8_said(net):
    net.opset = 21
    codes = net.node("QuantizeLinear", "input", np.float32(0.05), output_dtype=TensorProto.INT8)
    net.conv(net.node("DequantizeLinear", codes, np.float32(0.05)), net.weight())
    net.breaks("TRT001", last="10.13")
    net.breaks("TRT004", last="8.6")


def missing_of_int8_weights(net):
    codes = net.floats(deviation=40).astype(np.int8)
    weight = net.node("DequantizeLinear", codes, np.full(16, 0.01, np.float32), axis=0)
    net.conv(net.qdq("input"), weight)
    net.breaks("TRT004", last="8.6")


def in_constant_nodes(net):
    scale = net.node("Constant", value=helper.make_tensor("s", TensorProto.FLOAT, [], [0.05]))
    zero = net.node("Constant", value=helper.make_tensor("z", TensorProto.INT8, [], [0]))
    net.conv(net.qdq("input", scale, zero), net.weight())


def computed(net):
    zero = net.node("Cast", net.node("ReduceMin", "input", keepdims=0), to=TensorProto.INT8)
    net.conv(net.qdq("input", zero=zero), net.weight())
    net.breaks("TRT005")
    net.not_compiled()


def fewer_than_scales(net):
    net.conv(net.qdq("input"), net.weight(zero=np.zeros(8, np.int8)))
    net.breaks("TRT006")
    net.refused()


def one_for_many_scales(net):
    net.conv(net.qdq("input"), net.weight(zero=np.int8(0)))
    net.breaks("TRT006")
    net.refused()


def of_int16(net):
    net.opset = 21
    net.conv(net.qdq("input", zero=np.int16(0)), net.weight())
    net.breaks("TRT001", last="10.13")
    net.breaks("TRT008")
    net.refused()


def of_uint16(net):
    net.opset = 21
    net.conv(net.qdq("input", zero=np.uint16(0)), net.weight())
    net.breaks("TRT001", last="10.13")
    net.breaks("TRT008")
    net.refused()
