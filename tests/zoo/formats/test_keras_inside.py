"""What stands before a Keras network, and what was changed within it: kept exactly, or named."""

from __future__ import annotations

import numpy as np
import pytest

from edgeeff.errors import CheckpointError
from edgeeff.zoo import formats

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*"),
    pytest.mark.filterwarnings("ignore::UserWarning:keras.*"),
    pytest.mark.filterwarnings("ignore:.*__array.*:DeprecationWarning"),
]
SHAPE = (64, 64, 3)
ENOUGH = 80  # decibels; of float32 against float32
THREE = np.array([0.5, 1.0, 2.0], np.float32)


@pytest.fixture(scope="module")
def k():
    import keras

    return keras.layers


@pytest.fixture(scope="module")
def base(keras_network):
    return keras_network()


@pytest.fixture
def model(k, base):
    """``model(before)``: the network and a Dense behind a function of the pixels."""
    import keras

    def make(before, shape=SHAPE):
        inputs = keras.Input(shape)
        features = base(before(inputs))
        return keras.Model(inputs, k.Dense(5)(k.GlobalAveragePooling2D()(features)))

    return make


def chain(*layers):
    def apply(x):
        for layer in layers:
            x = layer(x)
        return x

    return apply


def adapted(k, images, **options):
    layer = k.Normalization(name="mine", **options)
    layer.adapt(images.astype(np.float32))
    return layer


KEPT = {
    "a second scale": lambda k, images: k.Rescaling(1 / 255),
    "scaled back": lambda k, images: chain(k.Rescaling(1 / 127.5, offset=-1), k.Rescaling(127.5, offset=127)),
    "constants": lambda k, images: k.Normalization(mean=[100, 110, 120], variance=[4, 9, 16]),
    "adapted": adapted,
    "adapted, one for all": lambda k, images: adapted(k, images, axis=None),
    "arithmetic": lambda k, images: lambda x: (x / 2.0 - THREE) * THREE + 3.0,
    "augmented": lambda k, images: chain(
        k.RandomFlip(), k.RandomRotation(0.1), k.RandomContrast(0.1), k.GaussianNoise(0.5)
    ),
}


QUICK = ("a second scale", "adapted", "arithmetic", "Lambda", "zeros around", "norm", "inverse", "negative")


