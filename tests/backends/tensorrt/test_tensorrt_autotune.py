"""Variants of a bundle's graph: carried, built and timed by a simulated device, and its choice brought home.

What a run takes is what a test says (``SIMULATED_PAUSES``): nothing here is a time.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeeff import cli
from edgeeff.backends.tensorrt import results, tuned
from edgeeff.backends.tensorrt.device.onboard import variants as onboard
from edgeeff.backends.tensorrt.emit import emit
from edgeeff.bundle import Bundle, write_bundle
from edgeeff.carried import Carried, Carrying, slug_of
from edgeeff.errors import BundleError
from edgeeff.manifest import Manifest
from edgeeff.pipeline import brought_home, variants
from edgeeff.tasks import Output

QUICK = ("--autotune", "--runs", "25", "--warm-up", "0")
KEY = "trt10.3.0-sm87"


def marked(graph: onnx.ModelProto, mark: str) -> onnx.ModelProto:
    """The same graph, told apart by the simulated device."""
    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    copied.doc_string = f"mark-{mark}"
    if mark == "wrong-one":
        (bias,) = [t for t in copied.graph.initializer if t.name == "classifier_bias"]
        bias.CopyFrom(onnx.numpy_helper.from_array(np.arange(10, dtype=np.float32), bias.name))
    return copied


@pytest.fixture(scope="module")
def original(tmp_path_factory, lite_hub, run_onnx):
    """A bundle with two variants that compute the same, and one that does not compute its golden outputs."""
    from edgeeff.backends import Emission
    from edgeeff.preprocess import Preprocess
    from edgeeff.target import load_target

    preprocess = Preprocess((32, 32), (127.5,) * 3, (127.5,) * 3)
    labels = [f"class {i}" for i in range(10)]
    emission = Emission("tiny", load_target("jetson-int8"), preprocess, labels)
    names = ("quick one", "other one", "wrong one")
    made = {slug_of(name): lambda name=name: marked(lite_hub, slug_of(name)) for name in names}
    files = dict(
        emit(
            marked(lite_hub, "own"),
            dataclasses.replace(emission, float_graph=lambda: marked(lite_hub, "control"), variants=made),
        )
    )
    coarse = np.random.default_rng(3).integers(0, 256, (3, 2, 2, 3), dtype=np.uint8)
    pixels = np.kron(coarse, np.ones((1, 16, 16, 1), np.uint8)).astype(np.uint8)
    logits = run_onnx(lite_hub, preprocess.normalise(pixels))[0]
    folder = tmp_path_factory.mktemp("carrying")
    golden = {"inputs": pixels, "hub/logits": logits, "float/logits": logits}
    golden |= {f"variants/{slug_of(name)}/logits": logits for name in names}
    for name, array in golden.items():
        np.save(folder / "array.npy", array)
        files[f"golden/{name}.npy"] = (folder / "array.npy").read_bytes()
    fidelity = {"images": 3, "sqnr_db": 25.0}
    facts = {
        "name": "tiny",
        "model": "lite0",
        "target": "jetson-int8",
        "runtime": "tensorrt",
        "precision": "int8",
        "input": "float32",
        "softmax": False,
        "cpu_class": "vnni",
        "preprocess": preprocess,
        "labels": tuple(labels),
        "classes": 10,
        "runtime_properties": {},
        "digests": {},
        "tools": {},
        "files": {},
        "outputs": (Output("logits", (1, 10), "scores"),),
        "carrying": Carrying(
            "jetson-int8/bounded",
            "plain",
            fidelity,
            tuple(Carried(name, slug_of(name), fidelity) for name in names),
        ),
    }
    return write_bundle(folder / "tiny", Manifest(**facts), files)


@pytest.fixture
def bundle(original, tmp_path):
    """A copy, as a device has it."""
    for path in original.folder.rglob("*"):
        if path.is_file():
            target = tmp_path / "tiny" / path.relative_to(original.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return Bundle.load(tmp_path / "tiny")


@pytest.fixture
def device(bundle, cudart, simulated_tensorrt):
    """``device(script, *arguments, pauses=…)``: run a script of the bundle on a simulated device."""

    def run(name: str, *arguments: str, pauses: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, name, *arguments],
            cwd=bundle.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(simulated_tensorrt),
                "LD_LIBRARY_PATH": str(cudart("graphs")),
                "SIMULATED_TENSORRT": "10.3.0",
                "SIMULATED_PAUSES": pauses,
                "OMP_NUM_THREADS": "1",
                **more,
            },
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


SLOW_OWN = "mark-own=0.006,mark-other-one=0.006,mark-control=0.006"


def measured(bundle: Bundle) -> list[str]:
    return sorted(path.name for path in (bundle.folder / "measured").iterdir())


def test_the_fastest_that_is_faithful_is_kept_and_brought_home(bundle, device, tmp_path, capsys):
    done = device("build_engine.py", *QUICK, pauses=SLOW_OWN)
    assert done.returncode == 0, done.stderr
    assert "→ quick one: GPU p50" in done.stdout and "wrong one: refused" in done.stdout
    assert measured(bundle) == [
        "autotune.json",
        *(f"{KEY}-{what}" for what in ("chosen.json", "fp16.engine", "fp16.json")),
        *(f"{KEY}-int8{which}.{kind}" for which in ("-quick-one", "") for kind in ("engine", "json")),
        f"{KEY}.timing",
    ]
    found = tuned.read(bundle.folder / "measured" / "autotune.json")
    tuned.hold(found, bundle.folder)
    assert found.chosen == "quick one" and not found.control_wins
    assert not found.golden["wrong one"].passed and "wrong one" not in found.latency.times
    record = json.loads((bundle.folder / "measured" / f"{KEY}-int8-quick-one.json").read_text())
    assert (record["variant"], record["onnx"]) == ("quick-one", "model.qdq.quick-one.onnx")

    with pytest.raises(SystemExit) as ended:
        cli.main(["import-result", str(bundle.folder / "measured/autotune.json"), "--json"])
    assert not ended.value.code
    said = json.loads(capsys.readouterr().out)
    tuning = variants.read(Path(said["tuning"]))
    assert (
        tuning.choices == {"jetson-int8/bounded": "quick one"} and not tuning.remarks["jetson-int8/bounded"]
    )
    assert bundle.altered() == []


@pytest.mark.slow
def test_what_was_chosen_is_what_verify_runs(bundle, device):
    assert device("build_engine.py", *QUICK, pauses=SLOW_OWN).returncode == 0
    verified = device("verify.py", "--runs", "25", "--power-seconds", "0", "--no-build")
    assert verified.returncode == 0, verified.stderr
    assert "int8 (quick-one): 3 golden images" in verified.stdout
    result = results.read(bundle.folder / "measured" / "verify.json")
    results.hold(result, bundle.folder)
    assert result.engines["int8"].variant == "quick-one"
    record = result.engines["int8"].model_copy(update={"variant": "other-one"})
    other = result.model_copy(update={"engines": {**result.engines, "int8": record}})
    with pytest.raises(BundleError, match=r"builds int8 of model\.qdq\.other-one\.onnx, not of"):
        results.hold(other, bundle.folder)
    (bundle.folder / "manifest.json").write_text((bundle.folder / "manifest.json").read_text() + "\n")
    assert onboard.chosen(bundle.folder, KEY) == ""  # of another bundle


@pytest.mark.slow
def test_where_fp16_wins_it_is_said_and_later_builds_say_it(bundle, device):
    pauses = "mark-own=0.006,mark-quick-one=0.006,mark-other-one=0.006"
    done = device("build_engine.py", *QUICK, pauses=pauses)
    assert done.returncode == 0 and "FP16 is faster than every INT8 variant here" in done.stdout
    found = tuned.read(bundle.folder / "measured" / "autotune.json")
    assert found.control_wins
    (remark,) = brought_home.remarks(found)
    assert "FP16 was faster than every INT8 variant" in remark
    content = brought_home.tuning_of(found, bundle.manifest)
    assert json.loads(content)["targets"]["jetson-int8/bounded"]["remarks"] == [remark]


@pytest.mark.slow
def test_an_interrupted_run_leaves_whole_engines_and_no_choice(bundle, device):
    stopped = device("build_engine.py", *QUICK, SIMULATED_INTERRUPT="mark-other-one")
    assert stopped.returncode == 130
    assert measured(bundle) == [
        *(f"{KEY}-int8{which}.{kind}" for which in ("-quick-one", "") for kind in ("engine", "json")),
        f"{KEY}.timing",
    ]
    assert onboard.chosen(bundle.folder, KEY) == ""
    again = device("build_engine.py", *QUICK, pauses=SLOW_OWN)
    assert again.returncode == 0, again.stderr
    assert [line.split()[1] for line in again.stderr.splitlines()] == ["other", "wrong", "fp16"]
    assert onboard.chosen(bundle.folder, KEY) == "quick-one"


@pytest.mark.slow
def test_what_tensorrt_does_not_build_is_said_and_the_rest_goes_on(bundle, device):
    done = device("build_engine.py", *QUICK, SIMULATED_REFUSAL="mark-quick-one")
    assert done.returncode == 0, done.stderr
    assert "quick one: not built: TensorRT 10.3.0 could not build model.qdq.quick-one.onnx" in done.stdout
    found = tuned.read(bundle.folder / "measured" / "autotune.json")
    tuned.hold(found, bundle.folder)
    assert set(found.failed) == {"quick one"}


@pytest.mark.slow
def test_a_bundle_without_variants_and_options_that_do_not_go_with_it_are_refused(bundle, device):
    refused = device("build_engine.py", *QUICK, "--precision", "int8")
    assert refused.returncode == 2 and "--autotune takes --runs" in refused.stderr
    path = bundle.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["carrying"]
    path.write_text(json.dumps(manifest))
    refused = device("build_engine.py", *QUICK)
    assert refused.returncode == 2 and "edgeeff build --autotune" in refused.stderr
    assert refused.stderr.count("\n") == 1


RATIO = {"value": 0.5, "low": 0.49, "high": 0.51}
SAME = {"value": 1.0, "low": 1.0, "high": 1.0}
SLOWER = {"value": 1.2, "low": 1.1, "high": 1.3}


def test_the_choice_is_the_own_graph_unless_another_is_certainly_faster():
    decide = onboard.decide
    maybe = {"value": 0.9, "low": 0.7, "high": 1.1}
    assert decide("plain", {"plain": SAME, "a": maybe}, {"plain": SAME, "a": maybe}) == "plain"
    assert decide("plain", {"plain": SAME, "a": RATIO, "b": maybe}, {}) == "a"
    assert decide("plain", {}, {"a": maybe, "b": RATIO}) == "b"  # the own graph is not faithful
    assert decide("plain", {}, {}) == "" and onboard.control_wins("", {}, faithful=True)
    assert onboard.control_wins("a", {"a": SLOWER}, faithful=True)
    assert not onboard.control_wins("a", {"a": SLOWER}, faithful=False)  # FP16 overflows
    assert not onboard.control_wins("", {}, faithful=False)
    assert not onboard.control_wins("a", {"a": maybe}, faithful=True)


@pytest.fixture
def brought(original):
    """An ``autotune.json`` that can be: of a bundle whose variants all compute what they should."""
    seals, manifest = (
        original.manifest.files,
        hashlib.sha256((original.folder / "manifest.json").read_bytes()).hexdigest(),
    )
    here = {"tensorrt": "10.3.0", "compute_capability": "8.7", "l4t": "36.4.3"}

    def engine(onnx_file: str, precision: str, variant: str = "") -> dict:
        own = {"variant": variant} if variant else {}
        sealed = {"onnx": onnx_file, "onnx_sha256": seals[onnx_file], "engine_sha256": "0" * 64}
        return {**here, "precision": precision, "strongly_typed": False, **sealed, **own}

    slugs = {"quick one": "quick-one", "other one": "other-one", "wrong one": "wrong-one"}
    figures = {
        "images": 3,
        "sqnr_hub_db": 200.0,
        "agreement_hub": 1.0,
        "sqnr_float_db": 200.0,
        "agreement_float": 1.0,
        "typical_db": 0.0,
        "tolerance_db": 19.0,
        "passed": True,
    }
    whole = {**figures, "outputs": {"logits": figures}}
    control = {**figures, "tolerance_db": 25.0}
    failing = {**figures, "sqnr_hub_db": 1.0, "typical_db": -9.0, "sqnr_float_db": 1.0, "passed": False}
    times = {"p50": 2.0, "p90": 2.1, "p99": 2.2}
    half = {"p50": 1.0, "p90": 1.1, "p99": 1.2}
    moment = {"gpu_hz": {"cur": 6e8, "min": 6e8, "max": 6e8}, "emc_hz": None, "temperatures_c": {}}
    return {
        "schema_version": 1,
        "kind": "autotune",
        "bundle": "tiny",
        "run_id": "0" * 32,
        "manifest_sha256": manifest,
        "measured_at": "2026-11-22T08:00:00Z",
        "board": "NVIDIA Jetson Orin Nano Developer Kit",
        **here,
        "own": "plain",
        "engines": {
            "plain": engine("model.qdq.onnx", "int8"),
            **{n: engine(f"model.qdq.{s}.onnx", "int8", s) for n, s in slugs.items()},
            "fp16": engine("model.float.onnx", "fp16"),
        },
        "failed": {},
        "golden": {
            **dict.fromkeys(("plain", "quick one", "other one"), whole),
            "wrong one": {**failing, "outputs": {"logits": failing}},
            "fp16": {**control, "outputs": {"logits": control}},
        },
        "latency": {
            "runs": 25,
            "rounds": 25,
            "times": {
                name: {
                    "host_ms": half if name == "quick one" else times,
                    "gpu_ms": half if name == "quick one" else times,
                }
                for name in ("plain", "quick one", "other one", "fp16")
            },
            "to_own": {"plain": SAME, "quick one": RATIO, "other one": SAME},
            "to_control": {"plain": SAME, "quick one": RATIO, "other one": SAME},
            "spin_wait": True,
            "images": 1,
            "no_cuda_graph": {},
        },
        "clocks": {"power_mode": "15W", "pinned": True, "before": moment, "after": moment},
        "chosen": "quick one",
        "control_wins": False,
    }


def arrived(tmp_path, data) -> Path:
    (tmp_path / "autotune.json").write_text(json.dumps(data))
    return tmp_path / "autotune.json"


def put(*path):
    *way, last, value = path

    def change(data) -> None:
        for step in way:
            data = data[step]
        data[last] = value

    return change


DAMAGED = {
    "a choice that does not follow": put("chosen", "other one"),
    "a choice of what was refused": put("chosen", "wrong one"),
    "FP16 said to win": put("control_wins", True),
    "a ratio that its own latencies do not give": put("latency", "to_own", "quick one", "high", 0.2),
    "another ratio": put("latency", "to_own", "quick one", {"value": 0.2, "low": 0.19, "high": 0.21}),
    "what was refused is timed": lambda d: d["latency"]["times"].update(
        {"wrong one": d["latency"]["times"]["plain"]}
    ),
    "an engine without figures": lambda d: d["golden"].pop("other one"),
    "no control": lambda d: [d[part].pop("fp16") for part in ("engines", "golden")],
    "an engine of elsewhere": put("engines", "plain", "tensorrt", "10.7.0"),
    "a field too many": put("note", "trust me"),
    "a control character": put("board", "Orin\x1b[31m"),
    "another kind": put("kind", "verify"),
}
CONTRADICTIONS = {
    "the bundle's name is": put("bundle", "other"),
    "is of another bundle": put("manifest_sha256", "f" * 64),
    "was built from another": put("engines", "quick one", "onnx_sha256", "0" * 64),
    "the engine of quick one is": put("engines", "quick one", "variant", "other-one"),
    "is said to have passed": lambda d: [
        part.update({"sqnr_hub_db": 5.0, "typical_db": -9.0, "sqnr_float_db": 5.0})
        for part in (d["golden"]["plain"], d["golden"]["plain"]["outputs"]["logits"])
    ],
    "the bundle carries": lambda d: (
        [d[part].pop("other one") for part in ("engines", "golden")]
        + [d["latency"][part].pop("other one") for part in ("times", "to_own", "to_control")]
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_result_is_refused(tmp_path, brought, what):
    data = copy.deepcopy(brought)
    DAMAGED[what](data)
    with pytest.raises(BundleError):
        tuned.read(arrived(tmp_path, data))


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_what_the_bundle_contradicts_is_refused(tmp_path, original, brought, what):
    tuned.hold(tuned.read(arrived(tmp_path, brought)), original.folder)
    data = copy.deepcopy(brought)
    CONTRADICTIONS[what](data)
    with pytest.raises(BundleError, match=what):
        tuned.hold(tuned.read(arrived(tmp_path, data)), original.folder)


def test_variants_share_the_weights_and_are_whole_graphs(original):
    own = original.folder / "model.qdq.onnx"
    variant = original.folder / "model.qdq.quick-one.onnx"
    assert variant.stat().st_size < own.stat().st_size
    onnx.checker.check_model(str(variant), full_check=True)
    both = [onnx.load(path) for path in (own, variant)]
    constants = [
        {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in model.graph.initializer} for model in both
    ]
    assert constants[0] == constants[1]
    apart = onnx.load(variant, load_external_data=False)
    assert any(tensor.external_data for tensor in apart.graph.initializer)
