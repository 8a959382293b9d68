"""What MediaPipe Tasks takes: its rules as data; tests/mediapipe has MediaPipe itself.

The rules are those of mediapipe/tasks/cc: vision/utils/image_tensor_specs.cc and
components/processors/image_preprocessing_graph.cc.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeeff.backends import input_preprocess, runtime
from edgeeff.backends.tflite.emit import emit
from edgeeff.backends.tflite.metadata import read
from edgeeff.backends.tflite.run import load
from edgeeff.batch import Batch
from edgeeff.preprocess import Preprocess
from edgeeff.readme import readme
from edgeeff.tasks import only

IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
NORMALISATIONS = {
    "ImageNet": IMAGENET,
    "Lite": ((127.0,) * 3, (128.0,) * 3),
    "Inception": ((127.5,) * 3, (127.5,) * 3),
    "plain pixels": ((0.0,) * 3, (1.0,) * 3),
    "means alone differ": ((123.68, 116.779, 103.939), (1.0,) * 3),
    "one std differs": ((127.5,) * 3, (127.5, 127.5, 120.0)),
}


def refusal(content: bytes) -> str | None:
    """Why MediaPipe's image tasks would refuse a file; None: they take it."""
    graph = schema.ModelT.InitFromPackedBuf(content).subgraphs[0]
    (tensor,) = (graph.tensors[i] for i in graph.inputs)
    if tensor.type not in (schema.TensorType.UINT8, schema.TensorType.FLOAT32):
        return "type"
    batch, _, _, channels = tensor.shape
    if (batch, channels) != (1, 3):
        return "shape"
    if tensor.type == schema.TensorType.UINT8:
        return None
    found = read(content)
    if len(found.mean) not in (1, 3) or len(found.mean) != len(found.std):
        return "number of values"
    if len({*found.mean}) > 1 or len({*found.std}) > 1:
        return "per channel"
    return "std" if abs(found.std[0]) < np.finfo(np.float32).eps else None


def emission(example, name, input_type="float32", **options):
    mean, std = NORMALISATIONS[name]
    preprocess = replace(example.preprocess, mean=mean, std=std)
    return replace(example.emission(input_type, **options), preprocess=preprocess)


@pytest.mark.parametrize("name", NORMALISATIONS)
@pytest.mark.parametrize("network", ["lite", "swish_se"])
def test_a_float_input_is_taken_and_computes_the_same(examples, tmp_path, network, name):
    """Int8 and float: with a mean and std per channel the input becomes pixels of 0…255."""
    asked = emission(examples(network), name)
    example = replace(examples(network), preprocess=asked.preprocess)
    own = input_preprocess(asked.target, asked.preprocess)
    assert own.is_unnormalised == (name not in ("Lite", "Inception"))
    for graph, close in ((example.float_graph, 1e-4), (example.hub, 0.15)):
        content = emit(graph, asked)["model.tflite"]
        assert refusal(content) is None
        assert read(content).mean == pytest.approx(own.mean[:1])
        (tmp_path / "model.tflite").write_bytes(content)
        session = load(tmp_path, preprocess=own, input_type="float32", properties={})
        found, expected = only(session.infer(example.pixels)), example.reference(graph)
        assert np.abs(found - expected).max() <= close * np.abs(expected).max()


def test_its_constants_are_as_wide_as_the_image(examples):
    """Of C values alone, XNNPACK calls a kernel for each pixel."""

    def graph(name):
        content = emit(examples("lite").hub, emission(examples("lite"), name))["model.tflite"]
        return schema.ModelT.InitFromPackedBuf(content).subgraphs[0]

    found = graph("ImageNet")
    assert len(found.operators) == len(graph("Inception").operators) + 2
    image, *constants = (found.tensors[i] for op in found.operators[:2] for i in op.inputs)
    assert [list(c.shape) for c in constants[::2]] == [[1, 1, *image.shape[2:]]] * 2


def test_the_rules_refuse_what_mediapipe_was_seen_to_refuse(examples, monkeypatch):
    """A mean and std for each channel, and an int8 input."""
    example = examples("lite")
    mean, std = IMAGENET
    monkeypatch.setattr("edgeeff.backends.tflite.metadata.normalization", lambda *_: (mean, std))
    assert refusal(emit(example.hub, emission(example, "ImageNet"))["model.tflite"]) == "per channel"
    monkeypatch.undo()
    assert refusal(emit(example.hub, example.emission("int8"))["model.tflite"]) == "type"
    assert refusal(emit(example.hub, example.emission("uint8"))["model.tflite"]) is None


@pytest.mark.parametrize(("input_type", "warns"), [("int8", True), ("uint8", False), ("float32", False)])
def test_an_int8_input_is_warned_of(examples, input_type, warns):
    asked = examples("lite").emission(input_type)
    assert bool(runtime("tflite").usage().cautions(asked)) == warns
    assert ("refuses an int8 input" in readme(asked)) == warns


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch": Batch(4)}, "--batch 1"),
        ({"batch": Batch(8, dynamic=True)}, ""),
        ({"preprocess": Preprocess((8, 8), (120.0,), (60.0,))}, "takes grey"),
        ({"preprocess": Preprocess((8, 8), (120.0,) * 4, (60.0,) * 4)}, "takes RGBA"),
    ],
)
def test_what_else_it_refuses_is_warned_of(examples, change, said):
    asked = replace(examples("lite").emission("float32"), **change)
    found = runtime("tflite").usage().cautions(asked)
    assert said in found[0] if said else found == ()


@pytest.mark.parametrize(("softmax", "said"), [(True, "probabilities"), (False, "--softmax")])
def test_the_readme_says_what_mediapipes_scores_are(examples, softmax, said):
    text = readme(examples("lite").emission("float32", softmax=softmax))
    assert said in text.partition("With MediaPipe Tasks")[2]
    assert ("--softmax" in text) != softmax


def test_the_readme_of_plain_pixels_normalises_nothing(examples):
    text = readme(emission(examples("lite"), "ImageNet"))
    assert "0…255 as they are" in text and "pixels.astype(np.float32)" in text and "58.395" not in text
