"""What onnxruntime makes of the float graph's sections is what the interpreter makes of the graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeeff.calibration.collect import observed_tensors
from edgeeff.graph import sections
from edgeeff.graph.execute import outputs_of, prepare


def normalised(network, count):
    return torch.from_numpy(network.preprocess.normalise(network.images[:count]))


@pytest.mark.parametrize("held", [0, 100_000, 1 << 40])
@pytest.mark.parametrize("network", ["lite0", "b0"])
def test_tensors_are_those_of_the_interpreter_wherever_it_is_cut(network, held, networks, monkeypatch):
    monkeypatch.setattr(sections, "HELD", held)
    graph, x, expected = networks[network].graph, normalised(networks[network], 2), {}
    outputs_of(prepare(graph), x, expected.__setitem__)
    names = observed_tensors(graph)
    cut = sections.cut(graph, names)
    found = list(cut.run(x.numpy()))
    assert [name for name, _ in found] == [name for name in expected if name in names]
    for name, value in found:
        close = {"rtol": 1e-4, "atol": 2e-5 * float(expected[name].abs().max())}
        np.testing.assert_allclose(value, expected[name], **close)
    assert (len(cut.parts) == 1) == (held == 1 << 40) and len(cut.parts) <= len(names)


def test_what_comes_after_the_last_tensor_is_left_out(graph_of, weights):
    model = graph_of("a = Relu (x) b = Sigmoid (a) y = Conv (b, w)", w=weights(3, 4, 1, 1))
    (only,) = sections.cut(model, ["a"]).parts
    assert (only.reads, only.gives) == (("x",), ("a",))
    images = np.random.default_rng(0).normal(size=(3, 4, 8, 8)).astype(np.float32)
    ((_, given), (_, found)) = sections.cut(model, ["x", "a"]).run(images)
    assert given is images
    np.testing.assert_array_equal(found, np.maximum(images, 0))
    assert sections.cut(model, []).parts == ()


def test_a_batch_is_its_images(b0):
    cut = sections.cut(b0.graph, ["logits"])
    x = normalised(b0, 3)
    ((_, whole),) = cut.run(x.numpy())
    for image, row in zip(x, whole, strict=True):
        ((_, alone),) = cut.run(image[None].numpy())
        np.testing.assert_array_equal(alone[0], row)
    assert torch.isfinite(torch.from_numpy(whole)).all()
