"""Every EfficientNet of torchvision computes what ours does, and is prepared for as ours is."""

from __future__ import annotations

import pytest
import torch

from edgeeff.zoo import catalog

models = pytest.importorskip("torchvision.models", reason="the parity tier's library: make test-parity")


def on_meta(name, classes):
    with torch.device("meta"):
        return models.get_model(name, num_classes=classes).eval()


def test_logits(torchvision_name, hold):
    hold("torchvision", torchvision_name, on_meta(torchvision_name, 7))


def test_counts(torchvision_name, multiply_adds):
    module, spec = on_meta(torchvision_name, 1000), catalog.get(torchvision_name)
    assert spec.parameters() == sum(value.numel() for value in module.parameters())
    for size in ((64, 64), (75, 53), (spec.size, spec.size)):
        assert spec.multiply_adds(size) == multiply_adds(module, size)


def test_preprocessing_of_all_weights(torchvision_name, photo, prepared):
    for weights in models.get_model_weights(torchvision_name):
        prepared("torchvision", f"{torchvision_name}.{weights.name}", weights.transforms()(photo))
