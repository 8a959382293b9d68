"""``edgeeff build`` from end to end, with real weights and real photos."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgeeff.bundle import Bundle
from edgeeff.cli import build as verb
from edgeeff.harness.golden import GOLDEN_IMAGES

TARGETS = ("cpu-int8", "mobile-int8", "jetson-int8")


def sealed(folder: Path) -> dict[str, bytes]:
    """All that a build wrote, its measurements too: only their record bears a time, and none of it a path."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    for name in found:
        if name.endswith("measured/verification.json"):
            found[name] = json.dumps({**json.loads(found[name]), "record": None}).encode()
    return found


@pytest.fixture(scope="session")
def lite0_arguments(ten_photos):
    targets = [f"--target={name}" for name in (*TARGETS, "cpu-fp32")]
    return ("build", "--model=lite0", "--size=96", f"--calibration={ten_photos}", *targets)


def test_three_targets_from_one_calibration(lite0_bundles):
    manifests = {name: Bundle.load(lite0_bundles / f"lite0-{name}").manifest for name in TARGETS}
    assert len({m.digests["statistics"] for m in manifests.values()}) == 1
    assert len({m.digests["plan"] for m in manifests.values()}) == 3
    for manifest in manifests.values():
        assert (manifest.classes, manifest.preprocess.size, manifest.precision) == (1000, (96, 96), "int8")
    for path in lite0_bundles.iterdir():
        assert not path.name.startswith(".")
        assert Bundle.load(path).altered() == []


def test_an_unchanged_build_is_left_alone(edgeeff, lite0_arguments, lite0_bundles):
    def stamps():
        return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in lite0_bundles.rglob("*")}

    before = stamps()
    result = edgeeff(*lite0_arguments, f"--output={lite0_bundles}", "--json")
    assert result.status == 0, result.err
    assert [b["unchanged"] for b in result.data] == [True] * 4
    assert [b["name"] for b in result.data] == [f"lite0-{t}" for t in (*TARGETS, "cpu-fp32")]
    assert stamps() == before


def test_an_unchanged_build_imports_neither_torch_nor_onnx(lite0_arguments, lite0_bundles, start):
    process = start(*lite0_arguments, f"--output={lite0_bundles}", env={"PYTHONPROFILEIMPORTTIME": "1"})
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", err, re.MULTILINE))
    assert "edgeeff.pipeline.build" in imported
    assert not imported & {"torch", "onnx", "openvino", "ai_edge_litert", "onnxruntime"}


@pytest.mark.slow
def test_another_cache_folder_and_threads_make_the_same_bytes(
    process, lite0_arguments, lite0_bundles, folder_of, photos, tmp_path
):
    """Other paths of the same photos, too."""
    env = {
        **{"EDGEEFF_CACHE_DIR": str(tmp_path / "cache"), "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2"),
    }
    elsewhere = folder_of(photos[:10])
    result = process(
        *(*lite0_arguments, f"--calibration={elsewhere}", "--output=deep/er", "--json"), cwd=tmp_path, env=env
    )
    assert result.status == 0, result.err
    assert not any(b["unchanged"] for b in result.data)
    assert sealed(tmp_path / "deep" / "er") == sealed(lite0_bundles)


def test_json_says_what_was_verified_and_what_not(edgeeff, lite0_arguments, lite0_bundles):
    found = {b["name"]: b for b in edgeeff(*lite0_arguments, f"--output={lite0_bundles}", "--json").data}
    for name in ("lite0-cpu-int8", "lite0-mobile-int8"):
        assert found[name]["verification"]["images"] == 2 and found[name]["not_run"] is None
        assert found[name]["verification"]["sqnr_db"] > 18
        assert found[name]["hub"]["sqnr_db"] > 18
    assert found["lite0-cpu-fp32"]["verification"]["sqnr_db"] > 60 and found["lite0-cpu-fp32"]["hub"] is None
    jetson = found["lite0-jetson-int8"]
    assert jetson["verification"] is None and jetson["not_run"] and jetson["hub"]["sqnr_db"] > 18
    assert jetson["check"].startswith("NOT RUN")


def test_the_table_says_not_run(edgeeff, lite0_arguments, lite0_bundles):
    result = edgeeff(*lite0_arguments, f"--output={lite0_bundles}")
    assert result.out.count("(unchanged)") == 4
    jetson = next(line for line in result.out.splitlines() if "lite0-jetson-int8" in line)
    assert jetson.count("NOT RUN") >= 2
    assert "dB" in next(line for line in result.out.splitlines() if "its graph in onnxruntime" in line)


