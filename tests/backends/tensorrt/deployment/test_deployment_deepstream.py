from __future__ import annotations

import posixpath
from configparser import ConfigParser
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt import deployment
from edgeeff.backends.tensorrt.deployment import CLASSIFIER, deepstream
from edgeeff.backends.tensorrt.lint import VERSIONS, lint
from edgeeff.batch import Batch
from edgeeff.errors import GraphError
from edgeeff.graph.batch import with_batch
from edgeeff.preprocess import Preprocess
from edgeeff.target import load_target

GRAPH = "model.qdq.onnx"
#: The keys of group [property] that gst-nvinfer's parser knows, as far as a classifier has use for them.
KNOWN = {
    *("gpu-id", "gie-unique-id", "process-mode", "network-type", "network-mode", "batch-size", "interval"),
    *("model-engine-file", "onnx-file", "labelfile-path", "infer-dims", "model-color-format"),
    *("net-scale-factor", "offsets", "maintain-aspect-ratio", "symmetric-padding", "scaling-filter"),
    *("classifier-threshold", "classifier-type", "output-blob-names", "int8-calib-file"),
}


def read(files: dict[str, bytes]) -> dict[str, str]:
    """The [property] group, as GKeyFile reads it: comments begin lines, there is no interpolation."""
    parser = ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(files[deepstream.NAME].decode())
    assert parser.sections() == ["property"]
    return dict(parser["property"])


def nvinfer(config: dict[str, str], pixels: np.ndarray) -> np.ndarray:
    """What libnvds_infer writes into the input: RGB uint8 [N, H, W, 3] to float32 [N, 3, H, W]."""
    assert config["model-color-format"] == "0"
    scale = np.float32(config["net-scale-factor"])
    offsets = np.array([float(part) for part in config["offsets"].split(";")], np.float32)
    return (scale * (pixels.astype(np.float32) - offsets)).transpose(0, 3, 1, 2)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def pixels() -> np.ndarray:
    coarse = np.random.default_rng(5).integers(0, 256, (6, 4, 4, 3), np.uint8)
    return np.kron(coarse, np.ones((1, 8, 8, 1), np.uint8)).astype(np.uint8)


def test_the_configuration_is_of_a_classifier_of_whole_frames(deployed, imagenet):
    files = deployed(imagenet)[1]
    config = read(files)
    assert set(config) <= KNOWN
    assert (config["network-type"], config["process-mode"], config["batch-size"]) == ("1", "1", "1")
    assert config["infer-dims"] == "3;32;32" and config["network-mode"] == "1"
    folder = posixpath.dirname(deepstream.NAME)
    engine = posixpath.normpath(posixpath.join(folder, config["model-engine-file"]))
    assert engine == "measured/deepstream.engine"
    assert posixpath.join(folder, config["labelfile-path"]) in files


def test_an_engine_of_another_tensorrt_cannot_be_rebuilt_as_something_else(deployed, imagenet):
    """nvinfer would build INT8 from a calibration file only, and else try FP16."""
    config = read(deployed(imagenet)[1])
    assert "onnx-file" not in config and "int8-calib-file" not in config


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_the_line_that_builds_the_engine_has_the_flags_of_its_precision(precision, imagenet):
    emission = replace(imagenet, target=load_target(f"jetson-{precision}"))
    files = deployment.files(emission, shape=(1, 3, 32, 32), classes=10, graph="model.onnx")
    (line,) = [x for x in files[deepstream.NAME].decode().splitlines() if "trtexec --onnx" in x]
    flags = {"int8": ["--int8", "--fp16"], "fp16": ["--fp16"]}[precision]
    assert line.split()[1:] == [
        *("trtexec", f"--onnx={CLASSIFIER}", *flags),
        "--saveEngine=measured/deepstream.engine",
    ]
    assert read(files)["network-mode"] == {"int8": "1", "fp16": "2"}[precision]


