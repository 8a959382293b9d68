"""The plan's integers in torch compute what the hub graph computes in onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from edgeeff.graph.execute import execute, prepare
from edgeeff.quantization import qdq
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization
from edgeeff.quantization.simulate import fake_quantise, reader, sites_of, weights_of

SCHEMES = ["openvino", "tensorrt", "tflite"]


def sqnr(found, reference):
    return 10 * np.log10((reference**2).sum() / max(((found - reference) ** 2).sum(), 1e-30))


def until(hub, tensor):
    """The hub graph that ends in a tensor inside of it."""
    cut = onnx.ModelProto()
    cut.CopyFrom(hub)
    cut.graph.ClearField("output")
    cut.graph.output.append(onnx.helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    return cut


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("network", "effort"), [("lite0 whole", "fast"), ("b0 whole", "balanced")])
def test_computes_what_the_hub_graph_computes(network, effort, scheme, finished, quantized, inputs, run_onnx):
    draft = finished(network, scheme, effort=effort)
    plan, hub = quantized(network, scheme, effort=effort)
    if scheme == "tensorrt":  # whose shifts have tests of their own (test_shift.py)
        hub = qdq.insert(draft.model, plan, draft.scheme.opset)
    program, x = prepare(draft.model), inputs(network, 2)
    values = {}
    found = execute(program, x, values.__setitem__, reader(plan)).numpy()
    if plan.outputs:
        found = fake_quantise(torch.from_numpy(found), plan.activations["logits"]).numpy()
    # Two executors round a value between two codes either way, and random weights make much of that.
    expected = run_onnx(hub, x.numpy())
    assert sqnr(found, expected) > 8 + sqnr(found, run_onnx(draft.model, x.numpy()))
    sites = [name for name in plan.activations if name in values]
    for name in (sites[1], sites[6], sites[12]):
        quantization = plan.activations[name]
        steps = fake_quantise(values[name], quantization).numpy()
        steps = (steps - run_onnx(until(hub, f"{name}.dequantized"), x.numpy())) / quantization.scale
        assert np.abs(steps).max() <= 3.01, name
        assert (np.abs(steps) > 0.5).mean() < 0.02, name


@pytest.mark.parametrize("integer", ["int8", "uint8"])
def test_rounds_to_the_bits_of_torchs_own_operator(integer):
    random = np.random.default_rng(0)
    for _ in range(20):
        scale, codes = (
            float(np.float32(10 ** random.uniform(-4, 1))),
            ActivationQuantization(1, 0, integer).codes,
        )
        quantization = ActivationQuantization(scale, int(random.integers(codes[0], codes[1])), integer)
        ties = torch.arange(-600, 600) / 2 * scale
        x = torch.cat([torch.from_numpy(random.normal(0, 60 * scale, 500).astype(np.float32)), ties])
        own = torch.fake_quantize_per_tensor_affine(x, scale, quantization.zero_point, *codes)
        assert torch.equal(fake_quantise(x, quantization), own)
        assert torch.equal(fake_quantise(x.clone().requires_grad_(), quantization), own)


def test_what_stays_float(finished, inputs):
    """With every tensor and every layer float it is the float graph; each of them alone brings it nearer."""
    draft = finished("b0 whole", "openvino", effort="balanced")
    plan, program, x = draft.plan(), prepare(draft.model), inputs("b0 whole", 2)
    expected = execute(program, x)
    read = reader(plan, float_tensors=plan.activations, float_layers=plan.layers)
    assert torch.equal(execute(program, x, read=read), expected)

    def error(**float_ones):
        return float((execute(program, x, read=reader(plan, **float_ones)) - expected).square().mean())

    whole = error()
    assert 0 < error(float_tensors=plan.activations) < whole / 3  # activations are the ceiling
    assert 0 < error(float_layers=plan.layers) < whole


def test_one_float_tensor_changes_its_readers_alone(finished, inputs):
    draft = finished("b0 whole", "openvino", effort="balanced")
    plan, program, x = draft.plan(), prepare(draft.model), inputs("b0 whole", 1)
    seen = []
    for float_tensors in ((), ("blocks.1.squeeze.mul",)):
        values = {}
        execute(program, x, values.__setitem__, reader(plan, float_tensors=float_tensors))
        seen.append(values)
    order = list(seen[0])
    first = order.index("blocks.1.project.conv")
    assert all(torch.equal(seen[0][name], seen[1][name]) for name in order[:first])
    assert not torch.equal(seen[0]["blocks.1.project.conv"], seen[1]["blocks.1.project.conv"])


@pytest.mark.parametrize(
    "quantization",
    [
        ActivationQuantization(0.25, 0, "int8"),
        ActivationQuantization(0.5, 17, "uint8"),
        ActivationQuantization(1 / 256, -128, "int8"),
    ],
)
def test_fake_quantisation(quantization):
    values = torch.linspace(-200, 200, 2001)
    found = fake_quantise(values, quantization)
    low, high = quantization.limits
    codes = found / quantization.scale + quantization.zero_point
    assert torch.equal(codes, codes.round())
    inside = (values >= low) & (values <= high)
    assert (found[inside] - values[inside]).abs().max() <= quantization.scale / 2 + 1e-6
    assert found.min() == low and found.max() == high
    assert fake_quantise(torch.zeros(1), quantization) == 0
    halves = torch.tensor([0.5, 1.5, 2.5]) * quantization.scale
    assert torch.equal(
        fake_quantise(halves, quantization).clamp(max=high),
        (torch.tensor([0.0, 2.0, 2.0]) * quantization.scale).clamp(max=high),
    )


def test_weights_are_codes_times_scales():
    codes = np.arange(-6, 6, dtype=np.int8).reshape(3, 2, 2, 1)
    layer = LayerQuantization(np.array([1, 0.5, 2], np.float32), codes, np.zeros(3, np.float32))
    expected = codes * np.array([1, 0.5, 2], np.float32)[:, None, None, None]
    np.testing.assert_array_equal(weights_of(layer).numpy(), expected)


def test_sites_by_who_reads():
    readers = {"a": (("conv", 0), ("add", 1)), "b": (("conv", 1),), "c": ()}
    assert sites_of(readers) == {("conv", 0): "a", ("add", 1): "a", ("conv", 1): "b"}
