"""The family's figures, held against what its authors published."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeeff.zoo import catalog, efficientnet
from edgeeff.zoo.blocks import same_padding
from edgeeff.zoo.scaling import round_channels, round_repeats, scale


@pytest.mark.parametrize(
    ("name", "stem", "head", "channels", "repeats"),
    [
        ("b0", 32, 1280, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
        ("b1", 32, 1280, (16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2)),
        ("b4", 48, 1792, (24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2)),
        ("b7", 64, 2560, (32, 48, 80, 160, 224, 384, 640), (4, 7, 7, 10, 10, 13, 4)),
        ("lite0", 32, 1280, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
        ("lite4", 32, 1280, (24, 32, 56, 112, 160, 272, 448), (1, 4, 4, 6, 6, 8, 1)),
    ],
)
def test_stages(name, stem, head, channels, repeats):
    architecture = catalog.get(name).architecture
    assert (architecture.stem, architecture.head) == (stem, head)
    stages = [[block for block in architecture.blocks if block.stage == row] for row in range(7)]
    assert tuple(blocks[-1].outputs for blocks in stages) == channels
    assert tuple(map(len, stages)) == repeats
    assert any(block.squeezed for block in architecture.blocks) != name.startswith("lite")


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [  # Table 2 of the paper; tensorflow/tpu efficientnet/lite/README.md. Both round as they please.
        ("b0", 5.3e6, 0.39e9),
        ("b1", 7.8e6, 0.70e9),
        ("b2", 9.2e6, 1.0e9),
        ("b3", 12e6, 1.8e9),
        ("b4", 19e6, 4.2e9),
        ("b5", 30e6, 9.9e9),
        ("b6", 43e6, 19e9),
        ("b7", 66e6, 37e9),
        ("lite0", 4.7e6, 0.407e9),
        ("lite1", 5.4e6, 0.631e9),
        ("lite2", 6.1e6, 0.899e9),
        ("lite3", 8.2e6, 1.44e9),
        ("lite4", 13.0e6, 2.64e9),
    ],
)
def test_published_counts(name, parameters, multiply_adds):
    spec = catalog.get(name)
    assert spec.parameters() == pytest.approx(parameters, rel=0.02)
    assert spec.multiply_adds() == pytest.approx(multiply_adds, rel=0.06)


@pytest.mark.parametrize("name", catalog.names())
def test_tensors_are_those_of_the_module(name):
    spec = catalog.get(name)
    with torch.device("meta"):
        state = efficientnet.build(spec, 7, (64, 64)).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items() if "num_batches" not in key}
    assert list(spec.architecture.tensors(7).items()) == list(shapes.items())


@pytest.mark.parametrize("name", ["b0", "lite1"])
@pytest.mark.parametrize("size", [(224, 224), (75, 50)])
def test_multiply_adds_are_those_that_run(name, size):
    spec, counted = catalog.get(name), 0

    def count(module, _, output):
        nonlocal counted
        counted += (
            module.weight.numel() * output[0, 0].numel() if output.dim() == 4 else module.weight.numel()
        )

    with torch.device("meta"):
        network = efficientnet.build(spec, 1000, size)
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.register_forward_hook(count)
        network(torch.empty(1, 3, *size))
    assert spec.multiply_adds(size) == counted


@given(st.integers(8, 4096), st.floats(0.5, 8))
def test_channels_round_to_eight_and_lose_at_most_a_tenth(channels, width):
    rounded = round_channels(channels, width)
    assert rounded % 8 == 0
    assert rounded >= 0.9 * channels * width
    assert rounded <= 1.1 * channels * width + 8


def test_no_scaling_changes_nothing():
    assert [round_channels(channels, 1.0) for channels in (32, 16, 24, 40)] == [32, 16, 24, 40]
    assert [round_repeats(repeats, 1.0) for repeats in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert scale(1.0, 1.0).blocks[0].squeezed == 8  # a quarter of the block's input, not of the expansion


@given(st.integers(1, 600), st.sampled_from([1, 3, 5]), st.sampled_from([1, 2]))
def test_same_padding_gives_the_size_divided_by_the_stride(size, kernel, stride):
    before, after = same_padding(size, kernel, stride)
    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert after - before in (0, 1)
