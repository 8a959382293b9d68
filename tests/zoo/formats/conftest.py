"""A small state_dict, and Keras on torch for its own files."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from edgeeff.preprocess import Preprocess
from edgeeff.zoo import accounting, catalog, efficientnet, fitting, formats
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.spec import ModelSpec

os.environ.setdefault("KERAS_BACKEND", "torch")  # before anything imports keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def weights_of():
    """``weights_of(seed)``: a few tensors under names that nobody's naming has."""

    def make(seed=0):
        random = torch.Generator().manual_seed(seed)
        return {
            "stem.weight": torch.randn(8, 3, 3, 3, generator=random),
            "norm.running_mean": torch.randn(8, generator=random),
            "classifier.weight": torch.randn(5, 8, generator=random),
        }

    return make


@pytest.fixture
def state(weights_of):
    return weights_of()


@pytest.fixture(scope="session")
def equal():
    """``equal(tensors, state)``: the same names and the same values."""

    def compare(tensors, state):
        return tensors.keys() == state.keys() and all(torch.equal(tensors[key], state[key]) for key in state)

    return compare


TINY = ModelSpec("tiny", catalog.get("b0").family, 0.1, 0.1, 64)
SHAPE = (64, 64, 3)


@pytest.fixture(scope="session")
def keras_network(make_images):
    """``keras_network(...)``: keras.applications' EfficientNet at a tenth of B0's width and depth, with
    lively weights and the batch statistics of a few images."""

    def make(shape=SHAPE, images=None, change=None, **options):
        import keras
        from keras.src.applications.efficientnet import EfficientNet

        keras.utils.set_random_seed(0)
        given = {"weights": None, "include_top": False, "input_shape": shape, "name": "efficientnetb0"}
        model = EfficientNet(0.1, 0.1, 64, weights_name="b0", **given | options)
        if change is not None:  # a clone with other settings, layer by layer

            def changed(layer):
                config = layer.get_config()
                return type(layer).from_config(config | (change(layer) or {}))

            model = keras.models.clone_model(model, clone_function=changed)
        return lively(model, make_images(4, shape[0] or 64, 3) if images is None else images)

    return make


def lively(model, images=None):
    """Random weights everywhere; with ``images`` the batch statistics of the network on them."""
    random = np.random.default_rng(1)
    for variable in model.weights:
        shape, part = tuple(variable.shape), variable.path.rpartition("/")[2]
        if "kernel" in part and len(shape) > 1:
            inputs = np.prod(shape[:2]) if "dwconv" in variable.path else np.prod(shape[:-1])
            variable.assign(random.normal(0, (2 / inputs) ** 0.5, shape))
        elif part == "gamma":
            # Small steps along the residual chain, as in trained networks; else rounding grows with depth.
            variable.assign(random.uniform(0.7, 1.3, shape) * (0.2 if "project" in variable.path else 1.0))
        elif part in ("beta", "bias", "moving_mean", "alpha"):
            variable.assign(random.normal(0, 0.3, shape))
        elif part == "moving_variance":
            variable.assign(random.uniform(0.002, 0.05, shape))
    if images is not None and len(images):
        norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
        for norm in norms:
            norm.momentum = 0.0
        model(images.astype(np.float32), training=True)
        for norm in norms:  # what is all but constant would amplify rounding
            variance = np.asarray(norm.moving_variance.value.detach())
            norm.moving_variance.assign(np.maximum(variance, variance.mean() / 4))
    return model


@pytest.fixture(scope="session")
def make_lively():
    """``make_lively(layer)``: random weights everywhere."""
    return lively


@pytest.fixture
def agreement(tmp_path, make_images):
    """``agreement(model, ".keras")``: decibels between Keras' own output and ours, which the file gives."""

    def measure(model, suffix=".keras", images=None):
        path = tmp_path / f"w{suffix}"
        model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
        file = formats.read(path)
        size = file.preprocess.get("size") or images.shape[1:3]
        images = make_images(4, size[0], 3) if images is None else images
        accounted = accounting.account(file.tensors, path, None, file.head, file.ordered)
        fitted = fitting.fit(file.tensors, accounted, TINY, path)
        conventions = Conventions("same", file.epsilon, static=file.static)
        network = efficientnet.trained(TINY, fitted.tensors, size, conventions, fitted.activations)
        preprocess = Preprocess(size, file.preprocess["mean"], file.preprocess["std"])
        with torch.no_grad():
            ours = network(torch.from_numpy(preprocess.normalise(images))).double()
        if file.ends_in:
            ours = torch.softmax(ours, 1) if file.ends_in == "softmax" else torch.sigmoid(ours)
        theirs = np.asarray(model(images.astype(np.float32), training=False).detach())
        theirs = torch.from_numpy(theirs.reshape(ours.shape)).double()
        assert theirs.std(0).mean() > 1e-3, "the model says the same of every image"
        return float(10 * torch.log10(theirs.square().sum() / (ours - theirs).square().sum())), file

    return measure
