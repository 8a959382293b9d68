"""Segmenters that come as ONNX files, and what quantisation does with logits of pixels."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

from edgeeff.errors import GraphError
from edgeeff.graph.execute import execute, prepare
from edgeeff.quantization.centring import PIXELS, Deciding
from edgeeff.quantization.placement import place
from edgeeff.target import load_scheme
from edgeeff.zoo import catalog, segmentation, sources
from edgeeff.zoo.sources import Asked


class Ending(nn.Module):
    def __init__(self, network, end):
        super().__init__()
        self.network, self.end = network, end

    def forward(self, x):
        return self.end(self.network(x))


ENDINGS = {
    "logits": lambda y: y,
    "softmax": lambda y: torch.softmax(y, 1),
    "argmax": lambda y: torch.argmax(y, 1).to(torch.int32),
}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    own = segmentation.build(catalog.classifier("lite0"), "lraspp", 3, (64, 96))
    for name, value in own.decoder.state_dict().items():
        if value.dim() > 1:
            value.normal_(0, 1.0 if name.startswith("fine") else 0.2)
    return own


def exported(network, path, end):
    torch.onnx.export(
        Ending(network, ENDINGS[end]).eval(),
        (torch.zeros(1, 3, 64, 96),),
        path,
        dynamo=False,
        opset_version=17,
    )
    return str(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("end", ENDINGS)
def test_an_onnx_file_gives_its_logits(network, tmp_path, end):
    asked = Asked(exported(network, tmp_path / "net.onnx", end), by_pixel=True)
    room = sources.room("onnx_file")
    identity = room.identify(asked, asked.source)
    assert (identity.by_pixel, identity.classes, identity.outputs) == (True, 3, ())
    assert identity.ends_in == ("softmax" if end == "softmax" else "")
    assert sources.Identity.from_json(identity.to_json()) == identity
    model = room.graph(asked, identity, (64, 96))
    assert [value.name for value in model.graph.outputs] == ["mask_logits"]
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(execute(prepare(model), x), network(x), atol=1e-3, rtol=1e-3)


def test_a_classifier_is_no_segmenter(tmp_path):
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
            onnx.helper.make_node("Relu", ["y"], ["z"]),
        ],
        "small",
        [onnx.helper.make_tensor_value_info("x", 1, [1, 3, 33, 33])],
        [onnx.helper.make_tensor_value_info("z", 1, [1, 4, 16, 16])],
        [onnx.numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")],
    )
    path = tmp_path / "small.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)
    asked = Asked(str(path), by_pixel=True)
    with pytest.raises(GraphError, match="of the image's size"):
        sources.room("onnx_file").identify(asked, asked.source)


def test_logits_are_added_and_resized_in_float(network):
    """Nothing reads them but the output: a rounding would be for nothing."""
    from edgeeff.graph.export import base_graph

    model: ir.Model = base_graph(network, (64, 96), ["mask_logits"], traced=(64, 96))
    for name in ("openvino", "tensorrt"):
        sites = place(model, load_scheme(name)).sites
        assert not [site for site in sites if "resize" in site.lower() or site == "mask_logits"]
    sites = place(model, load_scheme("tflite")).sites
    assert "mask_logits" not in sites  # the codes before the last Resize are what is put out


def test_what_decides_are_differences_at_each_pixel():
    logits = torch.randn(2, 5, 200, 120)
    of = Deciding()
    found = of({"mask_logits": logits})
    assert found.shape[1] <= 5 * 2 * PIXELS
    torch.testing.assert_close(found, of({"mask_logits": logits + torch.randn(2, 1, 200, 120)}))
    assert not torch.allclose(found, of({"mask_logits": logits + torch.randn(1, 5, 1, 1)}))
