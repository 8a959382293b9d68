"""Keras' three formats against Keras itself: names, layout, preprocessing and what is said."""

from __future__ import annotations

import json
import math
import re
import zipfile

import h5py
import numpy as np
import pytest
import torch

from edgeeff.errors import CheckpointError
from edgeeff.zoo import formats
from edgeeff.zoo.formats import _keras_order

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*"),
    pytest.mark.filterwarnings("ignore::UserWarning:keras.*"),
    pytest.mark.filterwarnings("ignore:.*__array.*:DeprecationWarning"),
]
SUFFIXES = [".h5", ".weights.h5", ".keras"]
SHAPE = (32, 32, 3)
IMAGENET = {"mean": pytest.approx((123.675, 116.28, 103.53)), "std": pytest.approx((58.395, 57.12, 57.375))}
IDENTITY = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


@pytest.fixture(scope="module")
def applications(keras):
    """``applications(name)``: a B0 of keras.applications, all its layers a quarter as wide, once."""
    from keras.src.applications.efficientnet import EfficientNet
    from keras.src.applications.efficientnet_v2 import EfficientNetV2

    made = {}
    given = {"weights": None, "classes": 5, "input_shape": SHAPE, "weights_name": "b0"}

    def make(name):
        if name not in made:
            keras.utils.set_random_seed(0)
            kind, own = (
                (EfficientNetV2, "efficientnetv2-b0") if "V2" in name else (EfficientNet, "efficientnetb0")
            )
            made[name] = kind(0.25, 1.0, 224, name=own, **given)
        return made[name]

    return make


def saved(model, path):
    model.save_weights(path) if path.name.endswith(".weights.h5") else model.save(path)
    return path


def nameless(path):
    """As Keras 3 wrote its weights before it put the layers' names beside them."""
    with h5py.File(path, "r+") as file:
        named = []
        file.visititems(lambda _, item: named.append(item) if "name" in item.attrs else None)
        assert named
        for item in named:
            del item.attrs["name"]
    return path


def expected(model):
    """Our names of a flat model's variables → their values in torch's layout, by Keras' own accessors."""
    found = {}
    for layer in model.layers:
        for variable in layer.weights:
            name, value = variable.name, np.asarray(variable.value.detach())
            if type(layer).__name__ == "DepthwiseConv2D" and name == "kernel":
                name, value = "depthwise_kernel", value.transpose(2, 3, 0, 1)
            elif name == "kernel":
                value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value.T
            if name not in ("count", "seed_generator_state"):
                at = re.sub("^(normalization)_[0-9]+", r"\1", layer.name)
                found[f"{at}/{name}"] = torch.from_numpy(value.copy())
    return found


@pytest.mark.parametrize("suffix", [*SUFFIXES, "nameless"])
@pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0"])
def test_every_variable_by_its_layers_name(name, suffix, applications, equal, tmp_path):
    model = applications(name)
    path = saved(model, tmp_path / f"w{'.weights.h5' if suffix == 'nameless' else suffix}")
    file = formats.read(nameless(path) if suffix == "nameless" else path)
    held = expected(model)
    if suffix in (".h5", ".keras"):  # the config says which are the head's and the preprocessing's
        head = {"weight": held.pop("predictions/kernel"), "bias": held.pop("predictions/bias")}
        assert equal(file.head[0].tensors, head)
        held = {name: value for name, value in held.items() if not name.startswith("normalization")}
    assert equal(file.tensors, held)
    if suffix in (".h5", ".keras"):
        assert (file.said, file.preprocess["size"]) == (model.name, SHAPE[:2])
    normalisation = {key: file.preprocess[key] for key in ("mean", "std")}
    assert normalisation == (
        IMAGENET if "V2" in name else {"mean": (0.0,) * 3, "std": pytest.approx((255.0,) * 3)}
    )


OTHERS = [
    *(f"EfficientNetB{i}" for i in range(1, 8)),
    *(f"EfficientNetV2{i}" for i in ("B1", "B2", "B3", "S", "M", "L")),
]


