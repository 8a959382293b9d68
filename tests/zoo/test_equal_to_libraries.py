"""Our networks compute what the libraries that trained the checkpoints compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeeff.zoo import accounting, catalog, checkpoints, fitting, origin

SIZE = (64, 64)
#: geffnet's names of networks, which are also timm's; every kind of block, both paddings, both epsilons.
GEFFNET = {
    **{f"{tf}efficientnet_b{i}": f"b{i}" for tf in ("", "tf_") for i in range(9)},
    **{f"{tf}efficientnet_lite{i}": f"lite{i}" for tf in ("", "tf_") for i in range(5)},
    **{f"{tf}efficientnet_e{size}": f"edgetpu-{size}" for tf in ("", "tf_") for size in "sml"},
}
#: Every kind of block; the others differ from them by their tables, and are in the slow tier.
OFTEN = ("b0", "b1", "b3", "lite0", "lite3", "edgetpu-s")


def largest_relative_error(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


def images(size, count=2):
    return torch.from_numpy(np.random.default_rng(0).standard_normal((count, 3, *size), np.float32))


def converted(theirs, name, size, tmp_path, said=None, padding=None):
    """Our network with a library's weights, through the converter."""
    spec = catalog.get(name)
    state, path = theirs.state_dict(), tmp_path / "weights.pt"
    fitted = fitting.fit(state, accounting.account(state, path), spec, path)
    found = origin.of(fitted.naming, spec, said, {})
    own = found.conventions if padding is None else found.conventions.padded(padding, spec.size)
    return checkpoints.Checkpoint(spec, fitted.tensors, fitted.naming, found, None).network(size, own)


@torch.no_grad()
def assert_equal(ours, theirs, size, dtype=torch.float32):
    x = images(size).to(dtype)
    ours, expected = ours.to(dtype), theirs.to(dtype)(x)
    assert largest_relative_error(ours(x), expected) <= 1e-4
    assert (expected[0] - expected[1]).abs().max() > 0.01 * expected.abs().max()  # the image does matter


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow)
        for name in (*(f"b{i}" for i in range(9)), *(f"lite{i}" for i in range(5)))
    ],
)
def test_random_weights_give_equal_logits(name, oracle, tmp_path):
    theirs = oracle(name, classes=10, size=SIZE[0])
    assert_equal(converted(theirs, name, SIZE, tmp_path, padding="same"), theirs, SIZE)
    assert catalog.get(name).parameters(10) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.slow  # 480 million parameters
def test_l2_gives_equal_logits(oracle, tmp_path):
    theirs = oracle("l2", classes=10, size=SIZE[0])
    assert_equal(converted(theirs, "l2", SIZE, tmp_path, padding="same"), theirs, SIZE)


@pytest.mark.parametrize(
    "said",
    [pytest.param(n, marks=() if GEFFNET[n] in OFTEN else pytest.mark.slow) for n in GEFFNET],
)
def test_geffnet_gives_equal_logits(said, geffnet_oracle, tmp_path):
    # In double precision: a random network of B8's depth makes percents of a float's last bit.
    theirs = geffnet_oracle(said)
    ours = converted(theirs, GEFFNET[said], SIZE, tmp_path, said, authors_padding(said))
    assert_equal(ours, theirs, SIZE, torch.float64)
    assert catalog.get(GEFFNET[said]).parameters(10) == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize("size", [(65, 65), (50, 75), (32, 96), (31, 33)])
@pytest.mark.parametrize("name", ["b0", "lite0"])
def test_padding_is_same_at_any_size(name, size, oracle, tmp_path):
    theirs = oracle(name, size=size)
    assert_equal(converted(theirs, name, size, tmp_path, padding="same"), theirs, size)


#: Sizes that efficientnet_pytorch's networks are used at, beside those that their zeros were counted for.
USED = [("b0", 128), ("b0", 240), ("b0", 65), ("b1", 128), ("b2", 224), ("lite0", 240), ("lite3", 224)]


@pytest.mark.parametrize(("name", "size"), [*USED, ("b1", (75, 160))])
def test_efficientnet_pytorch_pads_as_for_the_variants_own_size(name, size, oracle, tmp_path):
    """``from_name(name)`` counts SAME's zeros once (EfficientNet-PyTorch#42, #122, #165)."""
    size = size if isinstance(size, tuple) else (size, size)
    theirs = oracle(name, size=catalog.get(name).size)
    assert_equal(converted(theirs, name, size, tmp_path), theirs, size)


@pytest.mark.parametrize(
    ("made_for", "padding"),
    [(128, "static:128"), ((192, 75), "static:192x75"), (None, "same"), (224, "static")],
)
def test_efficientnet_pytorch_of_another_image_size(made_for, padding, oracle, tmp_path):
    theirs = oracle("b0", size=made_for)
    assert_equal(converted(theirs, "b0", (99, 71), tmp_path, padding=padding), theirs, (99, 71))


def authors_padding(said):
    """geffnet's ``tf_`` EdgeTPU networks stride where the authors' do, and timm's elsewhere."""
    return "edgetpu" if said.startswith("tf_efficientnet_e") else None


@pytest.mark.parametrize("size", [(65, 65), (50, 75), (31, 33)])
@pytest.mark.parametrize("said", ["efficientnet_b0", "efficientnet_es", "tf_efficientnet_em"])
def test_both_paddings_at_odd_sizes(said, size, geffnet_oracle, tmp_path):
    theirs = geffnet_oracle(said)
    assert_equal(converted(theirs, GEFFNET[said], size, tmp_path, said, authors_padding(said)), theirs, size)


def test_the_two_conventions_differ(geffnet_oracle, tmp_path):
    """The same tensors under the other convention are another network: the origin does matter."""
    theirs = geffnet_oracle("tf_efficientnet_b0")
    wrong = converted(theirs, "b0", SIZE, tmp_path, "efficientnet_b0")
    with torch.no_grad():
        assert largest_relative_error(wrong(images(SIZE)), theirs(images(SIZE))) > 0.02


def test_real_lite0_weights_give_equal_logits():
    from efficientnet_lite_pytorch import EfficientNet

    checkpoint = checkpoints.read(None, "lite0")
    theirs = EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(torch.load(checkpoints.wheel(checkpoint.spec), weights_only=True))
    assert_equal(checkpoint.network((224, 224)), theirs, (224, 224))
    assert (checkpoint.classes, checkpoint.labels, checkpoint.naming) == (1000, None, "efficientnet_pytorch")


def test_network_is_ready_for_inference():
    network = checkpoints.read(None, "lite0").network()
    assert not any(module.training for module in network.modules())
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"cpu"}
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
