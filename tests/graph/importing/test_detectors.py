"""Detectors' files: raw heads in every form that exporters give them, and what is no EfficientDet."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torch.nn import functional as F

from edgeeff.detection.geometry import Geometry
from edgeeff.errors import GraphError, OptionError
from edgeeff.graph import importing, passes
from edgeeff.graph.execute import outputs_of, prepare
from edgeeff.graph.importing import comparing
from edgeeff.preprocess import Preprocess
from edgeeff.zoo.sources import Asked, onnx_file

CLASSES, SIZE = 3, 256
PLAIN = Preprocess(size=(SIZE, SIZE), mean=(127.5,) * 3, std=(127.5,) * 3, letterbox=(127.5,) * 3)


class Tiny(nn.Module):
    """Five levels, one weighted fusion written as a stack, and two heads, as effdet has them."""

    def __init__(self, wide=64, classes=CLASSES):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, wide, 3, 8, 1)
        self.weights = nn.Parameter(torch.tensor([0.7, 1.3]))
        self.depthwise = nn.Conv2d(wide, wide, 3, 1, 1, groups=wide)
        self.classes, self.boxes = nn.Conv2d(wide, 9 * classes, 1), nn.Conv2d(wide, 36, 1)
        self.count = classes

    def forward(self, x):
        levels = [F.hardtanh(self.stem(x), 0.0, 6.0)]
        for _ in range(4):
            padded = F.pad(levels[-1], (0, 1, 0, 1), value=-torch.inf)
            levels.append(F.max_pool2d(padded, 3, 2))
        weights = torch.relu(self.weights) / (torch.relu(self.weights).sum() + 1e-4)
        up = F.interpolate(levels[1], scale_factor=2.0, mode="nearest")
        levels[0] = torch.stack([levels[0] * weights[0], up * weights[1]], dim=-1).sum(dim=-1)
        deep = [F.hardtanh(self.depthwise(level), 0.0, 6.0) for level in levels]
        return [self.classes(d) for d in deep], [self.boxes(d) for d in deep]


def joined(maps, last):
    return torch.cat([m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, last) for m in maps], 1)


FORMS = {
    "maps": lambda c, b, n: (*c, *b),
    "level by level": lambda c, b, n: tuple(m for pair in zip(c, b, strict=True) for m in pair),
    "channels last": lambda c, b, n: tuple(m.permute(0, 2, 3, 1) for m in (*c, *b)),
    "boxes first": lambda c, b, n: (*b, *c),
    "joined": lambda c, b, n: (joined(c, n), joined(b, 4)),
    "sigmoid": lambda c, b, n: (joined(b, 4), joined(c, n).sigmoid()),
    "with features": lambda c, b, n: (c[0], joined(b, 4), joined([m.sigmoid() for m in c], n)),
}


class Formed(nn.Module):
    def __init__(self, network, form):
        super().__init__()
        self.network, self.form = network, form

    def forward(self, x):
        return FORMS[self.form](*self.network(x), self.network.count)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """``exported(form, **network)``: the file of a network in a form, and the network."""
    made = {}

    def export(form, **network):
        key = form, *network.items()
        if key not in made:
            net = Tiny(**network).eval()
            path = tmp_path_factory.mktemp("detectors") / "net.onnx"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    *(Formed(net, form), torch.zeros(1, 3, SIZE, SIZE), str(path)),
                    opset_version=17,
                    dynamo=False,
                )
            made[key] = path, net
        return made[key]

    return export


@pytest.mark.parametrize("form", FORMS)
def test_heads_become_logits_and_codes_in_the_order_of_anchors(form, exported):
    path, net = exported(form)
    imported = importing.read(path)
    passes.run(imported.model)
    heads = imported.original.heads
    assert heads is not None and heads.warnings == ()
    assert (imported.classes, heads.features, heads.geometry) == (CLASSES, 64, Geometry((SIZE, SIZE)))
    assert heads.sigmoid == (form in ("sigmoid", "with features"))
    # The stack is sums, the padding of no value is max-pooling's.
    kinds = {node.op_type for node in imported.model.graph}
    assert kinds == {"Conv", "Clip", "MaxPool", "Mul", "Add", "Resize", "Transpose", "Reshape", "Concat"}
    x = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    found = outputs_of(prepare(imported.model), x)
    with torch.inference_mode():
        classes, boxes = net(x)
    assert torch.allclose(found["class_logits"], joined(classes, CLASSES), atol=1e-5)
    assert torch.allclose(found["box_codes"], joined(boxes, 4), atol=1e-5)
    assert comparing.with_file(imported, path, PLAIN) < 1e-5


def test_an_order_of_anchors_of_its_own_is_noticed(tmp_path, exported):
    """Outputs put together anchor by anchor and then place by place: the same shapes, other boxes."""
    path, _ = exported("joined")
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "Transpose" and [*node.attribute[0].ints] == [0, 2, 3, 1]:
            node.attribute[0].ints[:] = [0, 3, 2, 1]
    del model.graph.value_info[:]
    onnx.save(model, tmp_path / "net.onnx")
    imported = importing.read(tmp_path / "net.onnx")
    passes.run(imported.model)
    with pytest.raises(GraphError, match="something else"):
        comparing.with_file(imported, tmp_path / "net.onnx", PLAIN)


def test_four_classes_have_as_many_channels_as_boxes(exported):
    """A sigmoid or a name tells the heads apart; where there is neither, that is said."""
    path, _ = exported("sigmoid", wide=8, classes=4)
    assert importing.read(path).original.heads.warnings == ()
    named, _ = exported("maps", wide=8, classes=4)
    assert importing.read(named).original.heads.warnings == ()  # by its tensors: /network/boxes/Conv
    model = onnx.load(named)
    for node in model.graph.node:
        node.name = node.name.replace("boxes", "second")
    (warning,) = importing.from_proto(model, "net.onnx").original.heads.warnings
    assert "four classes" in warning


def graph_of(outputs):
    """A file with one convolution, which its outputs are put together of."""
    most = max(int(np.prod(shape)) for shape in outputs.values()) // 4
    weight = helper.make_tensor("w", TensorProto.FLOAT, [most, 3, 2, 2], np.zeros(most * 12))
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], strides=[2, 2])]
    for name in outputs:
        nodes.append(helper.make_node("Neg", ["y"], [name]))
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    graph = helper.make_graph(nodes, "net", [image], values, [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize(
    ("outputs", "match"),
    [
        ({"output0": (1, 84, 8400)}, r"a YOLO, by its output \[1, 84, 8400\]"),
        ({"logits": (1, 100, 92), "pred_boxes": (1, 100, 4)}, "a DETR"),
        ({"scores": (1, 8732, 4), "boxes": (1, 8732, 4)}, "not put together of maps"),
    ],
)
def test_other_detectors_say_what_they_are(outputs, match):
    with pytest.raises(GraphError, match=match) as caught:
        importing.from_proto(graph_of(outputs), "net.onnx")
    assert "EfficientDet alone" in caught.value.what and "DetBenchPredict" in caught.value.mend


def test_boxes_made_inside_are_refused_with_the_way_out(exported):
    model = onnx.load(exported("joined")[0])
    model.graph.node.append(helper.make_node("NonMaxSuppression", ["boxes", "scores"], ["kept"], name="nms"))
    with pytest.raises(GraphError, match=r"makes boxes itself, by .*nms") as caught:
        importing.from_proto(model, "net.onnx")
    assert "export the network alone" in caught.value.mend


def test_a_sigmoid_of_boxes_is_not_dropped(exported):
    model = onnx.load(exported("maps")[0])
    last = model.graph.output[-1].name
    for node in model.graph.node:
        node.output[:] = ["before" if name == last else name for name in node.output]
    model.graph.node.append(helper.make_node("Sigmoid", ["before"], [last]))
    with pytest.raises(GraphError, match="Sigmoid of its box maps"):
        importing.from_proto(model, "net.onnx")


def test_tensors_put_together_of_themselves_end(exported):
    model = onnx.load(exported("joined")[0])
    first, second = (value.name for value in model.graph.output)
    for node in model.graph.node:
        if node.op_type == "Concat" and node.output[0] in (first, second):
            node.input[:] = [first, second, first, second, first]
    with pytest.raises(GraphError):
        importing.from_proto(model, "net.onnx")


def test_levels_that_are_not_halves_of_each_other_are_refused(exported):
    with pytest.raises(GraphError, match=r"levels|another size"):
        importing.read(exported("maps")[0], (200, 200))


def test_what_a_graph_says_of_pixels_and_anchors(exported, tmp_path):
    path = str(exported("joined")[0])
    found = onnx_file.identify(Asked(source=path), path)
    assert (found.model, found.classes, found.labels) == ("efficientdet-lite0", CLASSES, None)
    assert found.geometry == Geometry((SIZE, SIZE), scale=3.0)
    assert found.preprocess == replace(PLAIN, crop=1.0, interpolation="bilinear")
    (warning,) = found.warnings
    assert "--mean and --std" in warning and any("--anchor-scale" in text for text in found.assumed)
    with pytest.raises(OptionError, match="no efficientdet-d1"):
        onnx_file.identify(Asked(source=path, model="efficientdet-d1"), path)
    with pytest.raises(OptionError, match="b0 is a classifier"):
        onnx_file.identify(Asked(source=path, model="b0"), path)
    strange = str(exported("joined", wide=8)[0])
    assert "no detector of the zoo" in onnx_file.identify(Asked(source=strange), strange).warnings[0]
