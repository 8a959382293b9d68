"""Replaced heads compute what the modules compute that they came from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgeeff.zoo import heads

FEATURES, CLASSES = 12, 5


def lively(module):
    random = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=random)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.7, generator=random)
    return module.eval()


def straightened(module, prefix="classifier."):
    state = {prefix + key: value for key, value in module.state_dict().items() if "num_batches" not in key}
    return heads.straighten(state)


def run(head, x):
    i = 0
    while f"hidden.{i}.weight" in head.tensors:
        x = torch.relu(
            nn.functional.linear(x, head.tensors[f"hidden.{i}.weight"], head.tensors[f"hidden.{i}.bias"])
        )
        i += 1
    return nn.functional.linear(x, head.tensors["classifier.weight"], head.tensors["classifier.bias"])


def linear(inputs, outputs, bias=True):
    return nn.Linear(inputs, outputs, bias)


HEADS = {
    "linear": lambda: nn.Sequential(linear(FEATURES, CLASSES)),
    "dropout, linear": lambda: nn.Sequential(nn.Dropout(0.2), linear(FEATURES, CLASSES)),
    "no bias": lambda: nn.Sequential(nn.Dropout(0.2), linear(FEATURES, CLASSES, bias=False)),
    "two layers": lambda: nn.Sequential(linear(FEATURES, 8), nn.ReLU(), nn.Dropout(0.5), linear(8, CLASSES)),
    "three layers": lambda: nn.Sequential(
        linear(FEATURES, 9), nn.ReLU(), linear(9, 7), nn.ReLU(), linear(7, CLASSES)
    ),
    "nothing between": lambda: nn.Sequential(linear(FEATURES, 8), linear(8, CLASSES)),
    "norm before the activation": lambda: nn.Sequential(
        linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), linear(8, CLASSES)
    ),
    "norm after the activation": lambda: nn.Sequential(
        linear(FEATURES, 8), nn.ReLU(inplace=True), nn.BatchNorm1d(8), nn.Dropout(0.5), linear(8, CLASSES)
    ),
    "norm first": lambda: nn.Sequential(nn.BatchNorm1d(FEATURES), nn.Dropout(0.2), linear(FEATURES, CLASSES)),
    "norms everywhere": lambda: nn.Sequential(
        nn.BatchNorm1d(FEATURES),
        nn.Dropout(0.2),
        linear(FEATURES, 8, bias=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(8),
        nn.Dropout(0.5),
        linear(8, CLASSES),
        nn.BatchNorm1d(CLASSES, affine=False),
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_head_computes_what_its_module_computes(name):
    module = lively(HEADS[name]())
    head = straightened(module)
    x = torch.randn(6, FEATURES, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(x)
        torch.testing.assert_close(run(head, x), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.1


def test_what_is_assumed_is_said():
    assert straightened(HEADS["dropout, linear"]()).assumed == ()
    assert straightened(HEADS["nothing between"]()).assumed == ()
    assert straightened(HEADS["two layers"]()).assumed == ("a ReLU after the hidden layer of the head",)
    assert straightened(HEADS["three layers"]()).assumed == ("a ReLU after each hidden layer of the head",)


def test_plain_classifier_is_left_alone():
    tensors = {"classifier.weight": torch.ones(2, 3), "classifier.bias": torch.ones(2)}
    assert heads.straighten(tensors).tensors.keys() == tensors.keys()


@pytest.mark.parametrize(
    ("tensors", "complaint"),
    [
        (
            {"classifier.0.weight": torch.ones(4, 3), "classifier.2.weight": torch.ones(2, 5)},
            "reads 5 features",
        ),
        ({"classifier.0.weight": torch.ones(4, 3, 1, 1)}, "neither Linear nor BatchNorm1d"),
        ({"classifier.1.running_mean": torch.ones(4)}, "without its variance"),
        (
            {"classifier.1.running_mean": torch.ones(4), "classifier.1.running_var": torch.ones(4)},
            "without a Linear",
        ),
        (
            {
                "classifier.0.running_mean": torch.ones(4),
                "classifier.0.running_var": torch.ones(4),
                "classifier.1.weight": torch.ones(2, 3),
            },
            "does not fit the Linear after it",
        ),
        (
            {
                "classifier.0.weight": torch.ones(2, 3),
                "classifier.1.running_mean": torch.ones(4),
                "classifier.1.running_var": torch.ones(4),
            },
            "does not fit the Linear before it",
        ),
    ],
)
def test_layers_that_make_no_head(tensors, complaint):
    with pytest.raises(heads.HeadError, match=complaint):
        heads.straighten(tensors)
