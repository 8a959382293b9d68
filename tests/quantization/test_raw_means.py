"""Integer inputs of TFLite: raw pixels, whatever mean the network wants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeeff.backends import Emission
from edgeeff.backends.tflite.emit import emit
from edgeeff.backends.tflite.run import load
from edgeeff.quantization import quantize, recipe
from edgeeff.quantization.rewrites import fold_preprocessing
from edgeeff.target import load_target
from edgeeff.tasks import only


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_half_a_pixel_is_no_zero_point(networks, schemes, run_onnx, tmp_path, input_type):
    """What a mean of 127.5 has beyond 127 is in the stem's bias: the pixels stay codes."""
    network = networks["lite0"]
    preprocess = replace(network.preprocess, mean=(127.5,) * 3, std=(128.0,) * 3)
    raw, statistics = fold_preprocessing.rewrite(network.graph, network.statistics, preprocess, whole=True)
    hub = quantize.write(recipe.load("fast")(quantize.begin(raw, statistics, preprocess, schemes["tflite"])))
    target = replace(load_target("mobile-int8"), input=input_type)
    for name, content in emit(hub, Emission("lite0", target, preprocess, ())).items():
        (tmp_path / name).write_bytes(content)
    session = load(tmp_path, preprocess=preprocess, input_type=input_type, properties={})
    pixels = network.images[:4]
    expected = run_onnx(hub, pixels.transpose(0, 3, 1, 2).astype(np.float32))
    real = run_onnx(network.graph, preprocess.normalise(pixels))
    found = only(session.infer(pixels))
    for other, most in ((expected, 0.2), (real, 0.4)):  # of random weights, quantised in the fastest way
        noise = ((found - other) ** 2).sum() / ((other - other.mean()) ** 2).sum()
        assert noise < most
