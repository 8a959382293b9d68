"""The samples in Python: they import nothing of edgeeff, and answer as it does."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeeff.bundle import Bundle

SIMULATED = Path(__file__).parents[1] / "backends" / "tensorrt" / "simulated_device"
TARGETS = {"openvino": "cpu-fp32", "litert": "mobile-fp32", "onnxruntime": "jetson-fp16"}
BOXED = {"letterbox": (127.5, 110.0, 1.0), "crop": 1.0}
CASES = [
    ("classification", {"batch": 2, "exif": True, "squash": True}),
    ("multilabel", {"batch": "dynamic:4"}),
    ("features", {"mean": (120.0,), "std": (60.0,), "interpolation": "bilinear"}),
    ("detection", BOXED),
    ("detection", {"where": "runtime"}),
]


def repred(label: str) -> str:
    """A label as the samples in Python print it."""
    return repr(label)[1:-1]


@pytest.fixture
def sample(samples):
    """``sample(runtime, task)``: its module."""

    def load(runtime, task):
        path = samples / f"python-{runtime}" / ("detect.py" if task == "detection" else "classify.py")
        spec = importlib.util.spec_from_file_location(f"sample_{runtime}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def each_case():
    """Every runtime with every case; by default a few of them."""
    few = {("openvino", 0), ("openvino", 4), ("litert", 1), ("litert", 2), ("litert", 3)}
    for runtime in TARGETS:
        for number, (task, options) in enumerate(CASES):
            marks = () if (runtime, number) in few else pytest.mark.slow
            yield pytest.param(runtime, task, options, marks=marks, id=f"{runtime}-{task}{number}")


@pytest.mark.parametrize(("runtime", "task", "options"), [*each_case()])
def test_answers_are_edgeeffs(sample, tiny_bundle, photo_files, same_answers, capsys, runtime, task, options):
    if runtime == "onnxruntime" and options.get("where") == "runtime":
        pytest.skip("this graph makes its boxes by TensorRT's plugin")
    bundle = tiny_bundle(TARGETS[runtime], task, **options)
    capsys.readouterr()
    sample(runtime, task).main(bundle.folder, [*map(str, photo_files)])
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    if runtime != "onnxruntime":
        same_answers(bundle, photo_files, lines, None, repred)
        return
    _, session = bundle.graph_session()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bundle, "session", lambda self, *_: session)
        same_answers(bundle, photo_files, lines, None, repred)


@pytest.mark.parametrize("runtime", TARGETS)
def test_outputs_are_edgeeffs_bit_for_bit(sample, tiny_bundle, photo_files, runtime):
    bundle, module = tiny_bundle(TARGETS[runtime], "features"), sample(runtime, "features")
    manifest = json.loads((bundle.folder / "manifest.json").read_text("utf-8"))
    network = module.Network(bundle.folder, manifest)
    session = bundle.graph_session()[1] if runtime == "onnxruntime" else bundle.session()
    for photo in photo_files:
        pixels = module.fitted(str(photo), manifest["preprocess"])[None]
        found = network(module.prepared(pixels, manifest, network.channels_first))
        for name, wanted in session.infer(pixels).items():
            own = (
                found[name].transpose(0, 3, 1, 2) if runtime == "litert" and wanted.ndim == 4 else found[name]
            )
            np.testing.assert_array_equal(own, wanted)


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_every_runtime_has_the_same_text_behind_its_own(samples, task):
    texts = {path: path.read_text("utf-8") for path in sorted(samples.glob(f"python-*/{task}.py"))}
    assert len(texts) == 4
    assert (
        len(
            {
                text.partition("# From here on the samples in Python are the same")[2]
                for text in texts.values()
            }
        )
        == 1
    )
    for path, text in texts.items():
        assert len(text.splitlines()) < 150, path
        imports = {n for node in ast.walk(ast.parse(text)) for n in imported(node)}
        assert imports - sys.stdlib_module_names <= {
            "numpy",
            "PIL",
            "engine",
            "openvino",
            "ai_edge_litert",
            "onnxruntime",
        }


def imported(node):
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    names += [node.module] if isinstance(node, ast.ImportFrom) else []
    return [name.partition(".")[0] for name in names]


def test_what_is_wrong_is_one_line(samples, sample, tiny_bundle, photo_files, answered, tmp_path):
    (tmp_path / "text.jpg").write_text("this is no photo")
    bundle, main = tiny_bundle("cpu-fp32"), sample("openvino", "classification").main
    for folder, photo, error, why in (
        (bundle.folder, tmp_path / "text.jpg", OSError, "cannot identify image file"),
        (bundle.folder, tmp_path / "none.jpg", OSError, "No such file or directory"),
        (tmp_path, photo_files[0], OSError, "manifest.json"),
    ):
        with pytest.raises(error, match=why):
            main(folder, [str(photo)])
    program, other = samples / "python-openvino" / "classify.py", tiny_bundle("mobile-fp32")
    lines, complaint = answered(sys.executable, program, other.folder, photo_files[0], status=2)
    assert not lines and complaint.endswith("is for tflite and classification: see the other samples\n")
    assert complaint.startswith("classify.py: ") and complaint.count("\n") == 1
    manifest = json.loads((bundle.folder / "manifest.json").read_text("utf-8"))
    manifest["preprocess"]["camera"] = {"colours": "nv12"}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="takes a camera's frames"):
        main(tmp_path, [str(photo_files[0])])
    for name in ("openvino", "tensorrt", "tflite_micro"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}')")
    for path in ("python-openvino/classify.py", "python-tensorrt/detect.py", "microcontroller/run.py"):
        command = [sys.executable, samples / path, bundle.folder, photo_files[0]]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("classification", {"batch": 2}),
        ("detection", {**BOXED, "batch": "dynamic:4"}),
        ("detection", {"where": "runtime"}),
    ],
)
def test_tensorrt_simulated(
    samples, tiny_bundle, photo_files, same_answers, tmp_path, monkeypatch, needs, task, options
):
    needs("gcc")
    bundle = tiny_bundle("jetson-fp16", task, **options)
    library = tmp_path / "libcudart.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-DGRAPHS=0", "-o", library, SIMULATED / "cudart.c"], check=True
    )
    environment = {
        **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        "PYTHONPATH": str(SIMULATED),
        "LD_LIBRARY_PATH": str(tmp_path),
        "SIMULATED_TENSORRT": "10.3.0",
    }
    program = samples / "python-tensorrt" / ("detect.py" if task == "detection" else "classify.py")

    def run(*command):
        return subprocess.run(
            [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True
        )

    done = run(program, bundle.folder, photo_files[0])
    assert done.returncode == 2 and "has no engine: run `python3 build_engine.py` there" in done.stderr
    assert (built := run(bundle.folder / "build_engine.py", "--precision", "fp16")).returncode == 0, (
        built.stderr
    )
    done = run(program, bundle.folder, *photo_files)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    reference = bundle.graph_session()[1]
    if options.get("where") != "runtime":
        monkeypatch.setattr(Bundle, "session", lambda self, *_: reference)
        same_answers(bundle, photo_files, lines, None, repred)
    assert {line[0] for line in lines} == {*map(str, photo_files)}