def slow_but(names):
    """Each name, all but the quick ones for the slow tier."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def also(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", slow_but(KEPT))
def test_all_preprocessing_in_sequence(name, k, model, agreement, make_images):
    layers = KEPT[name](k, make_images(4, 64, 5))
    decibels, file = agreement(model(layers), (".keras", ".h5")[list(KEPT).index(name) % 2])
    assert decibels >= ENOUGH
    scaled = name in ("a second scale", "adapted", "adapted, one for all")
    assert scaled == any("twice" in warning for warning in file.warnings)


@pytest.mark.parametrize(
    ("before", "shape", "given"),
    [
        (lambda k: [k.Resizing(64, 64)], (None, None, 3), {"size": (64, 64), "squash": True}),
        (
            lambda k: [k.Resizing(64, 64, interpolation="bicubic", crop_to_aspect_ratio=True)],
            (96, 128, 3),
            {"size": (64, 64), "squash": False, "interpolation": "bicubic"},
        ),
        (lambda k: [k.CenterCrop(64, 64)], (80, 80, 3), {"size": (64, 64), "crop": 0.8}),
        (
            lambda k: [k.Resizing(128, 128), k.RandomFlip(), k.CenterCrop(64, 64)],
            (None, None, 3),
            {"size": (64, 64), "crop": 0.5, "squash": True},
        ),
    ],
)
def test_size_and_crop_in_the_model(before, shape, given, k, base, tmp_path):
    import keras

    outer = keras.Sequential([keras.Input(shape), *before(k), base, k.GlobalAveragePooling2D(), k.Dense(2)])
    outer.save(tmp_path / "w.keras")
    file = formats.read(tmp_path / "w.keras")
    assert given.items() <= file.preprocess.items()
    resizes = any(layer.name.startswith("resizing") for layer in outer.layers)
    assert resizes == any("resizes images itself" in warning for warning in file.warnings)


REFUSED = {
    "Lambda": lambda k: k.Lambda(lambda x: x / 2, name="odd"),
    "AutoContrast": lambda k: k.AutoContrast(name="odd"),
    "RandomCrop": lambda k: k.RandomCrop(64, 64, name="odd"),
    "zeros around": lambda k: chain(k.Cropping2D(2), k.ZeroPadding2D(2, name="odd")),
    "turned": lambda k: k.Permute((2, 1, 3), name="odd"),
    "norm": lambda k: k.BatchNormalization(name="odd"),
    "convolution": lambda k: k.Conv2D(3, 1, name="odd"),
    "inverse": lambda k: k.Normalization(mean=3.0, variance=4.0, invert=True, name="odd"),
    "nearest": lambda k: k.Resizing(64, 64, interpolation="nearest", name="odd"),
    "padded": lambda k: k.Resizing(64, 64, pad_to_aspect_ratio=True, name="odd"),
    "negative": lambda k: k.Rescaling(-1.0, offset=255.0, name="odd"),
    "a number for each pixel": lambda k: k.Normalization(
        axis=(1, 2, 3), mean=np.ones(SHAPE), variance=np.ones(SHAPE), name="odd"
    ),
}


@pytest.mark.parametrize("name", slow_but(REFUSED))
def test_what_is_no_mean_and_std_is_named(name, k, model, tmp_path):
    path = tmp_path / f"w{('.h5', '.keras')[list(REFUSED).index(name) % 2]}"
    model(REFUSED[name](k)).save(path)
    with pytest.raises(CheckpointError, match=r"the layer (odd|cropping2d)"):
        formats.read(path)


def only(name, **settings):
    return lambda layer: settings if layer.name == name else None


def norms(**settings):
    return lambda layer: settings if type(layer).__name__ == "BatchNormalization" else None


@pytest.mark.parametrize(
    "change",
    [
        also(norms(epsilon=1e-5)),
        lambda layer: {"epsilon": 0.1} if layer.name.endswith("project_bn") else None,
        lambda layer: {"scale": False, "center": layer.name != "block2a_bn"} if "_bn" in layer.name else None,
        also(norms(dtype="mixed_float16")),
    ],
)
def test_changed_norms_are_kept(change, keras_network, agreement):
    model = keras_network(change=change, include_top=True, classes=5, classifier_activation=None)
    decibels, file = agreement(model)
    if file.lines:
        assert "mixed_float16" in file.lines[0]
        assert decibels > 20
    else:
        assert decibels >= ENOUGH


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (only("block3a_activation", activation="relu"), "block3a_activation"),
        also(lambda layer: {"activation": "relu"} if "activation" in layer.name else None, "stem_activation"),
        (only("top_activation", activation="gelu"), "top_activation"),
        (only("block3a_se_expand", activation="hard_sigmoid"), "block3a_se_expand"),
        also(only("block4a_se_reduce", activation="relu"), "block4a_se_reduce"),
        also(only("block7a_dwconv", dilation_rate=(2, 2)), "block7a_dwconv"),
        (only("block6a_dwconv", strides=(1, 1)), "block6a_dwconv"),
        (only("block4a_dwconv_pad", padding=((2, 1), (2, 1))), "of no image size"),
    ],
)
def test_changed_network_is_named(change, named, keras_network, tmp_path):
    keras_network(change=change, images=(), include_top=True, classes=5).save(tmp_path / "w.keras")
    with pytest.raises(CheckpointError, match=named):
        formats.read(tmp_path / "w.keras")


def test_layer_put_between_is_named(k, keras_network, tmp_path):
    import keras

    plain = keras_network(images=(), include_top=True, classes=5)
    for after, extra in (
        ("block4a_bn", k.LayerNormalization(name="odd")),
        ("top_bn", k.Rescaling(2.0, name="odd")),
    ):

        def call(layer, *args, after=after, extra=extra, **kwargs):
            y = layer(*args, **kwargs)
            return extra(y) if layer.name == after else y

        keras.models.clone_model(plain, call_function=call).save(tmp_path / "w.keras")
        with pytest.raises(CheckpointError, match="odd"):
            formats.read(tmp_path / "w.keras")


def test_zeros_of_unknown_sides(k, keras_network, tmp_path):
    """Keras takes a side that it does not know for an even one: SAME's zeros of even sides alone."""
    import keras

    network = keras_network(shape=(None, None, 3), images=())
    for side, static in ((None, (256, 256)), (64, None), (75, (256, 256))):
        inputs = keras.Input((side, side, 3))
        features = k.GlobalAveragePooling2D()(network(inputs))
        keras.Model(inputs, k.Dense(2)(features)).save(tmp_path / "w.keras")
        assert formats.read(tmp_path / "w.keras").static == static


