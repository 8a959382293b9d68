"""The sums that GPTQ rounds by are those of what each layer reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from edgeeff.graph.model import constant, ints
from edgeeff.quantization import hessian
from edgeeff.quantization.draft import source_of

LAYERS = {
    "dense": ("y = Conv <pads = [1, 1, 1, 1]> (x, w)", {"w": (5, 4, 3, 3)}),
    "strided, padded at one side": (
        "y = Conv <pads = [0, 0, 1, 1], strides = [2, 2]> (x, w)",
        {"w": (5, 4, 3, 3)},
    ),
    "pointwise": ("y = Conv (x, w)", {"w": (6, 4, 1, 1)}),
    "depthwise": ("y = Conv <group = 4, pads = [2, 2, 2, 2]> (x, w)", {"w": (4, 1, 5, 5)}),
    "depthwise, strided": (
        "y = Conv <group = 4, pads = [0, 0, 1, 1], strides = [2, 2]> (x, w)",
        {"w": (4, 1, 3, 3)},
    ),
    "classifier": (
        "p = GlobalAveragePool (x) f = Flatten (p) y = Gemm <transB = 1> (f, w)",
        {"w": (3, 4)},
    ),
}


def layer_of(model):
    return next(n for n in model.graph if n.op_type in ("Conv", "Gemm"))


def naive(node, value):
    """Σ x xᵀ by writing out every position, zeros of the padding included."""
    if node.op_type == "Gemm":
        rows = value.flatten(1).double()
        return rows.T @ rows
    weight = constant(node.inputs[1])
    top, left, bottom, right = ints(node, "pads", [0, 0, 0, 0])
    padded = F.pad(value, (left, right, top, bottom))
    patches = F.unfold(padded, weight.shape[2:], stride=tuple(ints(node, "strides", [1, 1])))
    if node.attributes.get_int("group", 1) > 1:
        rows = patches.reshape(len(value), value.shape[1], -1, patches.shape[2])
        return torch.einsum("ncap,ncbp->cab", rows.double(), rows.double())
    return torch.einsum("nap,nbp->ab", patches.double(), patches.double())


@pytest.fixture
def images():
    return torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("case", LAYERS)
def test_equals_a_naive_sum(case, graph_of, weights, images, monkeypatch):
    monkeypatch.setattr(hessian, "DEPTHWISE_POSITIONS", 64)  # none is left out
    body, shapes = LAYERS[case]
    model = graph_of(body, **{name: weights(*shape) for name, shape in shapes.items()})
    node = layer_of(model)
    node.name = "layer"
    source = source_of(node)
    done = []
    found = hessian.collect(model, [node], {"layer": source}, images.split(4), done.append)["layer"]
    value = images if source == "x" else images.mean((2, 3), keepdim=True)
    expected = naive(node, value)
    assert found.dtype == torch.float64 and found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    assert done == [4, 2]


def test_large_tensors_are_sampled_evenly(graph_of, weights):
    node = layer_of(graph_of("y = Conv (x, w)", w=weights(2, 1, 1, 1)))
    columns = torch.arange(64.0).expand(1, 1, 64, 64) / 64
    found = hessian._sum(node, columns)
    seen = float(found) / float(columns.square().mean())
    assert hessian.POSITIONS / 3 <= seen <= 1.1 * hessian.POSITIONS
    assert hessian._every(100, 196) == 1 and hessian._every(785, 196) == 3
    for positions in (1, 49, 196, 784, 12544, 150 * 150):
        assert hessian._every(positions, 196) % 2 == 1


def test_layers_that_read_the_same_tensor(graph_of, weights, images):
    model = graph_of(
        "a = Conv (x, w) b = Conv (x, v) y = Add (a, b)", w=weights(3, 4, 1, 1), v=weights(3, 4, 1, 1)
    )
    nodes = [n for n in model.graph if n.op_type == "Conv"]
    for number, node in enumerate(nodes):
        node.name = f"layer {number}"
    sources = {str(node.name): "x" for node in nodes}
    found = hessian.collect(model, nodes, sources, [images])
    assert torch.equal(found["layer 0"], found["layer 1"])


@pytest.mark.parametrize("network", ["lite0", "b0"])
@pytest.mark.parametrize("held", [0, 10 << 20, 1 << 40])
def test_turns_cover_each_layer_once_and_fit(network, held, networks, finished, monkeypatch):
    monkeypatch.setattr(hessian, "HELD", held)
    draft = finished(network, "openvino")
    wanted = [str(node.name) for node in draft.layer_nodes()]
    groups = hessian.turns(draft.layer_nodes())
    assert [str(node.name) for group in groups for node in group] == wanted
    for group in groups:
        size = sum(hessian._bytes(node) for node in group)
        assert size <= held or len(group) == 1
    assert len(groups) == {0: len(wanted), 1 << 40: 1}.get(held, len(groups))
    assert held != 10 << 20 or 1 < len(groups) < len(wanted)


def test_bytes_are_those_of_the_sums(b0, begun, finished):
    draft = finished("b0", "openvino")
    nodes = [n for n in draft.layer_nodes() if str(n.name).startswith(("stem.", "blocks.0.", "classifier"))]
    sources = {str(n.name): source_of(n) for n in nodes}
    x = torch.from_numpy(b0.preprocess.normalise(b0.images[:2]))
    found = hessian.collect(draft.model, nodes, sources, [x])
    assert len(nodes) == 4
    for node in nodes:
        sums = found[str(node.name)]
        assert hessian._bytes(node) == sums.numel() * 8
        # One float32 product, which some processors sum in another order on either side of the diagonal.
        torch.testing.assert_close(sums, sums.mT, rtol=1e-5, atol=1e-5)
        assert np.all(torch.diagonal(sums, dim1=-2, dim2=-1).numpy() >= 0)
