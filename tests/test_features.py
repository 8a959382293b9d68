"""Builds of features: several outputs on every runtime, each verified; what has no meaning for them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch

import edgeeff
from edgeeff.cache import Cache
from edgeeff.calibration.collect import collect
from edgeeff.errors import LabelsError, OptionError
from edgeeff.graph.execute import outputs_of, prepare
from edgeeff.graph.model import expand_functions
from edgeeff.quantization import foreign, quantize, recipe
from edgeeff.quantization.centring import deciding
from edgeeff.quantization.placement import place
from edgeeff.target import load_target
from edgeeff.tasks import Meaning
from edgeeff.zoo import catalog, efficientnet

TARGETS = ["cpu-int8", "mobile-int8"]
SHAPES = {"features_8": (1, 40, 8, 8), "embedding": (1, 1280), "features_16": (1, 112, 4, 4)}


@pytest.fixture(scope="module")
def inputs(make_module, make_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    torch.save(make_module("lite0", classes=3).state_dict(), folder / "best.pt")
    np.savez(folder / "photos.npz", images=make_images(10, 72, 5))
    return {
        "checkpoint": folder / "best.pt",
        "calibration": folder / "photos.npz",
        "size": 64,
        "cache": Cache(folder / "cache"),
    }


@pytest.fixture(scope="module")
def built(inputs, tmp_path_factory):
    taps = "8,embedding:l2,16"
    return edgeeff.build(
        targets=TARGETS, output=tmp_path_factory.mktemp("dist"), taps=taps, effort="fast", **inputs
    )


def test_every_output_is_named_and_verified_for_itself(built):
    for one in built:
        manifest = one.bundle.manifest
        assert (manifest.task, manifest.classes, manifest.labels) == ("features", 0, ())
        assert {o.name: o.shape for o in manifest.outputs} == SHAPES
        assert list(SHAPES) == [o.name for o in manifest.outputs]
        assert [o.name for o in manifest.outputs if o.divided] == ["embedding"]
        assert one.check and "fallback" not in one.check
        found = one.verification
        assert found.outputs.keys() == SHAPES.keys() and found.agreement is None
        assert found.sqnr == min(level for level, _ in found.outputs.values())
        report = json.loads((one.bundle.folder / "measured/verification.json").read_text())
        assert report["golden"]["status"] == "ok" and report["golden"]["outputs"].keys() == SHAPES.keys()


def test_golden_outputs_are_the_networks_own_features(built, inputs, make_module):
    spec = catalog.get("lite0")
    tensors = {
        name: value
        for name, value in make_module("lite0", classes=3).state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    network = efficientnet.trained(spec, tensors, (64, 64))
    for one in built:
        folder = one.bundle.folder / "golden"
        pixels = np.load(folder / "inputs.npy")
        x = torch.from_numpy(spec.preprocess((64, 64)).normalise(pixels))
        with torch.no_grad():
            maps = network.features(x)
            pooled = network.head(network.blocks(network.stem(x))).mean((2, 3))
        expected = {
            "features_8": maps[8],
            "features_16": maps[16],
            "embedding": pooled / pooled.norm(dim=1, keepdim=True),
        }
        for name, value in expected.items():
            found = np.load(folder / "float" / f"{name}.npy")
            np.testing.assert_allclose(found, value.numpy(), atol=1e-3 * float(value.abs().max()))


def test_the_lines_of_the_readme_give_what_a_session_does(built, monkeypatch):
    for one in built:
        monkeypatch.chdir(one.bundle.folder)
        lines = (one.bundle.folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
        names: dict[str, np.ndarray] = {}
        exec(lines, names)
        found = one.bundle.session().infer(np.zeros((1, 64, 64, 3), np.uint8))
        for name, shape in SHAPES.items():
            value = names[name]
            if one.bundle.manifest.runtime == "tflite" and value.ndim == 4:
                value = value.transpose(0, 3, 1, 2)
            assert value.shape == shape == found[name].shape and value.dtype == np.float32
            assert name != "embedding" or np.linalg.norm(value) == pytest.approx(1, abs=1e-4)
            np.testing.assert_allclose(value, found[name], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_tensorrts_graphs_have_all_outputs(inputs, tmp_path):
    (one,) = edgeeff.build(targets=["jetson-int8"], taps="8,embedding:l2,16", output=tmp_path, **inputs)
    for name in (
        "model.qdq.onnx",
        "model.qdq.fp16.onnx",
        "model.float.onnx",
        "deploy/deepstream/features.onnx",
    ):
        path = one.bundle.folder / name
        if path.exists():
            graph = onnx.load(path).graph
            shapes = {o.name: tuple(d.dim_value for d in o.type.tensor_type.shape.dim) for o in graph.output}
            assert shapes == SHAPES, name
    (config,) = one.bundle.folder.glob("deploy/triton/tensorrt/*/config.pbtxt")
    assert all(f'name: "{name}"' in config.read_text() for name in SHAPES)


@pytest.mark.slow
def test_integers_go_in_and_out_of_a_phones_bundle(inputs, tmp_path):
    (one,) = edgeeff.build(targets=["mobile-int8"], io="uint8", taps=[16], output=tmp_path, **inputs)
    session = one.bundle.session()
    assert session.infer(np.zeros((2, 64, 64, 3), np.uint8))["features_16"].shape == (2, 112, 4, 4)


@pytest.mark.slow
def test_a_budget_speaks_of_the_worst_output(inputs, make_images, tmp_path):
    np.savez(tmp_path / "others.npz", images=make_images(8, 72, 6))
    (one,) = edgeeff.build(
        targets=["cpu-int8"],
        taps="8,16",
        min_sqnr=18,
        output=tmp_path / "dist",
        golden=0,
        validation=tmp_path / "others.npz",
        **inputs,
    )
    report = json.loads((one.bundle.folder / "measured/verification.json").read_text())
    levels = [level for level, _ in one.verification.outputs.values()]
    assert report["budget"]["verified"]["sqnr"] == pytest.approx(min(levels), abs=0.1)
    assert report["budget"]["layers"] and min(levels) > 16


@pytest.mark.parametrize(
    "options",
    [
        {"labels": ["nut", "bolt"]},
        {"threshold": 0.3},
        {"softmax": True},
        {"probabilities": True},
        {"max_drop": 1},
        {"head": "linear"},
        {"task": "multilabel"},
        {"task": "features", "taps": None},
        {"taps": "8:l2"},
        {"taps": "embedding,embedding:l2"},
    ],
)
def test_what_has_no_meaning_for_features(options, inputs, tmp_path):
    with pytest.raises((OptionError, LabelsError)) as refused:
        edgeeff.build(targets=["cpu-int8"], output=tmp_path, **{"taps": "8", **inputs, **options})
    assert refused.value.mend and not list(tmp_path.iterdir())


def _with_outputs(graph: ir.Model, *names: str) -> ir.Model:
    model = graph.clone()
    values = {str(node.outputs[0].name): node.outputs[0] for node in model.graph}
    model.graph.outputs.clear()
    model.graph.outputs.extend(values[name] for name in names)
    return model


@pytest.mark.parametrize("target", [*TARGETS, "jetson-int8"])
def test_an_output_that_layers_read_too(target, lite0, tmp_path):
    """Also one behind a clamp, which a shifted bias would change. And the Q/DQ graph is a plan of its own."""
    names = ("blocks.0.depthwise.clip", "blocks.1.expand.conv", "blocks.1.depthwise.clip", "blocks.2.add")
    model, scheme = _with_outputs(lite0.graph, *names), load_target(target).scheme
    sites = place(model, scheme).sites
    assert [sites[name].output for name in names if name in sites] == [scheme.every_tensor] * len(
        sites.keys() & {*names}
    )
    statistics = collect(model, lite0.preprocess, [lite0.images])
    draft = recipe.load("fast")(quantize.begin(model, statistics, lite0.preprocess, scheme))
    hub = quantize.write(draft)
    makers = {node.output[0]: node.op_type for node in hub.graph.node}
    assert [makers[o.name] == "DequantizeLinear" for o in hub.graph.output] == [scheme.every_tensor] * len(
        names
    )
    x = lite0.preprocess.normalise(lite0.images[:2])
    expected, found = _run(expand_functions(model), x), _run(hub, x)
    for one, other in zip(expected, found, strict=True):
        assert np.square(one - other).sum() < 0.05 * np.square(one).sum()
    onnx.save(hub, tmp_path / "plan.onnx")
    wanted = [name for name, site in sites.items() if not site.fixed and name != "input"]
    matched = foreign.match(foreign.read(tmp_path / "plan.onnx"), model, None, x, sites=wanted)
    assert matched.ranges.keys() | set(matched.missing) == set(wanted)
    assert 4 * len(matched.missing) < 3 * len(wanted)


def _run(graph: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rows = [session.run(None, {"input": image[None]}) for image in x]
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


def test_each_output_counts_by_its_power(lite0):
    model = _with_outputs(lite0.graph, "blocks.4.add", "head.clip")
    found = deciding(model, collect(model, lite0.preprocess, [lite0.images]), True)
    x = torch.from_numpy(lite0.preprocess.normalise(lite0.images))
    vectors = found(outputs_of(prepare(model), x))
    sizes = [int(np.prod(list(value.shape)[1:])) for value in model.graph.outputs]
    parts = vectors.split(sizes, 1)
    assert [float(part.square().sum(1).mean()) for part in parts] == pytest.approx([1, 1], rel=1e-3)


def test_a_network_that_decides_nothing():
    meaning = Meaning("features")
    assert not meaning.decides and Meaning().decides
    found = meaning.fidelity({"a": np.ones((2, 3))}, {"a": np.full((2, 3), 1.1)})
    assert found.agreement is None and found.outputs["a"] == pytest.approx(20)
    with pytest.raises(OptionError):
        replace(meaning, task="features").probabilities_of(np.ones((1, 2)))
