from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgeeff.quantization.bias import correct
from edgeeff.quantization.rounding import nearest, weight_scale

CASES = {
    "dense": (6, 8, 3, 1),
    "pointwise": (6, 8, 1, 1),
    "depthwise": (8, 8, 3, 8),
    "two groups": (6, 8, 3, 2),
}


@pytest.mark.parametrize("case", CASES)
def test_restores_the_mean_of_the_output(case):
    outputs, inputs, kernel, groups = CASES[case]
    random = np.random.default_rng(0)
    weight = random.normal(0, 1, (outputs, inputs // groups, kernel, kernel)).astype(np.float32)
    bias = random.normal(0, 1, outputs).astype(np.float32)
    images = torch.from_numpy(random.normal(3, 1, (8, inputs, 6, 6)) * random.uniform(0.1, 4, (inputs, 1, 1)))
    # Each channel constant over the image, so that every tap of a kernel sees its mean.
    images = images.mean((2, 3), keepdim=True).expand(-1, -1, 6, 6)
    mean = images.mean((0, 2, 3)).numpy()
    scale = weight_scale(weight, bias, 0.1, 7)  # coarse, so that there is something to correct
    codes = nearest(weight, scale, 7)
    corrected = correct(weight, codes, scale, bias, mean, groups)

    def means(w, b):
        y = F.conv2d(
            images,
            torch.from_numpy(w.astype(np.float64)),
            torch.from_numpy(b.astype(np.float64)),
            groups=groups,
        )
        return y.mean((0, 2, 3)).numpy()

    expected = means(weight, bias)
    coarse = codes * scale.astype(np.float64).reshape(-1, 1, 1, 1)
    assert np.abs(means(coarse, bias) - expected).max() > 0.05
    np.testing.assert_allclose(means(coarse, corrected), expected, rtol=1e-5, atol=1e-5)
    assert corrected.dtype == np.float32


def test_fully_connected():
    random = np.random.default_rng(1)
    weight, bias = random.normal(0, 1, (5, 20)).astype(np.float32), random.normal(0, 1, 5).astype(np.float32)
    x = random.uniform(0, 3, (100, 20))
    scale = weight_scale(weight, bias, 0.1, 7)
    codes = nearest(weight, scale, 7)
    corrected = correct(weight, codes, scale, bias, x.mean(0), 1)
    found = (x @ (codes * scale[:, None].astype(np.float64)).T + corrected).mean(0)
    np.testing.assert_allclose(found, (x @ weight.T + bias).mean(0), rtol=1e-5, atol=1e-5)


def test_exact_weights_need_no_correction():
    weight = np.array([[127.0, -3.0], [5.0, 127.0]], np.float32)
    bias = np.array([1.0, 2.0], np.float32)
    codes = weight.astype(np.int8)
    np.testing.assert_array_equal(correct(weight, codes, np.ones(2, np.float32), bias, np.ones(2), 1), bias)
