"""The agent in a process of this machine: what runs over it runs as here, whoever is killed meanwhile."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import edgeeff
from edgeeff.batch import Batch
from edgeeff.bundle import Bundle
from edgeeff.cache import Cache
from edgeeff.devices import session
from edgeeff.devices.connection import Connection
from edgeeff.errors import BundleError, BusyError, DeviceError, EdgeeffError, MissingRuntimeError, OptionError
from edgeeff.harness import lock, record
from edgeeff.harness.fresh_process import How, start
from edgeeff.harness.launches import from_events, measure
from edgeeff.harness.throughput import throughput
from tests.devices.local import PYTHON, Local
from tests.harness.conftest import colours, make_bundle

__all__ = ["Bundle", "colours", "make_bundle"]  # for HOST, and fixtures
TRIFLE = How(threads=1, seconds=0.01)
FAULTS = int(os.environ.get("EDGEEFF_FAULTS", "3"))


@contextmanager
def connected(home, python=PYTHON, **environment):
    device = Connection("board", Local(home / "boards", environment), python)
    try:
        yield device
    finally:
        device.close()


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    with connected(tmp_path_factory.mktemp("board")) as one:
        yield one


def processes(home):
    """Those that run on such a board."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"EDGEEFF_HOME={home / 'boards'}\0".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def gone(home, within=15.0):
    deadline = time.monotonic() + within
    while processes(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not processes(home)


def left(home):
    """What an agent left in its store beside whole bundles and itself."""
    found = {path.name for path in (home / "boards").rglob("*") if path.suffix not in (".lock", ".zip")}
    work = home / "boards" / "work"
    return list(work.iterdir()) if "work" in found else []


@pytest.mark.parametrize(
    ("target", "batch"),
    [("mobile-fp32", Batch(1)), ("mobile-fp32", Batch(4, True)), ("cpu-fp32", Batch(3))],
)
def test_outputs_are_those_of_this_machine(target, batch, device, make_bundle, colours, monkeypatch):
    bundle = make_bundle("colour", target, batch=batch)
    there = bundle.on(device).session()
    assert there.batch == bundle.session().batch
    monkeypatch.setattr(session, "PIECE", 1000)  # a few images each
    for images in (colours[0], colours[0][:1], colours[0][:0]):
        if not len(images):
            with pytest.raises(ValueError, match="no image"):
                there.infer(images)
            continue
        expected, found = bundle.session().infer(images), there.infer(images)
        assert set(found) == set(expected)
        for name, values in expected.items():
            assert found[name].dtype == values.dtype and found[name].tobytes() == values.tobytes()
    np.testing.assert_array_equal(bundle.on(device).predict(colours[0]), bundle.predict(colours[0]))


def test_a_bundle_of_schema_1_runs_there(device, make_bundle, colours):
    bundle = make_bundle("old", outputs=False)
    expected = bundle.session().infer(colours[0])
    np.testing.assert_equal(bundle.on(device).session().infer(colours[0]), expected)


def test_a_launch_tells_what_one_here_tells(device, make_bundle):
    bundles = [make_bundle("ir", "cpu-fp32"), make_bundle("lite")]
    there = [bundle.on(device) for bundle in bundles]
    told = start("edgeeff.harness.launch", there, [1, 1], TRIFLE, 1)
    launch = from_events(told, [1, 1], 1)
    assert set(launch.runs) == {0, 1} and launch.runs[1].place == 0 and not launch.not_run
    assert launch.around is not None and min(launch.runs[0].wall_ns) > 0
    here = start("edgeeff.harness.launch", bundles, [1, 1], TRIFLE, 1)
    assert [set(event) for event in told] == [set(event) for event in here]
    assert [event["event"] for event in told] == [event["event"] for event in here]
    report = throughput(there, launches=1, seconds=0.01, requests=2, threads=2)
    assert all(entry.images_per_second for entry in report.entries)


def test_what_a_board_cannot_do_is_refused_by_name(device, make_bundle, tmp_path):
    bundle = make_bundle("lite").on(device)
    with pytest.raises(OptionError, match="layers are not taken on board"):
        start("edgeeff.harness.profile_launch", [bundle], [1], TRIFLE)
    with pytest.raises(OptionError, match="board, this machine cannot be measured in one process"):
        start("edgeeff.harness.launch", [bundle, make_bundle("here")], [1, 1], TRIFLE)
    for refused in (bundle.check, bundle.profiled_session, bundle.graph_session):
        with pytest.raises(OptionError, match="runs on board"):
            refused()
    with pytest.raises(TypeError, match="cannot be handed to another process"):
        pickle.dumps(bundle)
    engine = make_bundle("rtx", runtime="tensorrt_rtx", precision="int8").on(device)
    with pytest.raises(MissingRuntimeError, match="no part that is sent to a board"):
        engine.session()
    (event,) = start("edgeeff.harness.launch", [engine], [1], TRIFLE)
    assert event["event"] == "not run" and "tensorrt_rtx" in event["what"]
    (bundle.folder / "model.tflite").write_bytes(b"altered")
    with pytest.raises(BundleError, match=r"model\.tflite does not have"):
        bundle.session()


def test_a_runtime_that_is_absent_or_broken_is_not_run(tmp_path, make_bundle):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "openvino.py").write_text("raise ImportError('its libraries are gone')")
    bundle, other = make_bundle("ir", "cpu-fp32"), make_bundle("lite")
    with connected(tmp_path, PYTHONPATH=str(tmp_path / "modules")) as device:
        with pytest.raises(MissingRuntimeError, match="its libraries are gone") as caught:
            bundle.on(device).session()
        assert "pip install openvino" in caught.value.mend
        launch = measure([bundle.on(device), other.on(device)], [1, 1], TRIFLE, 0)
    assert set(launch.runs) == {1} and "its libraries are gone" in launch.not_run[0]


