"""Q/DQ graphs of onnxruntime's quantize_static, from the file to a bundle."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization import QuantType

from edgeeff import foreign, foreign_ends
from edgeeff.backends.tensorrt.lint import lint
from edgeeff.backends.tensorrt.lint.reading import load
from edgeeff.batch import ONE, Batch
from edgeeff.errors import EdgeeffWarning, GraphError, OptionError
from edgeeff.graph.batch import with_batch
from edgeeff.graph.export import base_graph
from edgeeff.graph.model import expand_functions
from edgeeff.metrics import sqnr
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import catalog

SIZE = 32

NORMALISED = {"mean": (127.0, 127.0, 127.0), "std": (128.0, 128.0, 128.0)}
SYMMETRIC = {
    "activation_type": QuantType.QInt8,
    "weight_type": QuantType.QInt8,
    "per_channel": True,
    "extra_options": {"ActivationSymmetric": True},
}
UNSIGNED = {
    "activation_type": QuantType.QUInt8,
    "weight_type": QuantType.QUInt8,
    "extra_options": {"ActivationSymmetric": True, "WeightSymmetric": True, "DedicatedQDQPair": True},
}
FAKE = {
    "activation_type": QuantType.QInt8,
    "weight_type": QuantType.QInt8,
    "extra_options": {"ActivationSymmetric": True, "AddQDQPairToWeight": True, "QuantizeBias": False},
}


class Reader(quantization.CalibrationDataReader):
    def __init__(self, batch):
        self.images = iter(batch)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"input": image[None]}


@dataclass(frozen=True)
class Tiny:
    """A network of a few blocks, and six normalised images, float32 [6, 3, 32, 32]."""

    graph: onnx.ModelProto
    batch: np.ndarray


@pytest.fixture(scope="session")
def tiny(make_module, make_images):
    """``tiny(family)``: a B or a Lite of a quarter of B0's width."""

    @cache
    def make(family):
        spec = catalog.scaled(f"{family}:width=0.25,depth=0.4,size={SIZE}")
        graph = expand_functions(base_graph(make_module(spec, size=SIZE), (SIZE, SIZE)))
        return Tiny(graph, spec.preprocess((SIZE, SIZE)).normalise(make_images(6, SIZE, 1)))

    return make


@pytest.fixture(scope="session")
def quantised(tiny, tmp_path_factory):
    """``quantised(family, how)``: the file that quantize_static makes of such a network."""

    @cache
    def make(family, how):
        network = tiny(family)
        folder = tmp_path_factory.mktemp("quantised")
        onnx.save(network.graph, folder / "float.onnx")
        logging.disable(logging.WARNING)  # it recommends its own preprocessing
        try:
            quantization.quantize_static(
                folder / "float.onnx",
                folder / "net.onnx",
                Reader(network.batch[:4]),
                quant_format=quantization.QuantFormat.QDQ,
                **options_of(how),
            )
        finally:
            logging.disable(logging.NOTSET)
        return folder / "net.onnx"

    return make


def options_of(how):
    return {"default": {}, "symmetric": SYMMETRIC, "unsigned": UNSIGNED, "fake": FAKE}[how]


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        ("lite", "symmetric", ["biases"]),
        pytest.param("b", "symmetric", ["biases"], marks=pytest.mark.slow),
        ("lite", "unsigned", ["activations of uint8 around 128", "constants", "biases", "merged"]),
        ("lite", "fake", ["float constants"]),
    ],
)
def test_what_can_be_repaired_is_built_for_a_jetson(name, how, said, quantised, tmp_path, run_onnx, tiny):
    path = quantised(name, how)
    bundle = foreign.emit(path, target="jetson-int8", output=tmp_path, **NORMALISED)
    found = bundle.read_measured("verification.json")
    assert len(found["repairs"]) == len(said)
    assert all(part in sentence for part, sentence in zip(said, found["repairs"], strict=True))
    assert found["repaired"]["summary"] == "onnxruntime's outputs before and after: the same to the bit"
    emitted = onnx.load(bundle.folder / "model.qdq.onnx")
    assert not [finding for finding in lint(emitted) if finding.severity == "error"]
    x = tiny(name).batch
    np.testing.assert_array_equal(run_onnx(emitted, x), run_onnx(onnx.load(path), x))
    again = foreign.emit(path, target="jetson-int8", output=tmp_path / "again", **NORMALISED)
    assert again.manifest == bundle.manifest


