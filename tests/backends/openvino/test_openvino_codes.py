"""Scales and zero points that constants take: the same function, by operations that cost less."""

from __future__ import annotations

from collections import Counter

import numpy as np
import openvino as ov
import pytest

from edgeeff.backends.openvino import codes

op = ov.opset13
CHANNELS = 8


class Network:
    """Five layers with every kind of reader and maker of codes that is known; random weights."""

    def __init__(self):
        self.random = np.random.default_rng(0)
        pixels = op.parameter([1, CHANNELS, 6, 6], np.float32)
        first = self.quantised(self.layer(pixels, "first"), "first")
        second = self.layer(first, "second")
        added = self.quantised(op.add(first, second), "added")
        padded = self.layer(added, "padded", side=3)
        gate = op.sigmoid(op.reduce_mean(padded, np.array([2, 3]), True))
        product = op.multiply(padded, gate)
        product.set_friendly_name("product")
        third = self.layer(self.quantised(product, "gated"), "third")
        magnitude = op.abs(third)
        even = op.multiply(op.multiply(op.minimum(magnitude, np.float32(4)), np.float32(0.1)), magnitude)
        swish = op.add(even, op.multiply(third, np.full((1, CHANNELS, 1, 1), 0.5, np.float32)))
        last = self.layer(self.quantised(swish, "swish"), "last")
        self.model = ov.Model([last], [pixels])

    def constant(self, *shape):
        return self.random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)

    def layer(self, source, name, side=1):
        weights, pads = self.constant(CHANNELS, CHANNELS, side, side), [side // 2] * 2
        made = op.convolution(source, weights, [1, 1], pads, pads, [1, 1])
        made = op.add(made, self.random.normal(0, 1, (1, CHANNELS, 1, 1)).astype(np.float32))
        made.set_friendly_name(name)
        return made

    def quantised(self, source, name, low=-2.0, high=3.0):
        scale = np.float32((high - low) / 255)
        zero = np.round(-low / scale)
        ends = (np.float32(-zero * scale), np.float32((255 - zero) * scale), np.float32(0), np.float32(255))
        made = op.convert(op.convert(op.fake_quantize(source, *ends, 256), "u8"), "f32")
        made.set_friendly_name(f"{name}.floats")
        values = op.multiply(op.subtract(made, np.float32(zero)), scale)
        values.set_friendly_name(f"{name}.values")
        return values

    def run(self):
        """The results of thirty inputs, by kernels of float32."""
        properties = {"INFERENCE_PRECISION_HINT": "f32", "LP_TRANSFORMS_MODE": "NO"}
        compiled, random = ov.Core().compile_model(self.model, "CPU", properties), np.random.default_rng(1)
        return np.stack([compiled(random.normal(0, 2, (1, CHANNELS, 6, 6)))[0] for _ in range(30)])

    def count(self):
        return Counter(node.get_type_name() for node in self.model.get_ordered_ops())


@pytest.mark.parametrize("joined", [True, False])
def test_what_constants_take_is_computed_no_more(joined):
    network = Network()
    before, expected = network.count(), network.run()
    codes.fold(network.model, joined=joined)
    # Of four quantisers one is read by a padded layer, which needs its zero point.
    assert (before["Subtract"], network.count()["Subtract"]) == (4, 1)
    assert (before["FakeQuantize"], network.count()["FakeQuantize"]) == (4, 2 if joined else 4)
    lows = [
        float(node.input_value(1).get_node().data)
        for node in network.model.get_ordered_ops()
        if node.get_type_name() == "FakeQuantize"
    ]
    assert sorted(lows)[-2:] == [0, 0]
    found = network.run()
    # A code or two of 9000 may differ where float32 decides.
    assert np.mean(np.abs(found - expected) > 1e-4) < 0.01
    assert np.abs(found - expected).max() < 0.1


def test_a_zero_point_that_something_else_reads_stays():
    network = Network()
    values = {n.get_friendly_name(): n for n in network.model.get_ordered_ops()}["first.values"]
    model = ov.Model([*network.model.outputs, op.relu(values).output(0)], network.model.get_parameters())
    before = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pixels = np.random.default_rng(2).normal(0, 2, (1, CHANNELS, 6, 6)).astype(np.float32)
    expected = before(pixels)[1]
    codes.fold(model, joined=True)
    assert Counter(node.get_type_name() for node in model.get_ordered_ops())["Subtract"] == 2
    found = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)[1]
    assert np.mean(np.abs(found - expected) > 1e-4) < 0.01


def test_codes_of_a_product_with_constants_are_left_to_the_convolution():
    network = Network()
    pixels = op.parameter([1, CHANNELS, 6, 6], np.float32)
    product = op.multiply(op.swish(network.layer(pixels, "only")), network.constant(1, CHANNELS, 1, 1))
    last = network.layer(network.quantised(product, "product"), "end")
    model = ov.Model([last], [pixels])
    codes.fold(model, joined=True)
    assert Counter(node.get_type_name() for node in model.get_ordered_ops())["FakeQuantize"] == 1
