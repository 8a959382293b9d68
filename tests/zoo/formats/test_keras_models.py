"""Whole Keras models: what we compute from the file is what Keras computes, or the layer is named."""

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


@pytest.fixture(scope="module")
def k():
    import keras

    return keras.layers


@pytest.fixture(scope="module")
def base(keras_network):
    return keras_network()


@pytest.fixture
def model(k, base, make_lively):
    """``model(head, before)``: a user's model around the network."""
    import keras

    def make(head, before=(), shape=SHAPE):
        x = inputs = keras.Input(shape)
        for layer in (*before, base, *head):
            x = layer(x)
        made = keras.Model(inputs, x)
        for layer in (*before, *head):
            if getattr(layer, "weights", None) and type(layer).__name__ != "Normalization":
                make_lively(layer)
        return made

    return make


def dense(k, n=5, **options):
    return [k.GlobalAveragePooling2D(), k.Dense(n, **options)]


KEPT = {
    "a Dense": lambda k: dense(k),
    "without bias": lambda k: dense(k, use_bias=False),
    "keras.io's tutorial": lambda k: [
        k.GlobalAveragePooling2D(name="avg_pool"), k.BatchNormalization(), k.Dropout(0.2, name="top_dropout"),
        k.Dense(5, activation="softmax", name="pred"),
    ],
    "Kaggle's, of means": lambda k: [
        k.GlobalAveragePooling2D(), k.BatchNormalization(), k.Dense(16, activation="relu"),
        k.Dense(5, activation="softmax"),
    ],
    "nothing between": lambda k: [*dense(k, 16), k.Dense(5)],
    "swish": lambda k: [*dense(k, 16, activation="swish"), k.Dropout(0.5), k.Dense(5)],
    "tanh": lambda k: [*dense(k, 16, activation="tanh"), k.Dense(5)],
    "sigmoid between": lambda k: [*dense(k, 16, activation="sigmoid"), k.Dense(5)],
    "relu6 layer": lambda k: [*dense(k, 16), k.ReLU(max_value=6), k.Dense(5)],
    "leaky, by name": lambda k: [*dense(k, 16, activation="leaky_relu"), k.Dense(5)],
    "leaky, a layer": lambda k: [*dense(k, 16), k.LeakyReLU(negative_slope=0.1), k.Dense(5)],
    "leaky, in a setting": lambda k: [*dense(k, 16, activation=k.LeakyReLU()), k.Dense(5)],
    "prelu": lambda k: [*dense(k, 16), k.PReLU(), k.Dense(5)],
    "epsilons": lambda k: [
        k.GlobalAveragePooling2D(), k.BatchNormalization(epsilon=1e-5), k.Dense(16),
        k.BatchNormalization(epsilon=0.1), k.ReLU(), k.Dense(5),
    ],
    "norms without gain or shift": lambda k: [
        k.GlobalAveragePooling2D(), k.BatchNormalization(scale=False), k.Dense(16),
        k.BatchNormalization(center=False), k.ReLU(), k.BatchNormalization(scale=False, center=False),
        k.Dense(5),
    ],
    "1×1 convolution before the pooling": lambda k: [k.Conv2D(5, 1), k.GlobalAveragePooling2D()],
    "1×1 convolutions after it": lambda k: [
        k.GlobalAveragePooling2D(keepdims=True), k.Conv2D(16, 1, activation="relu"), k.BatchNormalization(),
        k.Conv2D(5, 1), k.Flatten(), k.Softmax(),
    ],
    "norm before the pooling": lambda k: [k.BatchNormalization(), k.SpatialDropout2D(0.1), *dense(k)],
    "a pooling as large as the features": lambda k: [
        k.AveragePooling2D((2, 2)), k.Flatten(), k.Dense(16, activation="relu"), k.Dense(5)
    ],
    "reshapes": lambda k: [
        k.GlobalAveragePooling2D(), k.Reshape((1, 1, 128)), k.Conv2D(5, 1), k.Reshape((5,))
    ],
    "a temperature": lambda k: [*dense(k), k.Rescaling(0.5, offset=0.1), k.Softmax()],
    "noise": lambda k: [
        k.GaussianNoise(0.1), k.GlobalAveragePooling2D(), k.AlphaDropout(0.1), k.Identity(),
        k.ActivityRegularization(), k.Activation("linear"), k.Dense(5, kernel_constraint="unit_norm"),
    ],
    "one logit": lambda k: [*dense(k, 1), k.Activation("sigmoid")],
    "labels": lambda k: dense(k, 4, activation="sigmoid"),
}  # fmt: skip