def test_asymmetric_activations_are_refused_for_a_jetson(quantised, tmp_path):
    with pytest.raises(GraphError) as error:
        foreign.emit(quantised("lite", "default"), target="jetson-int8", output=tmp_path, **NORMALISED)
    assert (
        "activations are not int8 around 0" in error.value.what
        and "int8 with zero point -" in error.value.what
    )
    assert "ActivationSymmetric" in error.value.mend and not list(tmp_path.iterdir())


def test_asymmetric_activations_are_well_for_a_cpu(quantised, tmp_path):
    bundle = foreign.emit(quantised("lite", "default"), target="cpu-int8", output=tmp_path, **NORMALISED)
    (repair,) = bundle.read_measured("verification.json")["repairs"]
    assert "biases behind DequantizeLinear became float" in repair


def test_fake_quantised_weights_are_int8_for_a_cpu(quantised, tmp_path):
    """OpenVINO would keep them as float, and four times as large."""
    bundle = foreign.emit(quantised("lite", "fake"), target="cpu-int8", output=tmp_path, **NORMALISED)
    assert (bundle.folder / "model.bin").stat().st_size < quantised("lite", "fake").stat().st_size / 2


@pytest.mark.parametrize(("kind", "task"), [("Softmax", "classification"), ("Sigmoid", "multilabel")])
def test_what_a_graph_makes_of_its_logits_is_not_made_twice(
    kind, task, quantised, tmp_path, tiny, make_images
):
    model = onnx.load(quantised("lite", "default"))
    logits = model.graph.output[0].name
    model.graph.node.append(onnx.helper.make_node(kind, [logits], ["made"], name="end"))
    model.graph.output[0].name = "made"
    onnx.save(model, tmp_path / "ended.onnx")
    np.savez(tmp_path / "images.npz", images=make_images(4, SIZE, 2))
    bundle = foreign.emit(
        tmp_path / "ended.onnx",
        target="cpu-int8",
        output=tmp_path / "dist",
        images=tmp_path / "images.npz",
        **NORMALISED,
    )
    assert (bundle.manifest.task, bundle.manifest.softmax) == (task, True)
    shares = bundle.predict(tmp_path / "images.npz")
    hub = np.load(bundle.folder / "golden/hub/made.npy")
    np.testing.assert_allclose(shares, hub, atol=0.1)
    assert np.allclose(shares.sum(1), 1, atol=1e-3) == (task == "classification")
    assert "a probability for each" in (bundle.folder / "README.md").read_text()
    other = {"classification": "multilabel", "multilabel": "classification"}[task]
    with pytest.raises(OptionError, match="ends in a s"):
        foreign.emit(
            tmp_path / "ended.onnx", target="cpu-int8", task=other, output=tmp_path / "other", **NORMALISED
        )


@pytest.mark.parametrize(
    ("ops", "message"),
    [
        (["Softmax:0"], "axis 0, not the classes"),
        (["Softmax", "Mul"], "computed of Softmax"),
        (["Sigmoid", "Mul", "Add"], "computed of Sigmoid"),
        (["Softmax", "Sigmoid"], "computed of Softmax"),
        (["Clip", "Mul"], "computed of Clip"),
    ],
)
def test_what_is_computed_of_probabilities_is_no_logit(ops, message, quantised):
    """A softmax on top of percentages, or of a sigmoid's score, would be taken for a probability."""
    model, last = onnx.load(quantised("lite", "default")), ""
    model.graph.initializer.append(numpy_helper.from_array(np.float32(4), "four"))
    for number, op in enumerate(ops):
        kind, _, axis = op.partition(":")
        reads = [last or model.graph.output[0].name, *["four"] * {"Mul": 1, "Add": 1, "Clip": 2}.get(kind, 0)]
        last = f"made.{number}"
        model.graph.node.append(
            onnx.helper.make_node(kind, reads, [last], **({"axis": int(axis)} if axis else {}))
        )
    model.graph.output[0].name = last
    with pytest.raises(GraphError, match=message):
        foreign_ends.made(model, "net.onnx")


