"""The third-party networks that ours must equal, with random but lively weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from edgeeff.zoo import catalog

Oracle = Callable[..., Any]


def randomised(network: Any, seed: int) -> Any:
    """A network made on the meta device, on the CPU with random but lively weights, in eval mode."""
    torch.manual_seed(seed)
    network = network.to_empty(device="cpu").eval()
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            value.zero_()
        elif key.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif key.endswith("running_mean") or key.endswith("bias"):
            value.normal_(0, 0.1)
        elif value.dim() == 1:
            value.uniform_(0.5, 1.5)
        else:
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
    return network


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """``oracle(name, classes, size)``: efficientnet_pytorch's network of that name, or its Lite twin's."""

    def make(name: str, classes: int = 10, size: int | tuple[int, int] = 64, seed: int = 0) -> Any:
        if catalog.get(name).activation == "relu6":
            from efficientnet_lite_pytorch import EfficientNet
        else:
            from efficientnet_pytorch import EfficientNet
        # Values are drawn below: the library's own initialisation would only take time.
        with torch.device("meta"):
            network = EfficientNet.from_name(f"efficientnet-{name}", num_classes=classes, image_size=size)
        return randomised(network, seed)

    return make


@pytest.fixture(scope="session")
def geffnet_oracle() -> Oracle:
    """``geffnet_oracle(name, classes)``: geffnet's network of that name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it scripts functions when it is imported
        import geffnet

    def make(name: str, classes: int = 10, seed: int = 0) -> Any:
        with torch.device("meta"):
            network = geffnet.create_model(name, num_classes=classes)
        network = randomised(network, seed)
        # Small steps along the residual chain and normalised activations, as training leaves them: its Swish
        # rounds otherwise than ours, and fifty large steps make chaos of the last bit.
        for key, module in network.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
                if key.endswith("bn3"):
                    module.weight.data.mul_(0.3)
        with torch.no_grad():
            network.train()(torch.randn(8, 3, 64, 64))
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_var.clamp_(min=float(module.running_var.mean()) / 4)
        return network.eval()

    return make