@pytest.mark.parametrize("batch", [Batch(4), Batch(6, True)])
def test_frames_come_as_the_engine_takes_them(batch, deployed, imagenet, lite_hub):
    _, files = deployed(replace(imagenet, batch=batch), with_batch(lite_hub, batch))
    assert read(files)["batch-size"] == str(batch.size)
    text = files[deepstream.NAME].decode()
    (line,) = [x for x in text.splitlines() if "trtexec --onnx" in x]
    shapes = ["--minShapes=input:1x3x32x32", "--optShapes=input:6x3x32x32", "--maxShapes=input:6x3x32x32"]
    assert [word for word in line.split() if "Shapes" in word] == (shapes if batch.dynamic else [])
    # One source gives one frame at a time, which an engine of fixed batch refuses.
    assert ("deploy/deepstream/run.sh" in files) == batch.dynamic == ("sh deploy" in text)
    first = onnx.load_from_string(files[CLASSIFIER]).graph.input[0].type.tensor_type.shape.dim[0]
    assert (first.dim_value or first.dim_param) == ("batch" if batch.dynamic else 4)


@given(
    mean=st.tuples(*[st.floats(0, 255)] * 3),
    std=st.floats(20, 255),
    seed=st.integers(0, 99),
)
def test_what_nvinfer_can_say_is_the_networks_own_normalisation(mean, std, seed):
    preprocess = Preprocess((8, 8), mean, (std, std, std))
    emission = Emission("tiny", load_target("jetson-int8"), preprocess, (), softmax=True)
    config = read(deployment.files(emission, shape=(1, 3, 8, 8), classes=10, graph=GRAPH))
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(nvinfer(config, pixels), preprocess.normalise(pixels), rtol=0, atol=1e-5)


