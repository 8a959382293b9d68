"""What Keras writes: NHWC, its own batch normalisation, and a normalisation of the input in the graph."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
layers = keras.layers


@pytest.fixture
def exported(tmp_path, make_images):
    """``exported(network)``: its ONNX file."""

    def run(network):
        random = np.random.default_rng(0)
        for variable in network.weights:
            shape = tuple(variable.shape)
            if len(shape) > 1:
                variable.assign(random.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape))
            elif "gamma" in variable.path or "beta" in variable.path:
                variable.assign(random.normal("gamma" in variable.path, 0.2, shape))
        for layer in network.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = 0.0
        # The statistics of these images: as after training, activations stay alive to the end.
        network(make_images(8, network.input_shape[1], 3).astype(np.float32), training=True)
        path = tmp_path / "keras.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network(np.zeros((1, *network.input_shape[1:]), np.float32))
            network.export(path, format="onnx", verbose=False)
        return path

    return run


def block(x, filters, kernel, stride):
    """MBConv as keras.applications writes it."""
    skip, wide = x, 2 * x.shape[-1]
    x = layers.Conv2D(wide, 1, padding="same", use_bias=False)(x)
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    if stride == 2:
        x = layers.ZeroPadding2D(((kernel // 2 - 1, kernel // 2),) * 2)(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.DepthwiseConv2D(kernel, strides=stride, padding=padding, use_bias=False)(x)
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    gate = layers.Reshape((1, 1, wide))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(4, 1, activation="swish")(gate)
    x = layers.multiply([x, layers.Conv2D(wide, 1, activation="sigmoid")(gate)])
    x = layers.BatchNormalization()(layers.Conv2D(filters, 1, padding="same", use_bias=False)(x))
    return layers.add([layers.Dropout(0.2)(x), skip]) if stride == 1 else x


def network(classifier):
    images = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(images)
    x = layers.Normalization(mean=(0.485, 0.456, 0.406), variance=(0.0524, 0.0502, 0.0506))(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    x = block(block(x, 8, 3, 1), 12, 5, 2)
    x = layers.GlobalAveragePooling2D()(layers.ReLU(6.0)(x))
    return keras.Model(images, layers.Dense(5, activation=classifier)(layers.Dropout(0.2)(x)))


@pytest.mark.parametrize("classifier", ["softmax", None])
def test_efficientnet_in_little(classifier, exported, imports):
    imported = imports(exported(network(classifier)))
    assert imported.original.layout == "NHWC"
    assert imported.original.softmax == (classifier == "softmax")
    np.testing.assert_allclose(imported.mean, (123.675, 116.28, 103.53), rtol=1e-5)
    np.testing.assert_allclose(imported.std, 255 * np.sqrt((0.0524, 0.0502, 0.0506)), rtol=1e-5)
    operators = [node.op_type for node in imported.model.graph]
    assert (operators.count("Conv"), operators.count("Swish"), operators.count("Clip")) == (11, 7, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EfficientNetB0", "EfficientNetV2B0"])
def test_applications(name, exported, imports):
    imported = imports(
        exported(getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=10))
    )
    assert imported.mean is not None