def test_facts_are_those_that_this_machine_has(device):
    here = record.environment()
    there = device.environment()
    assert set(there) == set(here)
    assert {"numpy", "openvino", "edgeeff"} <= set(there["versions"])
    assert there["versions"].items() <= here["versions"].items()
    assert {**there, "versions": {}} == {**here, "versions": {}}
    facts = device.facts()
    assert facts["now"]["disk_free_bytes"] > 0 and abs(facts["clock_offset_s"]) < 30


def test_bundles_are_sent_once(tmp_path, make_bundle, colours):
    bundle = make_bundle("lite")
    with connected(tmp_path) as device:
        bundle.on(device).predict(colours[0])
    model = tmp_path / "boards" / "bundles" / bundle.digest() / "model.tflite"
    before = model.stat().st_mtime_ns
    (agent,) = (tmp_path / "boards" / "agents").iterdir()
    sent = agent.stat().st_ino
    with connected(tmp_path) as device:
        bundle.on(device).predict(colours[0])
    assert model.stat().st_mtime_ns == before and agent.stat().st_ino == sent
    assert gone(tmp_path) and left(tmp_path) == []


def test_the_lock_keeps_measurements_off_from_here_and_there(tmp_path, monkeypatch):
    monkeypatch.setenv(lock.VARIABLE, str(tmp_path / "measuring.lock"))
    with connected(tmp_path) as one, connected(tmp_path) as other:
        with one.lock(0):
            assert lock.holder().pid != os.getpid()
            for taking in (lambda: lock.alone(), lambda: other.lock(0)):
                with pytest.raises(BusyError, match="another measurement runs"), taking():
                    pass
        with lock.alone(), pytest.raises(BusyError, match=f"process {os.getpid()} of"), one.lock(0.2):
            pass
        with other.lock(0):
            pass


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("no-such-python", "has no no-such-python"),
        ("false", "ended with 1"),
        ("yes", "ended|explained|agent"),
    ],
)
def test_what_is_no_python_is_said(python, says, tmp_path):
    with pytest.raises(DeviceError, match=says), connected(tmp_path, python):
        pass


def test_a_login_shell_may_talk(tmp_path):
    talking = tmp_path / "talking"
    talking.write_text(f'#!/bin/sh\necho "Welcome to the lab"; echo edgeeff-agent; exec {PYTHON} "$@"\n')
    talking.chmod(0o755)
    with connected(tmp_path, str(talking)) as device:
        assert device.environment()["cpu"] == record.environment()["cpu"]


def test_a_full_disk_is_one_error_and_leaves_nothing(tmp_path, make_bundle):
    bundle = make_bundle("lite")
    with connected(tmp_path) as device:
        device.facts()
    with connected(tmp_path, f"prlimit --fsize=1000 {PYTHON}") as device:
        for _ in range(2):
            with pytest.raises(DeviceError, match="board: the board's disk is full"):
                start("edgeeff.harness.launch", [bundle.on(device)], [1], TRIFLE)
        assert device.facts()["machine"]["cores"]
    assert gone(tmp_path) and left(tmp_path) == []
    assert not list((tmp_path / "boards").rglob("*.tflite"))


