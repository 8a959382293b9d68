"""What torch's two exporters write, at every opset that they can."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgeeff.graph import importing, passes
from edgeeff.graph.execute import execute, prepare
from edgeeff.graph.export import base_graph

PRESERVE = {"training": torch.onnx.TrainingMode.PRESERVE}
DYNAMIC = {"dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}, "input_names": ["x"], "output_names": ["y"]}
DYNAMIC_SIDES = {**DYNAMIC, "dynamic_axes": {"x": {0: "n", 2: "h", 3: "w"}}}


@pytest.mark.parametrize("opset", range(11, 21))
def test_every_opset(opset, small, export, imports):
    activation = nn.ReLU6() if opset % 2 else nn.SiLU()
    imported = imports(export(small(activation, same=opset % 3 == 0), opset=opset))
    assert (imported.size, imported.classes, imported.mean, imported.std) == ((32, 32), 10, None, None)


@pytest.mark.parametrize(
    ("head", "batch", "options"),
    [
        pytest.param("conv", 1, PRESERVE, id="batch norm not folded"),
        pytest.param("mean", 1, {**PRESERVE, "opset": 12, "do_constant_folding": False}, id="nothing folded"),
        pytest.param("linear", None, DYNAMIC, id="any batch"),
        pytest.param("mean", 4, {"batch": 4}, id="batch of four"),
        pytest.param("conv", 3, {"batch": 3, "opset": 13}, id="batch of three"),
        pytest.param("linear", 1, {"keep_initializers_as_inputs": True}, id="initializers are inputs"),
    ],
)
@pytest.mark.parametrize("same", [False, True])
def test_forms(head, batch, options, same, small, export, imports):
    assert imports(export(small(same=same, head=head), **options)).original.batch == batch


def test_sides_left_open(small, export, imports):
    model = export(small(), **DYNAMIC_SIDES)
    imported = imports(model, (48, 40))
    assert (imported.size, imported.original.size) == ((48, 40), None)


@pytest.mark.parametrize(("opset", "same"), [(18, True), pytest.param(21, False, marks=pytest.mark.slow)])
def test_dynamo(opset, same, small, export, imports):
    batch = {"dynamic_shapes": ({0: torch.export.Dim("n", min=1)},)}
    imported = imports(export(small(same=same), opset=opset, batch=2, dynamo=True, **batch))
    assert imported.original.batch is None
    names = [node.name for node in imported.model.graph if node.op_type == "Conv"]
    assert names[:4] == ["stem.conv", "blocks.0.expand.conv", "blocks.0.depthwise.conv", "blocks.0.reduce"]


def test_dynamo_without_optimisation(small, export, imports):
    """Local functions, and batch normalisation and constants as they were traced."""
    imports(export(small(), opset=18, dynamo=True, optimize=False))


@pytest.mark.parametrize("name", ["b0", pytest.param("lite0", marks=pytest.mark.slow)])
def test_our_own_export_comes_back_as_it_is(name, make_module, export):
    module = make_module(name)
    expected = base_graph(module, (64, 64))
    imported = importing.from_proto(export(module, 64, **PRESERVE, input_names=["input"]), "b0.onnx")
    passes.run(imported.model)
    assert [node.name for node in imported.model.graph] == [node.name for node in expected.graph]
    found = imported.model.graph.initializers
    for key, value in expected.graph.initializers.items():
        if value.const_value.size > 1:
            np.testing.assert_array_equal(found[key].const_value.numpy(), value.const_value.numpy())


def test_half_precision(small, export, imports):
    model = export(small().half(), example=torch.zeros(1, 3, 32, 32, dtype=torch.float16))
    assert imports(model, tolerance=5e-3).original.dtype == "float16"


def test_double_precision(small, export):
    """onnxruntime has no such convolution: the module itself tells what is right."""
    module = small().double()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    imported = importing.from_proto(export(module, example=x.double()), "double.onnx")
    assert imported.original.dtype == "float64"
    passes.run(imported.model)
    expected = module(x.double())
    assert (execute(prepare(imported.model), x) - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_softmax_is_cut_off(small, wrapped, export, imports):
    imported = imports(export(wrapped(small(), after=nn.Softmax(-1))))
    assert imported.original.softmax
    assert not imports(export(small())).original.softmax


class TwoLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Linear(8, 5))

    def forward(self, x):
        return self.layers(x)


def test_head_of_several_layers(small, wrapped, export, imports):
    imported = imports(export(wrapped(small(), after=TwoLayers().eval())))
    counts = [node.op_type for node in imported.model.graph]
    assert counts[-4:] == ["Gemm", "Gemm", "Swish", "Gemm"]


class AlsoFeatures(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network.stem(x), self.network(x)


def test_the_output_of_rank_two_is_taken(small, export, imports):
    imported = imports(export(AlsoFeatures(small()), output_names=["features", "scores"]))
    assert imported.original.output == "scores"
