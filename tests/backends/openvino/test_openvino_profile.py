"""A profile of OpenVINO's executed graph: what each node is, and that its times add up."""

from __future__ import annotations

from collections import Counter

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from edgeeff.backends import Emission
from edgeeff.backends.openvino import profile, structure
from edgeeff.backends.openvino.emit import emit
from edgeeff.backends.openvino.run import load
from edgeeff.errors import BundleError
from edgeeff.graph.model import expand_functions
from edgeeff.harness import machine
from edgeeff.quantization import quantize, recipe
from edgeeff.target import load_target
from edgeeff.tasks import only

LABELS = tuple(f"class {i}" for i in range(10))
SWISH = ("blocks.1.expand.swish", "blocks.15.depthwise.swish", "head.swish")


@pytest.fixture(scope="module")
def folders(networks, tmp_path_factory):
    """Lite0 and B0 in INT8, B0 with Swish as arithmetic, and B0 in float32, by name."""
    target, plain = load_target("cpu-int8"), load_target("cpu-fp32")
    served = target.served(target.variant("vnni", "unbounded"))
    made = {}
    for name, network, wanted in (
        ("lite0", "lite0", target),
        ("b0", "b0", target),
        ("arithmetic", "b0", served),
        ("float", "b0", plain),
    ):
        n = networks[network]
        if wanted.scheme:
            graph = quantize.write(
                recipe.load("fast")(quantize.begin(n.graph, n.statistics, n.preprocess, wanted.scheme))
            )
        else:
            graph = expand_functions(n.graph)
        made[name] = tmp_path_factory.mktemp(name)
        for file, content in emit(graph, Emission(name, wanted, n.preprocess, LABELS)).items():
            (made[name] / file).write_bytes(content)
    return made


@pytest.fixture(scope="module")
def sessions(folders, networks):
    """A profiled session of each, run three times; with its layers and its network."""
    made = {}
    for name, folder in folders.items():
        n = networks["lite0" if name == "lite0" else "b0"]
        session = profile.load(
            folder,
            preprocess=n.preprocess,
            input_type="uint8",
            properties={"INFERENCE_PRECISION_HINT": "f32"},
        )
        prepared = session.prepare(n.images[:1])
        for _ in range(3):
            session.execute(prepared)
        made[name] = session, session.layers(), n
    return made


def kinds(layers):
    return Counter(layer.kind for layer in layers)


def test_every_layer_is_told_by_its_name_in_the_hub_graph(sessions):
    _, layers, _ = sessions["b0"]
    by_name = {layer.name: layer for layer in layers}
    assert len(by_name) == len(layers)
    assert by_name["stem.conv"].kind == "convolution with Swish"
    assert by_name["blocks.1.depthwise.conv"].kind == "depthwise with Swish"
    assert by_name["blocks.1.project.conv"].kind == "convolution"
    assert by_name["blocks.1.squeeze.reduce"].kind == "squeeze-and-excite"
    assert by_name["classifier"].kind == "classifier"
    # OpenVINO forgets the name of a float product, and keeps that of the bias behind it.
    assert "classifier" in {layer.name for layer in sessions["float"][1]}
    assert "blocks.1.depthwise.conv" in by_name["blocks.1.depthwise.conv"].fused


def test_the_kinds_are_those_of_the_network(sessions):
    found = {name: kinds(layers) for name, (_, layers, _) in sessions.items()}
    assert found["b0"]["convolution"] + found["b0"]["convolution with Swish"] == 33
    assert found["b0"]["depthwise with Swish"] == 16
    assert found["arithmetic"]["convolution"] == 33 and found["arithmetic"]["depthwise"] == 16
    assert found["arithmetic"]["Swish as arithmetic"] == 33
    assert found["lite0"]["depthwise"] == 16 and not found["lite0"]["squeeze-and-excite"]
    for name in ("b0", "arithmetic", "float"):
        assert found[name]["squeeze-and-excite"] >= 32, name
        assert found[name]["pooling"] == 17 and found[name]["classifier"] == 1, name
        assert found[name]["other"] == 0, name
    assert found["lite0"]["residual addition"] + found["lite0"]["convolution"] >= 33


def test_precision_and_kernel_are_told_apart(sessions):
    _, layers, _ = sessions["arithmetic"]
    by_name = {layer.name: layer for layer in layers}
    assert by_name["blocks.1.expand.conv"].precision == "int8"
    assert by_name["blocks.1.depthwise.conv"].precision == "f32"
    assert {by_name[name].precision for name in SWISH} == {"f32"}
    dense = [layer for layer in sessions["float"][1] if layer.multiply_adds]
    assert {layer.precision for layer in dense} == {"f32"}
    assert not [layer.kernel for layer in layers if layer.kernel.lower().endswith(("i8", "u8", "f32"))]


@pytest.mark.parametrize("name", ["lite0", "b0", "arithmetic", "float"])
def test_multiply_adds_are_those_of_the_architecture(name, sessions):
    _, layers, network = sessions[name]
    known = network.spec.architecture
    assert sum(layer.multiply_adds for layer in layers) == known.multiply_adds(network.preprocess.size, 10)


