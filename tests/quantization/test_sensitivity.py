"""What the logits make of noise, predicted from one backward pass, is what they make of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeeff.graph.execute import execute, prepare
from edgeeff.quantization import sensitivity
from edgeeff.quantization.sensitivity import from_bytes, measure, to_bytes

SMALL = {
    "linear": "a = Conv <pads = [1, 1, 1, 1]> (x, w) p = GlobalAveragePool (a) f = Flatten (p) "
    "y = Gemm <transB = 1> (f, m)",
    "gate": "a = Conv <pads = [1, 1, 1, 1]> (x, w) g = GlobalAveragePool (a) s = Sigmoid (g) b = Mul (a, s) "
    "c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (b, v) d = Relu (c) p = GlobalAveragePool (d) "
    "f = Flatten (p) y = Gemm <transB = 1> (f, m)",
}


@pytest.fixture(params=SMALL)
def program(request, graph_of, weights):
    used = {"w": weights(6, 4, 3, 3), "m": weights(5, 6)}
    if request.param == "gate":
        used |= {"v": weights(6, 6, 3, 3)}
    return prepare(graph_of(SMALL[request.param], **used))


@pytest.fixture
def images():
    return torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(1))


def moved(program, images, tensor, channel, deviation, seed=2):
    """The measured energy of the centred logits' change when a channel is noisy, for each image."""
    noise = torch.Generator().manual_seed(seed)
    cache = {}

    def read(node, index, value):
        if node.inputs[index].name != tensor:
            return value
        if tensor not in cache:
            shifted = value.clone()
            shifted[:, channel] += deviation * torch.randn(value[:, channel].shape, generator=noise)
            cache[tensor] = shifted
        return cache[tensor]

    change = execute(program, images, read=read) - execute(program, images)
    change = change - change.mean(1, keepdim=True)
    return float(change.square().sum()) / len(images)


def test_predicts_the_error_of_small_noise(program, images):
    found = measure(program, images.split(8))
    repeated = images.repeat(8, 1, 1, 1)
    logits = execute(program, images)
    signal = (logits - logits.mean(1, keepdim=True)).square().sum() / len(images)
    assert found.signal == pytest.approx(float(signal), rel=1e-4)
    tensors = {str(n.outputs[0].name): n.op_type for n, _ in program.steps} | {"x": "input"}
    assert set(found.gain) == set(tensors)
    for tensor, kind in tensors.items():
        if kind in ("Flatten", "Gemm"):
            continue
        predicted = found.gain[tensor]
        measured = [
            moved(program, repeated, tensor, channel, 0.01) / 0.01**2 for channel in range(len(predicted))
        ]
        # Each channel within what 64 random directions can say, and the sum of them within a fifth.
        np.testing.assert_allclose(predicted.sum(), np.sum(measured), rtol=0.2, err_msg=tensor)
        np.testing.assert_allclose(predicted, measured, rtol=0.6, err_msg=tensor)


def test_a_logit_shift_of_all_classes_does_not_count(graph_of, weights, images):
    """Noise that moves every logit by the same moves no decision."""
    model = graph_of(
        "p = GlobalAveragePool (x) f = Flatten (p) y = Gemm <transB = 1> (f, m)",
        m=np.ones((3, 4), np.float32),
    )
    found = measure(prepare(model), [images])
    assert found.gain["x"].max() < 1e-10 and found.signal < 1e-10


def test_batches_threads_and_time_change_no_bit(b0, inputs, sensitivities):
    program, x = prepare(b0.graph), inputs("b0")
    before = torch.get_num_threads()
    try:
        for threads, size in ((1, 8), (3, 1)):
            torch.set_num_threads(threads)
            done = []
            found = measure(program, x[:3].split(size), done.append)
            assert torch.get_num_threads() == threads and done == [1, 1, 1]
            if threads == 1:
                first = to_bytes(found)
    finally:
        torch.set_num_threads(before)
    assert to_bytes(found) == first
    assert to_bytes(measure(program, x[:3].split(2), seed=1)) != first


def test_every_tensor_of_a_network_has_gains(b0, sensitivities):
    found = sensitivities("b0")
    for name, tensor in b0.statistics.items():
        assert found.gain[name].shape == (tensor.channels,)
        assert np.isfinite(found.gain[name]).all() and (found.gain[name] >= 0).all()
        assert found.gain[name].any(), name


def test_large_images_are_cut_to_their_centre():
    image = torch.arange(600 * 600.0).reshape(1, 1, 600, 600)
    cut = sensitivity._centre(image)
    side = cut.shape[2]
    assert cut.shape == (1, 1, side, side) and sensitivity.LARGEST_SIDE <= side < 600
    offset = (600 - side) // 2
    assert offset % 32 == 0
    assert torch.equal(cut[0, 0], image[0, 0, offset:-offset, offset:-offset])
    wide = torch.zeros(1, 3, 224, 4096)
    assert sensitivity._centre(wide).shape[2:] == (224, 4096 - 2 * 1856)
    small = torch.zeros(2, 3, 352, 352)
    assert sensitivity._centre(small).shape == small.shape


def test_bytes_and_back(sensitivities):
    found = sensitivities("b0")
    data = to_bytes(found)
    back = from_bytes(data)
    assert list(back.gain) == sorted(found.gain) and back.signal == found.signal
    for name, gain in found.gain.items():
        np.testing.assert_array_equal(back.gain[name], gain)
        assert back.gain[name].dtype == np.float64
    assert to_bytes(back) == data
