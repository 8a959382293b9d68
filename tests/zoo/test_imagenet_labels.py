"""Where weights are known to be ImageNet's, classes have ImageNet's names; elsewhere nobody claims it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeeff.cache import Cache
from edgeeff.labels import imagenet
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages.identity import identify as identified
from edgeeff.progress import Silent
from edgeeff.zoo import catalog
from edgeeff.zoo.checkpoints import wheel
from edgeeff.zoo.sources import Asked, with_imagenet_labels


@pytest.fixture(scope="module")
def identify(tmp_path_factory):
    cache = Cache(tmp_path_factory.mktemp("cache"))
    return lambda asked: identified(asked, Context.of(cache, Silent())).identity


def test_the_weights_of_a_wheel_are_imagenet_s(identify):
    for asked in (Asked(model="lite0"), Asked(model="lite0", weights="imagenet")):
        assert identify(asked).labels == imagenet()
    # The same file given as a checkpoint is anybody's.
    assert identify(Asked(source=str(wheel(catalog.get("lite0"))), model="lite0")).labels is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"weights": "timm/tf_efficientnet_b0.ns_jft_in1k"}, True),
        ({"weights": "hf-hub:timm/efficientnet_b0.ra_in1k@main"}, True),
        ({"weights": "somebody/b0_in1k"}, True),
        ({"weights": "somebody/birds-1000"}, False),
        ({"source": "best.pt"}, False),
    ],
)
def test_what_is_known_of_other_weights(changes, named, identify):
    identity = replace(identify(Asked(model="lite0")), labels=None)
    found = with_imagenet_labels(replace(Asked(model="lite0"), **changes), identity)
    assert found.labels == (imagenet() if named else None)
    fewer = with_imagenet_labels(Asked(model="lite0"), replace(identity, classes=10))
    assert fewer.labels is None
    own = replace(identity, labels=tuple(map(str, range(1000))))
    assert with_imagenet_labels(Asked(model="lite0"), own).labels == own.labels