QUICK = (
    *("keras.io's tutorial", "Kaggle's, of means", "tanh", "leaky, in a setting", "epsilons", "reshapes"),
    *("norms without gain or shift", "1×1 convolution before the pooling", "1×1 convolutions after it"),
    *("a pooling as large as the features", "a temperature", "one logit"),
    *("gelu", "code", "Kaggle's", "flattened", "pooled in part", "layer norm", "relu at the end", "a map"),
    *("relu before the pooling", "a Lambda"),
)


def slow_but(names):
    """Each name, all but the quick ones for the slow tier."""
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.mark.parametrize("name", slow_but(KEPT))
def test_head_computes_what_keras_computes(name, k, model, agreement):
    suffix = (".keras", ".h5")[list(KEPT).index(name) % 2]
    decibels, file = agreement(model(KEPT[name](k)), suffix)
    assert decibels >= ENOUGH
    assert file.warnings == ()


@pytest.mark.parametrize(
    ("head", "ends_in"),
    [
        (lambda k: dense(k), ""),
        (lambda k: dense(k, activation="linear"), ""),
        (lambda k: dense(k, activation="softmax"), "softmax"),
        (lambda k: [*dense(k), k.Softmax()], "softmax"),
        (lambda k: [*dense(k), k.Activation("sigmoid"), k.Identity()], "sigmoid"),
    ],
)
def test_how_it_ends_is_said(head, ends_in, k, model, tmp_path):
    model(head(k)).save(tmp_path / "w.keras")
    assert formats.read(tmp_path / "w.keras").ends_in == ends_in


def code(x):
    return x * 2


