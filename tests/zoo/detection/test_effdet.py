"""Checkpoints of effdet: names of every variant, what they decide, and what is refused."""

from __future__ import annotations

import json
import lzma
import re
from dataclasses import replace
from math import sqrt
from pathlib import Path

import pytest
import torch

from edgeeff.errors import CheckpointError, EdgeeffError, OptionError
from edgeeff.zoo import catalog, checkpoints, namings
from edgeeff.zoo.checkpoint_options import Chosen, HeadGiven, Step
from edgeeff.zoo.detection import origin
from edgeeff.zoo.sources import Asked, Identity, tensors

TABLE = Path(__file__).parents[2] / "fixtures" / "naming" / "effdet.json.xz"
NETWORKS = json.loads(lzma.decompress(TABLE.read_bytes()))
#: effdet's name → its tensors and facts.
VARIANTS = {name: (network, facts) for network in NETWORKS for name, facts in network["names"].items()}
TF_D0, LEVEL_FIRST, OWN_D0 = "tf_efficientdet_d0", "tf_efficientdet_d0, level first", "efficientdet_d0"


def spec_of(name):
    spec = catalog.detector(name.partition(",")[0])
    tensors = VARIANTS[name][0]["tensors"]
    return replace(
        spec,
        biases="class_net.conv_rep.0.conv_pw.bias" in tensors,
        weighted="fpn.cell.0.fnode.0.combine.edge_weights" in tensors,
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_tensors_are_ours_one_to_one(name):
    (network, facts), spec = VARIANTS[name], spec_of(name)
    translation = namings.translate("effdet", network["tensors"], spec.architecture)
    assert translation.unexpected == [] and namings.detect(network["tensors"]) == "effdet"
    shapes = {ours: tuple(network["tensors"][key]) for key, ours in translation.ours.items()}
    assert shapes == spec.architecture.tensors(90) and len(shapes) == len(translation.ours)
    assert spec.parameters(90) == network["parameters"]
    found = origin.of("effdet", spec, name.partition(",")[0], {})
    assert (list(found.geometry.size), found.geometry.scale) == (facts["size"], facts["scale"])
    assert list(found.geometry.levels) == facts["levels"]
    for own, theirs in zip(found.geometry.ratios, facts["ratios"], strict=True):
        assert own == pytest.approx(theirs if isinstance(theirs, list) else [sqrt(theirs), 1 / sqrt(theirs)])


@pytest.mark.parametrize(
    ("name", "said", "padding", "epsilon", "pooling"),
    [
        (TF_D0, None, "same", 1e-3, "same"),
        (TF_D0, "efficientdet_d0", "same", 1e-3, "same"),
        (OWN_D0, "efficientdet_d0", "symmetric", 1e-5, "symmetric"),
        (OWN_D0, "tf_efficientdet_d0", "same", 1e-3, "same"),
        ("efficientdet_d4", "efficientdet_d4", "symmetric", 1e-5, "same"),
        ("efficientdet_d4", "tf_efficientdet_d4", "same", 1e-3, "same"),
        ("efficientdet_q0", None, "symmetric", 1e-5, "symmetric"),
        ("efficientdet_lite0", None, "symmetric", 1e-5, "same"),
        ("tf_efficientdet_lite0", "efficientdet_lite0", "same", 1e-3, "same"),
    ],
)
def test_conventions(name, said, padding, epsilon, pooling):
    found = origin.of("effdet", spec_of(name), said, {}).conventions
    assert (found.backbone.padding, found.backbone.epsilon, found.pooling) == (padding, epsilon, pooling)
    assert (found.epsilon, found.border) == (1e-3, "nothing")


def test_what_the_name_leaves_open_is_a_warning():
    (warning,) = origin.of("effdet", spec_of(OWN_D0), None, {}).warnings
    assert "--model tf_efficientdet_d0 if it is" in warning and "--model efficientdet_d0 if that" in warning
    assert origin.of("effdet", spec_of(TF_D0), None, {}).warnings == ()
    own, tf = (origin.of("effdet", spec_of(f"{tf}efficientdet_lite0"), None, {}) for tf in ("", "tf_"))
    assert own.warnings == tf.warnings == () and own.preprocess.mean != tf.preprocess.mean
    guessed = origin.of("effdet", replace(spec_of("tf_efficientdet_lite1"), weighted=True), None, {})
    assert "which is a guess" in guessed.warnings[0]
    (warning,) = origin.of("effdet", spec_of("efficientdet_d4"), None, {}).warnings
    assert "taken for tf_efficientdet_d4" in warning


def test_preprocessing():
    lite = origin.of("effdet", catalog.detector("efficientdet-lite0"), None, {}).preprocess
    assert (lite.mean, lite.std, lite.letterbox) == ((127.5,) * 3, (127.5,) * 3, (127.5,) * 3)
    advprop = origin.of("effdet", spec_of(TF_D0), "tf_efficientdet_d0_ap", {}).preprocess
    assert (advprop.mean, advprop.letterbox) == ((127.5,) * 3, (0.0,) * 3)
    given = {"mean": (1.0, 2.0, 3.0), "std": (4.0, 5.0, 6.0), "size": (256, 384), "crop": 0.5}
    found = origin.of("effdet", spec_of(TF_D0), None, given)
    assert (found.preprocess.letterbox, found.preprocess.crop) == ((1.0, 2.0, 3.0), 1.0)
    assert found.geometry.size == found.preprocess.size == (256, 384)


@pytest.fixture(scope="module")
def state():
    """A state_dict of tf_efficientdet_d0 with three classes, by effdet's names."""
    torch.manual_seed(0)
    found = {}
    for key, shape in VARIANTS[TF_D0][0]["tensors"].items():
        shape = [27 if side == 810 else side for side in shape]
        whole = key.endswith("num_batches_tracked")
        found[key] = torch.zeros(shape, dtype=torch.int64) if whole else torch.rand(shape) * 0.1
    return found


def read(tmp_path, content, name="model.pth", model=None, chosen=None):
    torch.save(content, tmp_path / name)
    return checkpoints.read(tmp_path / name, model, chosen)


def test_a_training_checkpoint(state, tmp_path):
    """Under a bench's prefix, with its anchors, settings and labels."""
    geometry = catalog.detector("efficientdet-d0").geometry((256, 256))
    content = {
        "state_dict": {f"model.{key}": value for key, value in state.items()}
        | {"anchors.boxes": torch.from_numpy(geometry.anchors().copy())},
        "arch": "tf_efficientdet_d0",
        "image_size": [256, 256],
        "classes": ["ant", "bee", "cat"],
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.2, 0.2],
    }
    found = read(tmp_path, content)
    assert (found.spec.name, found.classes, found.labels) == ("efficientdet-d0", 3, ("ant", "bee", "cat"))
    assert found.origin.warnings == () and found.origin.source == "effdet tf_efficientdet_d0"
    assert found.origin.preprocess.letterbox == (127.5, 102.0, 76.5)
    network = found.network()
    assert torch.equal(
        network.pyramid.cells[0]["p5_td"].inputs[0].project.conv.weight,
        state["fpn.cell.0.fnode.1.combine.resample.2.conv.conv.weight"],
    )
    path = str(tmp_path / "model.pth")
    asked = Asked(source=path, padding="symmetric", epsilon=1e-4)
    identity = tensors.identify(asked, path)
    assert str(identity.conventions) == "symmetric padding, BN epsilon 0.0001"
    assert Identity.from_json(identity.to_json()) == identity and identity.geometry == geometry
    content["state_dict"]["anchors.boxes"] *= 1.1
    (warning,) = read(tmp_path, content).origin.warnings
    assert "the file's own anchors differ" in warning


