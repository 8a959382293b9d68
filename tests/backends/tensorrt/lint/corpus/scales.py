"""Scales: positive, as many as channels, of the activation's type."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

CRASH = "TensorRT-RTX 1.7.1 crashes while it compiles it, and is not asked to"
MIXED = "no valid ONNX, which TensorRT-RTX does not mind as long as what follows is of one type"


def of_0(net):
    net.conv(net.qdq("input", np.float32(0)), net.weight())
    net.breaks("TRT011")
    net.refused()


def negative_in_one_channel(net):
    scale = np.full(16, 0.01, np.float32)
    scale[3] = -0.01
    net.conv(net.qdq("input"), net.weight(scale=scale))
    net.breaks("TRT011")
    net.refused()


def not_a_number(net):
    net.conv(net.qdq("input", np.float32(np.nan)), net.weight())
    net.breaks("TRT011")
    net.refused()


def infinite(net):
    net.conv(net.qdq("input", np.float32(np.inf)), net.weight())
    net.breaks("TRT011")
    net.taken("taken and wrong: every value becomes 0, and then 0 · ∞")


def computed(net):
    peak = net.node("ReduceMax", net.node("Abs", "input"), keepdims=0)
    net.conv(net.qdq("input", peak), net.weight())
    net.breaks("TRT012")
    net.not_compiled(CRASH)


def fewer_than_channels(net):
    net.conv(net.qdq("input"), net.weight(scale=np.full(8, 0.01, np.float32)))
    net.breaks("TRT013")
    net.refused()


def along_an_axis_that_is_not_there(net):
    net.conv(net.qdq("input"), net.weight(axis=4))
    net.breaks("TRT013")
    net.refused()


def in_blocks(net):
    net.opset = 21
    codes = helper.make_tensor("w", TensorProto.INT4, [16, 16], [i % 15 - 7 for i in range(256)])
    zero = helper.make_tensor("z", TensorProto.INT4, [16, 4], [0] * 64)
    scale = np.full((16, 4), 0.01, np.float32)
    weight = net.node("DequantizeLinear", codes, scale, zero, axis=1, block_size=4)
    net.node("Gemm", net.node("Flatten", net.node("GlobalAveragePool", "input")), weight, transB=1)
    net.breaks("TRT001", last="10.13")
    net.breaks("TRT008", last="8.6")
    net.breaks("TRT013", last="8.6")
    net.float_kernels("nothing is meant to be INT8: INT4 is for weights alone")


def for_each_channel_without_axis(net):
    net.conv(net.qdq("input"), net.weight(axis=None))
    net.breaks("TRT018", last="10.16")
    net.breaks("TRT021", first="11.4")
    net.float_kernels()


def along_input_channels(net):
    net.conv(net.qdq("input"), net.weight(axis=1))
    net.breaks("TRT021")
    net.float_kernels()


def along_a_negative_axis(net):
    net.conv(net.qdq("input"), net.weight(axis=-4))


def one_for_all_weights(net):
    net.conv(net.qdq("input"), net.weight(scale=np.float32(0.01)))


def one_in_a_row(net):
    net.conv(net.qdq("input", np.full(1, 0.05, np.float32), np.zeros(1, np.int8)), net.weight())
    net.breaks("TRT110")
    net.float_kernels()


def one_in_a_row_for_weights(net):
    net.conv(net.qdq("input"), net.weight(scale=np.full(1, 0.01, np.float32)))


def for_each_channel_of_an_activation(net):
    scale = np.full(16, 0.05, np.float32)
    net.conv(net.qdq("input", scale, np.zeros(16, np.int8), axis=1), net.weight())
    net.breaks("TRT017")
    net.float_kernels()


def float32_on_float16(net):
    net.type = TensorProto.FLOAT16
    net.node("Add", net.qdq("input"), "input")
    net.breaks("TRT014")
    net.refused()


def float32_on_float16_and_cast(net):
    net.type = TensorProto.FLOAT16
    net.conv(net.node("Cast", net.qdq("input"), to=TensorProto.FLOAT), net.weight())
    net.breaks("TRT014")
    net.taken(MIXED)


def float16_on_float32(net):
    net.opset = 19
    net.conv(net.qdq("input", np.float16(0.05)), net.weight(scale=np.full(16, 0.01, np.float16)))
    net.breaks("TRT001", last="8.6")
    net.breaks("TRT014")
    net.breaks("TRT016", last="8.6")
    net.taken(MIXED)


def float16_at_opset_17(net):
    net.type = TensorProto.FLOAT16
    net.conv(net.qdq("input", np.float16(0.05)), net.weight(scale=np.full(16, 0.01, np.float16)))
    net.breaks("TRT015")
    net.breaks("TRT016", last="8.6")
    net.taken("no valid ONNX, which TensorRT-RTX does not mind; 8.5 and 8.6 do")


def float16_at_opset_19(net):
    net.opset, net.type = 19, TensorProto.FLOAT16
    net.conv(net.qdq("input", np.float16(0.05)), net.weight(scale=np.full(16, 0.01, np.float16)))
    net.breaks("TRT001", last="8.6")
    net.breaks("TRT016", last="8.6")


def too_small_for_float16(net):
    net.conv(net.qdq("input", np.float32(1e-9)), net.weight())
    net.breaks("TRT107")


def too_large_for_float16(net):
    net.conv(net.qdq("input", np.float32(1e3)), net.weight())
    net.breaks("TRT107")


def of_a_dead_channel(net):
    scale = np.full(16, 0.01, np.float32)
    scale[2] = 1e-9
    net.conv(net.qdq("input"), net.weight(scale=scale))
