"""edgeeff import-result: what a device says, held against its bundle before anything is believed."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import signal
import time
from typing import Any

import numpy as np
import pytest

from edgeeff.backends.tensorrt import results
from edgeeff.backends.tensorrt.device.onboard import sealed
from edgeeff.backends.tensorrt.device_result import DeviceResult
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.errors import BundleError, MissingFileError, OutputError
from edgeeff.files import TEMPORARY
from edgeeff.history import database, finding, place
from edgeeff.preprocess import Preprocess

GRAPHS = {"int8": "model.qdq.onnx", "fp16": "model.float.onnx"}


@pytest.fixture
def bundle(tmp_path):
    """A bundle of four golden images; hub and float logits lie 30 dB apart."""
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(4, 10)).astype(np.float32)
    noise = rng.normal(size=reference.shape)
    noise *= np.sqrt((reference**2).sum() / (noise**2).sum() / 1000)
    files = {name: name.encode() for name in GRAPHS.values()}
    for name, array in (
        ("inputs", np.zeros((4, 8, 8, 3), np.uint8)),
        ("hub", (reference + noise).astype(np.float32)),
        ("float", reference),
    ):
        buffer = io.BytesIO()
        np.save(buffer, array)
        files[f"golden/{name}.npy"] = buffer.getvalue()
    facts: dict[str, Any] = {
        "name": "b0-jetson-int8",
        "model": "b0",
        "target": "jetson-int8",
        "runtime": "tensorrt",
        "precision": "int8",
        "input": "float32",
        "softmax": False,
        "cpu_class": "avx2",
        "preprocess": Preprocess((8, 8), (127.0,) * 3, (128.0,) * 3),
        "labels": tuple(map(str, range(10))),
        "classes": 10,
        "runtime_properties": {},
        "digests": {},
        "tools": {},
        "files": {},
    }
    return write_bundle(tmp_path / "b0-jetson-int8", Manifest(**facts), files)


@pytest.fixture
def result(bundle) -> dict[str, Any]:
    """What verify.py writes on an Orin Nano."""
    identity = {"tensorrt": "10.3.0", "compute_capability": "8.7", "l4t": "36.4.3"}
    golden = {
        "images": 4,
        "sqnr_hub_db": 31.5,
        "agreement_hub": 1.0,
        "sqnr_float_db": 27.0,
        "agreement_float": 0.75,
        "tolerance_db": 19.0,
        "passed": True,
    }
    times = {"p50": 1.2, "p90": 1.3, "p99": 1.9}
    slower = {"p50": 1.6, "p90": 1.7, "p99": 2.5}
    ratio = {"value": 0.75, "low": 0.74, "high": 0.76}
    clock = {"cur": 6.2e8, "min": 6.2e8, "max": 6.2e8}
    moment = {"gpu_hz": clock, "emc_hz": None, "temperatures_c": {"gpu-thermal": 48.5}}

    def phase(watts: float, milliseconds: float | None) -> dict[str, Any]:
        rails = {"VDD_IN": {"mean": watts, "max": watts + 1}}
        runs = 2000 if milliseconds else 0
        return {"seconds": 3.0, "runs": runs, "milliseconds": milliseconds, "readings": 50, "rails_w": rails}

    return {
        "schema_version": 1,
        "bundle": bundle.name,
        "manifest_sha256": sealed.digest(bundle.folder / "manifest.json"),
        "measured_at": "2026-11-22T08:00:00Z",
        "board": "NVIDIA Jetson Orin Nano Developer Kit",
        **identity,
        "engines": {
            precision: {
                **identity,
                "precision": precision,
                "onnx": onnx,
                "onnx_sha256": bundle.manifest.files[onnx],
                "strongly_typed": False,
                "engine_sha256": "0" * 64,
            }
            for precision, onnx in GRAPHS.items()
        },
        "golden": {"int8": golden, "fp16": golden | {"sqnr_float_db": 45.0, "tolerance_db": 25.0}},
        "passed": True,
        "latency": {
            "runs": 500,
            "rounds": 25,
            "int8": {"host_ms": times, "gpu_ms": times},
            "fp16": {"host_ms": slower, "gpu_ms": slower},
            "ratio": {"host_ms": ratio, "gpu_ms": ratio},
            "spin_wait": True,
            "no_cuda_graph": {"int8": "", "fp16": ""},
        },
        "power": {
            "total_rail": "VDD_IN",
            "phases": {"idle": phase(4.0, None), "int8": phase(7.0, 1.5), "fp16": phase(8.0, 1.9)},
            "millijoules": {"int8": 10.5, "fp16": 15.2},
        },
        "clocks": {"power_mode": "15W", "pinned": True, "before": moment, "after": moment},
    }


@pytest.fixture
def arrived(tmp_path, result):
    """``arrived(change=None)``: the result as a file, after ``change`` was done to it."""

    def write(change: Any = None, name: str = "verify.json") -> Any:
        data = copy.deepcopy(result)
        if change is not None:
            change(data)
        path = tmp_path / name
        path.write_text(json.dumps(data))
        return path

    return write


def put(*path: str) -> Any:
    """``put("latency", "runs", 0)``: a change that sets one field."""
    *way, last, value = path

    def change(data: Any) -> None:
        for step in way:
            data = data[step]
        data[last] = value

    return change


def test_a_result_is_entered_and_said(edgeeff, bundle, arrived):
    own = {"EDGEEFF_HISTORY": str(bundle.folder.parent / "history.sqlite")}
    done = edgeeff("import-result", arrived(), "--bundle", bundle.folder, env=own)
    assert done.status == 0, done.err
    assert (
        "engine passed on NVIDIA Jetson Orin Nano Developer Kit (TensorRT 10.3.0, L4T 36.4.3, 15W)"
        in done.out
    )
    assert "INT8 p50 1.2 ms" in done.out and "[0.74, 0.76]" in done.out and "10.5 mJ a run" in done.out
    path = bundle.folder / "measured/results/jetson-orin-nano-developer-kit-trt10.3.0-15w.json"
    assert path.is_file() and str(path) in done.out
    assert Bundle.load(bundle.folder).altered() == []
    with database.reading(place.named(own["EDGEEFF_HISTORY"])) as connection:
        (run,) = finding.runs(connection, finding.Filter(model="b0", device="orin nano"), limit=None)
    figures = {(result.metric, result.conditions): result.value for result in run.results}
    assert figures["host_p50_ms", "images=1 engine=int8"] == 1.2
    assert figures["energy_mj", "images=1 engine=int8"] == 10.5 and run.kind == "device"


def test_what_a_killed_writer_left_is_swept(bundle, result):
    folder = bundle.folder / "measured/results"
    folder.mkdir(parents=True)
    for name in (f"{TEMPORARY}0123", f"{TEMPORARY}4567"):
        (folder / name).write_text("half")
    os.utime(folder / f"{TEMPORARY}0123", (0, 0))  # the other one may still be written
    path, _ = results.enter(DeviceResult.model_validate_json(json.dumps(result)), bundle.folder)
    assert sorted(folder.iterdir()) == [folder / f"{TEMPORARY}4567", path]


def test_results_of_several_boards_lie_side_by_side(edgeeff, bundle, arrived):
    def second(data: Any) -> None:
        data["board"] = "NVIDIA Jetson AGX Orin Developer Kit"
        data["passed"] = data["golden"]["int8"]["passed"] = False
        data["golden"]["int8"]["sqnr_hub_db"] = 3.0

    assert edgeeff("import-result", arrived(), f"--bundle={bundle.folder}").status == 0
    failed = edgeeff("import-result", arrived(second), "--json", cwd=bundle.folder.parent)
    (warning,) = failed.data["warnings"]
    assert failed.status == 1 and failed.err.endswith(f"WARNING {warning}\n")
    assert failed.data["passed"] is False and failed.data["replaced"] is False
    again = edgeeff("import-result", arrived(put("latency", "runs", 1000)), cwd=bundle.folder.parent)
    assert again.status == 0 and "in place of an older one" in again.out
    ran, sentence = results.summary(bundle.folder)
    assert ran and "passed on NVIDIA Jetson Orin Nano" in sentence
    assert "FAILED on NVIDIA Jetson AGX Orin" in sentence and sentence.count("engine ") == 2
    assert len(list((bundle.folder / "measured/results").iterdir())) == 2


def test_a_result_without_its_bundle_says_how_to_name_it(refused, arrived, bundle):
    bundle.folder.rename(bundle.folder.parent / "deeper")
    (bundle.folder.parent / "deeper" / "manifest.json").write_text("{}")
    assert "pass its folder with --bundle" in refused("import-result", arrived())


def test_a_result_of_another_bundle_is_refused(refused, arrived, bundle):
    wrong = arrived(put("manifest_sha256", "f" * 64))
    assert "is of another bundle" in refused("import-result", wrong, "--bundle", bundle.folder)


def test_an_altered_bundle_takes_no_result(refused, arrived, bundle):
    (bundle.folder / "model.qdq.onnx").write_bytes(b"another")
    assert "is not what manifest.json sealed" in refused("import-result", arrived(), "-b", bundle.folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema_version": 2}', "\ufeff{}", "[" * 5000])
def test_a_file_that_is_no_result_is_refused(tmp_path, content):
    (tmp_path / "verify.json").write_text(content)
    with pytest.raises(BundleError):
        results.read(tmp_path / "verify.json")


def test_a_file_too_large_is_refused_unread(tmp_path):
    with (tmp_path / "verify.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(MissingFileError, match="is larger than"):
        results.read(tmp_path / "verify.json")


IMPOSSIBLE = {
    "a negative latency": put("latency", "int8", "host_ms", "p50", -1.2),
    "a latency of nothing": put("latency", "int8", "gpu_ms", "p50", 0),
    "an infinite latency": put("latency", "int8", "host_ms", "p99", float("inf")),
    "no number": put("latency", "int8", "host_ms", "p99", float("nan")),
    "a p50 above its p99": put("latency", "int8", "host_ms", "p50", 2.0),
    "a GPU slower than its host": put("latency", "int8", "host_ms", {"p50": 0.5, "p90": 0.6, "p99": 0.7}),
    "a ratio outside of its interval": put("latency", "ratio", "gpu_ms", "value", 0.5),
    "a ratio that does not follow": put(
        "latency", "ratio", "gpu_ms", {"value": 0.2, "low": 0.1, "high": 0.3}
    ),
    "a ratio of one": put("latency", "fp16", None),
    "no ratio of two": put("latency", "ratio", None),
    "no runs": put("latency", "runs", 0),
    "negative power": put("power", "phases", "int8", "rails_w", "VDD_IN", "mean", -7.0),
    "a mean above the greatest": put("power", "phases", "int8", "rails_w", "VDD_IN", "max", 6.0),
    "energy that does not follow": put("power", "millijoules", "int8", 1.0),
    "energy without its rail": put("power", "total_rail", None),
    "three quarters of four images and a bit": put("golden", "int8", "agreement_hub", 0.8),
    "an agreement above all": put("golden", "int8", "agreement_hub", 1.25),
    "a field too many": put("golden", "int8", "note", "trust me"),
    "another schema": put("schema_version", 2),
    "a control character": put("board", "Orin\x1b[31m"),
    "a digest that is none": put("engines", "int8", "engine_sha256", "../../x"),
    "an engine built elsewhere": put("engines", "int8", "tensorrt", "10.7.0"),
    "an engine under another's name": put("engines", "int8", "precision", "fp16"),
    "a golden result without an engine": lambda data: data["engines"].pop("fp16"),
    "a board as hot as the sun": put("clocks", "after", "temperatures_c", "gpu-thermal", 5500.0),
    "no time": put("measured_at", "yesterday"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_figures_that_cannot_be_are_refused(arrived, what):
    with pytest.raises(BundleError):
        results.read(arrived(IMPOSSIBLE[what]))


def _version(data: Any) -> None:
    for part in (data, *data["engines"].values()):
        part["tensorrt"] = "11.4.1"  # which builds other files


CONTRADICTIONS = {
    "the bundle's name is": put("bundle", "b1-jetson-int8"),
    "built from another model.qdq.onnx": put("engines", "int8", "onnx_sha256", "0" * 64),
    "builds fp16 of model.float.onnx, not of": put("engines", "fp16", "onnx", "model.qdq.onnx"),
    "builds int8 of model.qdq.fp16.onnx, not of": _version,
    "2 golden images, of which the bundle has 4": lambda data: [
        golden.update(images=2, agreement_float=0.5) for golden in data["golden"].values()
    ],
    "held against 3.0 dB, which is 19.0 dB": put("golden", "int8", "tolerance_db", 3.0),
    "at 5.0 dB is said to have passed": put("golden", "int8", "sqnr_hub_db", 5.0),
    "it is said to have failed, against its own figures": put("passed", False),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_what_the_bundle_itself_contradicts_is_refused(arrived, bundle, what):
    found = results.read(arrived(CONTRADICTIONS[what]))
    with pytest.raises(BundleError, match=what):
        results.hold(found, bundle.folder)


def test_the_control_alone_is_no_result_of_an_int8_bundle(arrived, bundle):
    def control(data: Any) -> None:
        for part in ("engines", "golden", "latency"):
            del data[part]["int8"]
        data["latency"]["ratio"] = None

    with pytest.raises(BundleError, match="leaves out int8"):
        results.hold(results.read(arrived(control)), bundle.folder)


@pytest.mark.parametrize("board", ["../../../etc/passwd", "..", "/", "a" * 200, None])
def test_a_boards_name_leads_nowhere_else(arrived, bundle, board):
    path, _ = results.enter(results.read(arrived(put("board", board))), bundle.folder)
    assert path.parent == bundle.folder / "measured/results"
    assert path.resolve().is_relative_to((bundle.folder / "measured/results").resolve())


@pytest.mark.parametrize("link", ["measured", "measured/results"])
def test_a_link_within_the_bundle_is_not_written_through(bundle, result, tmp_path, link):
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle.folder / link).parent.mkdir(exist_ok=True)
    (bundle.folder / link).symlink_to(outside)
    found = DeviceResult.model_validate_json(json.dumps(result))
    with pytest.raises(OutputError, match="symbolic link"):
        results.enter(found, bundle.folder)
    assert not any(outside.iterdir())


def below(folder: Any) -> dict[str, bytes]:
    """Files, but what an interrupted writer leaves to be swept."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


