"""Batches that do not fit into memory are refused before they are tried, and the one that fits is named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgeeff.errors import OutOfMemoryError
from edgeeff.training import fitting
from edgeeff.training.fitting import Need

CPU, MB = torch.device("cpu"), 1 << 20


class Chain(nn.Module):
    """Convolutions of known outputs: each of 8·16·16 numbers for an image."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=1) for _ in range(6)), nn.BatchNorm2d(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def test_what_is_kept_for_the_backward_pass_is_counted():
    network, size = Chain(), 8 * 16 * 16 * 4

    def of(learning: int) -> int:
        for number, layer in enumerate(network.layers):
            layer.requires_grad_(number >= 7 - learning)
        return fitting.image_bytes(network, (8, 16, 16), lambda n, x: n(x))

    before = {name: value.clone() for name, value in network.state_dict().items()}
    whole, last = of(7), of(2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    # Inputs of six convolutions and of batch normalisation, and what is on its way.
    assert 7 * size <= whole - 3 * size <= 7 * size + 64
    assert 2 * size <= last - 3 * size <= 2 * size + 64
    of(7)
    assert fitting.learning_bytes(network) == 4 * (6 * (8 * 8 * 9 + 8) + 16)


def test_the_batch_that_fits_is_the_largest_one():
    need = Need(image=10 * MB, learning=MB, parts=4, workers=2)
    assert need.of(32) == 160 * MB + 8 * MB  # half of the parts are computed at a time
    assert need.of(2) == 20 * MB + 7 * MB
    assert Need(0, MB, parts=64, workers=2).of(64) == 8 * MB  # gradients do not pile up
    for free in (40 * MB, 100 * MB, 10_000 * MB):
        fits = need.fitting(64, free)
        assert need.of(fits) <= 0.9 * free and (fits == 64 or need.of(fits + 1) > 0.9 * free)
    assert need.fitting(64, MB) == 0


def test_a_batch_too_large_is_refused_with_the_one_that_fits(monkeypatch):
    need = Need(image=10 * MB, learning=MB)
    monkeypatch.setattr(fitting, "free_bytes", lambda _device: 100 * MB)
    fitting.refuse_large(need, 8, (3, 32, 48), CPU)
    with pytest.raises(OutOfMemoryError, match="a step of 16 photos of 48×32 takes some 166 MB") as caught:
        fitting.refuse_large(need, 16, (3, 32, 48), CPU)
    assert "--batch 8 fits" in caught.value.mend
    monkeypatch.setattr(fitting, "free_bytes", lambda _device: MB)
    with pytest.raises(OutOfMemoryError) as caught:
        fitting.refuse_large(need, 1, (3, 32, 48), CPU)
    assert "--size" in caught.value.mend and "no batch fits" in caught.value.mend
    monkeypatch.setattr(fitting, "free_bytes", lambda _device: None)
    fitting.refuse_large(need, 1 << 20, (3, 32, 48), CPU)  # the system does not say


def test_memory_that_runs_out_in_a_step_names_a_batch():
    with (
        pytest.raises(OutOfMemoryError, match="in a training step of 64 photos") as caught,
        fitting.named(64, CPU),
    ):
        torch.empty(1 << 50, dtype=torch.uint8)
    assert "--batch 32 takes less" in caught.value.mend
    with pytest.raises(ZeroDivisionError), fitting.named(64, CPU):
        _ = 1 / 0
    with pytest.raises(OutOfMemoryError) as caught, fitting.named(1, CPU):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
    assert "no batch fits" in caught.value.mend
