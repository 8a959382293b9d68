"""Each form in which exporters write a part of the network, at the opsets where it differs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

STEM = "c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w)"
POOL = "g = GlobalAveragePool (a) f = Flatten (g)"
DENSE = "y = Gemm <transB = 1> (f, m, b)"
LAST = "y = MatMul (f, mt)"
NHWC = "t = Transpose <perm = [0, 2, 3, 1]> (c)"
BACK = "a = Transpose <perm = [0, 3, 1, 2]> (u)"


def ints(*values):
    return np.asarray(values, np.int64)


def scalar(value):
    return np.asarray(value, np.float32)


def form(body, expected, opset=17, **constants):
    """What stands in the file, and what is to become of it beside stem, pool, Flatten and Gemm."""
    return pytest.param(body, expected, opset, constants, id=f"{opset}: {body[:60]}")


ACTIVATIONS = [
    form("a = Relu (c)", "Relu"),
    form("s = Sigmoid (c) a = Mul (c, s)", "Swish"),
    form("s = Sigmoid (c) a = Mul (s, c)", "Swish"),
    form("e = Mul (c, one) s = Sigmoid (e) a = Mul (c, s)", "Swish", one=scalar(1)),
    form("a = Clip (c, low, high)", "Clip", 11, low=scalar(0), high=scalar(6)),
    form("l = Constant <value_float = 0.0> () a = Clip (c, l, high)", "Clip", 13, high=scalar(6)),
    form("r = Relu (c) a = Min (r, high)", "Clip", high=scalar(6)),
    form("r = Relu (c) a = Clip (r, , high)", "Clip", high=scalar(6)),
    form("r = Min (high, c) a = Relu (r)", "Clip", high=scalar(6)),
    form("r = Max (c, low) a = Min (r, high)", "Clip", low=scalar(0), high=np.full((1, 1, 1, 1), 6, "f")),
    form("r = Relu (c) a = Clip (r, low, top)", "Relu", low=scalar(-np.inf), top=scalar(np.inf)),
    form("r = Relu (c) q = Relu (r) a = Min (q, high)", "Clip", high=scalar(6)),
]
NORMS = [
    form("a = BatchNormalization <epsilon = 0.001> (c, p, k, k, p)", "", 11),
    form("a = BatchNormalization <epsilon = 0.001> (c, p, k, k, p)", "", 15),
    form("e = Mul (c, k1) a = Add (e, k1)", ""),
    form("e = Sub (c, k1) h = Div (e, k1) i = Mul (h, k1) a = Sub (i, k1)", ""),
    form("e = Add (k1, c) a = BatchNormalization (e, p, k, k, p)", ""),
    form("e = BatchNormalization (c, p, k, k, p) a = Mul (e, k1)", ""),
    form("e = Sub (k1, c) a = Neg (e)", ""),
    form(f"{NHWC} e = Mul (t, k) u = Add (k_last, e) {BACK}", ""),
    form(f"{NHWC} e = Sub (t, k) i = Add (p, eps) r = Sqrt (i) q = Div (k, r) u = Mul (e, q) {BACK}", "",
         eps=scalar(0.001)),
    form("e = Add (c, zero) a = Mul (e, one)", "", zero=scalar(0), one=np.ones((1, 8, 1, 1), np.float32)),
    form("o = Identity (c) e = Dropout (o) a = Cast <to = 1> (e)", "", 12),
    form("e = Add (c, k1) r = Relu (c) a = Add (e, r)", "Add Relu Add"),
]  # fmt: skip
EXCITE = [
    form("e = GlobalAveragePool (c) r = Conv (e, s1) h = Relu (r) q = Conv (h, s2, k) z = Sigmoid (q) "
         "a = Mul (c, z)",
         "GlobalAveragePool Conv Relu Conv Sigmoid Mul"),
    form("e = ReduceMean <axes = [2, 3]> (c) r = Conv (e, s1, b4) q = Conv (r, s2) z = Sigmoid (q) "
         "a = Mul (z, c)",
         "GlobalAveragePool Conv Conv Sigmoid Mul", 13),
    form("e = ReduceMean (c, ax) r = Conv (e, s1) q = Conv (r, s2) z = Sigmoid (q) a = Mul (c, z)",
         "GlobalAveragePool Conv Conv Sigmoid Mul", 18, ax=ints(-1, -2)),
    form("e = ReduceMean <axes = [2, 3], keepdims = 0> (c) r = MatMul (e, t1) i = Add (r, b4) h = Relu (i) "
         "q = Gemm (h, t2, k) z = Sigmoid (q) v = Reshape (z, sh) a = Mul (c, v)",
         "GlobalAveragePool Conv Relu Conv Sigmoid Mul", 13, sh=ints(-1, 8, 1, 1)),
    form("e = GlobalAveragePool (c) l = Flatten (e) r = Gemm <alpha = 0.5, beta = 2.0> (l, t1, b4) "
         "q = MatMul (r, t2) z = Sigmoid (q) o = Unsqueeze <axes = [2, 3]> (z) a = Mul (c, o)",
         "GlobalAveragePool Conv Conv Sigmoid Mul", 11),
    form("e = GlobalAveragePool (c) l = Squeeze (e, ax) r = MatMul (l, t1) q = MatMul (r, t2) "
         "z = Sigmoid (q) o = Unsqueeze (z, ax) a = Mul (c, o)",
         "GlobalAveragePool Conv Conv Sigmoid Mul", 13, ax=ints(2, 3)),
    form("e = AveragePool <kernel_shape = [16, 16]> (c) r = Conv (e, s1) q = Conv (r, s2) z = Sigmoid (q) "
         "a = Mul (c, z)", "GlobalAveragePool Conv Conv Sigmoid Mul"),
    form(f"{NHWC} e = ReduceMean <axes = [1, 2], keepdims = 0> (t) v = Reshape (e, sh) "
         "h = Transpose <perm = [0, 3, 1, 2]> (v) r = Conv (h, s1) q = Conv (r, s2) z = Sigmoid (q) "
         f"i = Transpose <perm = [0, 2, 3, 1]> (z) u = Mul (t, i) {BACK}",
         "GlobalAveragePool Conv Conv Sigmoid Mul", 13, sh=ints(0, 1, 1, 8)),
    form(f"{NHWC} e = ReduceMean <axes = [1, 2], keepdims = 1> (t) r = MatMul (e, t1) i = Add (r, b4) "
         f"q = MatMul (i, t2) z = Sigmoid (q) u = Mul (t, z) {BACK}",
         "GlobalAveragePool Conv Conv Sigmoid Mul", 13),
    form("n = Shape (c) i = Gather (n, first) j = Concat <axis = 0> (i, sh) v = Reshape (c, j) "
         "e = ReduceMean <axes = [-1]> (v) h = Reshape (e, four) r = Conv (h, s1) q = Conv (r, s2) "
         "z = Sigmoid (q) a = Mul (c, z)",
         "GlobalAveragePool Conv Conv Sigmoid Mul", first=ints(0), sh=ints(8, -1), four=ints(0, 0, 1, 1)),
]  # fmt: skip
PADDED = "pads = [2, 2, 2, 2], strides = [2, 2], group = 8"
DEPTHWISE = [
    form(f"a = Conv <{PADDED}> (c, d, k)", "Conv"),
    form("a = Conv <auto_pad = \"SAME_UPPER\", strides = [2, 2], group = 8> (c, d)", "Conv"),
    form("a = Conv <auto_pad = \"SAME_LOWER\", strides = [2, 2], group = 8> (c, d)", "Conv"),
    form("a = Conv <auto_pad = \"VALID\", group = 8, kernel_shape = [5, 5]> (c, d)", "Conv"),
    form("a = Conv <pads = [4, 4, 4, 4], dilations = [2, 2], group = 8> (c, d)", "Conv"),
    form("e = Pad (c, pads) a = Conv <group = 8, strides = [2, 2]> (e, d)", "Conv", 11,
         pads=ints(0, 0, 1, 1, 0, 0, 2, 2)),
    form("e = Pad <mode = \"constant\"> (c, pads, z) a = Conv <group = 8, strides = [2, 2]> (e, d)", "Conv",
         13, pads=ints(0, 0, 1, 1, 0, 0, 2, 2), z=scalar(0)),
    form("e = Pad (c, pads, , ax) a = Conv <group = 8, strides = [2, 2]> (e, d)", "Conv", 18,
         pads=ints(1, 2, 2, 1), ax=ints(-2, 3)),
    form(f"{NHWC} u = Pad (t, pads) h = Transpose <perm = [0, 3, 1, 2]> (u) "
         "a = Conv <group = 8, strides = [2, 2], pads = [1, 0, 0, 0]> (h, d)", "Conv",
         pads=ints(0, 1, 2, 0, 0, 2, 2, 0)),
    form("e = Pad (c, pads) a = Conv <group = 8, auto_pad = \"SAME_UPPER\", strides = [2, 2]> (e, d)", "Conv",
         pads=ints(0, 0, 1, 1, 0, 0, 2, 2)),
]  # fmt: skip


def operators(imported):
    return Counter(node.op_type for node in imported.model.graph)


@pytest.mark.parametrize(("body", "expected", "opset", "constants"), ACTIVATIONS + NORMS + EXCITE + DEPTHWISE)
def test_inside(body, expected, opset, constants, write, imports):
    imported = imports(write(f"{STEM} {body} {POOL} {DENSE}", opset, **constants))
    assert operators(imported) == Counter(["Conv", "GlobalAveragePool", "Flatten", "Gemm", *expected.split()])


@pytest.mark.parametrize(
    ("tail", "opset", "constants"),
    [
        (f"{POOL} y = Gemm <transB = 1> (f, m, b)", 17, {}),
        (f"{POOL} y = Gemm (f, mt)", 11, {}),
        (f"{POOL} h = MatMul (f, mt) y = Add (h, b)", 17, {}),
        (f"{POOL} h = MatMul (f, mt) i = Add (b, h) y = Identity (i)", 13, {}),
        ("g = GlobalAveragePool (a) h = Conv (g, m11, b) y = Flatten (h)", 17, {}),
        ("g = GlobalAveragePool (a) h = Conv (g, m11, b) y = Squeeze (h, ax)", 13, {"ax": ints(2, 3)}),
        ("g = GlobalAveragePool (a) h = Conv (g, m11) y = Reshape (h, sh)", 17, {"sh": ints(0, -1)}),
        ("f = ReduceMean <axes = [2, 3], keepdims = 0> (a) y = MatMul (f, mt)", 13, {}),
        ("f = ReduceMean <keepdims = 0> (a, ax) y = MatMul (f, mt)", 18, {"ax": ints(2, 3)}),
        (f"{POOL} h = MatMul (f, mt) i = Mul (h, b) y = Add (i, b)", 17, {}),
    ],
)
def test_ends(tail, opset, constants, write, imports):
    imported = imports(write(f"{STEM} a = Relu (c) {tail}", opset, **constants))
    assert operators(imported) == Counter(["Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"])
    assert not imported.original.softmax


@pytest.mark.parametrize(
    ("end", "opset"),
    [("Softmax (h)", 11), ("Softmax <axis = 1> (h)", 17), ("Softmax <axis = -1> (h)", 13)],
)
def test_softmax_at_the_end(end, opset, write, imports):
    imported = imports(write(f"{STEM} a = Relu (c) {POOL} h = MatMul (f, mt) y = {end}", opset))
    assert imported.original.softmax
    assert operators(imported)["Softmax"] == 0


def test_softmax_before_a_flatten(write, imports):
    body = "g = GlobalAveragePool (a) h = Conv (g, m11) s = Softmax <axis = 1> (h) y = Flatten (s)"
    assert imports(write(f"{STEM} a = Relu (c) {body}")).original.softmax


@pytest.mark.parametrize("channels", [1, 8])
@pytest.mark.parametrize("batch", ["1", "3", "N"])
def test_axes_of_one_element_are_told_apart(channels, batch, write, imports):
    """One channel squeezed, one image: [1, 1, 1, 1] says nothing of which axis is which."""
    random = np.random.default_rng(2)
    t1, t2 = (random.normal(0, 1, s).astype(np.float32) for s in ((8, channels), (channels, 8)))
    body = (
        f"{NHWC} e = ReduceMean <axes = [1, 2], keepdims = 0> (t) r = MatMul (e, first) h = Reshape (r, sh) "
        "o = Relu (h) i = Squeeze (o, ax) q = MatMul (i, second) z = Sigmoid (q) v = Reshape (z, sh8) "
        f"u = Mul (v, t) {BACK}"
    )
    shapes = {"sh": ints(-1, 1, 1, channels), "sh8": ints(-1, 1, 1, 8), "ax": ints(1, 2)}
    outputs = f"float[{batch},5] y"
    model = write(
        f"{STEM} {body} {POOL} {DENSE}",
        13,
        f"{batch},3,32,32",
        outputs=outputs,
        first=t1,
        second=t2,
        **shapes,
    )
    assert imports(model).original.batch == (None if batch == "N" else int(batch))