@pytest.mark.slow
def test_kills_while_results_are_entered(start, process, bundle, arrived):
    """One or two writers: a result that stands is whole and one of those sent, the bundle is what it was.

    ``EDGEEFF_FAULTS=200`` tries that many moments, as in tests/cli/test_faults.py.
    """
    moments = int(os.environ.get("EDGEEFF_FAULTS", "8"))
    rng = random.Random(int(os.environ.get("EDGEEFF_FAULTS_SEED", "0")))
    sent = [arrived(), arrived(put("latency", "runs", 1000), "other.json")]
    before, clean, seconds = below(bundle.folder), [], 0.0
    for path in sent:
        begin = time.monotonic()
        assert process("import-result", path, "--bundle", bundle.folder).status == 0
        seconds = max(seconds, time.monotonic() - begin)
        clean.append({name: data for name, data in below(bundle.folder).items() if name not in before})
    died = 0
    for _ in range(moments):
        first, *others = rng.sample(sent, rng.choice((1, 2)))
        killed, *kept = [start("import-result", path, "--bundle", bundle.folder) for path in (first, *others)]
        time.sleep(rng.uniform(0.3, 1.1) * seconds)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        died += killed.returncode == -signal.SIGKILL
        for other in kept:
            _, err = other.communicate(timeout=300)
            assert other.returncode == 0, err
        found = below(bundle.folder)
        assert {name: found.pop(name) for name in before} == before
        assert found in clean
    assert died > moments // 4
    for left in (bundle.folder / "measured").rglob(".*"):  # by a writer that was killed
        os.utime(left, (0, 0))
    assert process("import-result", sent[0], "--bundle", bundle.folder).status == 0
    assert below(bundle.folder) == before | clean[0]
    assert not list((bundle.folder / "measured").rglob(".*"))
