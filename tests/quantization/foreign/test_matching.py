"""Whose tensor is whose: by name, by value, in any layout; and what is said of those that are nobody's."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from edgeeff.errors import CalibrationError, GraphError
from edgeeff.graph.export import base_graph
from edgeeff.quantization import foreign
from edgeeff.quantization.foreign import ForeignRanges, Range
from edgeeff.quantization.foreign._alignment import align


@pytest.fixture
def cache(calibration_cache, tmp_path):
    def write(name):
        path = tmp_path / "calibration.cache"
        path.write_text(calibration_cache(name), encoding="utf-8")
        return foreign.read(path)

    return write


@pytest.mark.parametrize("name", ["lite0", "b0"])
def test_a_cache_and_the_onnx_file_that_it_is_of(
    name, cache, exported, networks, batch_of, extremes, sites_of
):
    sites = sites_of(name, "tflite")
    matched = foreign.match(
        cache(name), networks[name].graph, exported(name), batch_of(name)[:2], sites=sites
    )
    assert set(matched.ranges) == set(sites) == matched.symmetric
    assert {"image", "(Unnamed Layer* 22) [Constant]_output"} <= set(matched.unused)
    for tensor, (low, high) in matched.ranges.items():
        smallest, largest = extremes(name)[tensor]
        assert high == pytest.approx(max(-smallest, largest), rel=1e-4), tensor
        assert low <= smallest + 1e-4 * high, tensor
        assert (low == 0) == (smallest == 0), tensor
        assert low == 0 or low == -high or low == pytest.approx(-0.278465, abs=1e-6), tensor


def test_by_name(b0, sites_of, batch_of):
    sites = sites_of("b0")
    ranges = {name: Range(-1, index) for index, name in enumerate(sites, 1)}
    matched = foreign.match(ForeignRanges("plan", ranges), b0.graph, None, batch_of("b0")[:1], sites=sites)
    assert matched.ranges == {name: (-1, index) for index, name in enumerate(sites, 1)}
    assert not matched.missing and not matched.unused and not matched.symmetric


def test_what_is_missing_is_named(b0, sites_of, batch_of):
    sites = sites_of("b0")
    half = ForeignRanges("theirs.json", {name: Range(-1, 1) for name in [*sites[5:], "other"]})
    matched = foreign.match(half, b0.graph, None, batch_of("b0")[:1], sites=sites)
    assert matched.missing == tuple(sites[:5]) and matched.unused == ("other",)
    assert matched.warning() == (
        f"theirs.json has no range for 5 of {len(sites)} tensors, which keep our own: "
        f"{sites[0]}, {sites[1]}, {sites[2]} …"
    )


def test_less_than_half_is_refused(b0, sites_of, batch_of, cache):
    sites = sites_of("b0")
    few = {name: Range(-1, 1) for name in sites[: len(sites) // 2]}
    strangers = {f"their{i}": Range(-1, 1) for i in range(80)}
    with pytest.raises(CalibrationError, match=f"{len(few)} of the {len(sites)} tensors.*\n.*--checkpoint"):
        foreign.match(ForeignRanges("p", {**strangers, **few}), b0.graph, None, batch_of("b0"), sites=sites)
    with pytest.raises(CalibrationError, match="though 24 of its 24 are this network's"):
        foreign.match(ForeignRanges("p", few), b0.graph, None, batch_of("b0"), sites=sites)
    with pytest.raises(CalibrationError, match=r"0 of the .* image, /stem/.*\n.*--checkpoint"):
        foreign.match(cache("b0"), b0.graph, None, batch_of("b0"))


def test_a_plan_of_another_training_is_refused(quantised, make_module, batch_of, sites_of):
    other = base_graph(make_module("lite0", seed=7), (64, 64))
    found = foreign.read(quantised("lite0", "QUInt8"))
    with pytest.raises(CalibrationError, match="the same weights"):
        foreign.match(found, other, None, batch_of("lite0")[:2], sites=sites_of("lite0"))
    ours = {name: Range(-1, 1) for name in sites_of("lite0")}  # even if it uses our names
    names = dict(zip(found.tensors, ours, strict=False))
    graph = onnx.ModelProto()
    graph.CopyFrom(found.graph)
    for node in graph.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    graph.graph.input[0].name = names["image"]
    with pytest.raises(CalibrationError):
        foreign.match(
            ForeignRanges("p", ours, graph), other, None, batch_of("lite0")[:2], sites=sites_of("lite0")
        )


def test_a_graph_for_another_size_is_refused(quantised, make_module, make_images, networks):
    other = base_graph(make_module("lite0", size=96), (96, 96))
    probe = networks["lite0"].preprocess.normalise(make_images(1, 96, 3))
    with pytest.raises(CalibrationError, match=r"images of 64×64.*96×96\n.*--size 64x64"):
        foreign.match(foreign.read(quantised("lite0", "QUInt8")), other, None, probe)


def test_tensors_whose_channels_come_last(exported, lite0, batch_of, extremes):
    model = onnx.ModelProto()
    model.CopyFrom(exported("lite0"))
    nodes, ranges = [], {}
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type == "Clip":
            name = node.output[0]
            node.output[0] = f"{name}.nchw"
            nodes += [
                helper.make_node("Transpose", [node.output[0]], [f"{name}.nhwc"], perm=[0, 2, 3, 1]),
                helper.make_node("Transpose", [f"{name}.nhwc"], [name], perm=[0, 3, 1, 2]),
            ]
            ranges[f"{name}.nhwc"] = Range(0, 1 + len(ranges))
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    clamps = [str(node.outputs[0].name) for node in lite0.graph.graph if node.op_type == "Clip"]
    matched = foreign.match(
        ForeignRanges("plan", ranges), lite0.graph, model, batch_of("lite0")[:1], sites=clamps
    )
    assert matched.ranges == {name: (0, 1 + index) for index, name in enumerate(clamps)}


def test_a_range_before_a_clamp_is_not_taken_for_the_one_behind_it(exported, lite0, batch_of, values_of):
    model = exported("lite0")
    after = [node.output[0] for node in model.graph.node if node.op_type == "Clip"]
    before = [node.input[0] for node in model.graph.node if node.op_type == "Clip"]
    ranges = {name: Range(0, 6) for name in after[1:]} | {before[0]: Range(-9, 9)}
    clamps = [str(node.outputs[0].name) for node in lite0.graph.graph if node.op_type == "Clip"]
    matched = foreign.match(
        ForeignRanges("plan", ranges), lite0.graph, model, batch_of("lite0")[:1], sites=clamps
    )
    assert matched.missing == (clamps[0],) and matched.unused == (before[0],)


def test_hostile_references_are_not_run(exported, lite0, batch_of):
    model = onnx.ModelProto()
    model.CopyFrom(exported("lite0"))
    model.graph.node.append(helper.make_node("Expand", ["image", "huge"], ["bomb"]))
    model.graph.initializer.append(helper.make_tensor("huge", onnx.TensorProto.INT64, [4], [1 << 30] * 4))
    ranges = {node.output[0]: Range(-1, 1) for node in model.graph.node}
    sites = [str(node.outputs[0].name) for node in lite0.graph.graph if node.op_type == "Clip"]
    matched = foreign.match(
        ForeignRanges("plan", ranges), lite0.graph, model, batch_of("lite0")[:1], sites=sites
    )
    assert "bomb" in matched.unused  # no logit depends on it
    model.graph.node[-1].op_type = "EvilOp"
    model.graph.output[0].name = "bomb"
    with pytest.raises(GraphError, match=r"the network's ONNX file: .*EvilOp"):
        foreign.match(ForeignRanges("plan", ranges), lite0.graph, model, batch_of("lite0")[:1], sites=sites)


def test_order_tells_neighbours_apart():
    ours, theirs = np.float64([0, 1, 1.1, 1.2, 5]), np.float64([1, 1.05, 1.25, 5])
    pairs = align(
        [str(i) for i in range(5)],
        [str(i) for i in range(4)],
        lambda i, j: abs(ours[int(i)] - theirs[int(j)]),
        0.3,
    )
    assert pairs == [("1", "0"), ("2", "1"), ("3", "2"), ("4", "3")]
    assert align([], ["a"], lambda *_: 0.0, 1) == align(["a"], [], lambda *_: 0.0, 1) == []
