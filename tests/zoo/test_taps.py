"""Features of a network: which tensors they are, and which checkpoints give them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeeff.errors import CheckpointError, OptionError
from edgeeff.graph.execute import outputs_of, prepare
from edgeeff.zoo import catalog, taps
from edgeeff.zoo.sources import Asked, Identity, tensors

SIZE = (64, 96)
Save = Callable[..., str]


@pytest.fixture(scope="module")
def weights(oracle):
    return oracle("b0", size=64).state_dict()


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(state) -> str:
        torch.save(state, tmp_path / "efficientnet-b0.pt")
        return str(tmp_path / "efficientnet-b0.pt")

    return write


def identified(source: str, *named: str, model: str | None = None) -> tuple[Asked, Identity]:
    asked = Asked(source=source, taps=named, model=model, padding="same")
    return asked, tensors.identify(asked, source)


def test_features_are_the_blocks_outputs_as_timm_and_detectors_read_them(weights, save, oracle):
    asked, identity = identified(save(weights), "8", "embedding", "32", "4")
    graph = tensors.graph(asked, identity, SIZE)
    names = ["features_8", "embedding", "features_32", "features_4"]
    assert [value.name for value in graph.graph.outputs] == names == [o.name for o in identity.outputs]
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (2, 3, *SIZE)).astype("float32"))
    found = outputs_of(prepare(graph), x)
    theirs = oracle("b0", size=None)
    theirs.load_state_dict(weights)
    with torch.no_grad():
        endpoints = theirs.extract_endpoints(x)  # the last of each stride, before the next one halves it
        maps = theirs.extract_features(x)
    expected = {
        "features_4": endpoints["reduction_2"],
        "features_8": endpoints["reduction_3"],
        "features_32": endpoints["reduction_5"],
        "embedding": maps.mean((2, 3)),
    }
    for name in names:
        assert found[name].shape == expected[name].shape
        assert (found[name] - expected[name]).abs().max() <= 1e-4 * expected[name].abs().max()


def test_nothing_is_left_behind_the_last_tap(weights, save):
    asked, identity = identified(save(weights), "8")
    layers = {str(node.name) for node in tensors.graph(asked, identity, SIZE).graph}
    assert any(name.startswith("blocks.4.") for name in layers)
    assert not any(name.startswith(("blocks.5.", "head", "classifier")) for name in layers)


@pytest.mark.parametrize(
    "cut", [("_fc",), ("_fc", "_conv_head", "_bn1"), ("_fc", "_conv_head", "_bn1", "_blocks.15")]
)
def test_a_checkpoint_without_what_lies_behind_the_last_tap(cut, weights, save):
    source = save({name: value for name, value in weights.items() if not name.startswith(cut)})
    _, identity = identified(source, "8", "16")
    assert (identity.model, identity.classes) == ("b0", 0)
    with pytest.raises(CheckpointError, match="missing"):
        identified(source, "32" if "_blocks.15" in cut else "embedding", model="b0") if len(cut) > 1 else (
            tensors.identify(Asked(source=source), source)
        )


def test_what_is_no_feature_is_named_and_what_may_come_before_is_warned_of(weights, save):
    body = {f"backbone.{name}": value for name, value in weights.items() if not name.startswith("_fc")}
    others = {
        "fc1.weight": torch.ones(7, 1280),
        "fc1.bias": torch.ones(7),
        "neck.conv.weight": torch.ones(4, 4, 3, 3),
    }
    _, identity = identified(save({**body, **others}), "16")
    assert any("fc1" in note for note in identity.notes) and any("head" in note for note in identity.notes)
    assert any("neck.conv.weight" in warning for warning in identity.warnings)
    with pytest.raises(CheckpointError, match=r"_blocks\.3\.attention"):
        identified(save({**body, "backbone._blocks.3.attention.weight": torch.ones(4, 4)}), "16")


@pytest.mark.parametrize("named", ["7", "embeding", "features_8", "8:l2"])
def test_a_tap_that_is_not_there_names_those_that_are(named, weights, save):
    with pytest.raises(OptionError) as refused:
        identified(save(weights), named)
    assert "8" in refused.value.mend


@pytest.mark.parametrize("text", ["", ",", "8,,16", "8,8", "embedding,8,embedding"])
def test_taps_that_make_no_sense(text):
    with pytest.raises(OptionError):
        taps.read(text)
    assert taps.read([8, "embedding"]) == ("8", "embedding")


def test_every_network_has_all_strides():
    for name in (spec.name for spec in catalog.classifiers()):
        architecture = catalog.get(name).architecture
        assert list(architecture.taps()) == [4, 8, 16, 32]
        assert architecture.tensors_until(["4"]).keys() < architecture.tensors_until(["32"]).keys()
        assert architecture.tensors_until(["embedding"]).keys() == architecture.tensors(0).keys() - {
            "classifier.weight",
            "classifier.bias",
        }
