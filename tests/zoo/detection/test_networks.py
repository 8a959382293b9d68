"""The detectors: tensors, sizes and arithmetic of what is built, against the table and against each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgeeff.errors import OptionError
from edgeeff.zoo.detection import efficientdet, family, pyramid
from edgeeff.zoo.detection.blocks import Fusion, MaxPool
from edgeeff.zoo.detection.conventions import EFFDET, TENSORFLOW, ZYLO117

MEMBERS = {spec.name: spec for spec in family.MEMBERS}
# One of each kind; the others are built by the slow tier.
SHOWN = ("efficientdet-d0", "efficientdet-lite3x", "efficientdet-q1", "efficientdetv2-dt")
# Millions of parameters with 90 classes, and billions of multiply-adds, as google/automl gives them.
PUBLISHED = {
    "d0": (3.9, 2.54),
    "d1": (6.6, 6.10),
    "d2": (8.1, 11.0),
    "d3": (12.0, 24.9),
    "d4": (20.7, 55.2),
    "d5": (33.7, 130),
    "d6": (51.9, 226),
    "d7": (51.9, 325),
    "d7x": (77.0, 410),
    "lite0": (3.2, None),
    "lite1": (4.2, None),
    "lite2": (5.3, None),
    "lite3": (8.4, None),
    "lite3x": (9.3, None),
    "lite4": (15.1, None),
}


def tiny(**changes):
    """A detector of few channels; its backbone is a quarter of Lite0."""
    spec = MEMBERS["efficientdet-lite0"]
    backbone = replace(spec.backbone, width=0.25, depth=0.3)
    return replace(
        spec, **{"backbone": backbone, "channels": 8, "cells": 2, "repeats": 2, "size": 160} | changes
    )


def tensors_of(module):
    return {
        k: tuple(v.shape) for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")
    }


@pytest.mark.parametrize(
    "name",
    [name if name in SHOWN else pytest.param(name, marks=pytest.mark.slow) for name in MEMBERS],
)
def test_tensors_and_parameters_of_the_module(name):
    spec = MEMBERS[name]
    with torch.device("meta"):
        module = efficientdet.build(spec, 3)
    assert tensors_of(module) == spec.architecture.tensors(3)
    assert spec.parameters(3) == sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize("short", PUBLISHED)
def test_counts_are_the_published_ones(short):
    spec, (millions, billions) = MEMBERS[f"efficientdet-{short}"], PUBLISHED[short]
    assert spec.parameters(90) / 1e6 == pytest.approx(millions, rel=0.015)
    if billions is not None:  # automl counts more than convolutions; its D5 differs from its own table
        assert spec.multiply_adds() / 1e9 == pytest.approx(billions, rel=0.035)


@pytest.mark.parametrize(
    ("short", "count"),
    [("d0", 49104), ("d2", 110484), ("lite0", 19206), ("lite2", 37629), ("lite3x", 76725), ("d7x", 442260)],
)
def test_anchors(short, count):
    assert MEMBERS[f"efficientdet-{short}"].geometry().count == count


def test_features_are_those_of_the_module():
    """Odd and oblong sizes, and a level more."""
    for spec, size in ((tiny(), (160, 256)), (tiny(levels=(3, 8)), (128, 384))):
        module = efficientdet.build(spec, 5, size)
        with torch.inference_mode():
            logits, codes = module(torch.zeros(2, 3, *size))
        assert logits.shape == (2, spec.geometry(size).count, 5) and codes.shape == (
            2,
            spec.geometry(size).count,
            4,
        )
        assert logits.mean() == pytest.approx(-4.595, abs=0.1)  # nothing is an object before training


def test_sizes_whose_levels_do_not_halve_are_refused():
    lite = MEMBERS["efficientdet-lite0"]
    lite.refuse_size((320, 384))
    with pytest.raises(OptionError, match="500 pixels: a side must be a multiple of 128, or 320") as caught:
        efficientdet.build(lite, 1, (500, 500))
    assert caught.value.mend == "pass --size 384 or --size 512"
    with pytest.raises(OptionError) as caught:
        MEMBERS["efficientdet-d1"].refuse_size((320, 64))
    assert caught.value.mend == "pass --size 256x128 or --size 384x128"


def test_weights_of_fusions_become_numbers():
    torch.manual_seed(0)
    spec = tiny(weighted=True)
    module = efficientdet.build(spec, 2)
    fusions = [part for part in module.modules() if isinstance(part, Fusion)]
    for fusion in fusions:
        torch.nn.init.uniform_(fusion.weights, -0.5, 2.0)
    images = torch.randn(1, 3, 160, 160)
    with torch.inference_mode():
        before = module(images)
        fixed = efficientdet.trained(spec, {k: v for k, v in module.state_dict().items() if "num_b" not in k})
        for own, other in zip(before, fixed(images), strict=True):
            assert torch.allclose(own, other, atol=1e-5)
        # Other weights are taken up: nothing of those that were fixed stays.
        fixed.load_state_dict(
            {k: v * 0 if k.endswith("weights") else v for k, v in fixed.state_dict().items()}
        )
        assert not torch.allclose(fixed(images)[1], before[1], atol=1e-5)


def test_max_pooling_pads_with_nothing_or_with_zeros():
    below = -torch.rand(1, 2, 6, 5) - 1
    same, zeros = MaxPool((6, 5), TENSORFLOW)(below), MaxPool((6, 5), ZYLO117)(below)
    assert same.shape == zeros.shape == (1, 2, 3, 3)
    assert same.max() < 0 and zeros[..., 1].max() == 0 and zeros[:, :, :2, 1].max() < 0
    symmetric = MaxPool((6, 5), EFFDET)(below)
    assert symmetric.shape == same.shape and not torch.equal(symmetric, same)


def test_nodes_of_the_pyramids():
    nodes = {node.name: node.inputs for node in pyramid.bifpn(3, 5)}
    assert list(nodes) == ["p6_td", "p5_td", "p4_td", "p3_out", "p4_out", "p5_out", "p6_out", "p7_out"]
    assert nodes["p6_td"] == (3, 4) and nodes["p4_out"] == (1, 7, 8) and nodes["p7_out"] == (4, 11)
    for cell in (pyramid.bifpn(3, 6), pyramid.quad(3, 5)):
        count = cell[-1].level + 1
        levels = [*range(count), *(node.level for node in cell)]
        for place, node in enumerate(cell):
            assert all(
                source < count + place and abs(levels[source] - node.level) <= 1 for source in node.inputs
            )
        assert [node.level for node in cell[-count:]] == list(range(count))


def test_a_small_trace_serves_large_images():
    """Where levels are halves of each other nothing that is traced depends on the size."""
    spec = tiny()
    large = efficientdet.build(spec, 2, (256, 384))
    small = efficientdet.build(spec, 2, (128, 128))
    small.load_state_dict(large.state_dict())
    images = torch.randn(1, 3, 256, 384)
    with torch.inference_mode():
        for own, other in zip(large(images), small(images), strict=True):
            assert torch.equal(own, other)
