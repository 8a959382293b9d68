"""Segmenters give each pixel of the image logits, from the features that their decoders read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from edgeeff.errors import OptionError
from edgeeff.zoo import catalog, segmentation
from edgeeff.zoo.segmentation.conventions import SegmenterConventions
from edgeeff.zoo.segmentation.encoder import Encoder, channels
from edgeeff.zoo.segmentation.spec import DECODERS

B0 = catalog.classifier("b0")


@pytest.mark.parametrize("decoder", DECODERS)
def test_each_pixel_has_its_classes(decoder):
    network = segmentation.build(B0, decoder, 5, (64, 96))
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 64, 96)).shape == (2, 5, 64, 96)


def test_lraspp_takes_any_size():
    network = segmentation.build(catalog.classifier("lite0"), "lraspp", 3, (75, 53))
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 75, 53)).shape == (1, 3, 75, 53)


def test_lraspp_classifies_before_it_resizes_and_computes_the_same():
    torch.manual_seed(0)
    network = segmentation.build(B0, "lraspp", 4, (64, 64))
    own = network.decoder
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 64)
        features = network.backbone(x)
        gated = own.project(features[32]) * torch.sigmoid(own.gate(own.pool(features[32])))
        up = own.coarse(F.interpolate(gated, scale_factor=2, mode="bilinear")) + own.fine["16"](features[16])
        up = F.interpolate(up, scale_factor=2, mode="bilinear") + own.fine["8"](features[8])
        theirs = F.interpolate(up, scale_factor=8, mode="bilinear")
        torch.testing.assert_close(network(x), theirs)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("coarsest", [8, 16])
def test_dilation_keeps_the_stride(coarsest, whole):
    spec = catalog.classifier("b0")
    taps = (0, 3, 5, 9, 16)
    own = SegmenterConventions(taps=taps, coarsest=coarsest, whole=whole)
    encoder = Encoder(spec, 3, (64, 64), own, (4, 8, 16, 32)).eval()
    with torch.no_grad():
        found = encoder(torch.zeros(1, 3, 64, 64))
    assert {s: f.shape[2:] for s, f in found.items()} == {s: (64 // min(s, coarsest),) * 2 for s in found}
    assert {s: f.shape[1] for s, f in found.items()} == {
        s: width for s, width in channels(spec.architecture, own).items() if s in found
    }
    dilations = [block.depthwise.conv.dilation[0] for block in encoder.blocks]
    last = 32 // coarsest
    assert dilations[12:] == [last] * 4
    # timm dilates behind the stride that it takes away, smp all behind the feature that it reads.
    assert dilations[9:12] == ([last] * 3 if whole else [last // 2] * 3)


def test_wrong_sizes_and_decoders_are_refused():
    with pytest.raises(OptionError, match="multiple of 32") as caught:
        segmentation.build(B0, "unet", 2, (240, 320))
    assert "224x320 or --size 256x320" in caught.value.mend
    with pytest.raises(OptionError, match="lraspp"):
        segmentation.build(B0, "upernet", 2)


def test_conventions_come_back_from_plain_data():
    import json
    from dataclasses import asdict

    own = SegmenterConventions(taps=(0, 3, 5, 9, 16), coarsest=16, whole=True)
    own = replace(own, backbone=replace(own.backbone, static=(224, 224)))
    assert SegmenterConventions.of(json.loads(json.dumps(asdict(own)))) == own
