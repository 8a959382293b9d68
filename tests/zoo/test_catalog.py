"""The list of networks, and what is said of a name that is not in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgeeff.errors import UnknownModelError
from edgeeff.zoo import catalog


def test_names():
    classifiers, detectors = catalog.classifiers(), catalog.detectors()
    assert catalog.names() == [spec.name for spec in (*classifiers, *detectors)]
    assert [spec.name for spec in classifiers] == [
        *(*(f"b{i}" for i in range(9)), "l2"),
        *(f"edgetpu-{size}" for size in "sml"),
        *(f"lite{i}" for i in range(5)),
        *(f"v2-b{i}" for i in range(4)),
        *("v2-s", "v2-m", "v2-l", "v2-xl"),
        *(f"v2-rw-{size}" for size in "tsm"),
    ]
    assert [spec.name for spec in detectors] == [
        *(f"efficientdet-d{size}" for size in (*"01234567", "7x")),
        *(f"efficientdet-lite{size}" for size in (*"0123", "3x", "4")),
        *(f"efficientdet-q{size}" for size in "012"),
        *(f"efficientdetv2-{size}" for size in ("dt", "ds")),
    ]


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("b0", "b0"),
        ("B7", "b7"),
        ("efficientnet-b0", "b0"),
        ("efficientnet_b3", "b3"),
        ("EfficientNet-Lite0", "lite0"),
        ("efficientnet_lite4", "lite4"),
        ("tf_efficientnet_b0.ns_jft_in1k", "b0"),
        ("timm/tf_efficientnet_lite2.in1k", "lite2"),
        ("tf_efficientnet_l2_ns_475", "l2"),
        ("adv-efficientnet-b8-22a8fe65", "b8"),
        ("efficientnet_es", "edgetpu-s"),
        ("efficientnet-edgetpu-L", "edgetpu-l"),
        ("tf_efficientnetv2_s", "v2-s"),
        ("efficientnet_v2_l", "v2-l"),
        ("efficientnetv2_rw_t.ra2_in1k", "v2-rw-t"),
        ("efficientnetv2-b3", "v2-b3"),
        ("EfficientNetV2S", "v2-s"),
        ("EfficientNetB4", "b4"),
        ("efficientdet-d0", "efficientdet-d0"),
        ("EfficientDet-D7x", "efficientdet-d7x"),
        ("EfficientDetD1", "efficientdet-d1"),
        ("tf_efficientdet_d7_53-6d1d7a95", "efficientdet-d7"),
        ("tf_efficientdet_d0_ap", "efficientdet-d0"),
        ("efficientdet_lite3x", "efficientdet-lite3x"),
        ("efficientdet/lite0/detection", "efficientdet-lite0"),
        ("tensorflow/efficientdet/lite3x", "efficientdet-lite3x"),
        ("effdet_d2", "efficientdet-d2"),
        ("efficientdet_q1b-d0612140", "efficientdet-q1"),
        ("efficientdetv2_dt", "efficientdetv2-dt"),
    ],
)
def test_aliases(alias, name):
    assert catalog.get(alias).name == name


@pytest.mark.parametrize(
    ("name", "network", "activation"),
    [
        ("b0-hardswish", "b0-hardswish", "hardswish"),
        ("tf_efficientnet_b0_ReLU6", "b0-relu6", "relu6"),
        ("timm/tf_efficientnetv2_s.in1k-hardswish", "v2-s-hardswish", "hardswish"),
        ("lite0-relu6", "lite0", "relu6"),  # its own
        ("lite:width=0.25,depth=0.4,size=64-hardswish", "lite-w0.25-d0.4-64-hardswish", "hardswish"),
        ("b-w0.25-d0.4-64-relu6", "b-w0.25-d0.4-64-relu6", "relu6"),
    ],
)
def test_another_activation(name, network, activation):
    spec = catalog.classifier(name)
    assert (spec.name, spec.activation) == (network, activation)
    assert spec.plain == catalog.get(network.removesuffix(f"-{activation}"))
    if spec.of:  # nobody's weights fit it
        assert (spec.hub, spec.weights_package, spec.published_top1) == (None, None, None)


@pytest.mark.parametrize(
    "name",
    [
        "resnet50",
        "b",
        "b9",
        "best",
        "v2",
        "model",
        "lite",
        "b0x",
        "efficientdet",
        "efficientdet_w0",
        "efficientdet-d8",
        "d0",
    ],
)
def test_names_that_mean_no_network(name):
    assert catalog.understood(name) is None


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UnknownModelError, match="no model named 'lite7'") as caught:
        catalog.get("lite7")
    assert "did you mean lite" in caught.value.mend
    assert caught.value.exit_status == 2
    with pytest.raises(UnknownModelError) as caught:
        catalog.get("efficientnet-d7x")
    assert caught.value.mend.startswith("did you mean efficientdet-d7x?")


def test_a_detector_is_no_classifier():
    assert catalog.detector("tf_efficientdet_d3").backbone is catalog.classifier("b3")
    with pytest.raises(UnknownModelError, match="efficientdet-d3 is a detector") as caught:
        catalog.classifier("efficientdet_d3")
    assert "b3" in caught.value.mend
    with pytest.raises(UnknownModelError, match="b3 is a classifier"):
        catalog.detector("b3")


def test_unlike_any_name_lists_all():
    with pytest.raises(UnknownModelError) as caught:
        catalog.get("resnet50")
    assert "did you mean" not in caught.value.mend
    assert all(name in caught.value.mend for name in catalog.names())


def test_preprocessing_belongs_to_the_model():
    b0 = catalog.get("b0").preprocess()
    assert (b0.size, b0.crop, b0.interpolation) == ((224, 224), 224 / 256, "bicubic")
    assert b0.mean == (123.675, 116.28, 103.53)
    assert b0.std == (58.395, 57.12, 57.375)
    lite = catalog.get("lite4").preprocess((128, 160))
    assert (lite.size, lite.crop) == ((128, 160), 128 / 160)
    assert (set(lite.mean), set(lite.std)) == ({127.0}, {128.0})
    detector = catalog.get("efficientdet-d0").preprocess((384, 512))
    assert (detector.size, detector.letterbox, detector.interpolation) == ((384, 512), b0.mean, "bilinear")


def test_listing_needs_no_torch():
    code = (
        "import sys; from edgeeff.zoo import catalog, sources; from edgeeff.progress import Silent;"
        "[(catalog.get(n).parameters(), catalog.get(n).multiply_adds()) for n in catalog.names()];"
        "asked = sources.Asked(model='lite0'); kind, source = sources.locate(asked, Silent());"
        "sources.room(kind).digest(asked, source);"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
