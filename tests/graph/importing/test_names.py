"""Layers bear the file's own names as far as it has any; the other exporters' are in their own tests."""

from __future__ import annotations

import numpy as np
import pytest

BODY = (
    "c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w) r = Relu (c) e = GlobalAveragePool (r) "
    "q = Conv (e, s1) z = Conv (q, s2) h = Sigmoid (z) a = Mul (r, h) g = GlobalAveragePool (a) "
    "f = Flatten (g) y = Gemm <transB = 1> (f, m, b)"
)


def named(write, nodes=(), weights=()):
    """The model with these names for its layers, or for their weights."""
    model = write(BODY)
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    for node, name in zip(layers, nodes, strict=False):
        node.name = name
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node, name in zip(layers, weights, strict=False):
        tensors[node.input[1]].name = node.input[1] = name
    return model


def layers(imported):
    return [node.name for node in imported.model.graph if node.op_type in ("Conv", "Gemm")]


CASES = {
    "nothing": ({}, ["conv1", "conv2", "conv3", "classifier"]),
    "counters": ({"nodes": ["Conv_0", "12", "node_conv2d_3", "Gemm_7"]},
                 ["conv1", "conv2", "conv3", "classifier"]),
    "counted weights": ({"weights": ["onnx::Conv_1", "onnx::Conv_2", "val_3", "4"]},
                        ["conv1", "conv2", "conv3", "classifier"]),
    "torch's weights": ({"weights": ["conv_stem.weight", "blocks.0.se.reduce.weight",
                                     "blocks.0.se.expand.weight", "classifier.weight"]},
                        ["conv_stem", "blocks.0.se.reduce", "blocks.0.se.expand", "classifier"]),
    "TensorFlow's weights": ({"weights": [f"net/{n}/kernel/Read/ReadVariableOp:0" for n in "tabc"]},
                             ["t", "a", "b", "c"]),
    "torch scopes": ({"nodes": ["/net/stem/Conv", "/net/se/r/Conv", "/net/se/e/Conv", "/net/f/Gemm"]},
                       ["net.stem", "net.se.r", "net.se.e", "net.f"]),
    "signs that no name has": ({"nodes": ["net/α β/Conv", "net/a:b;c/Conv", "net/../Conv", "net/d/Conv"]},
                               ["α_β", "a_b_c", "conv3", "d"]),
    "the same for two": ({"nodes": ["net/s/Conv", "net/s/Conv_1", "net/t/Conv", "net/u/Gemm"]},
                         ["s", "s.1", "t", "u"]),
    "the same for all": ({"nodes": [f"net/s/{i}" for i in range(4)]}, ["conv1", "conv2", "conv3", "conv4"]),
    "very long": ({"nodes": [f"net/{'s' * 5000}{i}/Conv" for i in range(4)]},
                  [f"{'s' * 79}{i}" for i in range(4)]),
}  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), CASES.values(), ids=CASES)
def test_layers(given, expected, write, imports):
    assert layers(imports(named(write, **given))) == expected


def test_the_rest_is_called_after_the_layer_before(write, imports):
    imported = imports(named(write, weights=["stem.weight", "r.weight", "e.weight", "top.weight"]))
    others = [node.name for node in imported.model.graph if node.op_type not in ("Conv", "Gemm")]
    assert others == [
        *(
            "stem.relu",
            "stem.globalaveragepool",
            "e.sigmoid",
            "stem.mul",
            "stem.globalaveragepool.1",
            "flatten",
        )
    ]


def test_weights_that_were_computed_keep_their_name(write, imports):
    """An exporter's Transpose of the weights is no reason to forget whose they are."""
    random = np.random.default_rng(0).normal(0, 1, (3, 8, 3, 3)).astype(np.float32)
    body = BODY.replace("c = Conv", "w1 = Transpose <perm = [1, 0, 2, 3]> (stem) c = Conv").replace(
        "(x, w)", "(x, w1)"
    )
    model = write(body, stem=random)
    for tensor in model.graph.initializer:
        tensor.name = tensor.name.replace("stem", "stem.kernel")
    model.graph.node[0].input[0] = "stem.kernel"
    assert layers(imports(model))[0] == "stem"
