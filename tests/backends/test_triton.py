"""A bundle in a folder of Triton's models: what lies there, and what its configuration says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import openvino as ov
import pytest
from google.protobuf import text_format

from edgeeff import serving
from edgeeff.backends import artifact_outputs
from edgeeff.backends.openvino import emit as openvino
from edgeeff.backends.tensorrt.device.onboard import built_here
from edgeeff.batch import ONE, Batch
from edgeeff.bundle import write_bundle
from edgeeff.cli import main
from edgeeff.detection import Nms
from edgeeff.errors import BundleError, MissingFileError, OptionError, OutputError
from edgeeff.graph.batch import with_batch
from edgeeff.manifest import Manifest

TYPES = {"u8": "TYPE_UINT8", "f32": "TYPE_FP32"}


@pytest.fixture
def written(tiny_detector, tmp_path):
    """``written(batch)``: a bundle of OpenVINO with boxes inside, or with raw heads of several images."""

    def make(batch: Batch = ONE, name: str = "tiny-cpu-int8", files=None, **changes):
        emission = tiny_detector.emission("cpu-fp32", Nms(), "runtime" if batch.size == 1 else "host")
        emission = replace(emission, name=name, batch=batch)
        made = openvino.emit(with_batch(tiny_detector.graph, batch), emission) if files is None else files
        fields = {
            **{"name": name, "model": "tiny", "target": "cpu-fp32", "runtime": "openvino"},
            **{"precision": "fp32", "input": "uint8", "softmax": False, "cpu_class": "avx2"},
            **{
                "preprocess": replace(emission.preprocess, crop=1.0),
                "labels": emission.labels,
                "classes": tiny_detector.classes,
            },
            **{"runtime_properties": dict(emission.target.runtime_properties), "digests": {}, "tools": {}},
            **{"files": {}, "task": "detection", "outputs": artifact_outputs(emission), "batch": batch},
            **{"detection": emission.detection},
        }
        return write_bundle(
            tmp_path / "dist" / name.replace("/", "_"), Manifest(**{**fields, **changes}), made
        )

    return make


@pytest.mark.parametrize("batch", [Batch(1), Batch(3), Batch(4, True)])
def test_the_folder_is_whole_and_says_what_the_ir_is(batch, written, tmp_path, model_config):
    bundle = written(batch)
    done = serving.triton(bundle, tmp_path / "models")
    assert done.folder == tmp_path / "models" / "tiny-cpu-int8" and done.backend == "openvino"
    assert sorted(str(p.relative_to(done.folder)) for p in done.folder.rglob("*") if p.is_file()) == [
        *("1/model.bin", "1/model.xml", "config.pbtxt", "labels.txt"),
    ]
    config = text_format.Parse((done.folder / "config.pbtxt").read_text(), model_config())
    assert (config.name, config.backend, config.max_batch_size) == ("tiny-cpu-int8", "openvino", 0)
    model = ov.Core().read_model(done.folder / "1" / "model.xml")
    kinds = model_config.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
    for said, held in ((config.input, model.inputs), (config.output, model.outputs)):
        for one, port in zip(said, held, strict=True):
            assert one.name == port.get_any_name()
            shape = [d.get_length() if d.is_static else -1 for d in port.partial_shape]
            assert (
                list(one.dims) == shape and kinds[one.data_type].name == TYPES[port.element_type.to_string()]
            )
    parameters = {entry.key: entry.value.string_value for entry in config.parameters}
    # The backend refuses bounds unless it is told to take what the configuration says.
    assert parameters == {"PERFORMANCE_HINT": "LATENCY"} | (
        {"RESHAPE_IO_LAYERS": "YES"} if batch.dynamic else {}
    )
    assert not any(output.label_filename for output in config.output)  # rows of boxes have no labels


def test_what_the_server_cannot_be_told_is_a_warning(written, tmp_path, capsys):
    bundle = written()
    with pytest.raises(SystemExit) as ended:
        main(["inspect", str(bundle.folder), "--triton", str(tmp_path / "m"), "--json"])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["triton"] == {"folder": str(tmp_path / "m" / bundle.name), "backend": "openvino"}
    (warning,) = found["warnings"]
    assert "INFERENCE_PRECISION_HINT=f32" in warning
    assert warning in (tmp_path / "m" / bundle.name / "config.pbtxt").read_text()
    bf16 = written(runtime_properties={"INFERENCE_PRECISION_HINT": "bf16"})
    assert serving.triton(bf16, tmp_path / "m").warnings == ()


def test_only_what_is_of_this_bundle_is_replaced(written, tmp_path):
    bundle, models = written(), tmp_path / "models"
    with pytest.raises(OutputError, match="is in the bundle"):
        serving.triton(bundle, bundle.folder)
    folder = serving.triton(bundle, models).folder
    (folder / "2").mkdir()
    assert serving.triton(bundle, models).folder == folder and not (folder / "2").exists()
    assert [path.name for path in models.iterdir()] == [bundle.name]
    (folder / "config.pbtxt").write_text(f'name: "{bundle.name}"\n')
    with pytest.raises(OutputError, match="is there already"):
        serving.triton(bundle, models)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / bundle.name).symlink_to(elsewhere)
    with pytest.raises(OutputError, match="is there already"):
        serving.triton(bundle, tmp_path / "linked")
    assert not list(elsewhere.iterdir())


def test_what_cannot_be_served_is_refused(written, tmp_path):
    bundle = written()
    with pytest.raises(OptionError, match="by openvino"):
        serving.triton(bundle, tmp_path / "models", "onnxruntime")
    (bundle.folder / "model.bin").write_bytes(b"other")
    with pytest.raises(BundleError, match="SHA-256"):
        serving.triton(bundle, tmp_path / "models")
    broken = written(name="broken", files={"model.xml": b"<net></net>", "model.bin": b""})
    with pytest.raises(BundleError, match="without inputs"):
        serving.triton(broken, tmp_path / "models")
    phone = written(name="phone", files={"model.tflite": b""}, runtime="tflite")
    with pytest.raises(OptionError, match="no backend for bundles of tflite"):
        serving.triton(phone, tmp_path / "models")
    with pytest.raises(OutputError, match="cannot be called"):
        serving.triton(written(name="of/us"), tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_an_engine_is_served_only_where_it_was_built(written, tmp_path):
    engine = b"a plan"
    files = {
        **{
            f"deploy/triton/{name}/jetson/config.pbtxt": b"# jetson\n" for name in ("tensorrt", "onnxruntime")
        },
        **{"model.qdq.onnx": b"a graph", "model.raw.onnx": b"without boxes"},
    }
    facts = {"runtime": "tensorrt", "precision": "int8", "input": "float32", "runtime_properties": {}}
    bundle, models = written(name="jetson", files=files, **facts), tmp_path / "models"
    done = serving.triton(bundle, models, "onnxruntime")
    assert (done.folder / "1" / "model.onnx").read_bytes() == b"without boxes" and len(done.warnings) == 1
    with pytest.raises(MissingFileError, match="has no engine"):
        serving.triton(bundle, models)
    digest = hashlib.sha256(engine).hexdigest()
    measured = bundle.folder / "measured"
    measured.mkdir(exist_ok=True)
    (measured / "trt10-sm87-int8.engine").write_bytes(engine)
    with pytest.raises(BundleError, match="is not what was built"):
        serving.triton(bundle, models)
    (measured / "trt10-sm87-int8.json").write_text(json.dumps({"engine_sha256": digest}))
    with pytest.raises(BundleError, match="was not built by this user"):
        serving.triton(bundle, models)
    built_here.remember(digest)
    folder = serving.triton(bundle, models).folder
    assert (folder / "1" / "model.plan").read_bytes() == engine
    (measured / "trt9-sm87-int8.engine").write_bytes(b"")
    with pytest.raises(BundleError, match="has 2 engines"):
        serving.triton(bundle, models)
