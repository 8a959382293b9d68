"""Labels and normalisation lie in the file, where MediaPipe and the TFLite Support libraries look."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeeff.backends.tflite.emit import emit
from edgeeff.backends.tflite.metadata import read
from edgeeff.errors import BundleError


def test_a_float_input_is_described_by_the_preprocessing(examples):
    example = examples("lite")
    preprocess = replace(example.preprocess, mean=(2.5,) * 3, std=(6.5,) * 3)
    emission = replace(example.emission("float32"), preprocess=preprocess)
    found = read(emit(example.hub, emission)["model.tflite"])
    assert (found.name, found.mean, found.std) == ("example", (2.5,), (6.5,))
    assert found.labels == tuple(emission.labels)


@pytest.mark.parametrize("input_type", ["uint8", "int8"])
@pytest.mark.parametrize(
    ("source", "mean", "std"),
    [("normalised", 127, 128), ("raw, one mean", 127, 1), ("raw, three means", 0, 1)],
)
def test_an_integer_inputs_normalisation_and_scale_undo_each_other(examples, input_type, source, mean, std):
    example = examples("asymmetric", source)
    content = emit(example.hub, example.emission(input_type))["model.tflite"]
    found = read(content)
    assert (found.mean, found.std) == ((mean,), (std,))
    tensor = schema.ModelT.InitFromPackedBuf(content).subgraphs[0].tensors[0].quantization
    lowest = (0 - mean) / std / tensor.scale[0] + tensor.zeroPoint[0]
    assert lowest == {"uint8": 0, "int8": -128}[input_type]


def test_labels_lie_in_a_zip_behind_the_model_and_beside_it(examples):
    example = examples("lite")
    emission = replace(example.emission("float32"), labels=("café", "two words", "", "last"))
    files = emit(example.hub, emission)
    with zipfile.ZipFile(io.BytesIO(files["model.tflite"])) as archive:
        assert archive.read("labels.txt") == files["labels.txt"] == "café\ntwo words\n\nlast\n".encode()
    assert read(files["model.tflite"]).labels == emission.labels


def test_without_labels_there_is_no_labels_file(examples):
    example = examples("lite")
    files = emit(example.hub, replace(example.emission("float32"), labels=()))
    assert list(files) == ["model.tflite"]
    assert not zipfile.is_zipfile(io.BytesIO(files["model.tflite"]))
    assert read(files["model.tflite"]).labels == ()


def test_damaged_metadata_is_a_bundle_error(examples):
    content = emit(examples("lite").hub, examples("lite").emission("float32"))["model.tflite"]
    for damaged in (
        b"",
        content[:100],
        content[: len(content) // 2],
        content.replace(b"TFLITE_META", b"X" * 11),
    ):
        with pytest.raises(BundleError, match="metadata"):
            read(damaged)
