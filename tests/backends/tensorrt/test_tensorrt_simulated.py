"""The device's scripts from end to end on a simulated device, and their results carried home."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from edgeeff.backends.tensorrt import results
from edgeeff.backends.tensorrt.emit import emit
from edgeeff.batch import ONE, Batch
from edgeeff.detection import Detection, Nms, decode
from edgeeff.detection.decoding import rows_of
from edgeeff.errors import BundleError, MissingFileError
from edgeeff.graph.batch import with_batch


@pytest.fixture
def bundle(request, tmp_path, lite_hub, emission, run_onnx):
    """A whole bundle; the Q/DQ graph stands in for the float one, so both engines compute the same."""
    batch = getattr(request, "param", ONE)
    graph = with_batch(lite_hub, batch)
    files = dict(emit(graph, dataclasses.replace(emission, float_graph=lambda: graph, batch=batch)))
    coarse = np.random.default_rng(3).integers(0, 256, (3, 2, 2, 3), dtype=np.uint8)
    pixels = np.kron(coarse, np.ones((1, 16, 16, 1), np.uint8)).astype(np.uint8)  # noise is all alike to it
    logits = run_onnx(lite_hub, emission.preprocess.normalise(pixels))[0]
    folder = tmp_path / "bundle"
    (folder / "golden").mkdir(parents=True)
    (folder / "onboard").mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for name, array in (("inputs", pixels), ("hub", logits), ("float", logits)):
        np.save(folder / "golden" / f"{name}.npy", array)
        files[f"golden/{name}.npy"] = (folder / "golden" / f"{name}.npy").read_bytes()
    manifest = {
        "name": "tiny",
        "precision": "int8",
        "input": "float32",
        "preprocess": emission.preprocess.to_json(),
        "batch": batch.to_json(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def device(bundle, cudart, simulated_tensorrt):
    """``device(script, *arguments)``: run a script of the bundle on a simulated device."""

    def run(
        name: str, *arguments: str, tensorrt: str = "10.3.0", kind: str = "graphs", **more: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(simulated_tensorrt),
            "LD_LIBRARY_PATH": str(cudart(kind)),
            "SIMULATED_TENSORRT": tensorrt,
            "OMP_NUM_THREADS": "1",
            **more,
        }
        return subprocess.run(
            [sys.executable, name, *arguments],
            cwd=bundle,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


QUICK = ("--runs", "50", "--power-seconds", "0")


def test_build_then_verify_then_import(bundle, device):
    built = device("build_engine.py", "--triton", "models")
    assert built.returncode == 0, built.stderr
    served = bundle / "models" / "tiny"
    assert f"wrote {served.relative_to(bundle)}" in built.stdout
    assert sorted(path.name for path in served.iterdir()) == ["1", "config.pbtxt", "labels.txt"]
    engine = bundle / "measured/trt10.3.0-sm87-int8.engine"
    assert (served / "1" / "model.plan").read_bytes() == engine.read_bytes()
    (served / "config.pbtxt").write_text('name: "of somebody else"\n')
    refused = device("build_engine.py", "--triton", "models")
    assert refused.returncode == 2 and "is there already" in refused.stderr
    assert (served / "config.pbtxt").read_text() == 'name: "of somebody else"\n'
    shutil.rmtree(bundle / "models")
    assert sorted(path.name for path in (bundle / "measured").iterdir()) == [
        "trt10.3.0-sm87-fp16.engine",
        "trt10.3.0-sm87-fp16.json",
        "trt10.3.0-sm87-int8.engine",
        "trt10.3.0-sm87-int8.json",
        "trt10.3.0-sm87.timing",
    ]
    assert (bundle / "measured/trt10.3.0-sm87.timing").read_bytes().count(b"timings") == 2  # one for both
    record = json.loads((bundle / "measured/trt10.3.0-sm87-fp16.json").read_text())
    assert (record["onnx"], record["strongly_typed"]) == ("model.float.onnx", False)

    verified = device("verify.py", *QUICK, "--no-build")
    assert verified.returncode == 0, verified.stderr
    assert "PASSED" in verified.stdout and "without a CUDA graph" not in verified.stdout
    assert not list(bundle.rglob("__pycache__"))
    result = results.read(bundle / "measured" / "verify.json")
    results.hold(result, bundle)
    assert result.golden["int8"].sqnr_hub_db > 60
    assert result.latency.runs == 50 and result.latency.ratio is not None
    path, replaced = results.enter(result, bundle)
    assert path.name == f"{results.slug(result)}.json" and not replaced
    assert results.enter(result, bundle) == (path, False)
    ran, sentence = results.summary(bundle)
    assert ran and sentence.count("engine passed on") == 1  # the same result, lying there twice


@pytest.mark.parametrize("kind", ["failing", "none"])
def test_without_cuda_graphs_it_goes_on_and_says_so(bundle, device, kind):
    done = device("verify.py", *QUICK, kind=kind)
    assert done.returncode == 0, done.stderr
    reason = "CUDA error 900" if kind == "failing" else "has no cudaStreamBeginCapture"
    assert done.stdout.count("without a CUDA graph") == 2 and reason in done.stdout


def test_verify_builds_what_is_missing_and_says_what_was_stale(bundle, device):
    assert device("build_engine.py", "--precision", "int8").returncode == 0
    refused = device("verify.py", *QUICK, "--no-build", tensorrt="11.4.1")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "is stale: TensorRT was 10.3.0 and is 11.4.1" in refused.stderr and refused.stderr.count("\n") == 1
    done = device("verify.py", *QUICK, tensorrt="11.4.1")
    assert done.returncode == 0, done.stderr
    assert "is stale: TensorRT was 10.3.0 and is 11.4.1: building" in done.stderr
    record = json.loads((bundle / "measured/trt11.4.1-sm87-int8.json").read_text())
    assert (record["onnx"], record["strongly_typed"]) == ("model.qdq.fp16.onnx", True)
    results.hold(results.read(bundle / "measured" / "verify.json"), bundle)


def test_a_timing_cache_of_another_gpu_is_begun_anew(bundle, device):
    (bundle / "measured").mkdir()
    timing = bundle / "measured/trt10.3.0-sm87.timing"
    timing.write_bytes(b"foreign")
    assert device("build_engine.py", "--precision", "int8").returncode == 0
    assert timing.read_bytes() == b"timings\n"


MAP = "head_relu6"


@pytest.fixture
def two_outputs(bundle, run_onnx, emission):
    """The bundle with a feature map beside the logits, in every graph; TensorRT lists them the other way."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in ("model.qdq.onnx", "model.float.onnx"):
        model = onnx.load(bundle / name)
        known = onnx.shape_inference.infer_shapes(model)
        model.graph.output.append(next(v for v in known.graph.value_info if v.name == MAP))
        onnx.save(model, bundle / name)
    pixels = np.load(bundle / "golden" / "inputs.npy")
    logits, maps = run_onnx(onnx.load(bundle / "model.qdq.onnx"), emission.preprocess.normalise(pixels))
    for kind in ("hub", "float"):
        (bundle / "golden" / f"{kind}.npy").unlink()
        (bundle / "golden" / kind).mkdir()
        for name, values in (("logits", logits), (MAP, maps)):
            np.save(bundle / "golden" / kind / f"{name}.npy", values)
    manifest |= {
        "schema_version": 2,
        "outputs": [
            {"name": "logits", "shape": [1, 10], "meaning": "scores"},
            {"name": MAP, "shape": [1, *maps.shape[1:]], "meaning": "features"},
        ],
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    _seal(bundle)
    return bundle


def _seal(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    files = [path for path in bundle.rglob("*") if path.is_file() and path.name != "manifest.json"]
    manifest["files"] = {
        path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def test_each_output_is_judged_by_its_name(two_outputs, device):
    done = device("verify.py", *QUICK)
    assert done.returncode == 0, done.stderr
    assert f"output {MAP}: 200.0 dB to the hub" in done.stdout
    result = results.read(two_outputs / "measured" / "verify.json")
    results.hold(result, two_outputs)
    found = result.golden["int8"].outputs
    assert set(found) == {"logits", MAP} and found[MAP].agreement_hub is None
    assert found["logits"].agreement_hub == 1
    golden = result.golden["int8"].model_copy(update={"outputs": {"logits": found["logits"]}})
    lacking = result.model_copy(update={"golden": {**result.golden, "int8": golden}})
    with pytest.raises(BundleError, match="int8 has the outputs logits, the bundle logits, head_relu6"):
        results.hold(lacking, two_outputs)


def test_one_wrong_output_of_two_fails(two_outputs, device):
    for kind in ("hub", "float"):
        path = two_outputs / "golden" / kind / f"{MAP}.npy"
        np.save(path, np.load(path)[:, ::-1])
    _seal(two_outputs)
    done = device("verify.py", *QUICK)
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "FAILED"
    assert "output logits: 200.0 dB to the hub, 200.0 dB to float: passed" in done.stdout
    assert f"output {MAP}: " in done.stdout and "FAILED, below 19.0 dB" in done.stdout
    result = results.read(two_outputs / "measured" / "verify.json")
    results.hold(result, two_outputs)
    assert not result.golden["int8"].passed and not result.passed


@pytest.fixture
def detector(bundle, tiny_detector):
    """A detector that makes boxes, in the bundle's place: FP16 with its two typings, and golden boxes."""
    nms = Nms(0.3, max_boxes=20)
    made = emit(tiny_detector.graph, tiny_detector.emission("jetson-fp16", nms))
    for path in (*bundle.glob("*.onnx"), *(bundle / "golden").iterdir()):
        path.unlink()
    for name, content in made.items():
        (bundle / name).parent.mkdir(parents=True, exist_ok=True)
        (bundle / name).write_bytes(content)
    pixels = tiny_detector.pixels(3)
    raw = tiny_detector.raw(pixels)
    pairs = zip(raw["class_logits"], raw["box_codes"], strict=True)
    rows = np.stack([rows_of(decode(*pair, tiny_detector.geometry, nms), 20) for pair in pairs])
    np.save(bundle / "golden" / "inputs.npy", pixels)
    for kind in ("hub", "float"):
        (bundle / "golden" / kind).mkdir()
        np.save(bundle / "golden" / kind / "detections.npy", rows)
    manifest = json.loads((bundle / "manifest.json").read_text()) | {
        "schema_version": 2,
        "precision": "fp16",
        "task": "detection",
        "threshold": 0.4,
        "preprocess": tiny_detector.preprocess.to_json(),
        "outputs": [{"name": "detections", "shape": [1, 20, 6], "meaning": "detections"}],
        "detection": Detection(tiny_detector.geometry, nms, "runtime").to_json(),
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    _seal(bundle)
    return bundle


@pytest.mark.parametrize("version", ["8.5.2", "11.4.1"])
def test_boxes_of_an_engine_are_judged_as_boxes(detector, device, version):
    done = device("verify.py", *QUICK, tensorrt=version)
    assert done.returncode == 0, done.stderr
    assert "PASSED" in done.stdout
    result = results.read(detector / "measured" / "verify.json")
    results.hold(result, detector)
    found = result.golden["fp16"].outputs["detections"]
    assert found.sqnr_float_db > 30 and found.agreement_float == 1
    assert ("nms" in result.engines["fp16"].onnx) == (version == "11.4.1")


def test_boxes_in_another_order_of_coordinates_fail(detector, device):
    path = detector / "golden" / "float" / "detections.npy"
    np.save(path, np.load(path)[..., [1, 0, 3, 2, 4, 5]])
    _seal(detector)
    done = device("verify.py", *QUICK, tensorrt="10.3.0")
    assert done.returncode == 1 and "FAILED" in done.stdout


def test_nms_across_classes_is_not_built_where_it_would_be_another(detector, device):
    manifest = json.loads((detector / "manifest.json").read_text())
    manifest["detection"]["nms"]["across"] = True
    (detector / "manifest.json").write_text(json.dumps(manifest))
    done = device("build_engine.py", tensorrt="8.5.2")
    assert done.returncode == 2 and "knows no NMS across classes" in done.stderr
    assert device("build_engine.py", tensorrt="8.6.0").returncode == 0


def test_an_engine_that_computes_something_else_fails(bundle, device):
    hub = np.load(bundle / "golden" / "hub.npy")
    np.save(bundle / "golden" / "hub.npy", hub[:, ::-1])
    np.save(bundle / "golden" / "float.npy", hub[:, ::-1])
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in ("hub", "float"):
        content = (bundle / "golden" / f"{name}.npy").read_bytes()
        manifest["files"][f"golden/{name}.npy"] = hashlib.sha256(content).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    done = device("verify.py", *QUICK)
    assert done.returncode == 1 and "FAILED" in done.stdout
    result = results.read(bundle / "measured" / "verify.json")
    results.hold(result, bundle)
    assert results.summary(bundle)[0] is False
    assert "engine FAILED on" in results.summary(bundle)[1]


def test_a_result_of_another_bundle_is_refused(bundle, device, tmp_path):
    assert device("verify.py", *QUICK).returncode == 0
    result = results.read(bundle / "measured" / "verify.json")
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(BundleError, match="of another bundle"):
        results.hold(result, bundle)
    assert results.summary(bundle)[0] is False and "is of another bundle" in results.summary(bundle)[1]
    with pytest.raises(MissingFileError):
        results.read(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("bundle", "profile", "run", "golden"),
    [
        pytest.param(Batch(4), None, 4, 4, marks=pytest.mark.slow),
        (Batch(8, True), (2, 3, 5), 3, 5),
    ],
    indirect=["bundle"],
)
def test_runs_of_several_images(bundle, device, profile, run, golden):
    """Three golden images; runs are filled up with them, and an engine that takes fewer is run so, too."""
    asked = ["--profile", ",".join(map(str, profile))] if run == 3 else []
    assert device("build_engine.py", *asked).returncode == 0
    verified = device("verify.py", *QUICK, "--no-build")
    assert verified.returncode == 0, verified.stderr
    assert f"latency of a run of {run} images" in verified.stdout and "latency of an image" in verified.stdout
    assert "without a CUDA graph" not in verified.stdout
    result = results.read(bundle / "measured" / "verify.json")
    results.hold(result, bundle)
    assert result.engines["int8"].profile == profile
    assert (result.golden["int8"].images, result.latency.images) == (golden, run)
    swapped = device("verify.py", *QUICK, "--no-build", SIMULATED_SWAP="1")
    assert swapped.returncode == 1 and "FAILED" in swapped.stdout
    claimed = result.model_copy(
        update={
            "engines": {n: e.model_copy(update={"profile": (1, 1, 1)}) for n, e in result.engines.items()}
        }
    )
    with pytest.raises(BundleError, match=r"profile of images|golden images"):
        results.hold(claimed, bundle)


@pytest.mark.parametrize("bundle", [Batch(6, True)], indirect=True)
def test_trtexec_is_told_the_profile(bundle, device):
    lines = device("build_engine.py", "--print-trtexec", "--tensorrt-version", "10.3").stdout.splitlines()
    for line in lines:
        for word, images in (("min", 1), ("opt", 6), ("max", 6)):
            assert f"--{word}Shapes=input:{images}x3x32x32" in line.split()
    other = device("build_engine.py", "--print-trtexec", "--profile", "1,1,8").stdout
    assert other.count("--optShapes=input:1x3x32x32") == other.count("--maxShapes=input:8x3x32x32") == 8
    for wrong in ("8,4,1", "0,1,2", "4", "a,b,c", "1,2,10000"):
        refused = device("build_engine.py", "--profile", wrong)
        assert refused.returncode == 2 and "--profile" in refused.stderr


def test_a_fixed_batch_has_no_profile(bundle, device):
    refused = device("build_engine.py", "--profile", "1,4,8")
    assert refused.returncode == 2 and "--batch dynamic" in refused.stderr
    assert "Shapes" not in device("build_engine.py", "--print-trtexec").stdout
