"""Where Q/DQ stand."""

from __future__ import annotations

import numpy as np


def swish_whole(net):
    x = net.good()
    net.good(net.node("Mul", x, net.node("Sigmoid", x)))


def swish_with_quantised_sigmoid(net):
    x = net.good()
    net.node("Mul", x, net.qdq(net.node("Sigmoid", x), np.float32(1 / 127)))
    net.breaks("TRT103")


def swish_with_quantised_product(net):
    x = net.good()
    net.node("Mul", net.qdq(x), net.node("Sigmoid", x))
    net.breaks("TRT103")


def swish_with_sigmoid_of_quantised(net):
    x = net.good()
    net.node("Mul", x, net.node("Sigmoid", net.qdq(x)))
    net.breaks("TRT103")


def gate_quantised(net):
    x = net.good()
    gate = net.node("Sigmoid", net.node("Conv", net.node("GlobalAveragePool", x), net.floats((16, 16, 1, 1))))
    net.node("Mul", net.qdq(x), net.qdq(gate, np.float32(1 / 127)))


def residual(net):
    skip = net.good()
    net.node("Add", net.conv(net.qdq(skip), net.weight()), net.qdq(skip))


def residual_quantised_on_both_sides(net):
    skip = net.good()
    net.node("Add", net.qdq(net.good(skip)), net.qdq(skip))
    net.breaks("TRT104")


def logits_quantised(net):
    net.qdq(net.good())
    net.breaks("TRT105")


def probabilities_of_quantised_logits(net):
    net.node("Softmax", net.qdq(net.good()), axis=1)
    net.breaks("TRT105")


def output_int8(net):
    net.node("QuantizeLinear", net.good(), np.float32(0.05), np.int8(0))
    net.breaks("TRT105")


def input_int8(net):
    net.type = 3
    net.conv(net.node("DequantizeLinear", "input", np.float32(0.05), np.int8(0)), net.weight())


def pooling_of_codes(net):
    codes = net.node("QuantizeLinear", "input", np.float32(0.05), np.int8(0))
    pooled = net.node("MaxPool", codes, kernel_shape=[2, 2], strides=[2, 2])
    net.conv(net.node("DequantizeLinear", pooled, np.float32(0.05), np.int8(0)), net.weight())


def reshaping_of_codes(net):
    codes = net.node("QuantizeLinear", "input", np.float32(0.05), np.int8(0))
    codes = net.node("Reshape", codes, np.array([1, 16, 16, 4]))
    net.conv(net.node("DequantizeLinear", codes, np.float32(0.05), np.int8(0)), net.weight())
