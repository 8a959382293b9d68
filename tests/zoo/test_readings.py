"""Tensors that can be read in several ways: what is taken, what is said, and which option settles it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgeeff.errors import OptionError
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.resolve.source import resolve_source
from edgeeff.progress import Silent
from edgeeff.zoo import catalog, sources
from edgeeff.zoo.conventions import EDGETPU, TENSORFLOW, TORCH, Conventions, is_option
from edgeeff.zoo.sources import Asked, Identity


def identified(asked):
    kind, source = sources.locate(asked, Silent())
    return sources.room(kind).identify(asked, source)


@pytest.fixture(scope="module")
def file_of(geffnet_oracle, oracle, tmp_path_factory):
    """``file_of(library, name)``: a state_dict of the library, in a file whose name says nothing."""

    def make(library, name):
        path = tmp_path_factory.mktemp("file") / "weights.pt"
        network = geffnet_oracle(name) if library == "geffnet" else oracle(name)
        torch.save(network.state_dict(), path)
        return path

    return make


@pytest.fixture(scope="module")
def lukes_b0(file_of):
    return file_of("efficientnet_pytorch", "b0")


@pytest.fixture(scope="module")
def es(file_of):
    return file_of("geffnet", "tf_efficientnet_es")


@pytest.mark.parametrize("size", [32, 64, 96, 128, 160, 224, (192, 256)])
def test_no_word_of_static_padding_where_it_is_same(size, lukes_b0):
    size = size if isinstance(size, tuple) else (size, size)
    identity = identified(Asked(str(lukes_b0), size=size))
    assert identity.conventions == TENSORFLOW
    assert identity.doubt is None


@pytest.mark.parametrize("size", [65, 144, 176, 240, 256 + 16, 300, (224, 240)])
def test_static_padding_is_taken_and_said_where_it_differs(size, lukes_b0):
    size = size if isinstance(size, tuple) else (size, size)
    identity = identified(Asked(str(lukes_b0), size=size))
    assert identity.conventions == Conventions("same", 1e-3, static=(224, 224))
    assert "224 px" in str(identity.conventions)
    assert identity.doubt is not None
    assert "--padding same" in identity.doubt.warning and "--padding static:224" in identity.doubt.warning
    assert Identity.from_json(identity.to_json()) == identity


@pytest.mark.parametrize(
    ("padding", "conventions"),
    [
        ("same", TENSORFLOW),
        ("static", Conventions(static=(224, 224))),
        ("static:224", Conventions(static=(224, 224))),
        ("static:240", TENSORFLOW),  # what they are at this size
        ("static:99x224", Conventions(static=(99, 224))),
        ("symmetric", Conventions("symmetric")),
        ("edgetpu", EDGETPU),
    ],
)
def test_the_users_word_ends_the_doubt(padding, conventions, lukes_b0):
    identity = identified(Asked(str(lukes_b0), size=(240, 240), padding=padding))
    assert identity.conventions == conventions
    assert identity.doubt is None


@pytest.mark.parametrize("text", ["valid", "static:", "static:31", "static:5000", "static:22x224", "224", ""])
def test_paddings_that_make_no_sense(text):
    assert not is_option(text)
    with pytest.raises(OptionError, match="static:SIZE") as caught:
        resolve_source(BuildRequest.of(checkpoint="w.pt", padding=text))
    assert "same, symmetric" in caught.value.mend


def test_timm_is_taken_for_edgetpu_and_the_authors_are_named(es):
    identity = identified(Asked(str(es), model="tf_efficientnet_es"))
    assert identity.conventions == TENSORFLOW
    assert identity.doubt is not None
    assert "--padding edgetpu if it is geffnet's" in identity.doubt.warning
    assert "--padding same if that is right" in identity.doubt.warning
    for padding, conventions in (("same", TENSORFLOW), ("edgetpu", EDGETPU)):
        settled = identified(Asked(str(es), model="tf_efficientnet_es", padding=padding))
        assert (settled.conventions, settled.doubt) == (conventions, None)
    # Nobody's but timm's: there symmetric padding says the same of both.
    assert identified(Asked(str(es), model="efficientnet_es")).doubt is None


def test_what_timm_wrote_is_timms(es, tmp_path):
    config = {
        "architecture": "tf_efficientnet_es",
        "pretrained_cfg": {"crop_pct": 0.875, "interpolation": "bicubic"},
    }
    save_file(torch.load(es, weights_only=True), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    identity = identified(Asked(str(tmp_path)))
    assert (identity.conventions, identity.doubt) == (TENSORFLOW, None)
    del config["pretrained_cfg"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert identified(Asked(str(tmp_path))).doubt is not None


def test_the_authors_way_is_geffnets(es, geffnet_oracle):
    asked = Asked(str(es), model="tf_efficientnet_es", padding="edgetpu")
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32))
    with torch.no_grad():
        expected = geffnet_oracle("tf_efficientnet_es")(x)
        found = sources.room("tensors").network(asked, identified(asked), (64, 64))(x)
        timms = sources.room("tensors").network(
            asked, identified(Asked(str(es), "tf_efficientnet_es")), (64, 64)
        )(x)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4
    assert float((timms - expected).abs().max() / expected.abs().max()) > 1e-2


@pytest.mark.parametrize(
    ("name", "said", "conventions", "others"),
    [
        ("b0", None, TORCH, ["--model tf_efficientnet_b0"]),
        ("lite0", None, TORCH, ["--model tf_efficientnet_lite0"]),
        ("b0", "tf_efficientnet_b0", TENSORFLOW, []),
        ("b0", "efficientnet_b0", TORCH, []),
        ("b0", "tf_efficientnet_b0.ns_jft_in1k", TENSORFLOW, []),
    ],
)
def test_timms_own_training_or_tensorflows(name, said, conventions, others, file_of):
    identity = identified(Asked(str(file_of("geffnet", f"tf_efficientnet_{name}")), model=said))
    assert identity.conventions == conventions
    doubt = identity.doubt
    assert [other.option for other in doubt.alternatives] == others if doubt else others == []
    for other in others:
        assert other in doubt.warning


def test_edgetpu_without_a_name_may_be_any_of_three(es):
    identity = identified(Asked(str(es)))
    assert identity.doubt is not None
    assert [other.option for other in identity.doubt.alternatives] == [
        "--model tf_efficientnet_es",
        "--model tf_efficientnet_es --padding edgetpu",
    ]


def test_large_networks_of_timm_are_tensorflows_but_may_be_its_own():
    from edgeeff.zoo import origin

    found = origin.of("timm", catalog.get("v2-l"), None, {})
    assert found.conventions == TENSORFLOW
    assert found.doubt is not None and "--model efficientnetv2_l" in found.doubt.warning
    assert origin.of("timm", catalog.get("v2-b0"), None, {}).doubt is None  # of these there is one kind
