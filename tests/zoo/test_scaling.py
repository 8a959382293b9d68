"""The family's figures, held against what its authors published."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgeeff.errors import OptionError
from edgeeff.graph.padding import same_padding
from edgeeff.zoo import catalog, efficientnet
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.families import b
from edgeeff.zoo.scaling import PAPER, Coefficients, feasible, round_channels, round_repeats, scale, search


@pytest.mark.parametrize(
    ("name", "stem", "head", "channels", "repeats"),
    [
        ("b0", 32, 1280, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
        ("b1", 32, 1280, (16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2)),
        ("b4", 48, 1792, (24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2)),
        ("b7", 64, 2560, (32, 48, 80, 160, 224, 384, 640), (4, 7, 7, 10, 10, 13, 4)),
        ("lite0", 32, 1280, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
        ("lite4", 32, 1280, (24, 32, 56, 112, 160, 272, 448), (1, 4, 4, 6, 6, 8, 1)),
        ("l2", 136, 5504, (72, 104, 176, 344, 480, 824, 1376), (6, 11, 11, 16, 16, 22, 6)),
        ("edgetpu-s", 32, 1280, (24, 32, 48, 96, 144, 192), (1, 2, 4, 5, 4, 2)),
        ("edgetpu-l", 40, 1536, (32, 40, 56, 112, 176, 232), (2, 3, 6, 7, 6, 3)),
        ("v2-b0", 32, 1280, (16, 32, 48, 96, 112, 192), (1, 2, 2, 3, 5, 8)),
        ("v2-b3", 40, 1536, (16, 40, 56, 112, 136, 232), (2, 3, 3, 5, 7, 12)),
        ("v2-s", 24, 1280, (24, 48, 64, 128, 160, 256), (2, 4, 4, 6, 9, 15)),
        ("v2-xl", 32, 1280, (32, 64, 96, 192, 256, 512, 640), (4, 8, 8, 16, 24, 32, 8)),
        ("v2-rw-t", 24, 1024, (24, 40, 48, 104, 128, 208), (2, 4, 4, 6, 9, 14)),
        ("v2-rw-m", 32, 2152, (32, 56, 80, 152, 192, 328), (3, 5, 5, 8, 15, 24)),
    ],
)
def test_stages(name, stem, head, channels, repeats):
    architecture = catalog.get(name).architecture
    assert (architecture.stem, architecture.head) == (stem, head)
    stages = [[block for block in architecture.blocks if block.stage == row] for row in range(len(channels))]
    assert tuple(blocks[-1].outputs for blocks in stages) == channels
    assert tuple(map(len, stages)) == repeats
    assert sum(map(len, stages)) == len(architecture.blocks)
    assert any(block.squeezed for block in architecture.blocks) != name.startswith(("lite", "edgetpu"))


def test_kinds_of_blocks():
    def kinds(name):
        blocks = catalog.get(name).architecture.blocks
        return "".join({"mbconv": "m", "fused": "f", "conv": "c"}[block.kind] for block in blocks)

    assert kinds("b0") == "m" * 16
    assert kinds("edgetpu-s") == "f" * 7 + "m" * 11
    assert kinds("v2-s") == "cc" + "f" * 8 + "m" * 30
    assert kinds("v2-rw-s") == "f" * 10 + "m" * 30
    # EdgeTPU's first stage adds no input, and expands 24 channels though it reads 32.
    first = catalog.get("edgetpu-m").architecture.blocks[:2]
    assert [(block.inputs, block.expanded, block.residual) for block in first] == [
        (32, 96, False),
        (24, 96, False),
    ]


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
        # Tan & Le 2021, Table 7, and google/automl, efficientnetv2/README.md, at the size of evaluation.
        ("v2-b0", 7.1e6, 0.72e9),
        ("v2-b1", 8.1e6, 1.2e9),
        ("v2-b2", 10.1e6, 1.7e9),
        ("v2-b3", 14.4e6, 3.0e9),
        ("v2-s", 22e6, 8.8e9),
        ("v2-m", 54e6, 24e9),
        ("v2-l", 120e6, 53e9),
        ("v2-xl", 208e6, 94e9),
        # Xie et al. 2020 (L2, B8: parameters alone); tensorflow/tpu efficientnet/edgetpu/README.md.
        ("b8", 87.4e6, None),
        ("l2", 480e6, None),
        ("edgetpu-s", 5.4e6, None),
        ("edgetpu-m", 6.9e6, None),
        ("edgetpu-l", 10.6e6, None),
    ],
)
def test_published_counts(name, parameters, multiply_adds):
    spec = catalog.get(name)
    assert spec.parameters() == pytest.approx(parameters, rel=0.03)
    assert multiply_adds is None or spec.multiply_adds() == pytest.approx(multiply_adds, rel=0.07)


@pytest.mark.parametrize("name", [spec.name for spec in catalog.classifiers()])
def test_tensors_are_those_of_the_module(name):
    spec = catalog.get(name)
    with torch.device("meta"):
        state = efficientnet.build(spec, 7, (64, 64)).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items() if "num_batches" not in key}
    assert list(spec.architecture.tensors(7).items()) == list(shapes.items())


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("name", ["b0", "lite1", "edgetpu-m", "v2-b0", "v2-rw-t"])
@pytest.mark.parametrize("size", [(224, 224), (75, 50)])
def test_multiply_adds_are_those_that_run(name, size, padding):
    spec, counted = catalog.get(name), 0

    def count(module, _, output):
        nonlocal counted
        counted += (
            module.weight.numel() * output[0, 0].numel() if output.dim() == 4 else module.weight.numel()
        )

    with torch.device("meta"):
        network = efficientnet.build(spec, 1000, size, Conventions(padding))
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
    assert (
        scale(b.FAMILY, 1.0, 1.0).blocks[0].squeezed == 8
    )  # a quarter of the block's input, not of the expansion


@given(st.integers(1, 600), st.sampled_from([1, 3, 5]), st.sampled_from([1, 2]))
def test_same_padding_gives_the_size_divided_by_the_stride(size, kernel, stride):
    before, after = same_padding(size, kernel, stride)
    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert after - before in (0, 1)


@pytest.mark.parametrize("name", [spec.name for spec in catalog.classifiers()])
def test_taps_have_the_strides_that_they_say(name):
    architecture = catalog.get(name).architecture
    with torch.device("meta"):
        network = efficientnet.build(catalog.get(name), 1, (96, 160))
        features = network.features(torch.empty(1, 3, 96, 160))
    assert {stride: tuple(f.shape[2:]) for stride, f in features.items()} == {
        4: (24, 40),
        8: (12, 20),
        16: (6, 10),
        32: (3, 5),
    }
    assert features[32].shape[1] == architecture.blocks[-1].outputs
    assert architecture.taps()[32] == len(architecture.blocks) - 1


def test_the_papers_coefficients_are_in_the_grid():
    grid = list(feasible())
    assert PAPER in grid
    assert all(abs(point.cost - 2) <= 0.1 for point in grid)
    assert all(min(point.depth, point.width, point.resolution) >= 1 for point in grid)
    assert Coefficients(2.0, 1.0, 1.0) in grid  # depth alone is a corner of it
    assert Coefficients(1.2, 1.2, 1.2) not in grid


def test_search_asks_for_every_point_and_sorts_by_score():
    asked = []

    def score(point):
        asked.append(point)
        return -abs(point.depth - 1.2) - abs(point.width - 1.1) - abs(point.resolution - 1.15)

    ranked = search(score)
    assert asked == list(feasible())
    assert ranked[0] == (PAPER, 0)
    assert [value for _, value in ranked] == sorted((value for _, value in ranked), reverse=True)


def test_scaled_networks_are_built_like_the_named_ones():
    by_hand = catalog.scaled("width=1.1,depth=1.2,size=260")
    assert by_hand.architecture == catalog.get("b2").architecture
    assert (by_hand.size, by_hand.name, by_hand.hub) == (260, "b-w1.1-d1.2-260", None)
    lite = catalog.scaled("lite:width=1.2,depth=1.4,size=280")
    assert lite.architecture == catalog.get("lite3").architecture
    assert (lite.activation, lite.normalisation) == ("relu6", catalog.get("lite3").normalisation)
    assert catalog.scaled("phi=0").architecture == catalog.get("b0").architecture
    bigger = catalog.scaled("phi=1.5")
    assert (
        catalog.get("b0").multiply_adds() * 2**1.2
        < bigger.multiply_adds()
        < catalog.get("b0").multiply_adds() * 2**2
    )
    assert bigger.size == 280  # 224 × 1.15^1.5, to a multiple of 8
    assert catalog.get("phi=1.5") == bigger


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("phi=one", "phi=one is no number"),
        ("phi=1,phi=2", "'phi' twice"),
        ("alpha=1.2", "'alpha' is no scaling"),
        ("resnet:phi=1", "no family 'resnet'"),
        ("width=1e9", "no|a width of|finite"),
        ("width=100", "a width of 100"),
        ("depth=0", "a depth of 0"),
        ("phi=40", "a depth of"),
        ("size=10", "10 pixels"),
        ("phi=nan", "phi=nan"),
        ("phi", "is no scaling"),
    ],
)
def test_bad_scalings(text, complaint):
    with pytest.raises(OptionError, match=complaint) as caught:
        catalog.scaled(text)
    assert caught.value.mend
