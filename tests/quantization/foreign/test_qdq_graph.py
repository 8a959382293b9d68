"""Q/DQ graphs of onnxruntime and in NNCF's form: every range arrives, at the tensor it belongs to."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from onnxruntime import quantization

from edgeeff.errors import EdgeeffError, GraphError
from edgeeff.quantization import foreign, ranges
from edgeeff.quantization.foreign import Range

SCHEMES = ["openvino", "tensorrt", "tflite"]
PAIR = "q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)"


@pytest.mark.parametrize(("name", "kind"), [("lite0", "QUInt8"), ("lite0", "QInt8"), ("b0", "QUInt8")])
def test_each_tensor_gets_the_range_that_onnxruntime_measured_of_it(
    name, kind, quantised, networks, batch_of, extremes, sites_of
):
    found = foreign.read(quantised(name, kind))
    for scheme in SCHEMES:
        sites = sites_of(name, scheme)
        matched = foreign.match(found, networks[name].graph, None, batch_of(name)[:2], sites=sites)
        assert set(matched.ranges) == set(sites) and not matched.missing and matched.warning() is None
        for tensor, (low, high) in matched.ranges.items():
            smallest, largest = extremes(name)[tensor]
            step = (high - low) / 254
            if tensor in matched.symmetric:
                assert high == pytest.approx(max(-smallest, largest), abs=step), tensor
                assert low <= smallest + step and low in (-high, 0), tensor
            else:
                assert low == pytest.approx(smallest, abs=step), tensor
                assert high == pytest.approx(largest, abs=step), tensor


def test_a_plan_made_of_it_has_the_files_scales(quantised, networks, batch_of, sites_of):
    path = quantised("lite0", "QUInt8")
    model = onnx.load(path)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    quantize = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    written = [tuple(float(constants[name]) for name in node.input[1:]) for node in quantize]
    sites = sites_of("lite0", "tflite")
    matched = foreign.match(
        foreign.read(path), networks["lite0"].graph, None, batch_of("lite0")[:1], sites=sites
    )
    for low, high in matched.ranges.values():
        chosen = ranges.fit(low, high, symmetric=False, integer="uint8")
        assert pytest.approx((chosen.scale, chosen.zero_point), rel=1e-6) in written


@pytest.mark.parametrize("name", ["lite0", "b0"])
def test_nncfs_form(name, like_nncf, tmp_path, networks, batch_of, extremes, sites_of):
    model, scales = like_nncf(name)
    onnx.save(model, tmp_path / "nncf.onnx")
    found = foreign.read(tmp_path / "nncf.onnx")
    assert set(found.tensors) == set(scales)
    matched = foreign.match(
        found, networks[name].graph, None, batch_of(name)[:2], sites=(sites := sites_of(name))
    )
    assert set(matched.ranges) == set(sites)
    for tensor, (low, high) in matched.ranges.items():
        smallest, largest = extremes(name)[tensor]
        assert high == pytest.approx(max(-smallest, largest), rel=1e-5)
        assert (low == 0) == (smallest >= 0)
    assert {"image"} < set(matched.unused)  # the input's range is known, and sums have more than we quantise


def test_a_clamp_that_onnxruntime_left_out_is_put_back(quantised):
    path = quantised("lite0", "QUInt8")
    assert not any(node.op_type in ("Clip", "Relu") for node in onnx.load(path).graph.node)
    graph = foreign.read(path).graph
    assert graph is not None
    clamps = [node for node in graph.graph.node if node.op_type == "Clip"]
    constants = {t.name: float(numpy_helper.to_array(t)) for t in graph.graph.initializer if not t.dims}
    assert len(clamps) == 33  # two in each of 16 blocks but the first, which expands nothing; stem and head
    assert all(constants[c.input[1]] == 0 and 0 < constants[c.input[2]] < 6.001 for c in clamps)


def read_text(tmp_path, body, x="float[1, 4]", opset=17, **constants):
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g ({x} x) => (float y) {{ {body} }}'
    model = parser.parse_model(text)
    given = {"s": np.float32(0.5), "z": np.int8(0), "w": np.eye(4, dtype=np.int8), **constants}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in given.items() if value is not None
    )
    onnx.save(model, tmp_path / "plan.onnx")
    return foreign.read(tmp_path / "plan.onnx")


@pytest.mark.parametrize(
    ("body", "constants", "expected"),
    [
        (f"{PAIR} y = Relu (d)", {}, {"x": Range(-63.5, 63.5, symmetric=True)}),
        (f"{PAIR} y = Relu (d)", {"z": np.int8(-128)}, {"x": Range(0, 127.5)}),
        (f"{PAIR} y = Relu (d)", {"z": np.uint8(128)}, {"x": Range(-63.5, 63.5, symmetric=True)}),
        (f"{PAIR} y = Relu (d)", {"z": np.uint8(28)}, {"x": Range(-14, 113.5)}),
        ("q = QuantizeLinear (x, s) d = DequantizeLinear (q, s) y = Relu (d)", {}, {"x": Range(0, 127.5)}),
        (
            f"{PAIR} r = Relu (d) p = QuantizeLinear (r, s, z) y = DequantizeLinear (p, s, z)",
            {},
            {"x": Range(-63.5, 63.5, symmetric=True), "y": Range(-63.5, 63.5, symmetric=True)},
        ),
        (
            f"{PAIR} e = QuantizeLinear (x, t, z) f = DequantizeLinear (e, t, z) y = Add (d, f)",
            {"t": np.float32(1)},
            {"x": Range(-127, 127, symmetric=True)},
        ),
        (
            f"{PAIR} e = QuantizeLinear (d, t, z) f = DequantizeLinear (e, t, z) y = Relu (f)",
            {"t": np.float32(1)},
            {"x": Range(-127, 127, symmetric=True)},
        ),
        (
            "q = QuantizeLinear <axis = 1> (x, s, z) y = DequantizeLinear <axis = 1> (q, s, z)",
            {"s": np.float32([1, 2, 3, 4]), "z": np.uint8([0, 0, 10, 0])},
            {"x": Range(-30, 1020)},
        ),
        (
            "q = QuantizeLinear (x, s, z) r = Reshape (q, n) y = DequantizeLinear (r, s, z)",
            {"n": np.int64([4, 1])},
            {"x": Range(-63.5, 63.5, symmetric=True)},
        ),
        (
            "c = Constant <value = float {0.25}> () "
            "q = QuantizeLinear (x, c, z) y = DequantizeLinear (q, c, z)",
            {},
            {"x": Range(-31.75, 31.75, symmetric=True)},
        ),
    ],
    ids=[
        *("int8", "nonnegative", "symmetric_uint8", "uint8", "no_zero_point", "output", "two_readers"),
        *("chain", "per_channel", "reshaped_codes", "constant_node"),
    ],
)
def test_forms(tmp_path, body, constants, expected):
    assert read_text(tmp_path, body, **constants).tensors == expected


@pytest.mark.parametrize(
    ("scale", "zero", "axis"),
    [(np.float32([1, 2, 3, 4]), np.int8([0, 0, 0, 0]), 0), (np.float32(0.5), np.int8(3), 1)],
    ids=["per_channel", "per_tensor"],
)
def test_weights_are_dequantised(tmp_path, scale, zero, axis):
    codes = np.arange(16, dtype=np.int8).reshape(4, 4)
    body = f"{PAIR} v = DequantizeLinear <axis = {axis}> (w, t, u) y = MatMul (d, v)"
    graph = read_text(tmp_path, body, w=codes, t=scale, u=zero).graph
    weights = {t.name: numpy_helper.to_array(t) for t in graph.graph.initializer}["v"]
    per_row = (slice(None), None) if scale.ndim else ()
    np.testing.assert_array_equal(weights, (codes - zero[per_row].astype(np.float32)) * scale[per_row])
    assert [node.op_type for node in graph.graph.node] == ["MatMul"]


@pytest.mark.parametrize(
    ("body", "constants", "message"),
    [
        ("y = Relu (x)", {}, "quantises no tensor.*\n.*--checkpoint"),
        ("v = DequantizeLinear (w, s, z) y = MatMul (x, v)", {}, "weights alone"),
        ("y = QLinearMatMul (x, s, z, w, s, z, s, z)", {}, "computes on integers.*\n.*QuantFormat.QDQ"),
        ("q, t, u = DynamicQuantizeLinear (x) y = DequantizeLinear (q, t, u)", {}, "computes on integers"),
        ("t = ReduceMax (x) q = QuantizeLinear (x, t) y = DequantizeLinear (q, t)", {}, "'t' is no constant"),
        (f"{PAIR} y = Relu (d)", {"s": np.float32(0)}, "no positive scale"),
        (f"{PAIR} y = Relu (d)", {"s": np.float32(-1)}, "no positive scale"),
        (f"{PAIR} y = Relu (d)", {"s": np.float32(np.nan)}, "NaN"),
        (f"{PAIR} y = Relu (d)", {"s": np.float32(np.inf)}, "no finite scale"),
        (f"{PAIR} y = Relu (d)", {"s": np.float32(3e37)}, "a range of -"),
        (f"{PAIR} y = Relu (d)", {"s": np.float32([])}, "0 scales"),
        (f"{PAIR} y = Relu (d)", {"s": np.ones(70_000, np.float32)}, "70000 scales"),
        (f"{PAIR} y = Relu (d)", {"s": np.int32(1)}, "no finite scale"),
        (f"{PAIR} y = Relu (d)", {"z": np.float32(0)}, "a zero point of float32"),
        (f"{PAIR} y = Relu (d)", {"z": np.int8([1, 2])}, r"a zero point of int8 \[2\]"),
        ("q = QuantizeLinear (x, s, z) y = DequantizeLinear (x, s, z)", {}, "which no QuantizeLinear made"),
        (
            f"{PAIR} v = DequantizeLinear <axis = 7> (w, t, u) y = MatMul (d, v)",
            {"t": np.ones(4, np.float32), "u": np.zeros(4, np.int8)},
            r"4 scales on axis 7 of \[4, 4\]",
        ),
        (
            f"{PAIR} v = DequantizeLinear (w, t, u) y = MatMul (d, v)",
            {"t": np.ones(3, np.float32), "u": np.zeros(3, np.int8)},
            r"3 scales on axis 1 of \[4, 4\]",
        ),
        (
            f"{PAIR} v = DequantizeLinear (w, t, u) y = MatMul (d, v)",
            {"t": np.float32(3e38), "u": np.int8(9)},
            "infinite weights",
        ),
    ],
)
def test_impossible_graphs_are_refused(tmp_path, body, constants, message):
    with pytest.raises(GraphError, match=f"plan.onnx: .*{message}"):
        read_text(tmp_path, body, **constants)


def test_weights_that_are_dequantised_over_and_over_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeeff.quantization.foreign.qdq_graph._MOST_WEIGHTS", 100)
    again = " ".join(f"v{i} = DequantizeLinear (w, s, z)" for i in range(9))
    with pytest.raises(GraphError, match="more than 100 weights"):
        read_text(tmp_path, f"{PAIR} {again} y = MatMul (d, v8)")


def test_a_node_without_inputs_or_outputs(tmp_path):
    for inputs, outputs in (([], ["y"]), (["x"], ["y"]), (["x", "s"], []), (["x", "s"], ["y", "u"])):
        for operator in ("QuantizeLinear", "DequantizeLinear"):
            graph = helper.make_graph(
                [helper.make_node(operator, inputs, outputs)],
                "g",
                [helper.make_tensor_value_info("x", 1, [1])],
                [helper.make_tensor_value_info("y", 1, [1])],
                [numpy_helper.from_array(np.float32(1), "s")],
            )
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
            (tmp_path / "plan.onnx").write_bytes(model.SerializeToString())
            with pytest.raises(EdgeeffError):
                foreign.read(tmp_path / "plan.onnx")


@pytest.mark.slow
def test_real_lite0(trained_lite0, photos, schemes, tmp_path):
    """Every tensor of Lite0 with its ImageNet weights, quantised by onnxruntime from our own float graph."""
    from edgeeff.graph.model import expand_functions
    from edgeeff.images import ImageSet
    from edgeeff.quantization.placement import place

    graph, preprocess = trained_lite0
    images = np.concatenate([pixels for pixels, _ in ImageSet(tuple(photos[:4])).batches(preprocess, size=4)])
    batch = preprocess.normalise(images)
    onnx.save(expand_functions(graph), tmp_path / "float.onnx")

    class Reader(quantization.CalibrationDataReader):
        images = iter(batch)

        def get_next(self):
            image = next(self.images, None)
            return None if image is None else {"input": image[None]}

    logging.disable(logging.WARNING)
    try:
        quantization.quantize_static(
            tmp_path / "float.onnx", tmp_path / "int8.onnx", Reader(), per_channel=True
        )
    finally:
        logging.disable(logging.NOTSET)
    sites = [n for n, s in place(graph, schemes["tflite"]).sites.items() if not s.fixed and n != "input"]
    matched = foreign.match(foreign.read(tmp_path / "int8.onnx"), graph, None, batch[:2], sites=sites)
    assert set(matched.ranges) == set(sites)
