"""Segmenters' checkpoints: ours, and those of segmentation_models_pytorch by the names of their tensors."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
import torch

from edgeeff.errors import CheckpointError, OptionError
from edgeeff.zoo import accounting, catalog, checkpoints, formats, segmentation
from edgeeff.zoo.segmentation import checkpoints as reading

_TABLES = json.loads(
    lzma.decompress((Path(__file__).parents[2] / "fixtures/naming/smp.json.xz").read_bytes())
)
NETWORKS = {
    name: (table["tensors"], own["config"]) for table in _TABLES for name, own in table["names"].items()
}
READ = [name for name in NETWORKS if name.split()[0] in ("Unet", "DeepLabV3", "DeepLabV3Plus")]


def understood(name, prefix="", said=True, extra=()):
    shapes, config = NETWORKS[name]
    tensors = {prefix + key: torch.zeros(()).expand(shape) for key, shape in shapes.items()} | dict(extra)
    if any(key.endswith("num_batches_tracked") for key in tensors):
        tensors = {k: v.long() if k.endswith("tracked") else v for k, v in tensors.items()}
    file = formats.WeightsFile(
        tensors, said=config["encoder_name"] if said else None, network=config if said else {}
    )
    path = Path("best.pt")
    return reading.understand(file, accounting.account(tensors, path), path, None, None)


@pytest.mark.parametrize("name", READ[::2])  # the parity tier has all of them
def test_each_tensor_of_the_library_has_its_place(name):
    kind, config = name.split()[0], NETWORKS[name][1]
    found = understood(name, prefix="model.")
    assert found.spec.decoder == kind.lower()
    assert found.spec.backbone == catalog.understood(config["encoder_name"].removeprefix("tu-"))
    assert found.classes == max(config["classes"], 2)
    own = found.origin.conventions
    torch_like = "tf_" not in config["encoder_name"].removeprefix("timm-tf_") and not config[
        "encoder_name"
    ].startswith("efficientnet")
    assert (own.backbone.padding, own.backbone.epsilon) == (
        ("symmetric", 1e-5) if torch_like else ("same", 1e-3)
    )
    assert own.coarsest == config.get("encoder_output_stride", 32)
    assert own.interpolation == config.get("decoder_interpolation", "nearest")
    if "decoder_atrous_rates" in config:
        assert list(own.rates) == config["decoder_atrous_rates"]
    assert [text for text in found.origin.warnings if "--mean" in text]
    assert [text for text in found.origin.warnings if "--size" in text]


def test_what_a_bare_state_dict_leaves_open_is_said():
    plus = understood(READ[-3], said=False)
    assert plus.origin.conventions.rates == (12, 24, 36)
    (dilated,) = (text for text in plus.origin.warnings if "dilated" in text)
    assert "output stride of 16 and atrous rates of 12, 24, 36" in dilated and "save_pretrained" in dilated
    assert not [text for text in understood(READ[-3]).origin.warnings if "dilated" in text]
    timm = next(name for name in READ if '"tu-tf_efficientnet_b0"' in name)
    assert [text for text in understood(timm, said=False).origin.warnings if "--bn-epsilon 1e-3" in text]


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in READ])
def test_other_decoders_are_refused_by_name(name):
    with pytest.raises(CheckpointError, match=r"decoder\.") as caught:
        understood(name)
    assert ("Unet" if name.startswith("FPN") else "--task segmentation") in caught.value.mend
    kind = {"UnetPlusPlus": "U-Net++"}.get(name.split()[0], name.split()[0])
    assert f"a {kind}" in caught.value.what or f"an {kind}" in caught.value.what


def test_one_logit_becomes_two_classes():
    name = next(name for name in READ if '"classes": 1,' in name or '"classes": 1}' in name)
    found = understood(name)
    assert found.tensors["decoder.predict.weight"].shape[0] == 2
    assert any("background" in note for note in found.origin.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder_interpolation": "bicubic"}, "bicubic"),
        ({"upsampling": 8}, "upsampled 8 times"),
        ({"activation": "tanh"}, "tanh"),
    ],
)
def test_what_cannot_be_built_is_refused(change, message, monkeypatch):
    shapes, config = NETWORKS[READ[0]]
    monkeypatch.setitem(NETWORKS, READ[0], (shapes, {**config, **change}))
    with pytest.raises(CheckpointError, match=message):
        understood(READ[0])


def test_a_classification_head_is_left_out_and_said():
    head = {"classification_head.3.weight": torch.zeros(5, 320), "classification_head.3.bias": torch.zeros(5)}
    with pytest.raises(CheckpointError, match=r"other\.weight"):
        understood(READ[0], extra={"other.weight": torch.zeros(3, 3), **head})
    found = understood(READ[0], extra=head)
    assert any("classification head" in note for note in found.origin.notes)


@pytest.fixture
def own(tmp_path):
    """A checkpoint of ours, and its network."""
    torch.manual_seed(0)
    network = segmentation.build(catalog.classifier("lite0"), "lraspp", 3, (64, 96))
    path = tmp_path / "best.pt"
    torch.save({"state_dict": network.state_dict(), "arch": "lite0-lraspp", "size": [64, 96]}, path)
    return path, network


def test_our_own_comes_back(own):
    path, network = own
    found = checkpoints.read(path)
    assert (found.spec.name, found.classes, found.origin.preprocess.size) == ("lite0-lraspp", 3, (64, 96))
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(found.network()(x), network(x))


def test_another_network_is_refused(own):
    path, _ = own
    assert checkpoints.read(path, "lite0").spec.name == "lite0-lraspp"
    with pytest.raises(CheckpointError, match="its encoder is not b0"):
        checkpoints.read(path, "b0")
    with pytest.raises(CheckpointError, match="no lite0-unet"):
        checkpoints.read(path, "lite0-unet")
    with pytest.raises(CheckpointError, match="detector"):
        checkpoints.read(path, "efficientdet-d0")
    held = torch.load(path, weights_only=True)
    del held["state_dict"]["decoder.gate.weight"], held["state_dict"]["decoder.coarse.bias"]
    torch.save(held, path)
    with pytest.raises(CheckpointError, match="decoder"):
        checkpoints.read(path)


def test_a_size_that_a_decoder_cannot_have_is_refused_before_anything_is_built():
    found = understood(READ[0])
    with pytest.raises(OptionError, match="multiple of 32"):
        found.spec.refuse_size((240, 320))


def test_a_name_means_encoder_and_decoder():
    assert catalog.get("b0-lraspp").name == catalog.get("EfficientNet_B0_LRASPP").name == "b0-lraspp"
    assert catalog.understood("d0-unet") is None
