"""Colours that the file turns around, grey images, and images of four channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgeeff.errors import GraphError
from edgeeff.graph import importing

REST = (
    "c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (n, w) a = Relu (c) "
    "g = GlobalAveragePool (a) f = Flatten (g) y = Gemm <transB = 1> (f, m, b)"
)
RANDOM = np.random.default_rng(5)
MEAN = np.asarray((123.675, 116.28, 103.53), np.float32)
STD = np.asarray((58.395, 57.12, 57.375), np.float32)


def ints(*values):
    return np.asarray(values, np.int64)


BACKWARDS = {"starts": ints(-1), "ends": ints(-(2**63)), "axes": ints(1), "steps": ints(-1)}
SINGLE = (
    "r = Slice (x, i0, i1, one) g0 = Slice (x, i1, i2, one) b0 = Slice (x, i2, i3, one) "
    "n = Concat <axis = 1> (b0, g0, r)",
    {f"i{i}": ints(i) for i in range(4)} | {"one": ints(1)},
)
TURNED = {
    "Slice backwards": ("n = Slice (x, starts, ends, axes, steps)", BACKWARDS),
    "Slice backwards, as torch writes flip": (
        "n = Slice (x, starts, ends, axes, steps)",
        {**BACKWARDS, "ends": ints(-4)},
    ),
    "Gather": ("n = Gather <axis = 1> (x, i)", {"i": ints(2, 1, 0)}),
    "Gather from the end": ("n = Gather <axis = -3> (x, i)", {"i": ints(-1, 1, -3)}),
    "Split and Concat": (
        "s1st, s2nd, s3rd = Split <axis = 1> (x) n = Concat <axis = 1> (s3rd, s2nd, s1st)",
        {},
    ),
    "Split by sizes": (
        "s1st, both = Split <axis = 1> (x, sizes) s2nd, s3rd = Split <axis = 1> (both) "
        "n = Concat <axis = 1> (s3rd, s2nd, s1st)",
        {"sizes": ints(1, 2)},
    ),
    "Slices and Concat": SINGLE,
    "Gathers by a number": (
        "r = Gather <axis = 1> (x, i2) s = Gather <axis = 1> (x, i1) t = Gather <axis = 1> (x, i0) "
        "u = Unsqueeze (r, one) v = Unsqueeze (s, one) z = Unsqueeze (t, one) "
        "n = Concat <axis = 1> (u, v, z)",
        {**{f"i{i}": np.asarray(i, np.int64) for i in range(3)}, "one": ints(1)},
    ),
    "NHWC, Slice": (
        "s = Slice (x, starts, ends, axes, steps) n = Transpose <perm = [0, 3, 1, 2]> (s)",
        {**BACKWARDS, "axes": ints(-1)},
    ),
    "NHWC, Gather behind the Transpose": (
        "s = Transpose <perm = [0, 3, 1, 2]> (x) n = Gather <axis = 1> (s, i)",
        {"i": ints(2, 1, 0)},
    ),
}


@pytest.mark.parametrize(("body", "constants"), TURNED.values(), ids=TURNED)
@pytest.mark.parametrize("normalised", ["", "before", "behind"])
def test_turned_around(body, constants, normalised, write, imports):
    nhwc = "Transpose" in body
    constants = dict(constants)
    if normalised:
        constants |= {"mu": MEAN.reshape(1, 3, 1, 1), "si": STD.reshape(1, 3, 1, 1)}
    if normalised == "before":
        if nhwc:
            constants |= {"mu": MEAN, "si": STD}
        body = "e = Sub (o, mu) x = Div (e, si) ".replace("x", "X") + body.replace("(x", "(X")
        body = body.replace("(o,", "(x,")
    elif normalised == "behind":
        body = body.replace("n = ", "N = ") + " e = Sub (N, mu) n = Div (e, si)"
    shape = "N,32,32,3" if nhwc else "N,3,32,32"
    imported = imports(write(f"{body} {REST}", shape=shape, **constants))
    assert imported.turned
    if normalised:
        expected = MEAN[::-1] if normalised == "behind" else MEAN
        np.testing.assert_allclose(imported.mean, expected, rtol=1e-5)
    else:
        assert imported.mean is None


def test_turned_around_twice_is_not_turned(write, imports):
    body = "s = Gather <axis = 1> (x, i) n = Slice (s, starts, ends, axes, steps)"
    assert not imports(write(f"{body} {REST}", i=ints(2, 1, 0), **BACKWARDS)).turned


def test_any_order_of_three_is_folded_in(write, imports):
    imported = imports(write(f"n = Gather <axis = 1> (x, i) {REST}", i=ints(1, 2, 0)))
    assert not imported.turned and imported.mean is None


def test_each_channel_normalised_alone(write, imports):
    """As torchvision's Inception and timm do it: of channels taken out one by one."""
    body = (
        "r = Gather <axis = 1> (x, i0) s = Gather <axis = 1> (x, i1) t = Gather <axis = 1> (x, i2) "
        "ru = Unsqueeze (r, one) su = Unsqueeze (s, one) tu = Unsqueeze (t, one) "
        "rm = Mul (ru, a0) sm = Mul (su, a1) tm = Mul (tu, a2) ra = Sub (rm, h) sa = Sub (sm, h) "
        "n = Concat <axis = 1> (ra, sa, tm)"
    )
    constants = {f"i{i}": np.asarray(i, np.int64) for i in range(3)}
    constants |= {f"a{i}": np.float32(1 / (50 + i)) for i in range(3)}
    imported = imports(write(f"{body} {REST}", one=ints(1), h=np.float32(2), **constants))
    np.testing.assert_allclose(imported.std, (50, 51, 52), rtol=1e-5)
    np.testing.assert_allclose(imported.mean, (100, 102, 0), rtol=1e-5)