def test_an_altered_bundle_is_built_again(edgeeff, lite0_arguments, lite0_bundles, tmp_path):
    arguments = (*lite0_arguments[:4], "--target=cpu-int8", f"--output={tmp_path}", "--json")
    assert edgeeff(*arguments).data[0]["unchanged"] is False
    path = tmp_path / "lite0-cpu-int8" / "plan.json"
    path.write_bytes(path.read_bytes() + b" ")
    assert edgeeff(*arguments).data[0]["unchanged"] is False
    assert sealed(tmp_path) == {
        name: content for name, content in sealed(lite0_bundles).items() if name.startswith("lite0-cpu-int8")
    }


def test_strict_makes_a_warning_a_failure(edgeeff, ten_photos, small, tmp_path):
    """Weights of noise, and ranges that their outliers stretch, fall under the limits, and that is said."""
    arguments = (
        *("build", *small("b"), f"--calibration={ten_photos}"),
        *("--target=cpu-int8", "--effort=fast", "--ranges=minmax", "--name=noise", f"--output={tmp_path}"),
    )
    plain = edgeeff(*arguments, "--json")
    assert plain.status == 0, plain.err
    assert plain.data[0]["warnings"] and "WARNING noise-cpu-int8" in plain.err
    strict = edgeeff(*arguments, "--strict")
    assert strict.status == 1 and "WARNING noise-cpu-int8" in strict.err


# A user's own network


@pytest.fixture(scope="session")
def b0_arguments(ten_photos, small, labels_file):
    return (
        *("build", *small("b"), "--name=b0", "--effort=fast"),
        *(f"--calibration={ten_photos}", f"--labels={labels_file}"),
    )


@pytest.fixture(scope="session")
def b0_bundles(edgeeff, b0_arguments, tmp_path_factory) -> Path:
    output: Path = tmp_path_factory.mktemp("b0")
    result = edgeeff(*b0_arguments, *(f"--target={t}" for t in TARGETS), f"--output={output}", "--json")
    assert result.status == 0, result.err
    assert [Path(b["bundle"]).name for b in result.data] == [f"b0-{t}" for t in TARGETS]
    return output


def test_a_fine_tuned_b0_for_all_targets(b0_bundles):
    for target in TARGETS:
        bundle = Bundle.load(b0_bundles / f"b0-{target}")
        assert bundle.manifest.classes == 7 and bundle.manifest.labels[6] == "Schraube 6"
        assert bundle.manifest.preprocess.size == (64, 64)
        assert (bundle.folder / "labels.txt").read_text("utf-8").splitlines() == list(bundle.manifest.labels)


def test_swish_is_whole_but_for_tflite(b0_bundles):
    """Q/DQ inside Swish never for TensorRT and OpenVINO: no scale of 1/256 stands in their plans."""
    for target in TARGETS:
        plan = json.loads((b0_bundles / f"b0-{target}" / "plan.json").read_text())
        steps = [a for a in plan["activations"].values() if a["scale"] == 1 / 256]
        assert bool(steps) == (target == "mobile-int8")


@pytest.mark.parametrize("io", ["uint8", "int8"])
def test_integer_inputs_take_raw_pixels(io, edgeeff, b0_arguments, b0_bundles, flat_image, tmp_path):
    """The input type changes how pixels come in, not what the network says of them."""
    result = edgeeff(*b0_arguments, "--target=mobile-int8", f"--io={io}", f"--output={tmp_path}")
    assert result.status == 0, result.err
    bundle = Bundle.load(tmp_path / "b0-mobile-int8")
    assert bundle.manifest.input == io
    pixels = np.load(bundle.folder / "golden" / "inputs.npy")
    ours, floats = bundle.predict(pixels), np.load(bundle.folder / "golden" / "float" / "logits.npy")
    theirs = Bundle.load(b0_bundles / "b0-mobile-int8").predict(pixels)
    assert ours.shape == theirs.shape == floats.shape
    noise = [float(np.square(x - floats).sum()) for x in (ours, theirs)]
    assert noise[0] < 4 * noise[1] + 1e-6 * float(np.square(floats).sum())


def test_softmax(edgeeff, ten_photos, lite0_bundles, tmp_path):
    targets = ("--target=cpu-int8", "--target=mobile-int8")
    network = ("--model=lite0", "--size=96", f"--calibration={ten_photos}")
    result = edgeeff(
        *("build", *network, "--softmax", *targets, f"--output={tmp_path}", "--name=probable", "--json")
    )
    assert result.status == 0, result.err
    for target in ("cpu-int8", "mobile-int8"):
        bundle = Bundle.load(tmp_path / f"probable-{target}")
        pixels = np.load(bundle.folder / "golden" / "inputs.npy")
        probabilities, logits = (
            bundle.predict(pixels),
            Bundle.load(lite0_bundles / f"lite0-{target}").predict(pixels),
        )
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        np.testing.assert_allclose(probabilities, powers / powers.sum(axis=1, keepdims=True), atol=1 / 128)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=0.03)


def test_the_verb_and_the_function_carry_as_many_golden_images():
    assert inspect.signature(verb.command).parameters["golden"].default == GOLDEN_IMAGES
