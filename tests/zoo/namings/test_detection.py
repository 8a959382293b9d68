"""Which naming, which prefix, which head: keys as trainers wrap and change them."""

from __future__ import annotations

import pytest

from edgeeff.zoo import catalog, namings

B0 = catalog.get("b0").architecture
V2 = catalog.get("v2-s").architecture
CLASSIFIERS = {
    "ours": "classifier",
    "timm": "classifier",
    "efficientnet_pytorch": "_fc",
    "torchvision": "classifier.1",
}
STEMS = {
    "ours": ["stem.conv.weight", "stem.norm.weight"],
    "timm": ["conv_stem.weight", "bn1.weight"],
    "efficientnet_pytorch": ["_conv_stem.weight", "_bn0.weight"],
    "torchvision": ["features.0.0.weight", "features.0.1.weight"],
    "keras": ["stem_conv/kernel", "stem_bn/gamma"],
}


def ours(naming, keys, architecture=B0):
    return namings.translate(naming, keys, architecture).ours


def test_unknown_keys_have_no_naming():
    assert namings.detect(["layer1.0.conv1.weight", "fc.weight"]) is None
    assert namings.detect([]) is None


@pytest.mark.parametrize("naming", STEMS)
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "model.module._orig_mod.", "net.backbone."])
def test_prefixes(naming, prefix):
    keys = [prefix + key for key in STEMS[naming]]
    assert namings.detect(keys) == naming
    assert list(ours(naming, keys).values()) == ["stem.conv.weight", "stem.norm.weight"]


def test_what_is_beside_the_network_is_not_expected_and_within_is():
    keys = ["model.conv_stem.weight", "model.bn1.weight", "model.extra.weight", "criterion.weight"]
    assert namings.translate("timm", keys, B0).unexpected == ["model.extra.weight"]


@pytest.mark.parametrize("naming", CLASSIFIERS)
def test_replaced_heads(naming):
    base = CLASSIFIERS[naming].removesuffix(".1")
    keys = [*STEMS[naming], f"{base}.0.weight", f"{base}.1.running_mean", f"{base}.4.bias"]
    names = list(ours(naming, keys).values())
    assert names[2:] == ["classifier.0.weight", "classifier.1.running_mean", "classifier.4.bias"]


def test_layers_of_a_head_keep_their_names():
    keys = [*STEMS["timm"], "classifier.fc1.weight", "classifier.block.bn.bias"]
    names = list(ours("timm", keys).values())
    assert names[2:] == ["classifier.fc1.weight", "classifier.block.bn.bias"]


def test_keras_head_of_ones_own():
    keys = [*STEMS["keras"], "batch_normalization/gamma", "dense_3/kernel", "dense_4/bias"]
    names = ["classifier.batch_normalization.weight", "classifier.dense_3.weight", "classifier.dense_4.bias"]
    assert list(ours("keras", keys).values())[2:] == names


def test_networks_by_their_prefix():
    keys = [f"{prefix}{key}" for prefix in ("student.", "teacher.net.") for key in STEMS["timm"]]
    found = namings.networks("timm", (*keys, "fc.weight"))
    assert {prefix: list(tails.values()) for prefix, tails in found.items()} == {
        "student.": STEMS["timm"],
        "teacher.net.": STEMS["timm"],
    }


@pytest.mark.parametrize(
    ("naming", "key"),
    [
        ("timm", "bn1.num_batches_tracked"),
        ("timm", "blocks.0.0.bn1.num_batches_tracked"),
        ("torchvision", "features.0.1.num_batches_tracked"),
        ("efficientnet_pytorch", "_bn0.num_batches_tracked"),
        ("ours", "stem.norm.num_batches_tracked"),
        ("keras", "normalization_1/variance"),
        ("keras", "random_flip/seed_generator/seed_generator_state"),
    ],
)
def test_known_and_unneeded(naming, key):
    found = namings.translate(naming, [*STEMS[naming], key], B0)
    assert found.unexpected == []
    assert key not in found.ours


@pytest.mark.parametrize(
    ("naming", "key"),
    [
        ("timm", "blocks.9.0.conv_pw.weight"),
        ("timm", "blocks.0.7.conv_dw.weight"),
        ("timm", "blocks.0.0.conv_pwl.weight"),
        ("torchvision", "features.9.0.weight"),
        ("torchvision", "features.2.0.block.7.0.weight"),
        ("torchvision", "features.2.0.block.2.0.weight"),
        ("efficientnet_pytorch", "_blocks.99._bn1.weight"),
        ("keras", "block1z_dwconv/kernel"),
        ("keras", "block9a_bn/gamma"),
    ],
)
def test_keys_of_other_networks_translate_to_what_no_network_has(naming, key):
    name = ours(naming, [*STEMS[naming], key])[key]
    assert name not in B0.tensors(10)


@pytest.mark.parametrize(
    ("key", "architecture", "name"),
    [
        ("blocks.0.1.conv.weight", V2, "blocks.1.project.conv.weight"),
        ("blocks.1.0.conv_exp.weight", V2, "blocks.2.expand.conv.weight"),
        ("blocks.0.0.bn1.bias", B0, "blocks.0.depthwise.norm.bias"),
        ("blocks.1.0.bn1.bias", B0, "blocks.1.expand.norm.bias"),
    ],
)
def test_timm_counts_layers_by_kind_of_block(key, architecture, name):
    assert ours("timm", [key], architecture)[key] == name


@pytest.mark.parametrize("key", ["block2a_dwconv/depthwise_kernel", "efficientnetb0/block2a_dwconv/kernel:0"])
def test_keras_2_and_nested(key):
    assert ours("keras", [key])[key] == "blocks.1.depthwise.conv.weight"
