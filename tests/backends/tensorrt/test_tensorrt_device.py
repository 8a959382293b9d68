from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edgeeff import metrics
from edgeeff.backends.tensorrt import device, run
from edgeeff.backends.tensorrt.device.onboard import (
    built_here,
    engines,
    golden,
    hardware,
    recipes,
    rule,
    sealed,
    timing,
)
from edgeeff.errors import MissingRuntimeError
from edgeeff.preprocess import Preprocess

DEVICE = Path(device.__file__).parent
SCRIPTS = ["build_engine.py", "verify.py"]
GRAPHS = ["model.qdq.onnx", "model.qdq.fp16.onnx", "model.float.onnx", "model.float.fp16.onnx"]
ORIN = hardware.Identity("10.3.0", "8.7", "36.4.3")

without_tensorrt = pytest.mark.skipif(find_spec("tensorrt") is not None, reason="tensorrt is installed")


@pytest.fixture
def bundle(tmp_path):
    """A sealed bundle with golden vectors, as far as the device's scripts read it before they build."""
    files = {name: (DEVICE / name).read_bytes() for name in device.FILES}
    files |= {name: name.encode() for name in GRAPHS}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "golden").mkdir()
    for name, array in (
        ("inputs", np.zeros((2, 32, 32, 3), np.uint8)),
        ("hub", np.ones((2, 10), np.float32)),
    ):
        np.save(tmp_path / "golden" / f"{name}.npy", array)
    manifest = {
        "name": "tiny-jetson-int8",
        "precision": "int8",
        "input": "float32",
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def script(
    folder: Path, name: str, *arguments: str, python: str = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    # Isolated, unless an environment is given, so that edgeeff itself cannot be what makes the script run.
    return subprocess.run(
        [python, *([] if environment else ["-E"]), "-s", name, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_file_of_the_device_is_copied():
    found = {path.relative_to(DEVICE).as_posix() for path in DEVICE.rglob("*.py")}
    assert set(device.FILES) == found - {"__init__.py"}


@pytest.mark.parametrize("name", device.FILES)
def test_the_scripts_are_python_3_8(name):
    ast.parse((DEVICE / name).read_text(encoding="utf-8"), feature_version=(3, 8))


@pytest.mark.parametrize("name", device.FILES)
def test_the_scripts_import_the_standard_library_tensorrt_and_numpy_only(name):
    tree = ast.parse((DEVICE / name).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {Path(file).stem for file in device.FILES} | {"onboard", ""}
    needed = {module.partition(".")[0] for module in imported} - set(sys.stdlib_module_names) - own
    allowed = {"onboard/hardware.py": {"tensorrt"}}
    allowed |= {
        f"onboard/{measures}.py": {"numpy"} for measures in ("boxes", "golden", "rule", "running", "timing")
    }
    assert needed == allowed.get(name, set())


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_needs_no_tensorrt(bundle, name):
    done = script(bundle, name, "--help")
    assert done.returncode == 0, done.stderr
    assert "tensorrt" in done.stdout


LINES = {
    ("8.5.2", "int8"): "--onnx=model.qdq.onnx --int8 --fp16 --buildOnly",
    ("8.6", "int8"): "--onnx=model.qdq.onnx --int8 --fp16 --skipInference",
    ("10.3.0", "fp16"): "--onnx=model.float.onnx --fp16 --skipInference",
    ("10.13", "int8"): "--onnx=model.qdq.fp16.onnx --stronglyTyped --skipInference",
    ("10.16", "fp16"): "--onnx=model.float.fp16.onnx --stronglyTyped --skipInference",
    ("11.4.1", "int8"): "--onnx=model.qdq.fp16.onnx --skipInference",
}


@pytest.mark.parametrize(("version", "precision"), LINES)
def test_the_trtexec_line_of_each_version(bundle, version, precision):
    done = script(
        *(bundle, "build_engine.py", "--print-trtexec", "--tensorrt-version", version),
        *("--workspace", "512", "--precision", precision),
    )
    assert done.returncode == 0, done.stderr
    program, *options = done.stdout.split()
    files = {
        "--memPoolSize=workspace:512",
        f"--saveEngine=measured/trtexec-{precision}.engine",
        "--timingCacheFile=measured/trtexec.timing",
    }
    assert program == "trtexec"
    assert set(options) == set(LINES[version, precision].split()) | files


def test_without_a_version_all_lines_are_printed(bundle):
    done = script(bundle, "build_engine.py", "--print-trtexec")
    assert done.returncode == 0, done.stderr
    named = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert named == [f"# TensorRT {v}" for v in ("8.5", "8.6 to 10.11", "10.12 to 10.16", "11")]
    assert done.stdout.count("\ntrtexec ") == 2 * len(named)


@pytest.mark.parametrize("version", ["7.2", "12.0", "ten", "10.x"])
def test_a_version_out_of_range_is_one_line_and_status_2(bundle, version):
    done = script(bundle, "build_engine.py", "--print-trtexec", "--tensorrt-version", version)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_precision_that_the_bundle_has_not_is_named(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"] = {n: seal for n, seal in manifest["files"].items() if not n.startswith("model.qdq")}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    done = script(bundle, "build_engine.py", "--print-trtexec", "--precision", "int8")
    assert done.returncode == 2 and "has no model.qdq.onnx; it offers fp16" in done.stderr


# What a module named tensorrt holds, and what is said of it.
MODULES = {
    "missing": (None, "tensorrt cannot be imported"),
    "too old": ('__version__ = "7.2.3"', "TensorRT 7.2.3 is outside of 8.5 to 11"),
    "hollow": ("", "has no version"),
    "broken": ('raise OSError("libnvinfer.so.10: cannot open\\nshared object file")', "cannot be imported"),
    "no device": ('__version__ = "10.3.0"', "run this on the device"),
}


def refusal(bundle: Path, name: str, kind: str, python: str) -> None:
    content, expected = MODULES[kind]
    modules = bundle / "modules"
    modules.mkdir()
    if content is not None:
        (modules / "tensorrt.py").write_text(content)
    done = script(bundle, name, python=python, PYTHONPATH=str(modules), CUDA_VISIBLE_DEVICES="-1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith(f"{name}: ") and expected in done.stderr


@without_tensorrt
@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("name", SCRIPTS)
def test_what_stands_in_the_way_is_one_line_and_status_2(bundle, name, kind):
    refusal(bundle, name, kind, sys.executable)


def python_3_8() -> str | None:
    """A Python 3.8 that runs; pyenv's shim does only where its version is chosen."""
    for version in ("", "3.8", *(f"3.8.{n}" for n in range(20, 9, -1))):
        for name in filter(None, [shutil.which("python3.8")]):
            environment = {**os.environ, **({"PYENV_VERSION": version} if version else {})}
            say = "import sys; print(sys.executable, *sys.version_info[:2])"
            done = subprocess.run([name, "-c", say], capture_output=True, text=True, env=environment)
            if done.returncode == 0 and done.stdout.endswith(" 3 8\n"):
                return done.stdout.rpartition(" 3 8")[0]
    return None


@pytest.fixture(scope="module")
def old_python():
    found = python_3_8()
    if found is None:
        pytest.skip("no python3.8 here")
    return found


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("name", SCRIPTS)
def test_under_a_real_python_3_8_too(bundle, old_python, name, kind):
    refusal(bundle, name, kind, old_python)


def test_a_real_python_3_8_imports_and_prints(bundle, old_python):
    done = script(bundle, "build_engine.py", "--print-trtexec", python=old_python)
    assert done.returncode == 0, done.stderr
    lines = "import onboard.engines, onboard.sensors as s; print(s.conditions(), s.board(), s.rails())"
    done = subprocess.run([old_python, "-c", lines], cwd=bundle, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("harm", ["alter", "delete", "unseal"])
def test_a_bundle_that_is_not_whole_is_refused(bundle, harm):
    model = bundle / "model.qdq.onnx"
    if harm == "alter":
        model.write_bytes(model.read_bytes()[:-1] + b"\0")
    elif harm == "delete":
        model.unlink()
    else:
        (bundle / "manifest.json").write_text("[]")
    with pytest.raises(sealed.RefusedError, match="copy"):
        sealed.read_bundle(bundle)


def built(bundle: Path, here: hardware.Identity = ORIN, precision: str = "int8") -> Path:
    """What build_engine.py leaves."""
    engine = bundle / engines.engine_name(here, precision)
    sealed.write_whole(engine, b"an engine")
    onnx = recipes.recipe(recipes.parse_version(here.tensorrt), precision).onnx
    record = {
        **here._asdict(),
        "precision": precision,
        "onnx": onnx,
        "onnx_sha256": sealed.digest(bundle / onnx),
        "engine_sha256": sealed.digest(engine),
    }
    sealed.write_json(engine.with_suffix(".json"), record)
    built_here.remember(record["engine_sha256"])
    return engine


@pytest.mark.parametrize("precision", recipes.PRECISIONS)
def test_an_engine_is_found_where_it_was_built(bundle, precision):
    engine = built(bundle, precision=precision)
    assert engine.name == f"trt10.3.0-sm87-l4t36.4.3-{precision}.engine"
    assert engines.find_engine(bundle, ORIN, precision)[0] == engine
    other = "fp16" if precision == "int8" else "int8"
    with pytest.raises(engines.NoEngineError, match=f"no {other} engine here"):
        engines.find_engine(bundle, ORIN, other)


def test_an_engine_from_elsewhere_is_not_loaded(bundle, monkeypatch, tmp_path):
    """Its record is right, as whoever brings it can write it; this machine did not build it."""
    engine = built(bundle)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))
    with pytest.raises(engines.NoEngineError, match="was not built by this user on this machine") as caught:
        engines.find_engine(bundle, ORIN, "int8")
    subprocess.run(["sh", "-c", str(caught.value).partition("comes from: ")[2]], check=True)  # the way out
    assert engines.find_engine(bundle, ORIN, "int8")[0] == engine


def test_no_link_is_written_through(bundle, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    (bundle / "measured").symlink_to(outside)
    with pytest.raises(sealed.RefusedError, match="is a link"):
        sealed.write_whole(bundle / "measured" / "a", b"ours")
    (bundle / "measured").unlink()
    (bundle / "measured").mkdir()
    for name in ("a", "a.unfinished"):
        (bundle / "measured" / name).symlink_to(outside / "file")
    sealed.write_whole(bundle / "measured" / "a", b"ours")
    assert (outside / "file").read_text() == "theirs" and not (bundle / "measured" / "a").is_symlink()
    assert (bundle / "measured" / "a").read_bytes() == b"ours"


CHANGES = {
    "TensorRT was 10.3.0 and is 10.7.0": ORIN._replace(tensorrt="10.7.0"),
    "the compute capability was 8.7 and is 7.2": ORIN._replace(compute_capability="7.2"),
    "JetPack's L4T was 36.4.3 and is 36.4.4": ORIN._replace(l4t="36.4.4"),
    "JetPack's L4T was 36.4.3 and is none": ORIN._replace(l4t=""),
}


@pytest.mark.parametrize("reason", CHANGES)
@pytest.mark.parametrize("renamed", [False, True])
def test_a_stale_engine_is_refused_with_what_changed(bundle, reason, renamed):
    engine, here = built(bundle), CHANGES[reason]
    if renamed:
        for suffix in (".engine", ".json"):
            engine.with_suffix(suffix).rename(
                (bundle / engines.engine_name(here, "int8")).with_suffix(suffix)
            )
    with pytest.raises(engines.NoEngineError) as caught:
        engines.find_engine(bundle, here, "int8")
    assert f"is stale: {reason}; run build_engine.py" in str(caught.value)


@pytest.mark.parametrize(
    ("stale", "reason"),
    [
        ("model.qdq.onnx", "built from another model.qdq.onnx"),
        ("measured/trt10.3.0-sm87-l4t36.4.3-int8.engine", "it was altered"),
    ],
)
def test_an_engine_of_something_else_is_refused(bundle, stale, reason):
    built(bundle)
    (bundle / stale).write_bytes(b"another")
    with pytest.raises(engines.NoEngineError, match=reason):
        engines.find_engine(bundle, ORIN, "int8")


@pytest.mark.parametrize("record", [None, "[]", "{", '{"onnx": "../../secret"}'])
def test_an_engine_with_a_damaged_record_is_refused(bundle, record):
    path = built(bundle).with_suffix(".json")
    path.unlink() if record is None else path.write_text(record)
    with pytest.raises(engines.NoEngineError, match="is stale"):
        engines.find_engine(bundle, ORIN, "int8")


def test_verify_prepares_pixels_as_preprocess_does():
    preprocess = Preprocess((6, 5), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 6, 5, 3), dtype=np.uint8)
    prepared = golden.native_input(pixels, preprocess.to_json(), "float32")
    assert np.array_equal(prepared, preprocess.normalise(pixels))
    assert np.array_equal(golden.native_input(pixels, {}, "uint8"), pixels.transpose(0, 3, 1, 2))


def test_labels_agree_on_a_device_by_their_threshold():
    """Of one logit the largest is always the same."""
    hub = np.array([[2.0], [-2.0], [1.0], [-1.0]], np.float32)
    found = np.array([[2.0], [-2.0], [-0.1], [-1.0]], np.float32)
    assert rule.compare("int8", found, hub, hub)["agreement_hub"] == 1
    manifest = {"task": "multilabel", "threshold": 0.5, "softmax": False}
    assert rule.compare("int8", found, hub, hub, rule.cut_of(manifest))["agreement_hub"] == 0.75
    assert rule.cut_of({**manifest, "threshold": 0.9}) == pytest.approx(np.log(9))
    assert rule.cut_of({**manifest, "softmax": True}) == 0.5 and rule.cut_of({"softmax": False}) is None
    plugged = {
        **manifest,
        "task": "a plug-in's",
    }  # a device knows the manifest alone
    assert rule.cut_of({**plugged, "thresholded": True}) == 0 and rule.cut_of(plugged) is None


def test_verify_judges_by_the_one_rule():
    rng = np.random.default_rng(1)
    hub = rng.normal(size=(5, 10)).astype(np.float32)
    near, far = (hub + rng.normal(size=hub.shape, scale=s).astype(np.float32) for s in (0.08, 0.3))
    assert rule.sqnr(hub, near) == pytest.approx(metrics.sqnr(hub, near), abs=1e-6)
    assert rule.compare("int8", near, hub, hub)["passed"]
    assert not rule.compare("fp16", near, hub, hub)["passed"]  # FP16 keeps more than INT8 does
    assert not rule.compare("int8", far, hub, hub)["passed"]
    found = rule.compare("int8", np.full_like(hub, np.nan), hub, hub)
    assert not found["passed"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert rule.compare("int8", hub, hub, hub)["sqnr_hub_db"] == rule.LOUDEST


def test_golden_vectors_that_are_not_there_are_named(bundle):
    with pytest.raises(sealed.RefusedError, match=r"float\.npy"):
        golden.load(bundle, {})
    np.save(bundle / "golden" / "float.npy", np.ones((2, 10), np.float32))
    assert golden.load(bundle, {})[2][""].shape == (2, 10)
    for wrong in (np.full((2, 10), "a"), np.ones((2, 9), np.float32), np.ones((3, 10), np.float32)):
        np.save(bundle / "golden" / "float.npy", wrong)
        with pytest.raises(sealed.RefusedError, match="cannot be read"):
            golden.load(bundle, {})


def test_the_ratio_is_of_pairs_and_its_interval_holds_it():
    rng = np.random.default_rng(2)
    drift = np.linspace(1, 3, 25)[:, None]  # a clock that slows down slows both
    control = drift * rng.normal(1, 0.02, (25, 20))
    found = timing.ratio(0.7 * drift * rng.normal(1, 0.02, (25, 20)), control)
    assert found["low"] < found["value"] < found["high"]
    assert found["value"] == pytest.approx(0.7, rel=0.01) and found["high"] - found["low"] < 0.02
    times = {"host_ms": control + 0.1, "gpu_ms": control}
    both = timing.summarise({"int8": times, "fp16": times})
    assert both["ratio"]["gpu_ms"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert both["int8"]["gpu_ms"]["p50"] == pytest.approx(np.percentile(control, 50), abs=1e-4)
    assert both["runs"] == 500 and timing.summarise({"fp16": times})["ratio"] is None


@without_tensorrt
def test_a_session_without_tensorrt_says_what_to_run(bundle, emission):
    with pytest.raises(MissingRuntimeError, match="tensorrt cannot be imported") as caught:
        run.load(bundle, preprocess=emission.preprocess, input_type="float32", properties={})
    assert "build_engine.py" in caught.value.mend