@pytest.mark.parametrize(
    ("op", "normalised", "warned"),
    [("Mul", True, True), ("Clip", True, True), ("Mul", False, False), (None, True, False)],
)
def test_a_graph_that_normalises_and_is_fed_normalised_images_is_warned_of(op, normalised, warned, quantised):
    model = onnx.load(quantised("lite", "default"))
    if op is not None:
        first = next(n for n in model.graph.node if n.input[0] == model.graph.input[0].name)
        model.graph.initializer.append(numpy_helper.from_array(np.float32(1 / 255), "k"))
        reads = [first.input[0], "k", *["k"] * (op == "Clip")]
        first.input[0] = "changed"
        model.graph.node.insert(0, onnx.helper.make_node(op, reads, ["changed"], name="own"))
    mean, std = (NORMALISED["mean"], NORMALISED["std"]) if normalised else ((0.0,) * 3, (1.0,) * 3)
    said = foreign_ends.warnings(model, Preprocess((SIZE, SIZE), mean, std))
    assert [text for text in said if "changes its input itself" in text and "own" in text] == said
    assert bool(said) == warned


def test_an_fp16_graph_enters_as_float32(quantised, tmp_path):
    """What is told is a number, because this one does not compute the same to the bit."""
    bundle = foreign.emit(quantised("lite", "symmetric"), target="jetson-int8", output=tmp_path, **NORMALISED)
    half = bundle.folder / "model.qdq.fp16.onnx"
    again = foreign.emit(half, target="jetson-int8", output=tmp_path / "again", **NORMALISED)
    found = again.read_measured("verification.json")
    for repair in ("float32 instead of FP16", "opset 19 became 17"):
        assert sum(repair in told for told in found["repairs"]) == 1
    # How much is the network's own: FP16 is a little noise, and random weights make much of it.
    assert found["repaired"]["summary"].endswith(f"{found['repaired']['sqnr_db']:.1f} dB apart")


def test_weights_in_a_side_file(quantised, tmp_path, tiny, run_onnx):
    source = quantised("lite", "symmetric")
    onnx.save(
        onnx.load(source),
        tmp_path / "net.onnx",
        save_as_external_data=True,
        location="net.data",
        size_threshold=64,
    )
    beside = foreign.emit(tmp_path / "net.onnx", target="jetson-int8", output=tmp_path / "out", **NORMALISED)
    alone = foreign.emit(source, target="jetson-int8", output=tmp_path / "alone", **NORMALISED)
    x = tiny("lite").batch
    graphs = (onnx.load(b.folder / "model.qdq.onnx") for b in (beside, alone))
    np.testing.assert_array_equal(*(run_onnx(graph, x) for graph in graphs))
    assert beside.manifest.digests["hub"] != alone.manifest.digests["hub"]
    (tmp_path / "net.data").unlink()
    with pytest.raises(GraphError, match=r"side file 'net\.data', which is not there"):
        load(tmp_path / "net.onnx")


@pytest.mark.parametrize("shape", [[1, 3, 10**6, 10**6], [1, 3, 2**40, 8]])
def test_absurd_sizes_are_refused(shape, tmp_path):
    node = onnx.helper.make_node("Relu", ["input"], ["logits"])
    ends = [
        onnx.helper.make_tensor_value_info("input", 1, shape),
        onnx.helper.make_tensor_value_info("logits", 1, [1, 10]),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]))
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="inputs and outputs are"):
        foreign.emit(tmp_path / "net.onnx", target="cpu-int8", output=tmp_path / "out", **NORMALISED)


def test_quantised_operators_are_refused(tmp_path):
    node = onnx.helper.make_node("QLinearConv", list("abcdefgh"), ["y"], name="odd")
    ends = [onnx.helper.make_tensor_value_info(n, 2, [1, 3, 8, 8]) for n in "abcdefgh"]
    out = onnx.helper.make_tensor_value_info("y", 2, [1, 10])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends, [out])), tmp_path / "net.onnx")
    with pytest.raises(GraphError, match=r"net\.onnx: QLinearConv 'odd' computes on integers"):
        foreign.emit(tmp_path / "net.onnx", target="jetson-int8", output=tmp_path / "out", **NORMALISED)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("b0.onnx", "b0"),
        ("b0.qdq.fp16.onnx", "b0"),
        ("net_v1.0.onnx", "net_v1-0"),  # and not the name of net_v1.5.onnx
        ("x-0.5.qdq.onnx", "x-0-5"),
        ("camera 3.int8.onnx", "camera-3"),
        ("onnx", "onnx"),
        ("….onnx", "network"),
    ],
)
def test_two_graphs_do_not_share_a_name(file, name):
    assert foreign._name(Path(file)) == name


