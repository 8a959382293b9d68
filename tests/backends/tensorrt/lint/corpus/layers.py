"""Convolutions and matrix products: both inputs quantised or neither, biases float."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

WEIGHTS_ALONE = "nothing is meant to be INT8: INT4 is for weights alone"


def good(net):
    net.node("Relu", net.conv(net.qdq("input"), net.weight(), np.zeros(16, np.float32)))


def float_throughout(net):
    net.conv("input", net.floats(), np.zeros(16, np.float32))
    net.float_kernels("nothing is meant to be INT8")


def weights_uint8(net):
    codes = np.full((16, 16, 3, 3), 130, np.uint8)
    net.conv(net.qdq("input"), net.weight(codes, zero=np.full(16, 128, np.uint8)))
    net.breaks("TRT003")
    net.breaks("TRT009")
    net.refused()


def weights_uint8_around_0(net):
    codes = np.full((16, 16, 3, 3), 30, np.uint8)
    net.conv(net.qdq("input"), net.weight(codes, zero=np.zeros(16, np.uint8)))
    net.breaks("TRT009")
    net.refused()


def weights_faked_in_float(net):
    net.conv(
        net.qdq("input"), net.qdq(net.floats(), np.full(16, 0.01, np.float32), np.zeros(16, np.int8), axis=0)
    )


def weights_float(net):
    net.conv(net.qdq("input"), net.floats())
    net.breaks("TRT019")
    net.float_kernels()


def activation_float(net):
    net.conv("input", net.weight())
    net.breaks("TRT020")
    net.float_kernels()


def weights_computed(net):
    weight = net.qdq(
        net.node("Reshape", net.node("Concat", *["input"] * 9, axis=1), np.array([16, 16, 6, 6]))
    )
    net.conv(net.qdq("input"), weight)
    net.breaks("TRT026")
    net.taken("TensorRT-RTX multiplies two activations in INT8; TensorRT wants a constant kernel")


def bias_int32(net):
    bias = net.node(
        "DequantizeLinear",
        np.arange(16, dtype=np.int32),
        np.full(16, 5e-4, np.float32),
        np.zeros(16, np.int32),
        axis=0,
    )
    net.conv(net.qdq("input"), net.weight(), bias)
    net.breaks("TRT010")
    net.refused()


def bias_int32_without_zero_point(net):
    bias = net.node("DequantizeLinear", np.arange(16, dtype=np.int32), np.full(16, 5e-4, np.float32), axis=0)
    net.conv(net.qdq("input"), net.weight(), bias)
    net.breaks("TRT004", last="8.6")
    net.breaks("TRT010")
    net.refused()


def bias_int8(net):
    bias = net.node("DequantizeLinear", np.arange(16, dtype=np.int8), np.float32(0.01), np.int8(0))
    net.conv(net.qdq("input"), net.weight(), bias)
    net.breaks("TRT022")
    net.taken("TensorRT-RTX adds any bias afterwards; TensorRT wants a constant")


def one_left_float(net):
    net.conv(net.good(), net.floats())
    net.breaks("TRT101")


def squeeze_excite_left_float(net):
    x = net.good()
    pooled = net.node("GlobalAveragePool", x)
    gate = net.node("Sigmoid", net.node("Conv", pooled, net.floats((16, 16, 1, 1))))
    net.node("Mul", x, gate)


def narrow(net):
    net.conv(net.qdq("input"), net.weight(scale=np.full(12, 0.01, np.float32), shape=(12, 16, 3, 3)))
    net.breaks("TRT102")


def depthwise(net):
    net.conv(net.qdq("input"), net.weight(shape=(16, 1, 3, 3)), group=16)


def classifier(net):
    pooled = net.node("Flatten", net.qdq(net.node("GlobalAveragePool", "input")))
    net.node("Gemm", pooled, net.weight(shape=(16, 16)), np.zeros(16, np.float32), transB=1)


def classifier_along_its_inputs(net):
    pooled = net.node("Flatten", net.qdq(net.node("GlobalAveragePool", "input")))
    net.node("Gemm", pooled, net.weight(shape=(16, 16)), np.zeros(16, np.float32))
    net.breaks("TRT021")
    net.float_kernels()


def classifier_of_matmul(net):
    pooled = net.node("Flatten", net.qdq(net.node("GlobalAveragePool", "input")))
    product = net.node("MatMul", pooled, net.weight(shape=(16, 16), axis=1))
    net.node("Add", product, np.zeros(16, np.float32))


def weights_int4(net):
    net.opset = 21
    codes = helper.make_tensor("w", TensorProto.INT4, [16, 16], [i % 15 - 7 for i in range(256)])
    zero = helper.make_tensor("z", TensorProto.INT4, [16], [0] * 16)
    weight = net.node("DequantizeLinear", codes, np.full(16, 0.01, np.float32), zero, axis=0)
    pooled = net.node("Flatten", net.node("GlobalAveragePool", "input"))
    net.node("Gemm", pooled, weight, transB=1)
    net.breaks("TRT001", last="10.13")
    net.breaks("TRT008", last="8.6")
    net.float_kernels(WEIGHTS_ALONE)