def as_keras_2(value):
    """A config with its layers' connections as Keras 2 wrote them."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            return [*value["config"]["keras_history"]]
        if value.keys() >= {"args", "kwargs"}:
            read = as_keras_2(value["args"])[0]
            read = read if isinstance(read[0], list) else [read]
            return [[*reference, {}] for reference in read]
        changed = {key: as_keras_2(part) for key, part in value.items()}
        for ends in ("input_layers", "output_layers"):
            if ends in changed and isinstance(changed[ends][0], str):
                changed[ends] = [changed[ends]]
        return changed
    return [as_keras_2(part) for part in value] if isinstance(value, list) else value


def test_connections_as_keras_2_wrote_them(k, base, agreement, tmp_path):
    import json

    import h5py
    import keras

    inputs = keras.Input(SHAPE)
    pooled = k.GlobalAveragePooling2D()(base(k.RandomFlip()(inputs), training=False))
    model = keras.Model(inputs, k.Dense(5)(k.Dense(8, activation="swish")(k.BatchNormalization()(pooled))))
    decibels, new = agreement(model, ".h5")
    assert decibels >= ENOUGH
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        old = as_keras_2(json.loads(file.attrs["model_config"]))
        text = json.dumps(old)
        assert "keras_history" not in text
        file.attrs["model_config"] = text
    read = formats.read(tmp_path / "w.h5")
    assert [(layer.kind, layer.epsilon) for layer in read.head] == [(la.kind, la.epsilon) for la in new.head]
    assert (read.preprocess, read.tensors.keys()) == (new.preprocess, new.tensors.keys())
    nested = next(layer for layer in old["config"]["layers"] if layer["config"]["name"] == "efficientnetb0")
    nested["inbound_nodes"][0][0][3]["training"] = True
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        file.attrs["model_config"] = json.dumps(old)
    with pytest.raises(CheckpointError, match="within the network"):
        formats.read(tmp_path / "w.h5")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("EfficientNetB0", {}),
        ("EfficientNetB1", {}),
        ("EfficientNetV2B0", {}),
        ("EfficientNetV2B0", {"include_preprocessing": False}),
    ],
)
def test_networks_of_keras_applications_are_exact(name, options, make_lively, make_images, tmp_path):
    import keras
    import torch

    from edgeeff.zoo import checkpoints

    given = {"weights": None, "classes": 5, "input_shape": SHAPE, "classifier_activation": None}
    model = getattr(keras.applications, name)(**given, **options)
    images = make_images(4, 64, 3)
    make_lively(model, images)
    expected = np.asarray(model(images.astype(np.float32), training=False).detach())
    for suffix in (".keras", ".h5", ".weights.h5"):
        path = tmp_path / f"w{suffix}"
        model.save_weights(path) if suffix == ".weights.h5" else model.save(path)
        checkpoint = checkpoints.read(path)
        assert checkpoint.origin.warnings == ()
        with torch.no_grad():
            x = torch.from_numpy(checkpoint.origin.preprocess.normalise(images))
            logits = checkpoint.network(SHAPE[:2])(x).numpy()
        assert 10 * np.log10(np.square(expected).sum() / np.square(logits - expected).sum()) >= ENOUGH