def test_a_board_that_can_store_nothing_still_says_how_it_is(tmp_path, make_bundle):
    (tmp_path / "boards").write_bytes(b"a file")
    with connected(tmp_path) as device:
        assert device.facts()["machine"]["cores"]
        with pytest.raises(DeviceError, match=r"store .* cannot be written"):
            make_bundle("lite").on(device).session()


def test_images_on_their_way_are_sent_again_after_a_cut(tmp_path, make_bundle, colours, monkeypatch):
    """The agent is killed once pieces have gone; a session that dies alone is an error, and says of what."""
    monkeypatch.setattr(session, "PIECE", 2000)
    monkeypatch.setattr("edgeeff.devices.connection.PAUSES", (0.0, 0.0))
    bundle, images = make_bundle("lite"), np.tile(colours[0], (40, 1, 1, 1))
    expected = bundle.session().infer(images)
    with connected(tmp_path) as device:
        there = bundle.on(device).session()
        killer = threading.Timer(0.1, os.kill, (device._link._process.pid, signal.SIGKILL))
        killer.start()
        found = there.infer(images)
        killer.join()
        np.testing.assert_equal(found, expected)
        np.testing.assert_equal(there.infer(images[:3]), {k: v[:3] for k, v in expected.items()})
        (serving,) = [pid for pid in processes(tmp_path) if pid != device._link._process.pid]
        os.kill(serving, signal.SIGKILL)
        with pytest.raises(DeviceError, match="ended by signal 9"):
            there.infer(images[:3])
        np.testing.assert_equal(bundle.on(device).session().infer(images[:3]), there.infer(images[:3]))
    assert gone(tmp_path)


HOST = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.devices.test_agent import Bundle, Connection, How, Local, PYTHON, measure
device = Connection("board", Local(Path(sys.argv[2]) / "boards"), PYTHON)
with device.lock(0):
    print("ready", flush=True)
    measure([Bundle.load(sys.argv[3]).on(device)], [1], How(seconds=60.0), 0)
"""


def host(home, bundle):
    """A host that measures for two minutes."""
    root = str(Path(__file__).parent.parent.parent)
    command = [sys.executable, "-c", HOST, root, str(home), str(bundle.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def freed(home, process, monkeypatch):
    """Whether nothing runs on the board any more, nothing is half-made and its lock is free."""
    monkeypatch.setenv(lock.VARIABLE, str(home / "measuring.lock"))
    clean = gone(home)
    process.kill()
    process.communicate()
    with lock.alone():
        return clean and left(home) == []


def test_a_board_is_free_again_when_its_host_dies(tmp_path, make_bundle, monkeypatch):
    process = host(tmp_path, make_bundle("lite"))
    process.kill()
    assert freed(tmp_path, process, monkeypatch)


@pytest.mark.slow
def test_a_board_is_free_again_when_its_host_is_silent(tmp_path, make_bundle, monkeypatch):
    """As after a cut of the network: the connection stands, and nothing comes."""
    process = host(tmp_path, make_bundle("lite"))
    process.send_signal(signal.SIGSTOP)
    assert freed(tmp_path, process, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("io", ["float32", "uint8", "int8"])
def test_outputs_of_each_input_type_are_those_of_this_machine(
    io, device, make_images, tmp_path, tmp_path_factory
):
    pixels = make_images(12, 64, 0)
    wanted = {"targets": ["cpu-int8", "mobile-int8"], "io": io, "size": 64, "output": tmp_path / "dist"}
    cache = Cache(tmp_path_factory.getbasetemp() / "cache-of-input-types")
    for one in edgeeff.build(model="lite0", calibration=pixels, cache=cache, **wanted):
        bundle = one.bundle
        assert bundle.manifest.input == io
        expected, found = bundle.session().infer(pixels), bundle.on(device).session().infer(pixels)
        assert {n: v.tobytes() for n, v in found.items()} == {n: v.tobytes() for n, v in expected.items()}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="the simulated CUDA runtime needs gcc")
def test_an_engine_is_built_on_the_board_and_kept_there(make_images, tmp_path):
    """On a simulated TensorRT: what it computes is the graph, so that outputs are those of onnxruntime."""
    simulated = Path(__file__).parent.parent / "backends" / "tensorrt" / "simulated_device"
    library = tmp_path / "libcudart.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-DGRAPHS=0", "-o", library, simulated / "cudart.c"], check=True
    )
    pixels = make_images(5, 64, 0)
    inputs = {"calibration": pixels, "size": 64, "cache": Cache(tmp_path / "cache")}
    (one,) = edgeeff.build(model="lite0", targets=["jetson-int8"], output=tmp_path / "dist", **inputs)
    _, graph = one.bundle.graph_session()
    board = {"PYTHONPATH": str(simulated), "LD_LIBRARY_PATH": str(tmp_path), "SIMULATED_TENSORRT": "10.3.0"}
    with connected(tmp_path, **board, XDG_STATE_HOME=str(tmp_path / "state")) as device:
        bundle = one.bundle.on(device)
        (found,), (expected,) = (s.infer(pixels).values() for s in (bundle.session(), graph))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        engines = list((tmp_path / "boards").rglob("*.engine"))
        assert engines and measure([bundle], [1], TRIFLE, 0).runs[0].wall_ns
        device.script(bundle.folder, "verify.py", ["--runs", "3", "--power-seconds", "0"], 300.0)
        assert json.loads(device.fetch(bundle.folder, "verify.json"))["tensorrt"] == "10.3.0"
        with pytest.raises(BundleError, match="carries no script"):
            device.script(bundle.folder, "other.py", [], 10.0)
        with pytest.raises(DeviceError, match="no measured"):
            device.fetch(bundle.folder, "../manifest.json")
    assert engines[0].is_file()


#: A line that turns one bit of what goes over it.
DAMAGE = """
import os, random, subprocess, sys, threading
draw = random.Random(int(sys.argv[1]))
way, place, bit = draw.choice("io"), int(10 ** draw.uniform(1.5, 5)), 1 << draw.randrange(8)
process = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def carry(source, out, damaged):
    seen = 0
    while part := bytearray(os.read(source, 1 << 16)):
        if damaged and seen <= place < seen + len(part):
            part[place - seen] ^= bit
        seen += len(part)
        while part:
            del part[: os.write(out, part)]
    os.close(out)
