"""Straightened heads compute what the modules compute that they came from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgeeff.zoo import heads
from edgeeff.zoo.efficientnet import ACTIVATIONS as OURS
from edgeeff.zoo.heads import Layer

FEATURES, CLASSES = 12, 5
KINDS = {
    nn.Linear: "linear",
    nn.BatchNorm1d: "norm",
    nn.ReLU: "relu",
    nn.ReLU6: "relu6",
    nn.SiLU: "swish",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.Hardsigmoid: "hard_sigmoid",
    nn.Hardtanh: "hard_tanh",
    nn.LeakyReLU: "leaky_relu",
    nn.PReLU: "prelu",
    nn.Dropout: "dropout",
    nn.Identity: "identity",
    nn.GELU: "gelu",
}


def lively(module):
    random = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=random)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.7, generator=random)
    return module.eval()


def layers_of(module):
    return [
        Layer(
            KINDS[type(layer)],
            {key: value for key, value in layer.state_dict().items() if "num_batches" not in key},
            epsilon=getattr(layer, "eps", 0.5),
            slope=getattr(layer, "negative_slope", 0.5),
            name=name,
        )
        for name, layer in module.named_children()
    ]


def run(head, x):
    for i, activation in enumerate(head.activations):
        y = nn.functional.linear(x, head.tensors[f"hidden.{i}.weight"], head.tensors[f"hidden.{i}.bias"])
        x = OURS[activation](y)
    return nn.functional.linear(x, head.tensors["classifier.weight"], head.tensors["classifier.bias"])


def linear(inputs, outputs, bias=True):
    return nn.Linear(inputs, outputs, bias)


ACTIVATIONS = {
    "relu": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(),
    "swish": nn.SiLU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "hard sigmoid": nn.Hardsigmoid(),
    "hard tanh": nn.Hardtanh(),
    "leaky": nn.LeakyReLU(0.3),
    "prelu": nn.PReLU(),
    "prelu of channels": nn.PReLU(8),
}
HEADS = {
    "linear": [linear(FEATURES, CLASSES)],
    "dropout, linear": [nn.Dropout(0.2), linear(FEATURES, CLASSES)],
    "no bias": [nn.Dropout(0.2), linear(FEATURES, CLASSES, bias=False)],
    "three layers": [linear(FEATURES, 9), nn.ReLU(), linear(9, 7), nn.Tanh(), linear(7, CLASSES)],
    "nothing between": [linear(FEATURES, 8), nn.Identity(), linear(8, CLASSES)],
    "norm first": [nn.BatchNorm1d(FEATURES), nn.Dropout(0.2), linear(FEATURES, CLASSES)],
    "norm last": [linear(FEATURES, CLASSES), nn.BatchNorm1d(CLASSES)],
    "activation first": [nn.ReLU(), linear(FEATURES, CLASSES)],
    "norm and activation first": [nn.BatchNorm1d(FEATURES, eps=0.01), nn.SiLU(), linear(FEATURES, CLASSES)],
    "two activations": [linear(FEATURES, 8), nn.LeakyReLU(), nn.Sigmoid(), linear(8, CLASSES)],
    "norms everywhere": [
        nn.BatchNorm1d(FEATURES),
        nn.Dropout(0.2),
        linear(FEATURES, 8, bias=False),
        nn.ReLU(inplace=True),
        nn.BatchNorm1d(8),
        nn.Dropout(0.5),
        linear(8, CLASSES),
        nn.BatchNorm1d(CLASSES, affine=False),
    ],
}
for _name, _activation in ACTIVATIONS.items():
    HEADS[_name] = [linear(FEATURES, 8), _activation, linear(8, CLASSES)]
    HEADS[f"norm, {_name}"] = [linear(FEATURES, 8), nn.BatchNorm1d(8), _activation, linear(8, CLASSES)]
    HEADS[f"{_name}, norm"] = [linear(FEATURES, 8), _activation, nn.BatchNorm1d(8), linear(8, CLASSES)]


@pytest.mark.parametrize("name", HEADS)
def test_head_computes_what_its_module_computes(name):
    module = lively(nn.Sequential(*HEADS[name]))
    head = heads.straighten(layers_of(module))
    x = torch.randn(6, FEATURES, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(x.clone())
        torch.testing.assert_close(run(head, x), expected, rtol=1e-4, atol=1e-5)
    assert expected.std() > 0.1


def test_one_linear_keeps_its_bits():
    module = lively(nn.Sequential(linear(FEATURES, CLASSES)))
    head = heads.straighten(layers_of(module))
    assert head.activations == ()
    assert torch.equal(head.tensors["classifier.weight"], module[0].weight)
    assert torch.equal(head.tensors["classifier.bias"], module[0].bias)


def weight(*shape):
    return {"weight": torch.ones(*shape)}


def norm(width):
    return {"running_mean": torch.ones(width), "running_var": torch.ones(width)}


@pytest.mark.parametrize(
    ("layers", "complaint"),
    [
        ([Layer("linear", weight(4, 3)), Layer("linear", weight(2, 5), name="b")], r"b \(linear\) reads 5"),
        ([Layer("linear", weight(4, 3, 1, 1), name="a")], r"a \(linear\) is no Linear: it holds weight"),
        ([Layer("linear", norm(4))], "is no Linear"),
        ([Layer("linear", weight(4, 3) | {"bias": torch.ones(3)})], "weight and bias do not fit each other"),
        ([Layer("norm", weight(4)), Layer("linear", weight(4, 4))], "without its mean or variance"),
        ([Layer("norm", norm(4))], "without a Linear"),
        ([Layer("relu")], "without a Linear"),
        ([], "without a Linear"),
        ([Layer("norm", norm(4)), Layer("linear", weight(2, 3))], "reads 3 features where the layer before"),
        ([Layer("linear", weight(2, 3)), Layer("norm", norm(4))], "does not fit the 2 features before it"),
        ([Layer("linear", weight(2, 3)), Layer("prelu", weight(4))], "does not fit the 2 features before it"),
        ([Layer("linear", weight(2, 3)), Layer("relu", name="act")], r"ends in act \(relu\)"),
        ([Layer("linear", weight(2, 3)), Layer("gelu", name="act"), Layer("linear", weight(2, 2))],
         r"act \(gelu\) cannot be kept"),
        ([Layer("layer_norm", norm(3)), Layer("linear", weight(2, 3))], r"the layer_norm cannot be kept"),
    ],
)  # fmt: skip
def test_layers_that_make_no_head(layers, complaint):
    with pytest.raises(heads.HeadError, match=complaint):
        heads.straighten(layers)
