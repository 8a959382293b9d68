"""Features of networks that are code: their own outputs, whatever nest they return them in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgeeff.errors import GraphError, OptionError
from edgeeff.graph.execute import outputs_of, prepare
from edgeeff.zoo.sources import Asked, program

SIZE = (32, 32)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]


class Net(nn.Module):
    """Maps of strides 4 and 8, and a vector behind the last; ``nest`` puts them together."""

    def __init__(self, nest) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.dense = nn.Linear(16, 6)
        self.nest = nest

    def forward(self, x):
        first = self.first(x)
        second = self.second(first)
        return self.nest(first, second, self.dense(second.mean((2, 3))))


def flat(a, b, c):
    return a, b, c


def named(a, b, c):
    return {"p": [a, b], "vec": nn.functional.normalize(c)}


def graph(source, *taps, module=None):
    asked = Asked(source=source, module=module, taps=taps, size=SIZE, trust=True)
    identity = program.identify(asked, source)
    return program.graph(asked, identity, SIZE)  # held against the network itself


def found(model):
    x = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (1, 3, *SIZE)).astype("float32"))
    return x, {name: value.numpy() for name, value in outputs_of(prepare(model), x).items()}


def traced(path):
    torch.jit.save(torch.jit.trace(Net(flat).eval(), torch.zeros(1, 3, *SIZE)), path)


def exported(path):
    torch.export.save(torch.export.export(Net(flat).eval(), (torch.zeros(1, 3, *SIZE),)), path)


@pytest.mark.parametrize("save", [traced, exported])
def test_outputs_of_an_archive_by_their_strides(save, tmp_path):
    save(tmp_path / "net.pt2")
    x, outputs = found(graph(str(tmp_path / "net.pt2"), "8", "embedding:l2"))
    _, second, vector = Net(flat).eval()(x)
    assert [*outputs] == ["features_8", "embedding"]
    np.testing.assert_allclose(outputs["features_8"], second.detach(), atol=1e-5)
    np.testing.assert_allclose(outputs["embedding"], nn.functional.normalize(vector).detach(), atol=1e-5)


def test_outputs_of_a_module_in_a_nest():
    network = Net(named).eval()
    x, outputs = found(graph("", module=network))
    expected = network(x)
    assert [*outputs] == ["features_4", "features_8", "embedding"]
    for values, own in zip(outputs.values(), (*expected["p"], expected["vec"]), strict=True):
        np.testing.assert_allclose(values, own.detach(), atol=1e-5)


@pytest.mark.parametrize(
    ("nest", "tap", "error", "message"),
    [
        (flat, "16", OptionError, "no output of it is 16"),
        (lambda a, b, c: (a, a * 2, c), "4", OptionError, "2 outputs of it are 4"),
        (lambda a, b, c: (a, c.sum()), "4", GraphError, r"output_1 \[\] for one image"),
        (lambda a, b, c: "text", "4", GraphError, "no tensor"),
    ],
)
def test_outputs_that_are_none_or_not_clear(nest, tap, error, message):
    with pytest.raises(error, match=message) as refused:
        graph("", tap, module=Net(nest).eval())
    assert refused.value.mend
