"""The texts are read by protobuf's own parser, against the fields of Triton's model_config.proto."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest
from google.protobuf import text_format

from edgeeff.backends.tensorrt import deployment
from edgeeff.batch import ONE, Batch
from edgeeff.errors import GraphError
from edgeeff.graph.batch import with_batch

TYPES = {1: "TYPE_FP32", 2: "TYPE_UINT8"}  # onnx.TensorProto.FLOAT and UINT8
PLATFORMS = {"tensorrt": "tensorrt_plan", "onnxruntime": "onnxruntime_onnx"}


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("source", ["float32", "uint8"])
@pytest.mark.parametrize("repository", PLATFORMS)
def test_the_configuration_says_what_the_graph_is(
    repository, source, softmax, deployed, emission, model_config
):
    changed = replace(emission, softmax=softmax, target=replace(emission.target, input=source))
    sealed, files = deployed(changed)
    folder = f"deploy/triton/{repository}/{emission.name}"
    config = text_format.Parse(files[f"{folder}/config.pbtxt"].decode(), model_config())
    assert (config.name, config.platform, config.max_batch_size) == ("tiny", PLATFORMS[repository], 0)
    graph = onnx.load_from_string(sealed["model.qdq.onnx"]).graph
    for said, value in ((config.input, graph.input), (config.output, graph.output)):
        ((said_one,), (value_one,)) = said, value
        tensor = value_one.type.tensor_type
        assert said_one.name == value_one.name
        assert list(said_one.dims) == [d.dim_value for d in tensor.shape.dim]
        kind = model_config.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
        assert kind[said_one.data_type].name == TYPES[tensor.elem_type]
    (group,) = config.instance_group
    assert group.count == 1
    kinds = model_config.DESCRIPTOR.file.enum_types_by_name["Kind"].values_by_number
    assert kinds[group.kind].name == {"tensorrt": "KIND_GPU", "onnxruntime": "KIND_CPU"}[repository]
    assert f"{folder}/{config.output[0].label_filename}" in files


def test_labels_are_one_a_line(deployed, emission):
    labels = ["crane; bird", "two\nlines", *map(str, range(8))]
    files = deployed(replace(emission, labels=labels))[1]
    found = files["deploy/triton/tensorrt/tiny/labels.txt"].decode().splitlines()
    assert found == ["crane; bird", "two lines", *map(str, range(8))]


def test_without_labels(deployed, emission, model_config):
    files = deployed(replace(emission, labels=()))[1]
    text = files["deploy/triton/onnxruntime/tiny/config.pbtxt"].decode()
    assert text_format.Parse(text, model_config()).output[0].label_filename == ""


def test_any_name_can_be_read_back(emission, model_config):
    name = 'Schraube "6" \\ Ä\t\nplatform: "theirs"'
    files = deployment.files(
        replace(emission, name=name),
        shape=(1, 3, 32, 32),
        classes=10,
        graph="model.qdq.onnx",
        input_name="x\n:0",
        output_name='"',
    )
    config = text_format.Parse(files[f"deploy/triton/tensorrt/{name}/config.pbtxt"].decode(), model_config())
    assert (config.name, config.input[0].name, config.output[0].name) == (name, "x\n:0", '"')


def test_the_layout_of_the_repository_is_told(deployed, imagenet):
    files = deployed(imagenet)[1]
    plan = files["deploy/triton/tensorrt/tiny/config.pbtxt"].decode()
    assert "1/model.plan" in plan and "build_engine.py --precision int8" in plan
    assert "mean 123.675 116.28 103.53 and std 58.395 57.12 57.375" in plan
    onnxruntime = files["deploy/triton/onnxruntime/tiny/config.pbtxt"].decode()
    assert "1/model.onnx" in onnxruntime and "model.qdq.onnx" in onnxruntime


@pytest.mark.parametrize("repository", PLATFORMS)
@pytest.mark.parametrize("batch", [Batch(4), Batch(6, True)])
def test_a_server_batches_where_the_graph_leaves_it_open(
    repository, batch, deployed, emission, lite_hub, model_config
):
    sealed, files = deployed(replace(emission, batch=batch), with_batch(lite_hub, batch))
    text = files[f"deploy/triton/{repository}/{emission.name}/config.pbtxt"].decode()
    config = text_format.Parse(text, model_config())
    graph = onnx.load_from_string(sealed["model.qdq.onnx"]).graph
    for said, value in ((config.input[0], graph.input[0]), (config.output[0], graph.output[0])):
        first, *rest = (d.dim_value for d in value.type.tensor_type.shape.dim)
        # With a max_batch_size Triton puts the first dimension before those that are said.
        assert list(said.dims) == (rest if batch.dynamic else [batch.size, *rest])
        assert first == (0 if batch.dynamic else batch.size)
    assert config.max_batch_size == (6 if batch.dynamic else 0)
    assert list(config.dynamic_batching.preferred_batch_size) == ([6] if batch.dynamic else [])
    assert config.HasField("dynamic_batching") == batch.dynamic
    # Of several images in one tensor Triton would count the classes on.
    assert bool(config.output[0].label_filename) == batch.dynamic


def test_a_graph_of_another_batch_than_the_bundle_is_refused(deployed, emission, lite_hub):
    for said, graph in (
        (Batch(4), ONE),
        (ONE, Batch(4)),
        (Batch(4), Batch(4, True)),
        (Batch(4, True), Batch(4)),
    ):
        with pytest.raises(GraphError, match="input and output are"):
            deployed(replace(emission, batch=said), with_batch(lite_hub, graph))
