from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edgeeff import metrics
from edgeeff.backends.tensorrt import run
from edgeeff.backends.tensorrt.device import build_engine, verify
from edgeeff.backends.tensorrt.emit import emit
from edgeeff.errors import MissingRuntimeError
from edgeeff.preprocess import Preprocess

DEVICE = Path(build_engine.__file__).parent
SCRIPTS = ["build_engine.py", "verify.py"]

without_tensorrt = pytest.mark.skipif(find_spec("tensorrt") is not None, reason="tensorrt is installed")


@pytest.fixture
def bundle(tmp_path, lite_hub, emission):
    """A sealed bundle with golden vectors, as far as the device's scripts read it."""
    files = emit(lite_hub, emission)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "golden").mkdir()
    for name, array in (
        ("inputs", np.zeros((2, 32, 32, 3), np.uint8)),
        ("hub", np.ones((2, 10), np.float32)),
    ):
        np.save(tmp_path / "golden" / f"{name}.npy", array)
    manifest = {
        "name": "tiny-jetson-int8",
        "input": "float32",
        "softmax": False,
        "preprocess": emission.preprocess.to_json(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def script(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Isolated, so that edgeeff itself cannot be what makes the script run.
    return subprocess.run(
        [sys.executable, "-E", "-s", name, *arguments], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_are_python_3_8(name):
    ast.parse((DEVICE / name).read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_scripts_import_the_standard_library_tensorrt_and_numpy_only(name):
    tree = ast.parse((DEVICE / name).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    allowed = {"tensorrt", "build_engine", ""} | ({"numpy"} if name == "verify.py" else set())
    assert {module.partition(".")[0] for module in imported} - set(sys.stdlib_module_names) <= allowed


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_needs_no_tensorrt(bundle, name):
    done = script(bundle, name, "--help")
    assert done.returncode == 0, done.stderr
    assert "tensorrt" in done.stdout


LINES = {
    "8.5.2": "--onnx=model.qdq.onnx --int8 --fp16 --buildOnly",
    "8.6": "--onnx=model.qdq.onnx --int8 --fp16 --skipInference",
    "10.3.0": "--onnx=model.qdq.onnx --int8 --fp16 --skipInference",
    "10.13": "--onnx=model.qdq.fp16.onnx --stronglyTyped --skipInference",
    "11.4.1": "--onnx=model.qdq.fp16.onnx --skipInference",
}


@pytest.mark.parametrize("version", LINES)
def test_the_trtexec_line_of_each_version(bundle, version):
    done = script(
        bundle, "build_engine.py", "--print-trtexec", "--tensorrt-version", version, "--workspace", "512"
    )
    assert done.returncode == 0, done.stderr
    program, *options = done.stdout.split()
    keyed = {
        "--memPoolSize=workspace:512",
        f"--saveEngine=measured/trt{version}-smXX.engine",
        f"--timingCacheFile=measured/trt{version}-smXX.timing",
    }
    assert program == "trtexec"
    assert set(options) == set(LINES[version].split()) | keyed


@pytest.mark.parametrize("version", ["7.2", "12.0", "ten", "10.x"])
def test_a_version_out_of_range_is_one_line_and_status_2(bundle, version):
    done = script(bundle, "build_engine.py", "--print-trtexec", "--tensorrt-version", version)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@without_tensorrt
@pytest.mark.parametrize("name", SCRIPTS)
def test_without_tensorrt_it_is_one_line_and_status_2(bundle, name):
    done = script(bundle, name)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "tensorrt cannot be imported" in done.stderr


@pytest.mark.parametrize("harm", ["alter", "delete", "unseal"])
def test_a_bundle_that_is_not_whole_is_refused(bundle, harm):
    model = bundle / "model.qdq.onnx"
    if harm == "alter":
        model.write_bytes(model.read_bytes()[:-1] + b"\0")
    elif harm == "delete":
        model.unlink()
    else:
        (bundle / "manifest.json").write_text("[]")
    with pytest.raises(build_engine.RefusedError, match="copy"):
        build_engine.read_bundle(bundle)


def built(bundle: Path) -> Path:
    """What build_engine.py leaves for TensorRT 10.3 on Orin."""
    engine = bundle / build_engine.engine_name("10.3.0", "8.7")
    engine.parent.mkdir()
    engine.write_bytes(b"an engine")
    record = {
        "engine_sha256": build_engine.digest(engine),
        "onnx": "model.qdq.onnx",
        "onnx_sha256": build_engine.digest(bundle / "model.qdq.onnx"),
    }
    engine.with_suffix(".json").write_text(json.dumps(record))
    return engine


def test_an_engine_is_found_for_its_version_and_device_only(bundle):
    engine = built(bundle)
    assert engine.name == "trt10.3.0-sm87.engine"
    assert build_engine.find_engine(bundle, "10.3.0", "8.7")[0] == engine
    for version, capability in (("10.3.0", "7.2"), ("10.7.0", "8.7")):
        with pytest.raises(build_engine.RefusedError, match="no engine for"):
            build_engine.find_engine(bundle, version, capability)


@pytest.mark.parametrize("stale", ["model.qdq.onnx", "measured/trt10.3.0-sm87.engine"])
def test_a_stale_engine_is_refused(bundle, stale):
    built(bundle)
    (bundle / stale).write_bytes(b"another")
    with pytest.raises(build_engine.RefusedError, match="built from another bundle"):
        build_engine.find_engine(bundle, "10.3.0", "8.7")


def test_verify_prepares_pixels_as_preprocess_does():
    preprocess = Preprocess((6, 5), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 3), dtype=np.uint8)
    prepared = verify.native_input(pixels[0], preprocess.to_json(), "float32")
    assert np.array_equal(prepared, preprocess.normalise(pixels))
    assert np.array_equal(verify.native_input(pixels[0], {}, "uint8"), pixels.transpose(0, 3, 1, 2))


def test_verify_judges_as_the_harness_does():
    rng = np.random.default_rng(1)
    hub = rng.normal(size=(5, 10)).astype(np.float32)
    near, far = (hub + rng.normal(size=hub.shape, scale=s).astype(np.float32) for s in (0.05, 0.3))
    assert verify.sqnr(hub, near) == pytest.approx(metrics.sqnr(hub, near), abs=1e-6)
    assert verify.compare(near, hub, hub)["passed"]
    assert not verify.compare(far, hub, hub)["passed"]
    found = verify.compare(np.full_like(hub, np.nan), hub, hub)
    assert not found["passed"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert verify.compare(hub, hub, hub)["sqnr_hub_db"] == verify.LOUDEST


def test_golden_vectors_that_are_not_there_are_named(bundle):
    with pytest.raises(build_engine.RefusedError, match=r"float\.npy"):
        verify.load_golden(bundle)


@without_tensorrt
def test_a_session_without_tensorrt_says_what_to_run(bundle, emission):
    with pytest.raises(MissingRuntimeError, match="tensorrt cannot be imported") as caught:
        run.load(bundle, preprocess=emission.preprocess, input_type="float32", properties={})
    assert "build_engine.py" in caught.value.mend
