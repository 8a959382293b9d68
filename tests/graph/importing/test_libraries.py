"""Networks that others wrote, exported as their users would."""

from __future__ import annotations

import warnings

import pytest
import torch


def randomised(module):
    random = torch.Generator().manual_seed(0)
    for key, value in module.state_dict().items():
        if key.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=random)
        elif value.dim() > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=random)
        elif key.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1, generator=random)
    return module.eval()


def efficientnet_pytorch_b0():
    from efficientnet_pytorch import EfficientNet

    module = EfficientNet.from_name("efficientnet-b0", num_classes=10, image_size=64)
    module.set_swish(memory_efficient=False)
    return module


def geffnet(name):
    def make():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import geffnet

            return geffnet.create_model(name, num_classes=10, exportable=True)

    return make


NETWORKS = {
    "efficientnet_pytorch b0": efficientnet_pytorch_b0,
    "geffnet tf_efficientnet_b0": geffnet("tf_efficientnet_b0"),
    "geffnet efficientnet_lite0": geffnet("efficientnet_lite0"),
    "geffnet efficientnet_es": geffnet("efficientnet_es"),
}


def each():
    """By default one of each library and activation."""
    for name, make in NETWORKS.items():
        often = name in ("efficientnet_pytorch b0", "geffnet efficientnet_lite0")
        yield pytest.param(make, id=name, marks=() if often else pytest.mark.slow)


@pytest.mark.parametrize("make", list(each()))
def test_library(make, export, imports):
    model = export(randomised(make()), 64, 13, dynamic_axes={"x": {0: "n"}}, input_names=["x"])
    imported = imports(model)
    assert (imported.size, imported.classes, imported.original.batch) == ((64, 64), 10, None)
