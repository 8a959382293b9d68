"""Networks that are trained: any size of images, dropout, stochastic depth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from edgeeff.zoo import catalog, chance
from edgeeff.zoo.conventions import EDGETPU, TENSORFLOW, TORCH, Conventions
from edgeeff.zoo.efficientnet import EfficientNet, build

#: Odd sides, and zeros that differ from size to size.
SIZES = ((64, 64), (63, 81))


def network(
    size: tuple[int, int], conventions: Conventions = TENSORFLOW, name: str = "lite0"
) -> EfficientNet:
    torch.manual_seed(0)
    return build(catalog.get(name), 5, size, conventions)


def images(size: tuple[int, int], count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("conventions", [TENSORFLOW, TORCH, EDGETPU, Conventions(static=(70, 70))])
def test_one_network_at_any_size_is_the_one_that_is_built_for_it(conventions):
    anywhere = network(SIZES[0], conventions)
    anywhere.at_any_size()
    for size in SIZES:
        fixed = network(size, conventions)
        fixed.load_state_dict(anywhere.state_dict())
        with torch.no_grad():
            assert torch.equal(anywhere(images(size)), fixed(images(size)))


def test_fused_blocks_at_any_size_too():
    anywhere, fixed = network(SIZES[0], name="v2-b0"), network(SIZES[1], name="v2-b0")
    anywhere.at_any_size()
    with torch.no_grad():
        before = network(SIZES[0], name="v2-b0")(images(SIZES[1]))
        assert torch.equal(anywhere(images(SIZES[1])), fixed(images(SIZES[1])))
        assert not torch.equal(before, anywhere(images(SIZES[1])))  # as it would be with the other's zeros


def test_what_is_left_out_at_random_is_left_out_in_train_mode_alone():
    plain, random = network((32, 32)), network((32, 32))
    random.regularise(dropout=0.5, survival=0.5)
    x = images((32, 32))
    assert torch.equal(plain(x), random(x))
    assert [*plain.state_dict()] == [*random.state_dict()]
    random.train()
    for module in random.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # so that images know nothing of one another
    with torch.no_grad():
        assert not torch.equal(random(x), random(x))
        found = []
        for seed in (3, 4, 3):
            with chance.drawn_from(torch.Generator().manual_seed(seed)):
                found.append(random(x))
        assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


def test_threads_draw_from_their_own_generators():
    def drawn(seed: int) -> torch.Tensor:
        with torch.no_grad(), chance.drawn_from(torch.Generator().manual_seed(seed)):
            return torch.stack([chance.happens(0.5, (5, 7), torch.ones(1)) for _ in range(50)])

    alone = [drawn(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(*pair) for pair in zip(alone, pool.map(drawn, range(4)), strict=True))


def test_blocks_survive_less_and_less_and_the_mean_stays():
    trained = network((32, 32))
    trained.regularise(dropout=0.0, survival=0.8)
    survivals = [block.survival for block in trained.blocks]
    assert survivals[0] == 1 and survivals == sorted(survivals, reverse=True)
    assert 0.8 < survivals[-1] < 0.8 + 1.01 * 0.2 / len(survivals)
    block = next(block for block in trained.blocks if block.residual)
    block.survival = 0.25
    x = torch.randn(1, block.expand.conv.in_channels, 4, 4).expand(4000, -1, -1, -1)
    with torch.no_grad():
        plain = block(x[:1]) - x[:1]
        block.training = True  # its own, not that of the batch normalisation inside
        parts = (block(x) - x).flatten(1)
    left_out = (parts == 0).all(1)
    assert 0.72 < left_out.float().mean() < 0.78
    assert torch.allclose(parts[~left_out], 4 * plain.flatten(1), rtol=1e-4, atol=1e-4)
