"""Every plain EfficientNet of timm computes what ours does, and is prepared for as ours is."""

from __future__ import annotations

import pytest
import torch

from edgeeff.zoo import catalog

timm = pytest.importorskip("timm", reason="the parity tier's library: make test-parity")


def on_meta(name, classes):
    with torch.device("meta"):
        return timm.create_model(name, num_classes=classes).eval()


def test_logits(timm_name, hold):
    hold("timm", timm_name, on_meta(timm_name, 7))


def test_what_the_name_says_matters(hold):
    """The same tensors with the other padding and epsilon are another network."""
    with pytest.raises(AssertionError, match=r"<= 0\.0001"):
        hold("timm", "efficientnet_b0", on_meta("efficientnet_b0", 7), said="tf_efficientnet_b0")


def test_counts(timm_name, multiply_adds):
    module, spec = on_meta(timm_name, 1000), catalog.get(timm_name)
    assert spec.parameters() == sum(value.numel() for value in module.parameters())
    for size in ((64, 64), (75, 53), (spec.size, spec.size)):
        assert spec.multiply_adds(size) == multiply_adds(module, size)


def test_preprocessing_of_every_tag(timm_name, photo, prepared):
    from timm.data import create_transform, resolve_data_config

    for tag in timm.list_pretrained(timm_name):
        given = timm.get_pretrained_cfg(tag).to_dict()
        transform = create_transform(**resolve_data_config(pretrained_cfg=given, use_test_size=True))
        prepared("timm", tag, transform(photo))
