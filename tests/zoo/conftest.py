"""The third-party networks that ours must equal, with random but lively weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from edgeeff.zoo import catalog

Oracle = Callable[..., Any]


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """``oracle(name, classes, size)``: the library's network of that name, in eval mode, randomised."""

    def make(name: str, classes: int = 10, size: int | tuple[int, int] = 64, seed: int = 0) -> Any:
        if catalog.get(name).activation == "relu6":
            from efficientnet_lite_pytorch import EfficientNet
        else:
            from efficientnet_pytorch import EfficientNet
        torch.manual_seed(seed)
        # Values are drawn below: the library's own initialisation would only take time.
        with torch.device("meta"):
            network = EfficientNet.from_name(f"efficientnet-{name}", num_classes=classes, image_size=size)
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

    return make