threading.Thread(target=carry, args=(0, process.stdin.fileno(), way == "i"), daemon=True).start()
carry(process.stdout.fileno(), 1, way == "o")
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2 * FAULTS))
def test_a_line_that_damages_bytes_never_changes_a_result(seed, tmp_path, make_bundle, colours, monkeypatch):
    monkeypatch.setattr("edgeeff.devices.connection.PAUSES", ())
    monkeypatch.setattr("edgeeff.devices.link._START", 5.0)
    bundle = make_bundle("lite")
    (tmp_path / "line.py").write_text(DAMAGE)
    expected = bundle.session().infer(colours[0])
    try:
        with connected(tmp_path, f"{PYTHON} {tmp_path / 'line.py'} {seed} {PYTHON}") as device:
            np.testing.assert_equal(bundle.on(device).session().infer(colours[0]), expected)
    except EdgeeffError as error:
        assert "report this" not in error.mend
    assert gone(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(FAULTS))
@pytest.mark.parametrize("victim", ["agent", "host"])
def test_a_kill_at_any_moment_leaves_a_result_or_none(victim, seed, tmp_path, make_bundle, monkeypatch):
    bundle, moment = make_bundle("lite"), random.Random(seed).uniform(0, 1.5)
    if victim == "host":
        process = host(tmp_path, bundle)
        time.sleep(moment)
        process.kill()
        assert freed(tmp_path, process, monkeypatch)
        return
    with connected(tmp_path) as device:
        killer = threading.Timer(moment, os.kill, (device._link._process.pid, signal.SIGKILL))
        killer.start()
        for _ in range(3):
            try:
                launch = measure([bundle.on(device)], [1], How(seconds=0.2), 0)
                assert len(launch.runs[0].wall_ns) == len(launch.runs[0].cpu_ns) >= 10
            except DeviceError:
                assert not killer.is_alive()
        killer.join()
        assert measure([bundle.on(device)], [1], TRIFLE, 0).runs[0].wall_ns
    assert gone(tmp_path)
    with connected(tmp_path) as device:  # which sweeps what the killed one left
        bundle.on(device).session()
        assert (tmp_path / "boards" / "bundles" / bundle.digest()).is_dir()
    assert gone(tmp_path) and left(tmp_path) == []
