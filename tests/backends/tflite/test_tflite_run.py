"""The emitted file computes what its graph computes, whatever the input's type and the kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeeff.backends.tflite.emit import emit
from edgeeff.backends.tflite.run import load
from edgeeff.errors import BundleError, OptionError
from edgeeff.metrics import sqnr
from edgeeff.tasks import only

NETWORKS = ["lite", "asymmetric", "odd_padding", "swish_se"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
def test_int8_agrees_with_the_hub(examples, open_session, name, delegate):
    example = examples(name)
    logits = only(open_session(example, delegate=delegate).infer(example.pixels))
    reference = example.reference(example.hub)
    assert sqnr(reference, logits) > 30
    step = open_session(example, "int8").outputs["logits"].scale
    assert np.abs(logits - reference).max() <= 4.01 * step


@pytest.mark.parametrize("name", NETWORKS)
def test_float_equals_the_float_graph(examples, open_session, name):
    example = examples(name)
    logits = only(open_session(example, graph=example.float_graph).infer(example.pixels))
    np.testing.assert_allclose(logits, example.reference(example.float_graph), atol=1e-4)


@pytest.mark.parametrize("source", ["normalised", "raw, one mean", "raw, three means"])
@pytest.mark.parametrize("input_type", ["uint8", "int8"])
def test_an_integer_input_takes_raw_pixels(examples, open_session, source, input_type):
    example = examples("asymmetric", source)
    session = open_session(example, input_type)
    logits = only(session.infer(example.pixels))
    assert logits.dtype == np.float32
    assert sqnr(example.reference(example.hub), logits) > 30
    assert session.prepare(example.pixels[:1]).dtype == np.dtype(input_type)


def test_integer_and_float_inputs_give_the_same_logits(examples, open_session):
    # Where one mean and std serve all channels, quantising the normalised pixels gives the pixels back.
    example = examples("lite")
    float_logits = only(open_session(example, "float32").infer(example.pixels))
    np.testing.assert_array_equal(only(open_session(example, "uint8").infer(example.pixels)), float_logits)
    np.testing.assert_array_equal(only(open_session(example, "int8").infer(example.pixels)), float_logits)


@pytest.mark.parametrize("input_type", ["float32", "uint8", "int8"])
def test_softmax_turns_logits_into_probabilities(examples, open_session, input_type):
    example = examples("lite")
    logits = only(open_session(example, input_type).infer(example.pixels))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = only(open_session(example, input_type, softmax=True).infer(example.pixels))
    np.testing.assert_allclose(probabilities, expected, atol=1e-5 if input_type == "float32" else 1.01 / 256)


@pytest.mark.parametrize("input_type", ["float32", "uint8", "int8"])
def test_sigmoid_turns_logits_into_probabilities(examples, open_session, input_type):
    example = examples("lite")
    logits = only(open_session(example, input_type).infer(example.pixels))
    found = only(open_session(example, input_type, softmax=True, task="multilabel").infer(example.pixels))
    expected, step = 1 / (1 + np.exp(-logits)), 1e-5 if input_type == "float32" else 1.01 / 256
    np.testing.assert_allclose(found, expected, atol=step)


def test_execute_runs_one_prepared_image(examples, open_session):
    example = examples("lite")
    session = open_session(example)
    (logits,) = session.execute(session.prepare(example.pixels[2:3]))
    np.testing.assert_array_equal(logits, only(session.infer(example.pixels))[2:3])


def test_a_damaged_or_missing_file_is_a_bundle_error(examples, tmp_path):
    example = examples("lite")
    arguments = {"preprocess": example.preprocess, "input_type": "float32", "properties": {}}
    with pytest.raises(BundleError, match=r"model\.tflite"):
        load(tmp_path, **arguments)
    content = emit(example.hub, example.emission("float32"))["model.tflite"]
    for damaged in (b"", b"not a model", content[: len(content) // 2]):
        (tmp_path / "model.tflite").write_bytes(damaged)
        with pytest.raises(BundleError, match="cannot be loaded"):
            load(tmp_path, **arguments)


def test_an_artifact_that_is_not_the_bundles_is_refused(examples, tmp_path):
    example = examples("lite")
    (tmp_path / "model.tflite").write_bytes(emit(example.hub, example.emission("uint8"))["model.tflite"])
    with pytest.raises(BundleError, match="uint8"):
        load(tmp_path, preprocess=example.preprocess, input_type="float32", properties={})
    with pytest.raises(BundleError, match="48, 48"):
        larger = replace(example.preprocess, size=(48, 48))
        load(tmp_path, preprocess=larger, input_type="uint8", properties={})


@pytest.mark.parametrize("properties", [{"delegate": "gpu"}, {"threads": "4"}])
def test_an_unknown_property_is_refused(tmp_path, properties, examples):
    with pytest.raises(OptionError, match="delegate is xnnpack or none"):
        load(tmp_path, preprocess=examples("lite").preprocess, input_type="float32", properties=properties)
