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


@pytest.mark.parametrize("average", ["model_ema.", "ema_model.module.", "averaged.", "swa_model."])
def test_of_two_copies_the_moving_average(average):
    keys = [prefix + key for prefix in ("model.", average, "teacher.") for key in STEMS["timm"]]
    assert set(ours("timm", keys)) == {average + key for key in STEMS["timm"]}


def test_what_is_beside_the_network_is_not_expected_and_within_is():
    keys = ["model.conv_stem.weight", "model.bn1.weight", "model.extra.weight", "criterion.weight"]
    assert namings.translate("timm", keys, B0).unexpected == ["model.extra.weight"]


@pytest.mark.parametrize("naming", CLASSIFIERS)
def test_replaced_heads(naming):
    base = CLASSIFIERS[naming].removesuffix(".1")
    keys = [*STEMS[naming], f"{base}.0.weight", f"{base}.1.running_mean", f"{base}.4.bias"]
    names = list(ours(naming, keys).values())
    assert names[2:] == ["classifier.0.weight", "classifier.1.running_mean", "classifier.4.bias"]


def test_layers_of_a_head_that_have_names_are_numbered():
    keys = [*STEMS["timm"], "classifier.fc1.weight", "classifier.fc1.bias", "classifier.out.weight"]
    names = list(ours("timm", keys).values())
    assert names[2:] == ["classifier.0.weight", "classifier.0.bias", "classifier.2.weight"]


def test_keras_head_of_ones_own():
    keys = [*STEMS["keras"], "batch_normalization/gamma", "dense_3/kernel", "dense_4/kernel", "dense_4/bias"]
    assert list(ours("keras", keys).values())[2:] == [
        "classifier.0.weight",
        "classifier.2.weight",
        "classifier.4.weight",
        "classifier.4.bias",
    ]


@pytest.mark.parametrize("around", ["", "model."])
def test_a_head_beside_the_backbone(around):
    keys = [f"{around}backbone.{key}" for key in STEMS["timm"]]
    found = ours("timm", [*keys, f"{around}fc.weight", f"{around}fc.bias", "loss.weight"])
    assert list(found.values())[2:] == ["classifier.0.weight", "classifier.0.bias"]


def test_a_head_beside_is_not_looked_for_where_there_is_one():
    keys = ["backbone.conv_stem.weight", "backbone.bn1.weight", "backbone.classifier.weight", "fc.weight"]
    assert "fc.weight" not in ours("timm", keys)


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