REFUSED = {
    "gelu": (lambda k: [*dense(k, 8, activation="gelu", name="odd"), k.Dense(5)], r"odd.*gelu"),
    "elu": (lambda k: [*dense(k, 8), k.ELU(name="odd"), k.Dense(5)], r"odd.*ELU"),
    "hard_sigmoid": (lambda k: [*dense(k, 8, activation="hard_sigmoid"), k.Dense(5)], "hard_sigmoid"),
    "code": (lambda k: [*dense(k, 8, activation=code), k.Dense(5)], "code"),
    "capped": (lambda k: [*dense(k, 8), k.ReLU(max_value=4, name="odd"), k.Dense(5)], r"odd.*ReLU"),
    "maxima": (lambda k: [k.GlobalMaxPooling2D(name="odd"), k.Dense(5)], r"odd.*GlobalMaxPooling2D"),
    "Kaggle's": (
        lambda k: [k.GlobalMaxPooling2D(name="odd"), k.BatchNormalization(), k.Dense(8), k.Dense(5)],
        r"odd.*GlobalMaxPooling2D",
    ),
    "flattened": (lambda k: [k.Flatten(name="odd"), k.Dense(5)], r"odd.*no layer has pooled"),
    "pooled in part": (
        lambda k: [k.AveragePooling2D(2, strides=1, padding="same", name="odd"), k.Flatten(), k.Dense(5)],
        "odd",
    ),
    "relu before the pooling": (
        lambda k: [k.Conv2D(5, 1, activation="relu", name="odd"), k.GlobalAveragePooling2D()],
        r"odd.*before the pooling",
    ),
    "3×3 convolution": (
        lambda k: [k.Conv2D(5, 3, padding="same", name="odd"), k.GlobalAveragePooling2D()], r"odd.*1×1"
    ),
    "layer norm": (
        lambda k: [k.GlobalAveragePooling2D(), k.LayerNormalization(name="odd"), k.Dense(5)],
        r"odd.*LayerNormalization",
    ),
    "unit norm": (
        lambda k: [k.GlobalAveragePooling2D(), k.UnitNormalization(name="odd"), k.Dense(5)],
        r"odd.*UnitNormalization",
    ),
    "softmax between": (lambda k: [*dense(k), k.Softmax(name="odd"), k.Dense(3)], r"odd.*softmax"),
    "relu at the end": (lambda k: dense(k, activation="relu", name="odd"), r"odd.*ends in a relu"),
    "features": (lambda k: [k.GlobalAveragePooling2D()], "no classifier"),
    "a map": (lambda k: [], "no classifier"),
    "a Lambda": (
        lambda k: [k.GlobalAveragePooling2D(), k.Lambda(code, name="odd"), k.Dense(5)], r"odd.*Lambda"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", slow_but(REFUSED))
def test_what_cannot_be_kept_is_named(name, k, model, tmp_path):
    head, complaint = REFUSED[name]
    path = tmp_path / f"w{('.h5', '.keras')[list(REFUSED).index(name) % 2]}"
    model(head(k)).save(path)
    with pytest.raises(CheckpointError, match=complaint) as caught:
        formats.read(path)
    assert caught.value.mend


def test_several_outputs_and_two_poolings(k, base, tmp_path):
    import keras

    means, maxima = k.GlobalAveragePooling2D()(base.output), k.GlobalMaxPooling2D()(base.output)
    for outputs, complaint in (
        ([k.Dense(5)(means), k.Dense(2)(means)], "2 outputs"),
        (k.Dense(5)(k.Concatenate()([means, maxima])), "top_activation.*more than one layer reads it"),
        (k.Dense(5)(k.Add()([means, means])), "Add of 2 inputs"),
    ):
        keras.Model(base.input, outputs).save(tmp_path / "w.keras")
        with pytest.raises(CheckpointError, match=complaint):
            formats.read(tmp_path / "w.keras")


def test_models_within_models(k, base, agreement, make_lively):
    import keras

    inner = keras.Sequential([k.Dense(16, activation="swish"), k.BatchNormalization(), k.Dense(5)])
    middle = keras.Sequential([k.GlobalAveragePooling2D(), inner])
    outer = keras.Sequential([keras.Input(SHAPE), k.RandomFlip(), base, middle, k.Softmax()])
    make_lively(inner)
    for suffix in (".keras", ".h5"):
        assert agreement(outer, suffix)[0] >= ENOUGH
    flat = keras.Model(
        base.input, k.Dense(5)(k.BatchNormalization()(k.GlobalAveragePooling2D()(base.output)))
    )
    assert agreement(flat, ".keras")[0] >= ENOUGH


def test_network_with_its_own_classifier(keras_network, agreement):
    for options, ends_in in (
        (({"classes": 5}), "softmax"),
        ({"classes": 5, "classifier_activation": None}, ""),
    ):
        decibels, file = agreement(keras_network(include_top=True, **options))
        assert (decibels >= ENOUGH, file.ends_in) == (True, ends_in)


def test_weights_alone_say_what_is_assumed_of_them(k, model, tmp_path):
    path = tmp_path / "w.weights.h5"
    model(dense(k)).save_weights(path)
    (warning,) = formats.read(path).warnings
    assert "average pooling" in warning and "model.save" in warning
    for head, complaint in (
        ([k.GlobalMaxPooling2D(), k.Dense(5)], "global_max_pooling2d"),
        ([k.GlobalAveragePooling2D(), k.BatchNormalization(), k.Dense(5)], "several layers"),
        ([k.GlobalAveragePooling2D(), k.Dense(8), k.Dense(5)], "several layers"),
        ([k.GlobalAveragePooling2D(), k.BatchNormalization(scale=False), k.Dense(5)], "scale or its shift"),
    ):
        model(head).save_weights(path)
        with pytest.raises(CheckpointError, match=complaint) as caught:
            formats.read(path)
        assert "model.save" in caught.value.mend or "ONNX" in caught.value.mend


def test_own_class_of_model(k, base, make_lively, tmp_path):
    import keras

    class Mine(keras.Model):
        pass

    pooled = k.GlobalAveragePooling2D()(base.output)
    Mine(base.input, k.Dense(5)(pooled)).save(tmp_path / "w.keras")
    (warning,) = formats.read(tmp_path / "w.keras").warnings
    assert "Mine" in warning

    class Written(keras.Model):
        def __init__(self, pool):
            super().__init__()
            self.backbone, self.pool, self.fc = base, pool, k.Dense(5)

        def get_config(self):
            return {}

        def call(self, x):
            return self.fc(self.pool(self.backbone(x)))

    for name, pool in (("max", k.GlobalMaxPooling2D()), ("mean", k.GlobalAveragePooling2D())):
        written = Written(pool)
        written(np.zeros((1, *SHAPE), np.float32))
        written.save(tmp_path / f"{name}.keras")
    with pytest.raises(CheckpointError, match=r"global_max_pooling2d\S* after the network"):
        formats.read(tmp_path / "max.keras")
    file = formats.read(tmp_path / "mean.keras")
    assert file.head is None
    assert "without the model's config" in file.warnings[0]