def test_a_graph_that_nvinfer_can_feed_and_read_needs_no_copy(deployed, emission, run_onnx, pixels):
    emission = replace(emission, softmax=True)
    sealed, files = deployed(emission)
    assert CLASSIFIER not in files
    assert f"--onnx={GRAPH} " in files[deepstream.NAME].decode()
    found = run_onnx(sealed[GRAPH], nvinfer(read(files), pixels))[0]
    expected = run_onnx(sealed[GRAPH], emission.preprocess.normalise(pixels))[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_nvinfer_cannot_say_is_in_the_graph(deployed, imagenet, run_onnx, pixels):
    sealed, files = deployed(imagenet)
    config, text = read(files), files[deepstream.NAME].decode()
    assert (float(config["net-scale-factor"]), config["offsets"]) == (1, "0.0;0.0;0.0")
    assert "wants std 58.395 57.12 57.375" in text and "ends in logits" in text
    expected = softmax(run_onnx(sealed[GRAPH], imagenet.preprocess.normalise(pixels))[0])
    found = run_onnx(files[CLASSIFIER], nvinfer(config, pixels))[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_the_normalisation_in_the_graph_is_exact(deployed, imagenet, run_onnx, pixels):
    """Before any quantiser: the tensor that the network reads."""
    model = onnx.load_from_string(deployed(imagenet)[1][CLASSIFIER])
    multiply = next(node for node in model.graph.node if node.op_type == "Mul")
    model.graph.output.append(helper.make_tensor_value_info(multiply.output[0], TensorProto.FLOAT, None))
    found = run_onnx(model, Preprocess.raw(pixels), [multiply.output[0]])[0]
    np.testing.assert_allclose(found, imagenet.preprocess.normalise(pixels), rtol=0, atol=1e-5)


def test_labels_are_read_by_their_sigmoid_and_a_threshold(deployed, imagenet, run_onnx, pixels):
    """A Softmax would let them compete, and of a single logit make 100 % always."""
    emission = replace(imagenet, task="multilabel", threshold=0.3)
    sealed, files = deployed(emission)
    config, text = read(files), files[deepstream.NAME].decode()
    assert float(config["classifier-threshold"]) == 0.3 and "ends in Sigmoid" in text
    assert "do not exclude each other" in text and "likeliest class" not in text
    logits = run_onnx(sealed[GRAPH], imagenet.preprocess.normalise(pixels))[0]
    found = run_onnx(files[CLASSIFIER], nvinfer(config, pixels))[0]
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=1e-5)


def test_softmax_is_not_taken_twice(deployed, imagenet, run_onnx, pixels):
    emission = replace(imagenet, softmax=True)
    sealed, files = deployed(emission)
    expected = run_onnx(sealed[GRAPH], imagenet.preprocess.normalise(pixels))[0]
    np.testing.assert_allclose(run_onnx(files[CLASSIFIER], Preprocess.raw(pixels))[0], expected, atol=1e-5)
    assert "ends in logits" not in files[deepstream.NAME].decode()


def test_a_uint8_graph_is_given_the_floats_that_nvinfer_writes(deployed, imagenet, run_onnx, pixels):
    emission = replace(imagenet, target=replace(imagenet.target, input="uint8"))
    sealed, files = deployed(emission)
    assert "takes uint8, and nvinfer writes float32" in files[deepstream.NAME].decode()
    model = onnx.load_from_string(files[CLASSIFIER])
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert not any(node.op_type in ("Sub", "Mul") for node in model.graph.node)
    expected = softmax(run_onnx(sealed[GRAPH], np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))[0])
    found = run_onnx(files[CLASSIFIER], nvinfer(read(files), pixels))[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_deepstreams_graph_keeps_the_rules_of_its_tensorrt(deployed, imagenet):
    model = onnx.load_from_string(deployed(imagenet)[1][CLASSIFIER])
    weakly_typed = [version for version in VERSIONS if version < (11, 0)]
    assert [f for f in lint(model, weakly_typed) if f.severity == "error"] == []


def test_nvidias_parser_takes_deepstreams_graph(deployed, imagenet, tmp_path):
    pytest.importorskip(
        "tensorrt_rtx", reason="NVIDIA's parser is not installed: pip install tensorrt-rtx-cu12"
    )
    from edgeeff.backends.tensorrt import rtx

    path = tmp_path / "classifier.onnx"
    path.write_bytes(deployed(imagenet)[1][CLASSIFIER])
    rtx.accept(path)


def test_the_graph_is_left_as_it_was_and_the_bytes_are_the_same_each_time(deployed, imagenet):
    sealed, files = deployed(imagenet)
    before = dict(sealed)
    assert deployment.beside(sealed, imagenet, GRAPH) == files and sealed == before


def test_labels_are_one_line_with_semicolons(deployed, emission):
    """libnvds_infer: a line for each output layer, cut at each semicolon."""
    labels = ["crane; bird", "two\nlines", " spaced  out ", "Ähre", *map(str, range(6))]
    files = deployed(replace(emission, labels=labels))[1]
    lines = files[deepstream.LABELS].decode().split("\n")
    assert lines[1:] == [""]
    assert lines[0].split(";") == ["crane, bird", "two lines", "spaced out", "Ähre", *map(str, range(6))]


def test_without_labels_no_file_is_named(deployed, emission):
    files = deployed(replace(emission, labels=()))[1]
    assert "labelfile-path" not in read(files) and not [n for n in files if n.endswith("labels.txt")]


@pytest.mark.parametrize("names", [("pixels", "probabilities"), ("input_mean", "input_scale_of_pixels")])
def test_a_foreign_graph_with_the_same_names_inside(names, imagenet, run_onnx, pixels):
    inner, output = names
    nodes = [
        helper.make_node("Relu", ["input"], [inner]),
        helper.make_node("GlobalAveragePool", [inner], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], [output]),
        helper.make_node("Relu", [output], ["out"]),
    ]
    ends = [("input", [1, 3, 32, 32]), ("out", [1, 3])]
    source, result = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ends)
    graph = helper.make_graph(nodes, "theirs", [source], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    files = deployment.beside({GRAPH: model.SerializeToString()}, replace(imagenet, labels=()), GRAPH)
    expected = softmax(run_onnx(model, imagenet.preprocess.normalise(pixels))[0])
    np.testing.assert_allclose(run_onnx(files[CLASSIFIER], Preprocess.raw(pixels))[0], expected, atol=1e-6)


def test_a_graph_without_static_shapes_is_refused(deployed, imagenet):
    sealed, _ = deployed(imagenet)
    model = onnx.load_from_string(sealed[GRAPH])
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    with pytest.raises(GraphError, match="input and output are"):
        deployment.beside({GRAPH: model.SerializeToString()}, imagenet, GRAPH)


def test_every_text_lies_in_its_folder_and_says_that_it_was_not_run(deployed, imagenet):
    files = deployed(imagenet)[1]
    assert deployment.names() == ["deepstream", "gstreamer", "triton"]
    assert all(name.startswith("deploy/") for name in files)
    for name, content in files.items():
        if name.endswith((".onnx", "labels.txt")):
            continue
        # Triton ran its onnxruntime back end, on a CPU.
        assert ("NOT RUN" in content.decode()) == ("/onnxruntime/" not in name), name