def test_times_are_means_since_the_last_reading(folders, networks):
    n = networks["lite0"]
    session = profile.load(folders["lite0"], preprocess=n.preprocess, input_type="uint8", properties={})
    prepared = session.prepare(n.images[:1])
    for _ in range(3):
        session.execute(prepared)
    first = session.layers()
    assert all(layer.microseconds >= 0 for layer in first) and sum(layer.microseconds for layer in first) > 0
    assert all(layer.microseconds == 0 for layer in session.layers())
    # The counters' own means, weighted by what each reading saw, give back the counters' mean over all.
    for _ in range(5):
        session.execute(prepared)
    second = session.layers()
    told = [i for i in session.session.request.get_profiling_info() if i.status.name == "EXECUTED"]
    before = {layer.name: layer for layer in first}
    # The counters are whole microseconds: of a mean under one they say that the layer did not run.
    assert all(a.microseconds < 3 for a in first if a.name not in {b.name for b in second})
    for b, info in zip(second, told, strict=True):
        a = before.get(b.name)
        if a and b.microseconds:  # else the mean fell by more than five runs explain
            mean = info.real_time.total_seconds() * 1e6
            assert 3 * a.microseconds + 5 * b.microseconds == pytest.approx(8 * mean)


def test_a_profiled_session_computes_the_same(sessions, folders):
    session, _, n = sessions["b0"]
    plain = load(
        folders["b0"],
        preprocess=n.preprocess,
        input_type="uint8",
        properties={"INFERENCE_PRECISION_HINT": "f32"},
    )
    np.testing.assert_array_equal(only(session.infer(n.images[:2])), only(plain.infer(n.images[:2])))


def test_a_broken_ir_is_one_error(networks, tmp_path):
    with pytest.raises(BundleError, match="does not compile"):
        profile.load(tmp_path, preprocess=networks["b0"].preprocess, input_type="uint8", properties={})


def test_the_peak_is_one_large_convolution():
    session, prepared = profile.peak()
    session.execute(prepared)
    layers = session.layers()
    (large,) = [layer for layer in layers if layer.name == profile.PEAK]
    assert large.kind == "convolution" and large.multiply_adds == 512 * 512 * 56 * 56
    assert large.multiply_adds == max(layer.multiply_adds for layer in layers)
    if machine.cpu_class() in ("avx2", "vnni", "bf16"):
        assert large.precision == "int8"


def operations(*results, parameter):
    return structure.operations(ov.Model(list(results), [parameter], "model"))


def test_a_swish_of_another_library_is_known_by_its_operator():
    """NNCF's IR holds Swish as one operator, named after the torch module."""
    x = ops.parameter([1, 8, 16, 16], np.float32, name="x")
    weights = np.ones((8, 8, 1, 1), np.float32)
    conv = ops.convolution(
        x, weights, [1, 1], [0, 0], [0, 0], [1, 1], name="__module.conv/aten::_convolution"
    )
    swish = ops.swish(conv, name="__module.act/aten::silu_")
    pooled = ops.reduce_mean(swish, np.array([2, 3]), keep_dims=True, name="__module.se/aten::mean")
    gate = ops.sigmoid(
        ops.convolution(pooled, weights, [1, 1], [0, 0], [0, 0], [1, 1], name="__module.se.reduce"),
        name="gate",
    )
    gated = ops.multiply(swish, gate, name="gated")
    joined = ops.add(gated, x, name="joined")
    ir = operations(joined, parameter=x)

    def kind(operator, *names):
        return structure.kind(operator, names, ir, frozenset())

    assert kind("Convolution", "__module.conv/aten::_convolution", "__module.act/aten::silu_") == (
        "convolution with Swish"
    )
    assert kind("Convolution", "__module.se.reduce", "gate") == "squeeze-and-excite"
    assert kind("Subgraph", "gated") == "squeeze-and-excite"
    assert kind("Reduce", "__module.se/aten::mean") == "pooling"
    assert kind("Eltwise", "joined") == "residual addition"
    assert kind("Subgraph", "__module.act/aten::silu_") == "Swish"
    assert kind("Reorder") == "conversion"
    assert kind("Mystery") == "other"


def test_work_is_counted_from_shapes_and_a_shape_that_is_open_counts_nothing():
    x = ops.parameter([1, 8, 16, 16], np.float32, name="x")
    grouped = ops.group_convolution(
        x, np.ones((8, 1, 1, 3, 3), np.float32), [2, 2], [1, 1], [1, 1], [1, 1], name="dw"
    )
    assert operations(grouped, parameter=x)["dw"].multiply_adds == 8 * 8 * 8 * 9
    y = ops.parameter(ov.PartialShape([1, 8, -1, -1]), np.float32, name="y")
    loose = ops.convolution(y, np.ones((4, 8, 1, 1), np.float32), [1, 1], [0, 0], [0, 0], [1, 1], name="open")
    assert operations(loose, parameter=y)["open"].multiply_adds == 0
