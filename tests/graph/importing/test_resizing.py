"""A file that fixes its size is taken at another if nothing in it depends on its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeeff.errors import GraphError
from edgeeff.graph import importing, passes
from edgeeff.graph.execute import execute, prepare


def resized(model, size):
    imported = importing.from_proto(model, "x.onnx", size)
    passes.run(imported.model)
    assert imported.original.size == (32, 32)
    return imported.model


@pytest.mark.parametrize(("same", "size"), [(False, (48, 64)), (False, (33, 47)), (True, (48, 64))])
def test_what_the_module_does_at_that_size(same, size, small, export):
    module = small(same=same)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    graph = resized(export(module), size)
    assert list(graph.graph.inputs[0].shape) == [1, 3, *size]
    expected = module(x)
    assert (execute(prepare(graph), x) - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_same_padding_of_another_parity_is_refused(small, export):
    with pytest.raises(GraphError, match=r"for 32×32 pixels and cannot take another size: node '/\S*stem"):
        importing.from_proto(export(small(same=True)), "x.onnx", (33, 33))


def test_same_padding_that_the_file_leaves_to_the_runtime_is_found_anew(write, run_onnx):
    body = (
        'c = Conv <auto_pad = "SAME_UPPER", strides = [2, 2]> (x, w) g = GlobalAveragePool (c) '
        "f = Flatten (g) y = MatMul (f, mt)"
    )
    graph = resized(write(body), (33, 40))
    x = np.random.default_rng(0).standard_normal((1, 3, 33, 40)).astype(np.float32)
    expected = run_onnx(write(body, shape="1,3,33,40"), x)
    np.testing.assert_allclose(execute(prepare(graph), torch.from_numpy(x)), expected, rtol=1e-4, atol=1e-5)


def test_a_window_of_one_size_is_refused(write):
    """Even where the network would take another size, and compute something else."""
    for end in ("f = Flatten (g)", "h = GlobalAveragePool (g) f = Flatten (h)"):
        body = f"c = Conv (x, w) g = AveragePool <kernel_shape = [30, 30]> (c) {end} y = MatMul (f, mt)"
        importing.from_proto(write(body), "x.onnx", (32, 32))
        with pytest.raises(GraphError, match=r"for 32×32 pixels and cannot take another size"):
            importing.from_proto(write(body), "x.onnx", (40, 40))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("n = Slice (c, a, b, axis)", "takes a part of the image"),
        ("n = Resize (c, , , sizes)", "resizes to a size of its own"),
        ("o = Pad (c, amounts) n = MaxPool <kernel_shape = [3, 3]> (o)", "zeros that were put around"),
        (
            "n = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]> (c)",
            "right at that size alone",
        ),
    ],
)
def test_what_is_right_at_one_size_is_refused_at_another(body, why, write):
    constants = {
        **{"a": np.array([0]), "b": np.array([16]), "axis": np.array([2]), "sizes": np.array([1, 8, 15, 15])},
        "amounts": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    }
    used = {
        name: value
        for name, value in constants.items()
        if name in body.replace(",", " ").replace(")", " ").split()
    }
    model = write(
        f"c = Conv (x, w) {body} g = GlobalAveragePool (n) f = Flatten (g) y = MatMul (f, mt)", **used
    )
    importing.from_proto(model, "x.onnx", (32, 32))
    with pytest.raises(GraphError, match=why):
        importing.from_proto(model, "x.onnx", (41, 41))


def test_sizes_left_open(write, imports):
    body = "c = Conv (x, w) g = GlobalAveragePool (c) f = Flatten (g) y = MatMul (f, mt)"
    for shape in ("N,3,H,W", "N,3,32,W"):
        with pytest.raises(GraphError, match=r"leaves the input's height and width open\n  → .*--size"):
            importing.from_proto(write(body, shape=shape), "x.onnx")
    assert imports(write(body, shape="N,3,H,W"), (24, 32)).size == (24, 32)


def test_layout_that_only_the_graph_tells(write, imports):
    rest = "c = Conv (t, w) g = GlobalAveragePool (c) f = Flatten (g) y = MatMul (f, mt)"
    body = f"i = Identity (x) t = Transpose <perm = [0, 3, 1, 2]> (i) {rest}"
    assert imports(write(body, shape="N,H,W,C"), (24, 32)).original.layout == "NHWC"
    assert imports(write(rest.replace("(t,", "(x,"), shape="N,C,H,W"), (24, 32)).original.layout == "NCHW"
