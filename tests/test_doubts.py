"""Tensors that two libraries read differently: what the images say of it, and what the user hears."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

import edgeeff
from edgeeff.cache import Cache
from edgeeff.calibration.readings import Comparison, compare, observe
from edgeeff.images import open_images
from edgeeff.pipeline.context import Context
from edgeeff.pipeline.stages import doubts
from edgeeff.pipeline.stages.identity import identify
from edgeeff.progress import Silent
from edgeeff.zoo.sources import Asked

SIZE = 48  # its last SAME convolution of stride 2 reads three pixels: not padded as Lite0's own 14 are


class Listener(Silent):
    def __init__(self):
        self.told, self.warned = [], []

    def tell(self, text):
        self.told.append(text)

    def warn(self, text):
        self.warned.append(text)


def trained(made_for, pixels, preprocess):
    """efficientnet-lite-pytorch's Lite0 with zeros counted for a size, as if trained on these images."""
    torch.manual_seed(2)
    network = EfficientNet.from_name(
        "efficientnet-lite0", num_classes=3, image_size=made_for, drop_connect_rate=0.0
    )
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    with torch.no_grad():
        network.train()(torch.from_numpy(preprocess.normalise(pixels)))
    return network.eval().state_dict()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_images, lite0):
    """Images, and a checkpoint for each padding: ``static.pt`` and ``same.pt``."""
    folder = tmp_path_factory.mktemp("doubts")
    pixels = make_images(24, SIZE, 5)
    np.savez(folder / "images.npz", images=pixels)
    np.savez(folder / "noise.npz", images=np.random.default_rng(0).integers(0, 256, pixels.shape, np.uint8))
    for name, made_for in (("static", 224), ("same", SIZE)):
        torch.save(trained(made_for, pixels, lite0.preprocess), folder / f"{name}.pt")
    return folder


def settled(folder, checkpoint, images="images.npz", cache=None, **asked):
    """What a build hears of the checkpoint."""
    heard = Listener()
    asked = Asked(str(folder / checkpoint), size=(SIZE, SIZE), **asked)
    cache = cache or Cache(folder / "cache")
    source = identify(asked, Context.of(cache, Silent()))
    preprocess = replace(source.identity.preprocess.resized((SIZE, SIZE)), crop=1.0)
    pictures = open_images(folder / images) if images else None
    doubts.settle(source, preprocess, pictures, Context.of(cache, heard))
    return heard


def test_images_confirm_what_was_taken(folder):
    heard = settled(folder, "static.pt")
    assert heard.warned == []
    (line,) = heard.told
    assert "--padding static:224, by the images" in line and "with --padding same" in line


def test_images_that_fit_another_padding_are_a_warning_with_its_option(folder):
    heard = settled(folder, "same.pt")
    assert heard.told == []
    (warning,) = heard.warned
    assert "the images say otherwise" in warning and "pass --padding same, or --padding static:224" in warning
    assert settled(folder, "same.pt").warned == [warning]  # from the cache


def test_images_that_do_not_tell_leave_the_doubt(folder):
    for images in ("noise.npz", None):
        heard = settled(folder, "same.pt", images)
        assert heard.told == []
        (warning,) = heard.warned
        assert "--padding same if it was made with" in warning and "say otherwise" not in warning


@pytest.mark.parametrize("padding", ["same", "static:224", "static", "symmetric"])
def test_nothing_is_asked_where_the_user_has_said_it(padding, folder):
    heard = settled(folder, "same.pt", padding=padding)
    assert (heard.told, heard.warned) == ([], [])


def test_a_build_hears_it_and_every_runtime_pads_as_the_package_does(folder, tmp_path, make_images):
    heard = Listener()
    built, mobile = edgeeff.build(
        "lite0",
        targets=["cpu-fp32", "mobile-fp32"],
        checkpoint=folder / "same.pt",
        calibration=folder / "images.npz",
        size=SIZE,
        crop=1.0,
        output=tmp_path,
        cache=Cache(tmp_path / "cache"),
        progress=heard,
    )
    assert "SAME padding of 224 px images" in heard.told[0]
    assert "SAME padding of 224 px images" in built.bundle.manifest.origin
    assert any("pass --padding same" in text for text in heard.warned)
    assert any("pass --padding same" in text for text in built.warnings)
    theirs = EfficientNet.from_name("efficientnet-lite0", num_classes=3).eval()
    theirs.load_state_dict(torch.load(folder / "same.pt", weights_only=True))
    pixels = make_images(4, SIZE, 9)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(built.bundle.manifest.preprocess.normalise(pixels))).numpy()
    for bundle in (built.bundle, mobile.bundle):
        error = float(np.square(bundle.predict(pixels) - expected).sum() / np.square(expected).sum())
        assert 10 * np.log10(error) < -80


@pytest.mark.parametrize(
    ("comparison", "verdict"),
    [
        (Comparison(0.05, 0.10, 0.28), "first"),
        (Comparison(0.05, 0.10, -1.2), "first"),
        (Comparison(0.10, 0.05, 1.25), "second"),
        (Comparison(0.14, 0.18, 0.76), "open"),  # photos of other things: the two questions disagree
        (Comparison(0.205, 0.198, 0.78), "open"),
        (Comparison(0.44, 0.34, 0.88), "open"),  # noise: neither fits
        (Comparison(0.10, 0.12, 0.46), "open"),  # too few images
        (Comparison(0.0, 0.0, 0.0), "equal"),
    ],
)
def test_when_images_decide(comparison, verdict):
    assert comparison.verdict == verdict


def test_a_network_is_equal_to_itself_and_its_hooks_are_gone(make_module, make_images, lite0):
    network = make_module("lite0", size=SIZE)
    x = torch.from_numpy(lite0.preprocess.normalise(make_images(4, SIZE, 1)))
    threads = torch.get_num_threads()
    one = observe(network, [x])
    assert compare(one, observe(network, [x[:2], x[2:]])).verdict == "equal"
    assert torch.get_num_threads() == threads
    assert not any(module._forward_hooks for module in network.modules())
    # Batch normalisation measured on these very images expects just them.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train().momentum = 1.0
    with torch.no_grad():
        network(x)
    found = list(observe(network.eval(), [x]).values())
    assert max(layer.distance for layer in found[:8]) < 0.01  # later ones see a few pixels alone