def test_normalisation_by_level_first_is_the_same_network(state, tmp_path):

    turned = {
        re.sub(r"bn_rep\.(\d+)\.(\d+)\.bn\.", r"bn_rep.\2.\1.", key): value for key, value in state.items()
    }
    assert set(turned) == set(VARIANTS[LEVEL_FIRST][0]["tensors"])
    first, second = read(tmp_path, state), read(tmp_path, turned, "other.pth")
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in first.tensors)


def test_our_own_names(state, tmp_path):
    network = read(tmp_path, state).network((128, 128))
    found = read(tmp_path, network.state_dict(), "ours.pth")
    assert (found.naming, found.origin.source, found.spec.name) == (
        "ours_detectors",
        "edgeeff",
        "efficientdet-d0",
    )
    assert all(torch.equal(network.state_dict()[name], value) for name, value in found.tensors.items())


def test_refusals(state, tmp_path):
    with pytest.raises(
        CheckpointError, match="fits no detector of the zoo; the nearest is efficientdet-d0: 1"
    ):
        read(tmp_path, {k: v for k, v in state.items() if k != "fpn.cell.1.fnode.2.combine.edge_weights"})
    with pytest.raises(CheckpointError, match="not of the network") as caught:
        read(tmp_path, state | {"mask_net.conv.weight": torch.zeros(8, 8, 3, 3)})
    assert "mask_net" in caught.value.what
    with pytest.raises(CheckpointError, match="not a checkpoint of efficientdet-d1") as caught:
        read(tmp_path, state, model="efficientdet-d1")
    assert "pass --model efficientdet-d0" in caught.value.mend
    with pytest.raises(CheckpointError, match="is a detector, and b0 is a classifier"):
        read(tmp_path, state, model="b0")
    with pytest.raises(CheckpointError, match="names 2 classes, but its class head has 3"):
        read(tmp_path, {"state_dict": state, "classes": ["ant", "bee"]})
    with pytest.raises(OptionError, match="--head for"):
        read(tmp_path, state, chosen=Chosen(head=HeadGiven((Step("linear"),))))
    fewer = {k: v[: len(v) // 9 * 6] if "predict.conv_pw" in k else v for k, v in state.items()}
    with pytest.raises(CheckpointError, match="6 anchors at each place, efficientdet-d0 has 9"):
        read(tmp_path, fewer)
    with pytest.raises(EdgeeffError, match="is no detector"):
        backbone = {k: v for k, v in state.items() if k.startswith("backbone.")}
        read(tmp_path, backbone, model="efficientdet-d0")


def test_the_backbone_of_a_detector_gives_features(state, tmp_path):
    found = read(tmp_path, state, chosen=Chosen(taps=("8", "16")))
    assert found.spec.name == "b0" and found.taps == ("8", "16")
    content = {"state_dict": state, "arch": "tf_efficientdet_d0"}
    said = read(tmp_path, content, chosen=Chosen(taps=("8",))).origin
    assert said.conventions.padding == "same" and said.doubt is None
    assert not any("the file says tf_" in warning for warning in said.warnings)


def test_two_detectors_of_the_same_tensors():
    from edgeeff.zoo.detection.checkpoints import _several

    d6, d7 = catalog.detector("efficientdet-d6"), catalog.detector("efficientdet-d7")
    assert d6.architecture == d7.architecture and d6.scale != d7.scale
    assert "--model efficientdet-d7 (anchors of scale 5), or --model efficientdet-d6" in _several([d6, d7])