@pytest.mark.parametrize(
    "name",
    ["EfficientNetB0", "EfficientNetV2B0", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)],
)
def test_order_of_layers_is_that_of_keras(name, keras, applications):
    model = applications(name) if name not in OTHERS else getattr(keras.applications, name)(weights=None)
    by_config = _keras_order.of_config(json.loads(model.to_json()))
    counted = ("conv2d", "depthwise_conv2d", "batch_normalization")
    by_order = _keras_order.of_applications(by_config)
    assert by_order == {
        at: layer for at, layer in by_config.items() if _keras_order.kind(at.rpartition("/")[2]) in counted
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_layout_computes_what_keras_computes(suffix, keras, tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, (3, 2), use_bias=True, name="stem_conv"),
            keras.layers.DepthwiseConv2D((2, 3), use_bias=False, name="block1a_dwconv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, name="predictions"),
        ]
    )
    model.layers[0].bias.assign(np.arange(4.0))
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype(np.float32)
    theirs = model.predict(x, verbose=0)
    held = formats.read(saved(model, tmp_path / f"w{suffix}")).tensors
    y = torch.from_numpy(x).permute(0, 3, 1, 2)
    y = torch.nn.functional.conv2d(y, held["stem_conv/kernel"], held["stem_conv/bias"])
    y = torch.nn.functional.conv2d(y, held["block1a_dwconv/depthwise_kernel"], groups=4)
    y = torch.nn.functional.linear(y.mean((2, 3)), held["predictions/kernel"], held["predictions/bias"])
    np.testing.assert_allclose(y.numpy(), theirs, rtol=1e-4, atol=1e-5)


def transfer(keras, base, *head, before=()):
    x = inputs = keras.Input(SHAPE)
    for layer in (*before, base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dropout(0.2), *head):
        x = layer(x)
    return keras.Model(inputs, x)


@pytest.fixture(scope="module")
def base(keras):
    return keras.applications.EfficientNetV2B0(weights=None, include_top=False, input_shape=SHAPE)


@pytest.fixture(scope="module")
def transferred(keras, base):
    return transfer(keras, base, keras.layers.Dense(7), before=[keras.layers.RandomFlip()])


@pytest.mark.parametrize("suffix", [*SUFFIXES, "nameless"])
def test_network_nested_in_a_users_model(suffix, transferred, base, equal, tmp_path):
    model = transferred
    path = saved(model, tmp_path / f"w{'.weights.h5' if suffix == 'nameless' else suffix}")
    file = formats.read(nameless(path) if suffix == "nameless" else path)
    kernel, bias = model.layers[-1].get_weights()
    head = {"kernel": torch.from_numpy(kernel.T.copy()), "bias": torch.from_numpy(bias)}
    if suffix in (".h5", ".keras"):
        assert equal(file.tensors, expected(base))
        assert equal(file.head[0].tensors, {"weight": head["kernel"], "bias": head["bias"]})
    else:
        assert equal(file.tensors, expected(base) | {f"predictions/{name}": t for name, t in head.items()})
    assert file.said == (None if suffix == "nameless" else "efficientnetv2-b0")
    if suffix in (".h5", ".keras"):
        assert file.preprocess == IMAGENET | {"size": SHAPE[:2]}
    else:  # the model may hold layers of its own ahead of the network: their values are in its config
        assert file.preprocess == {}


def test_optimizers_and_metrics_are_left_out(keras, tmp_path):
    layers = [keras.layers.Conv2D(2, 3, name="stem_conv"), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Dropout(0.1), keras.layers.Dense(2)])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(np.zeros((1, *SHAPE)), np.zeros(1), verbose=0)
    for suffix in (".h5", ".keras"):
        tensors = formats.read(saved(model, tmp_path / f"w{suffix}")).tensors
        kept = {"stem_conv/kernel", "stem_conv/bias", "predictions/kernel", "predictions/bias"}
        assert tensors.keys() == kept


def test_head_of_two_layers_is_in_the_configs_order(keras, base, tmp_path):
    model = transfer(keras, base, keras.layers.Dense(9, name="z"), keras.layers.Dense(7, name="a"))
    head = formats.read(saved(model, tmp_path / "w.keras")).head
    assert [(layer.kind, layer.name) for layer in head] == [("linear", "z"), ("linear", "a")]


def test_half_precision(keras, tmp_path):
    for dtype in ("float16", "bfloat16"):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype=dtype)])
        value = formats.read(saved(model, tmp_path / f"{dtype}.weights.h5")).tensors["predictions/kernel"]
        assert value.dtype == getattr(torch, dtype)
        assert torch.equal(value, model.layers[0].kernel.value.detach().T)