class Before(nn.Module):
    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, x):
        return self.change(x)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, [2, 1, 0]],
        lambda x: x.flip(1),
        lambda x: torch.cat([x[:, 2:3], x[:, 1:2], x[:, 0:1]], 1),
        lambda x: torch.stack([x[:, 2], x[:, 1], x[:, 0]], 1),
        lambda x: torch.cat(x.split(1, 1)[::-1], 1),
        lambda x: torch.cat(x.chunk(3, 1)[::-1], 1) / 127.5 - 1,
        lambda x: torch.index_select(x, 1, torch.tensor([2, 1, 0])),
    ],
)
@pytest.mark.parametrize("opset", [11, 17])
def test_as_torch_writes_it(change, opset, small, wrapped, export, imports):
    assert imports(export(wrapped(small(), before=Before(change)), opset=opset)).turned


def test_grey(write, imports):
    for shape, body in (
        ("N,1,32,32", "n = Identity (x)"),
        ("N,32,32,1", "n = Transpose <perm = [0, 3, 1, 2]> (x)"),
    ):
        imported = imports(
            write(f"{body} {REST}", shape=shape, w=RANDOM.normal(0, 1, (8, 1, 3, 3)).astype("f"))
        )
        assert (imported.channels, imported.mean) == (1, None)


def test_grey_with_its_normalisation(write, imports):
    w = RANDOM.normal(0, 1, (8, 1, 3, 3)).astype("f")
    body = "e = Sub (x, mu) n = Div (e, si)"
    imported = imports(
        write(f"{body} {REST}", shape="N,1,32,32", w=w, mu=np.float32(127), si=np.float32(128))
    )
    assert (imported.mean, imported.std) == ((127.0,), (128.0,))


@pytest.mark.parametrize(
    "body",
    [
        "n = Concat <axis = 1> (x, x, x)",
        "n = Expand (x, shape)",
        "n = Tile (x, times)",
        "n = Gather <axis = 1> (x, i)",
        "h = Div (x, s) o = Concat <axis = 1> (h, h, h) n = Mul (o, gains)",
    ],
)
def test_grey_made_three(body, write, imports):
    every = {"shape_": ints(1, 3, 1, 1), "times": ints(1, 3, 1, 1), "i": ints(0, 0, 0)}
    every |= {"s": np.float32(255), "gains": np.asarray([1, 2, 3], np.float32).reshape(1, 3, 1, 1)}
    body = body.replace("shape)", "shape_)")
    constants = {name: value for name, value in every.items() if name in body}
    imported = imports(write(f"{body} {REST}", shape="N,1,32,32", **constants))
    assert imported.channels == 1 and not imported.turned


def test_grey_made_three_with_three_means_is_refused(write):
    body = "o = Concat <axis = 1> (x, x, x) e = Sub (o, mu) n = Div (e, si)"
    model = write(
        f"{body} {REST}", shape="N,1,32,32", mu=MEAN.reshape(1, 3, 1, 1), si=STD.reshape(1, 3, 1, 1)
    )
    with pytest.raises(GraphError, match="another mean from each"):
        importing.from_proto(model, "x.onnx")


def test_four_channels(write, imports):
    w = RANDOM.normal(0, 1, (8, 4, 3, 3)).astype("f")
    assert imports(write(f"n = Identity (x) {REST}", shape="1,4,32,32", w=w)).channels == 4
    body = "n = Transpose <perm = [0, 3, 1, 2]> (x)"
    assert imports(write(f"{body} {REST}", shape="N,32,32,4", w=w)).channels == 4


def test_transparency_that_is_dropped(write, imports):
    assert (
        imports(
            write(
                f"n = Slice (x, from, to, ax) {REST}",
                shape="N,4,32,32",
                **{"from": ints(0), "to": ints(3), "ax": ints(1)},
            )
        ).channels
        == 4
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            REST.replace("a = Relu (c)", "n = Identity (x) h = Gather <axis = 1> (c, i) a = Relu (h)"),
            "inside of the network",
        ),
        (f"n = Slice (x, from, to, ax) {REST}", "computed of the pixels themselves"),
        (f"n = Gather <axis = 1> (x, big) {REST}", "takes number 3 of 3"),
        (f"n = Gather <axis = 1> (x, none) {REST}", "no channel"),
        (f"h = Relu (x) n = Concat <axis = 1> (x, h) {REST}", "do not fit 6 channels"),
        (f"n = Concat <axis = 2> (x, x) {REST}", "computed of the pixels themselves"),
        (f"n = Tile (x, wide) {REST}", "something else than channels"),
    ],
)
def test_what_is_no_order_of_the_colours_is_refused(body, reason, write):
    every = {
        "i": ints(*range(7, -1, -1)),
        "from": ints(4),
        "to": ints(28),
        "ax": ints(2),
        "big": ints(0, 1, 3),
    }
    every |= {"none": np.zeros(0, np.int64), "wide": ints(1, 1, 2, 1)}
    constants = {name: value for name, value in every.items() if f", {name}" in body}
    with pytest.raises(GraphError, match=reason):
        importing.from_proto(write(body, **constants), "x.onnx")
