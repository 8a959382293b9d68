from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch

from edgeeff.graph.export import base_graph
from edgeeff.graph.model import expand_functions, to_bytes


def test_opset_and_signature(b0):
    standard = expand_functions(b0.graph)
    assert {e.domain: e.version for e in standard.opset_import if e.domain == ""} == {"": 17}
    assert standard.ir_version == 8
    (source,), (logits,) = standard.graph.input, standard.graph.output
    assert (source.name, logits.name) == ("input", "logits")
    assert [d.dim_value for d in source.type.tensor_type.shape.dim] == [1, 3, 64, 64]
    assert [d.dim_value for d in logits.type.tensor_type.shape.dim] == [1, 10]
    assert {source.type.tensor_type.elem_type, logits.type.tensor_type.elem_type} == {onnx.TensorProto.FLOAT}
    onnx.checker.check_model(standard, full_check=True)


def test_every_shape_is_known_and_static(networks):
    for network in networks.values():
        for node in network.graph.graph:
            shape = node.outputs[0].shape
            assert shape is not None and all(isinstance(d, int) for d in shape), node.name
            assert shape[0] == 1


def test_what_is_left_after_the_passes(networks):
    for network in networks.values():
        operators = {node.op_type for node in network.graph.graph}
        assert not operators & {"BatchNormalization", "Pad", "Identity", "Constant"}
        for node in network.graph.graph:
            if node.op_type == "Conv":
                assert "pads" in node.attributes and "auto_pad" not in node.attributes
                assert len(node.inputs) == 3 and node.inputs[2].is_initializer()


def test_same_network_same_bytes(make_module, lite0):
    again = to_bytes(base_graph(make_module(lite0.spec), (64, 64)))
    assert again == to_bytes(lite0.graph)
    other = to_bytes(base_graph(make_module(lite0.spec, seed=1), (64, 64)))
    assert other != again


SCRIPT = """
import torch
from edgeeff.graph.export import base_graph
from edgeeff import digests
from edgeeff.graph.model import to_bytes
torch.manual_seed(0)
module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.SiLU(),
                             torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(8, 4))
found = digests.of_bytes(to_bytes(base_graph(module, (16, 16))))
"""


def test_same_bytes_in_another_process():
    """Nothing hangs on the order of a set or on what was exported before."""
    here: dict[str, str] = {}
    exec(SCRIPT, here)
    there = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{SCRIPT}print(found)"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7"},
    )
    assert there.stdout.strip() == here["found"]


@pytest.mark.parametrize("size", [(65, 97), (48, 64)])
def test_sizes_that_are_odd_or_oblong(size, make_module, run_onnx):
    from edgeeff.zoo import catalog, efficientnet

    spec = catalog.get("lite0")
    module = efficientnet.trained(spec, make_module("lite0").state_dict(), size)
    graph = base_graph(module, size)
    x = np.random.default_rng(0).standard_normal((1, 3, *size), np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(x)).numpy()
    assert np.abs(run_onnx(graph, x) - expected).max() <= 1e-4 * np.abs(expected).max()
