"""Every network of every library against ours: tensors, counts, conventions, preprocessing."""

from __future__ import annotations

from math import floor

import pytest

from edgeeff.zoo import catalog, namings, origin


def whole(translation):
    """The translation, with a head of one Linear taken for the classifier."""
    return {key: name.replace("classifier.1.", "classifier.") for key, name in translation.ours.items()}


def test_tensors_are_ours_one_to_one(library, network, name):
    architecture = catalog.get(name).architecture
    translation = namings.translate(library, network["tensors"], architecture)
    ours = whole(translation)
    assert translation.unexpected == []
    shapes = {ours[key]: tuple(shape) for key, shape in network["tensors"].items() if key in ours}
    assert len(shapes) == len(ours)
    assert shapes == architecture.tensors(1000)


def test_naming_is_detected(library, network, name):
    assert namings.detect(network["tensors"]) == library


def test_no_other_network_fits(library, network, name):
    """One tensor too many, missing, or of another shape tells every two networks apart."""
    own = catalog.get(name)
    shapes = {key: tuple(shape) for key, shape in network["tensors"].items()}
    for spec in catalog.classifiers():
        ours = whole(namings.translate(library, shapes, spec.architecture))
        fits = {ours[key]: shapes[key] for key in ours} == spec.architecture.tensors(1000)
        assert fits == (spec is own)


def test_parameters(library, network, name):
    assert catalog.get(name).parameters() == network["parameters"]


def test_conventions_and_counts(library, name, variant):
    spec = catalog.get(name)
    found = origin.of(library, spec, name, {})
    assert (found.conventions.padding, found.conventions.epsilon) == (variant["padding"], variant["epsilon"])
    assert spec.activation == variant["activation"]
    for size, count in variant["multiply_adds"].items():
        assert spec.multiply_adds(int(size)) == count


def test_timm_preprocessing(name, timm_variant):
    """By the name and its tag, without the repository's config.json, which would go before it."""
    for tag, given in timm_variant["pretrained"].items():
        found = origin.of("timm", catalog.get(name), f"{name}.{tag}", {}).preprocess
        side, crop = given["sizes"][-1], given.get("test_crop_pct", given["crop_pct"])
        assert found.size == (side, side), tag
        assert found.mean == pytest.approx([255 * value for value in given["mean"]]), tag
        assert found.std == pytest.approx([255 * value for value in given["std"]]), tag
        assert found.interpolation == given["interpolation"], tag
        assert found.squash == (given.get("crop_mode") == "squash"), tag
        # timm rounds the crop to three digits and the resized side down.
        assert side / found.crop == pytest.approx(floor(side / crop), abs=1.001), tag


def test_torchvision_preprocessing(name, torchvision_variant):
    for weights, given in torchvision_variant["pretrained"].items():
        found = origin.of("torchvision", catalog.get(name), f"{name} {weights}", {}).preprocess
        (side,), (resized,) = given["sizes"], given["resize"]
        assert found.size == (side, side)
        assert side / found.crop == pytest.approx(resized)
        assert found.mean == pytest.approx([255 * value for value in given["mean"]])
        assert found.std == pytest.approx([255 * value for value in given["std"]])
        assert found.interpolation == given["interpolation"]
        assert not found.squash
