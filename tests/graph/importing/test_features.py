"""Features of a file: which tensors become outputs, their names, and that they are the file's own."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from edgeeff.errors import EdgeeffError, GraphError, OptionError
from edgeeff.graph import importing, passes
from edgeeff.graph.execute import outputs_of, prepare
from edgeeff.graph.importing import comparing
from edgeeff.graph.outputs import outputs_of as outputs_by_task
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import catalog, efficientnet


class _Net(nn.Module):
    """A map at stride 8, one at 16 channels last, and an embedding behind a dense layer."""

    def __init__(self, unit: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = efficientnet.build(catalog.get("lite0"), 0, (64, 64), taps=("8", "16", "embedding"))
        self.dense = nn.Linear(1280, 12)
        self.unit = unit
        for value in self.state_dict().values():
            if value.dim() == 4:
                nn.init.kaiming_normal_(value)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first, second, pooled = self.body(x)
        vector = self.dense(pooled)
        return first, second.permute(0, 2, 3, 1), nn.functional.normalize(vector) if self.unit else vector


@pytest.fixture(scope="module", params=[False, True])
def path(request, tmp_path_factory):
    file = tmp_path_factory.mktemp("features") / "net.onnx"
    with pytest.warns(Warning):
        torch.onnx.export(
            *(_Net(request.param).eval(), torch.zeros(1, 3, 64, 64), str(file)),
            **{
                "input_names": ["x"],
                "output_names": ["c3", "c4", "vector"],
                "opset_version": 17,
                "dynamo": False,
            },
        )
    return file


def test_all_outputs_of_a_file(path):
    imported = importing.read(path, None, ())
    graph = imported.model
    passes.run(graph)
    shapes = {str(value.name): tuple(value.shape) for value in graph.graph.outputs}
    assert shapes == {"features_8": (1, 40, 8, 8), "features_16": (1, 112, 4, 4), "embedding": (1, 12)}
    preprocess = Preprocess(size=(64, 64), mean=(127.0,) * 3, std=(128.0,) * 3)
    assert comparing.with_file(imported, path, preprocess) < 1e-3
    x = np.random.default_rng(0).normal(0, 1, (1, 3, 64, 64)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    first, second, vector = session.run(None, {"x": x})
    found = {name: value.numpy() for name, value in outputs_of(prepare(graph), torch.from_numpy(x)).items()}
    length = np.linalg.norm(found["embedding"])
    expected = {"features_8": first, "features_16": second.transpose(0, 3, 1, 2), "embedding": vector}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4 * np.abs(value).max())
    (embedding,) = (
        output for output in outputs_by_task(ir.to_proto(graph), "features") if output.name == "embedding"
    )
    assert embedding.divided == (abs(length - 1) < 1e-4)
    assert not imported.original.ending.warnings


def test_a_vector_is_divided_by_its_length_where_asked(path):
    preprocess = Preprocess(size=(64, 64), mean=(127.0,) * 3, std=(128.0,) * 3)
    imported = importing.read(path, None, ("vector:l2",))
    passes.run(imported.model)
    assert comparing.with_file(imported, path, preprocess) < 1e-3
    assert [node.op_type for node in imported.model.graph].count("LpNormalization") == 1
    found = outputs_of(prepare(imported.model), torch.from_numpy(np.ones((1, 3, 64, 64), np.float32)))
    assert np.linalg.norm(found["embedding"].numpy()) == pytest.approx(1, abs=1e-5)


def test_a_map_that_is_normalised_is_put_out_as_it_is_before(path, tmp_path):
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("LpNormalization", ["c3"], ["unit"], axis=1))
    onnx.save(model, tmp_path / "map.onnx")
    imported = importing.read(tmp_path / "map.onnx", None, ("unit",))
    passes.run(imported.model)
    assert "divides features_8 by its length" in imported.original.ending.warnings[0]
    preprocess = Preprocess(size=(64, 64), mean=(127.0,) * 3, std=(128.0,) * 3)
    assert comparing.with_file(imported, tmp_path / "map.onnx", preprocess) < 1e-3


def test_named_tensors_and_nothing_behind_them(path):
    imported = importing.read(path, None, ("c3",))
    passes.run(imported.model)
    assert [value.name for value in imported.model.graph.outputs] == ["features_8"]
    layers = [node.name for node in imported.model.graph if node.op_type in ("Conv", "Gemm")]
    assert not any("blocks.5." in str(name) for name in layers) and len(layers) < 20


def test_a_file_that_was_changed_is_not_taken_for_the_same(path, tmp_path):
    model = onnx.load(path)
    imported = importing.read(path, None, ())
    passes.run(imported.model)
    for tensor in model.graph.initializer:
        if list(tensor.dims)[:1] == [40]:
            array = onnx.numpy_helper.to_array(tensor) * 1.1
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float32), tensor.name))
    onnx.save(model, tmp_path / "other.onnx")
    preprocess = Preprocess(size=(64, 64), mean=(127.0,) * 3, std=(128.0,) * 3)
    with pytest.raises(GraphError, match="computes something else"):
        comparing.with_file(imported, tmp_path / "other.onnx", preprocess)


@pytest.mark.parametrize(
    ("taps", "told"),
    [
        (("c5",), "no tensor 'c5'"),
        (("c5:l2",), "no tensor 'c5'"),
        (("x",), "no tensor 'x'"),
        (("c3", "c3"), "one tensor"),
        (("c3:l2",), "is a map"),
    ],
)
def test_taps_that_are_none(taps, told, path):
    with pytest.raises((OptionError, GraphError), match=told) as refused:
        importing.read(path, None, taps)
    assert isinstance(refused.value, EdgeeffError) and refused.value.mend
