"""A normalisation at the input is taken out, and said; the original is then fed with pixels again."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from edgeeff.errors import GraphError
from edgeeff.graph import importing

REST = (
    " c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (n, w) a = Relu (c) "
    "g = GlobalAveragePool (a) f = Flatten (g) y = Gemm <transB = 1> (f, m, b)"
)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def per_channel(values, last=False):
    return np.asarray(values, np.float32).reshape((1, 1, 1, 3) if last else (1, 3, 1, 1))


def scalar(value):
    return np.asarray(value, np.float32)


CASES = {
    "pixels to −1…1": (
        "e = Div (x, s) n = Sub (e, o)",
        {"s": scalar(127.5), "o": scalar(1)},
        127.5,
        127.5,
        1,
    ),
    "Rescaling to 0…1": ("n = Mul (x, s)", {"s": scalar(1 / 255)}, 0, 255, 1),
    "Lite": ("e = Sub (x, s) n = Div (e, t)", {"s": scalar(127), "t": scalar(128)}, 127, 128, 1),
    "torch, of 0…1": (
        "e = Sub (x, s) n = Div (e, t)",
        {"s": per_channel(IMAGENET_MEAN), "t": per_channel(IMAGENET_STD)},
        PIXEL_MEAN,
        PIXEL_STD,
        255,
    ),
    "torch, of pixels": (
        "i = Div (x, r) e = Sub (i, s) n = Div (e, t)",
        {"r": scalar(255), "s": per_channel(IMAGENET_MEAN), "t": per_channel(IMAGENET_STD)},
        PIXEL_MEAN,
        PIXEL_STD,
        1,
    ),
    "as batch normalisation": (
        "n = BatchNormalization <epsilon = 1e-12> (x, one, zero, s, t)",
        {
            "one": np.ones(3, np.float32),
            "zero": np.zeros(3, np.float32),
            "s": np.asarray(PIXEL_MEAN, np.float32),
            "t": np.square(np.asarray(PIXEL_STD, np.float32)),
        },
        PIXEL_MEAN,
        PIXEL_STD,
        1,
    ),
}


@pytest.mark.parametrize(("body", "constants", "mean", "std", "divisor"), CASES.values(), ids=CASES)
def test_taken_out(body, constants, mean, std, divisor, write, imports):
    imported = imports(write(f"{body} {REST}", **constants))
    np.testing.assert_allclose(imported.mean, np.broadcast_to(mean, 3), rtol=1e-5)
    np.testing.assert_allclose(imported.std, np.broadcast_to(std, 3), rtol=1e-5)
    assert imported.original.divisor == divisor
    assert next(node.op_type for node in imported.model.graph) == "Conv"


def test_figures_are_as_people_write_them(write, imports):
    imported = imports(write(f"n = Mul (x, s) {REST}", s=scalar(1 / 255)))
    assert (imported.mean, imported.std) == ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))


def test_bytes_in_the_layout_of_tensorflow(write, imports):
    body = (
        "i = Cast <to = 1> (x) e = Sub (i, s) h = Div (e, t) u = Pad (h, pads) "
        f"n = Transpose <perm = [0, 3, 1, 2]> (u) {REST}"
    )
    constants = {"s": per_channel(PIXEL_MEAN, True), "t": per_channel(PIXEL_STD, True)}
    pads = np.asarray([0, 0, 0, 0, 0, 1, 1, 0], np.int64)
    imported = imports(write(body, shape="N,32,32,3", kind="uint8", pads=pads, **constants))
    assert (imported.original.dtype, imported.original.layout) == ("uint8", "NHWC")
    np.testing.assert_allclose(imported.mean, PIXEL_MEAN, rtol=1e-5)


def test_small_numbers_are_of_pixels_where_the_input_is_bytes(write, imports):
    imported = imports(write(f"i = Cast <to = 1> (x) n = Sub (i, s) {REST}", kind="uint8", s=scalar(0.5)))
    assert (imported.mean, imported.std, imported.original.divisor) == ((0.5,) * 3, (1.0,) * 3, 1.0)


def test_without_normalisation_there_is_none(write, imports):
    imported = imports(write(f"n = Identity (x) {REST}"))
    assert (imported.mean, imported.std, imported.original.divisor) == (None, None, 1.0)


def test_zeros_put_around_the_pixels_before_are_no_zeros_after(write):
    body = f"e = Pad (x, pads) n = Sub (e, s) {REST}"
    pads = np.asarray([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    with pytest.raises(GraphError, match="they would no longer be zeros"):
        importing.from_proto(write(body, pads=pads, s=scalar(127)), "x.onnx")


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_colours_are_not_turned_around(factor, write):
    with pytest.raises(GraphError, match="its input is multiplied by"):
        importing.from_proto(write(f"n = Mul (x, s) {REST}", s=scalar(factor)), "x.onnx")


class Normalise(nn.Module):
    def forward(self, x):
        return (x - 127.0) / 128.0


def test_in_front_of_a_module(small, wrapped, export, imports):
    imported = imports(export(wrapped(small(same=True), before=Normalise())))
    assert (imported.mean, imported.std) == ((127.0,) * 3, (128.0,) * 3)


CLAMPS = {
    "pixels": ("n = Clip (x, zero, white)", {"zero": 0, "white": 255}, 1, 1),
    "shares": ("n = Clip (x, zero, one)", {"zero": 0, "one": 1}, 255, 255),
    "behind a division": ("h = Div (x, white) n = Clip (h, zero, one)", {"white": 255, "zero": 0, "one": 1},
                          255, 1),
    "outliers of shares": ("h = Sub (x, half) q = Div (h, part) n = Clip (q, low, high)",
                           {"half": 0.5, "part": 0.25, "low": -3, "high": 3}, 63.75, 255),
    "from below, of a scale that tells": ("h = Div (x, white) n = Relu (h)", {"white": 255}, 255, 1),
}  # fmt: skip


@pytest.mark.parametrize(("body", "constants", "std", "divisor"), CLAMPS.values(), ids=CLAMPS)
def test_a_clamp_of_the_pixels_tells_their_range(body, constants, std, divisor, write, imports):
    """It changes none of them, and what is fed is what it says: not ImageNet's mean and std."""
    imported = imports(write(body + REST, **{name: scalar(value) for name, value in constants.items()}))
    assert (imported.std[0], imported.original.divisor) == (pytest.approx(std, rel=1e-5), divisor)


@pytest.mark.parametrize(
    ("body", "constants", "message"),
    [
        ("n = Clip (x, low, high)", {"low": 0.1, "high": 0.9}, "cuts pixels off"),
        ("n = Relu (x)", {}, "does not tell whether"),
        ("n = Sigmoid (x)", {}, "Sigmoid 'front' is computed of the pixels"),
        ("n = Mul (x, x)", {}, "Mul 'front' is computed of the pixels"),
        ("h = Sub (x, mean) q = Div (h, std) n = Clip (q, low, high)",
         {"mean": 114, "std": 57, "low": -1, "high": 1}, "cuts pixels off"),
    ],
)  # fmt: skip
def test_what_bends_the_pixels_is_refused(body, constants, message, write):
    model = write(body + REST, **{name: scalar(value) for name, value in constants.items()})
    for node in model.graph.node:
        node.name = "front" if node.output[0] == "n" else ""
    with pytest.raises(GraphError, match=message):
        importing.from_proto(model, "model.onnx")