@pytest.mark.parametrize(
    ("own", "asked", "found"),
    [
        (Batch(2, True), "dynamic", Batch(8, True)),
        pytest.param(Batch(3), None, Batch(3), marks=pytest.mark.slow),
        pytest.param(Batch(3), 1, ONE, marks=pytest.mark.slow),
        pytest.param(Batch(2, True), None, ONE, marks=pytest.mark.slow),
        pytest.param(ONE, 4, Batch(4), marks=pytest.mark.slow),
    ],
)
def test_a_graph_of_any_batch_becomes_a_bundle_of_the_one_asked_for(
    own, asked, found, quantised, tmp_path, make_images
):
    onnx.save(with_batch(onnx.load(quantised("lite", "default")), own), tmp_path / "graph.onnx")
    np.savez(tmp_path / "images.npz", images=make_images(4, SIZE, 2))
    images = {"images": tmp_path / "images.npz", **NORMALISED}
    bundle = foreign.emit(tmp_path / "graph.onnx", target="cpu-int8", output=tmp_path, batch=asked, **images)
    assert bundle.manifest.batch == found
    report = bundle.read_measured("verification.json")
    assert report["golden"]["status"] == "ok" and "same to the bit" in report["repaired"]["summary"]
    # As the file says of its images, one by one.
    plain = foreign.emit(quantised("lite", "default"), target="cpu-int8", output=tmp_path / "one", **images)
    pixels = make_images(4, SIZE, 2)
    np.testing.assert_allclose(bundle.predict(pixels), plain.predict(pixels), atol=1e-4)


def test_a_graph_of_too_many_images_or_that_mixes_them_is_refused(quantised, tmp_path):
    model = onnx.load(quantised("lite", "default"))
    many = with_batch(model, Batch(2))
    for value in (*many.graph.input, *many.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 10**9
    del many.graph.value_info[:]
    onnx.save(many, tmp_path / "many.onnx")
    with pytest.raises(GraphError, match="1000000000 images"):
        foreign.emit(tmp_path / "many.onnx", target="cpu-int8", output=tmp_path, **NORMALISED)
    name = model.graph.output[0].name
    model.graph.node.append(onnx.helper.make_node("Softmax", [name], ["made"], name="end", axis=0))
    model.graph.output[0].name = "made"
    onnx.save(with_batch(model, ONE), tmp_path / "mixed.onnx")
    with pytest.raises(GraphError, match="Softmax 'end'"):
        foreign.emit(tmp_path / "mixed.onnx", target="cpu-int8", output=tmp_path, batch=4, **NORMALISED)


def test_features_of_a_graph_that_takes_bgr(quantised, tmp_path, make_images):
    """Outputs are called by their stride; the bundle takes RGB, and gives what the file does of BGR."""
    model = onnx.shape_inference.infer_shapes(onnx.load(quantised("lite", "symmetric")))
    inner = next(
        value
        for value in model.graph.value_info
        if [d.dim_value for d in value.type.tensor_type.shape.dim][2:] == [SIZE // 8] * 2
        and any(value.name in node.output for node in model.graph.node if node.op_type == "DequantizeLinear")
    )
    model.graph.output.append(inner)
    onnx.save(model, tmp_path / "graph.onnx")
    options = {"target": "cpu-int8", "mean": (103.53, 116.28, 123.675), "std": (57.375, 57.12, 58.395)}
    with pytest.warns(EdgeeffWarning, match="in the order B, G, R"):
        foreign.emit(quantised("lite", "symmetric"), output=tmp_path / "rgb", **options)
    with pytest.raises(GraphError, match="inputs and outputs are") as refused:
        foreign.emit(tmp_path / "graph.onnx", output=tmp_path, **options)
    assert "--task features" in refused.value.mend
    pixels = make_images(3, SIZE, 2)
    np.savez(tmp_path / "images.npz", images=pixels)
    bundle = foreign.emit(
        tmp_path / "graph.onnx",
        output=tmp_path,
        images=tmp_path / "images.npz",
        task="features",
        channels="bgr",
        **options,
    )
    assert bundle.output_names == ("embedding", "features_8")
    assert bundle.read_measured("verification.json")["golden"]["status"] == "ok"
    turned = Preprocess((SIZE, SIZE), options["mean"], options["std"]).normalise(pixels[..., ::-1])
    session = onnxruntime.InferenceSession(str(tmp_path / "graph.onnx"))
    found = bundle.session().infer(pixels)
    for name, output in zip(bundle.output_names, session.get_outputs(), strict=True):
        expected = np.concatenate([session.run([output.name], {"input": x[None]})[0] for x in turned])
        assert sqnr(expected, found[name]) > 20, name
