"""Our networks compute what the libraries that trained the checkpoints compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeeff.zoo import catalog, checkpoints, efficientnet, fitting


def largest_relative_error(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


def images(size, count=2):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((count, 3, *size), np.float32))


@pytest.mark.parametrize("name", catalog.names())
def test_random_weights_give_equal_logits(name, oracle, tmp_path):
    spec, size = catalog.get(name), (64, 64)
    theirs = oracle(name, classes=10, size=size[0])
    fitted = fitting.fit(theirs.state_dict(), spec, tmp_path / "weights.pt")
    ours = efficientnet.trained(spec, fitted.tensors, size)
    x = images(size)
    with torch.no_grad():
        expected = theirs(x)
        assert largest_relative_error(ours(x), expected) <= 1e-4
    assert (expected[0] - expected[1]).abs().max() > 0.01 * expected.abs().max()  # the image does matter
    assert spec.parameters(10) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("size", [(65, 65), (50, 75), (32, 96), (31, 33)])
@pytest.mark.parametrize("name", ["b0", "lite0"])
def test_padding_is_same_at_any_size(name, size, oracle, tmp_path):
    spec = catalog.get(name)
    theirs = oracle(name, size=size)
    fitted = fitting.fit(theirs.state_dict(), spec, tmp_path / "weights.pt")
    ours = efficientnet.trained(spec, fitted.tensors, size)
    x = images(size)
    with torch.no_grad():
        assert largest_relative_error(ours(x), theirs(x)) <= 1e-4


def test_real_lite0_weights_give_equal_logits():
    from efficientnet_lite_pytorch import EfficientNet

    spec = catalog.get("lite0")
    loaded = checkpoints.load(spec, None, (224, 224))
    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(torch.load(checkpoints.resolve(spec, None), weights_only=True))
    x = images((224, 224))
    with torch.no_grad():
        assert largest_relative_error(loaded.module(x), theirs(x)) <= 1e-4
    assert (loaded.classes, loaded.labels, loaded.naming) == (1000, None, "efficientnet_pytorch")


def test_network_is_ready_for_inference():
    network = checkpoints.load(catalog.get("lite0"), None).module
    assert not any(module.training for module in network.modules())
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