def about(mean, std):
    return {"mean": pytest.approx(mean), "std": pytest.approx(std)}


MEAN, VARIANCE = [0.485, 0.456, 0.406], [0.229**2, 0.224**2, 0.225**2]


@pytest.mark.parametrize(
    ("before", "preprocess"),
    [
        (lambda k: [], IDENTITY),
        (lambda k: [k.Rescaling(1 / 255)], about((0.0,) * 3, (255.0,) * 3)),
        (lambda k: [k.Rescaling(1 / 127.5, offset=-1)], about((127.5,) * 3, (127.5,) * 3)),
        (
            lambda k: [k.Rescaling(1 / 255), k.Rescaling([2.0, 4.0, 8.0])],
            about((0.0,) * 3, (127.5, 63.75, 31.875)),
        ),
        (lambda k: [k.Rescaling(1 / 255), k.Normalization(mean=MEAN, variance=VARIANCE)], IMAGENET),
        (
            lambda k: [k.Resizing(24, 28), k.RandomRotation(0.1), k.Rescaling(1 / 255)],
            {"size": (24, 28), "squash": True, "interpolation": "bilinear"} | about((0.0,) * 3, (255.0,) * 3),
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_preprocessing_in_the_layers(before, preprocess, suffix, keras, tmp_path):
    layers = [*before(keras.layers), keras.layers.Conv2D(2, 3, name="stem_conv")]
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    file = formats.read(saved(model, tmp_path / f"w{suffix}"))
    assert file.preprocess == {"size": SHAPE[:2]} | preprocess


def test_adapted_normalisation(keras, tmp_path):
    normalise = keras.layers.Normalization(name="normalization_7")
    model = keras.Sequential([keras.Input(SHAPE), normalise, keras.layers.Conv2D(2, 3)])
    pixels = np.random.default_rng(0).uniform(0, 255, (16, *SHAPE)).astype(np.float32)
    normalise.adapt(pixels)
    given = formats.read(saved(model, tmp_path / "w.keras")).preprocess
    np.testing.assert_allclose(given["mean"], pixels.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(given["std"], pixels.std((0, 1, 2)), rtol=1e-4)


def test_published_weights_hold_std_as_variance(applications, tmp_path):
    """As in the files of keras.applications' B0…B7, without a config (tensorflow issue 49930)."""
    model = applications("EfficientNetB0")
    normalise = next(layer for layer in model.layers if layer.name.startswith("normalization"))
    kept = normalise.get_weights()
    try:
        normalise.set_weights([np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]), np.array(0)])
        path = saved(model, tmp_path / "w.weights.h5")
        assert formats.read(path).preprocess == IMAGENET
        # With a config it counts what the layers compute: without the second rescaling, 1/√std.
        given = formats.read(saved(model, tmp_path / "w.keras")).preprocess
        assert given["std"] == pytest.approx([255 * math.sqrt(s) for s in (0.229, 0.224, 0.225)])
    finally:
        normalise.set_weights(kept)


def test_large_v2_rescales_to_plus_minus_one(keras, tmp_path):
    """V2-S, M and L: told from the layers' names alone in a file without a config."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Rescaling(1 / 128.0, -1)(inputs)
    x = keras.layers.Conv2D(2, 3, name="stem_conv")(x)
    model = keras.Model(inputs, keras.layers.Activation("swish", name="stem_activation")(x))
    given = {"mean": (128.0,) * 3, "std": (128.0,) * 3}
    assert formats.read(saved(model, tmp_path / "w.weights.h5")).preprocess == given
    assert formats.read(saved(model, tmp_path / "w.keras")).preprocess == given | {"size": SHAPE[:2]}


def test_arithmetic_on_pixels_is_not_guessed(keras, tmp_path):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="stem_conv")((inputs - 3.0) ** 2))
    with pytest.raises(CheckpointError, match=r"the layer \w+ \(\w+\) stands before the network"):
        formats.read(saved(model, tmp_path / "w.keras"))


def test_code_of_a_lambda_stays_text(keras, tmp_path):
    marker = tmp_path / "ran"
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Conv2D(2, 3, name="stem_conv")])
    path = saved(model, tmp_path / "w.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    trap = {"class_name": "Lambda", "module": "builtins", "config": {"name": "trap", "function": code}}
    config["config"]["layers"].append(trap)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, content)
    assert "stem_conv/kernel" in formats.read(path).tensors
    assert not marker.exists()
