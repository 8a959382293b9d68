"""Every EfficientDet of effdet computes what ours does, and is prepared for as ours is."""

from __future__ import annotations

import json
import lzma
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgeeff.zoo import accounting, catalog, formats
from edgeeff.zoo.detection import checkpoints, origin

effdet = pytest.importorskip("effdet", reason="the parity tier's library: make test-parity")

TABLE = Path(__file__).parents[1] / "fixtures" / "naming" / "effdet.json.xz"
NAMES = [name for table in json.loads(lzma.decompress(TABLE.read_bytes())) for name in table["names"]]
REACH = 1e-4  # relative to the largest value of an output
CLASSES = 7


def on_meta(name, size=None, classes=CLASSES):
    with torch.device("meta"):
        module = effdet.create_model(
            name.partition(",")[0], pretrained_backbone=False, num_classes=classes, image_size=size
        )
        if name.endswith("level first"):
            module.toggle_head_bn_level_first()
    return module.eval()


def size_of(name):
    """Oblong, and small where the network is large; of odd features where its own size has them."""
    spec = catalog.detector(name.partition(",")[0])
    if spec.size < 700:
        return spec.size, spec.size
    return (256, 512) if spec.levels[1] > 7 else (256, 384)


def randomised(module, size):
    """Random weights, with normalisation that fits the activations as in a trained network."""
    torch.manual_seed(0)
    module = module.to_empty(device="cpu").eval()
    for key, value in module.state_dict().items():
        if value.dim() > 1:
            value.normal_(0, (1 / value[0].numel()) ** 0.5)
        elif key.endswith("edge_weights"):
            value.uniform_(-0.2, 1.5)  # some below zero, which relu takes away
        elif key.endswith("weight"):
            value.uniform_(0.5, 1.5)
        elif key.endswith("bias"):
            value.normal_(0, 0.1)
        else:
            value.zero_()
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    with torch.no_grad():
        module(torch.randn(2, 3, *size))
    for norm in norms:
        norm.eval().running_var.clamp_(min=float(norm.running_var.mean()) / 10)
    return module


@pytest.fixture
def outputs():
    """``outputs(name, said)``: theirs and ours of the same images, through the converter."""

    def run(name, said):
        size = size_of(name)
        module = randomised(on_meta(name, size), size)
        file, path = formats.WeightsFile(module.state_dict()), Path(f"{said}.pth")
        accounted = accounting.account(file.tensors, path)
        ours = checkpoints.understand(file, accounted, path, None, None)
        images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            theirs = [
                torch.cat([y.permute(0, 2, 3, 1).reshape(2, -1, values) for y in levels], 1)
                for levels, values in zip(module(images), (CLASSES, 4), strict=True)
            ]
            return theirs, ours.network(size)(images)

    return run


def distance(theirs, ours):
    return max(
        float((own - their).abs().max() / their.abs().max()) for their, own in zip(theirs, ours, strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_outputs(name, outputs):
    theirs, ours = outputs(name, name.partition(",")[0])
    assert [own.shape for own in ours] == [their.shape for their in theirs]
    assert float((theirs[0][0] - theirs[0][1]).abs().max() / theirs[0].abs().max()) > 0.1
    assert distance(theirs, ours) <= REACH


def test_what_the_name_says_matters(outputs):
    """The same tensors with the other padding and epsilon are another network."""
    assert distance(*outputs("efficientdet_d0", "tf_efficientdet_d0")) > 100 * REACH


@pytest.mark.parametrize("name", NAMES)
def test_counts(name, multiply_adds):
    module, spec = on_meta(name, classes=90), catalog.detector(name.partition(",")[0])
    architecture = replace(
        spec.architecture,
        biases=module.class_net.conv_rep[0].conv_pw.bias is not None,
        weighted=module.fpn.cell[0].fnode[0].combine.edge_weights is not None,
    )
    assert architecture.parameters(90) == sum(value.numel() for value in module.parameters())
    size = module.config.image_size
    assert architecture.multiply_adds(tuple(size), 90) == multiply_adds(module, tuple(size))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [None, (256, 384)])
def test_anchors(name, size):
    from effdet.anchors import Anchors

    module = on_meta(name, size)
    weighted = module.fpn.cell[0].fnode[0].combine.edge_weights is not None
    spec, config = replace(catalog.detector(name.partition(",")[0]), weighted=weighted), module.config
    found = origin.of("effdet", spec, name, {"size": tuple(config.image_size)})
    own = found.geometry.anchors()
    assert own.shape == (theirs := Anchors.from_config(config).boxes.numpy()).shape
    assert abs(own - theirs).max() <= 1e-3  # of pixels up to 2000


@pytest.mark.parametrize("name", [name for name in NAMES if "," not in name])
def test_preprocessing(name, photo):
    """A letterbox, its colour, and what is subtracted and divided by."""
    from effdet.data import resolve_input_config
    from effdet.data.transforms import transforms_coco_eval

    module = on_meta(name)
    weighted = module.fpn.cell[0].fnode[0].combine.edge_weights is not None
    given, spec = resolve_input_config({}, module.config), replace(catalog.detector(name), weighted=weighted)
    own = origin.of("effdet", spec, name, {}).preprocess
    assert list(own.size) == list(given["input_size"][1:])
    for values, theirs in ((own.mean, given["mean"]), (own.std, given["std"])):
        assert values == pytest.approx([255 * value for value in theirs])
    transform = transforms_coco_eval(
        own.size[0],
        interpolation=given["interpolation"],
        fill_color=given["fill_color"],
        mean=given["mean"],
        use_prefetcher=True,
    )
    theirs, _ = transform(photo, {})
    difference = own.fit(photo).transpose(2, 0, 1).astype(float) - theirs
    assert np.abs(difference).mean() < 1  # they round the resized side down
