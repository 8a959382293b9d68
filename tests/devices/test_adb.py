"""``--device adb:…``: a real adb and its server, and a stand-in for the phone at the end of the wire."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgeeff import cli
from edgeeff.devices import benchmark_model, open_device
from edgeeff.devices.kinds import Settings, adb
from edgeeff.errors import DeviceError
from tests.devices.boards import free_port
from tests.devices.phone import Phone
from tests.harness.conftest import colours, make_bundle

__all__ = ["colours", "make_bundle"]  # fixtures

needs_adb = pytest.mark.skipif(shutil.which("adb") is None, reason="adb is not installed")


@pytest.fixture(scope="module")
def server():
    """adb's own server, on a port of its own: the one of whoever runs the tests is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
        subprocess.run(["adb", "start-server"], check=True, capture_output=True)
        yield
        subprocess.run(["adb", "kill-server"], check=True, capture_output=True)


@pytest.fixture
def phone(server, tmp_path, monkeypatch):
    monkeypatch.setattr(adb, "FOLDER", str(tmp_path / "there"))
    monkeypatch.setattr(benchmark_model, "FOLDER", str(tmp_path / "there"))
    made = Phone()
    yield made
    made.close()
    subprocess.run(["adb", "disconnect", made.serial], check=False, capture_output=True)


@needs_adb
def test_commands_run_as_they_are(phone):
    device = adb.connect(phone.serial, Settings())
    assert device.python == "python3"
    data = bytes(range(256)) * 2000
    script = 'cat; echo "it\'s $HOME" >&2; exit 7'
    done = subprocess.run(device.command(["sh", "-c", script]), input=data, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (7, data), "binary, both ways"
    assert done.stderr.decode() == f"it's {adb.FOLDER}\n"
    assert "adb reaches it; Python python3" in adb.glance(phone.serial, Settings())


@needs_adb
def test_an_agent_runs_behind_adb(phone, tmp_path):
    file = tmp_path / "devices.toml"
    file.write_text(
        f'schema = 1\n[device.phone]\naddress = "adb:{phone.serial}"\npython = "{sys.executable}"\n'
    )
    device = open_device("phone", file)
    try:
        assert device.environment()["versions"]["numpy"]
    finally:
        device.close()


@needs_adb
def test_each_fault_has_one_error(phone, monkeypatch):
    for serial, message in (
        ("R58M", "adb sees no device of that serial|sees no device at all"),
        (f"127.0.0.1:{free_port()}", "adb cannot connect to it\n.*refused"),  # adb ends with status 0 then
        ("-s", "is no serial of adb"),
        ("a b", "is no serial"),
    ):
        with pytest.raises(DeviceError, match=message):
            adb.connect(serial, Settings())
    device = adb.connect(phone.serial, Settings())
    gone = device.explain(1, f"error: device '{phone.serial}' not found")
    assert "the connection was closed" in gone.what, "it is there again"
    phone.close()
    assert "(offline)" in device.explain(1, "error: device offline").what
    assert (
        "no Python was found"
        in device.explain(127, "/system/bin/sh: python3: inaccessible or not found").what
    )
    assert "debuggable build" in device.explain(1, "run-as: package not debuggable: com.termux").mend
    assert "exit status 3" in device.explain(3, "odd").what


@needs_adb
@pytest.mark.slow
def test_a_phone_that_has_not_been_asked(server):
    phone = Phone(authorized=False)
    try:
        subprocess.run(["adb", "connect", phone.serial], check=False, capture_output=True, timeout=30)
        with pytest.raises(DeviceError, match=r"allowed|asks on its screen|cannot connect|offline"):
            adb.connect(phone.serial, Settings())
    finally:
        phone.close()
        subprocess.run(["adb", "disconnect", phone.serial], check=False, capture_output=True)


@pytest.mark.parametrize(
    ("listed", "serial", "message"),
    [
        ({}, "any", "sees no device at all"),
        ({"A": "device", "B": "device"}, "any", "2 devices are attached\n.*adb:A, adb:B"),
        ({"A": "device"}, "B", "no device of that serial\n.*it sees A"),
        ({"A": "unauthorized"}, "A", "has not been allowed.*\n.*accept the question"),
        ({"A": "unauthorized"}, "any", "adb:A: it has not been allowed"),
        ({"A": "offline"}, "A", "(offline)"),
        ({"A": "no permissions"}, "A", "may not open its USB device\n.*udev"),
        ({"A": "bootloader"}, "A", "in its bootloader"),
        ({"A": "rescue"}, "A", "its state is 'rescue'"),
    ],
)
def test_states(monkeypatch, listed, serial, message):
    monkeypatch.setattr(adb, "attached", lambda: listed)
    with pytest.raises(DeviceError) as error:
        adb.require(serial)
    assert re.search(message, str(error.value))


def test_the_list_of_adb(monkeypatch):
    printed = (
        b"* daemon started successfully\nList of devices attached\nR58M\tdevice\n"
        b"0123\tno permissions (user in plugdev group); see [http://x]\n127.0.0.1:5555\toffline\n\n"
    )
    monkeypatch.setattr(adb, "_adb", lambda: "adb")
    monkeypatch.setattr(adb, "_run", lambda command: subprocess.CompletedProcess(command, 0, printed, b""))
    assert adb.attached() == {"R58M": "device", "0123": "no permissions", "127.0.0.1:5555": "offline"}
    assert adb.require("any" if len(adb.attached()) == 1 else "R58M") == "R58M"


def test_no_adb(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=r"adb is not installed"):
        adb.connect("R58M", Settings())


def test_termux_runs_as_itself():
    said = adb.line(["/data/data/com.termux/files/usr/bin/python3", "-c", "print(1)"])
    assert said.startswith("run-as com.termux env PREFIX=/data/data/com.termux/files/usr HOME=")
    assert said.endswith("/data/data/com.termux/files/usr/bin/python3 -c 'print(1)'")


PRINTED = """STARTING!
Log parameter values verbosely: [0]
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
count=12 first=47245 curr=40522 min=40254 max=47245 avg=41344.3 std=1921

Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
count=50 first=40611 curr=40534 min=40223 max=41239 avg=40547.1 std=187

Inference timings in us: Init: 1412, First inference: 47245, Warmup (avg): 41344.3, Inference (avg): 40547.1
"""


def test_what_benchmark_model_prints():
    assert benchmark_model.read(PRINTED) == {
        "runs": 50,
        "least_ms": 40.223,
        "most_ms": 41.239,
        "mean_ms": 40.5471,
        "deviation_ms": 0.187,
        "init_ms": 1.412,
        "first_ms": 47.245,
    }
    assert benchmark_model.read(PRINTED.partition("Inference timings")[0]) is None
    assert benchmark_model.read("Inference timings in us: Init: x") is None
    small = PRINTED.replace("avg=40547.1", "avg=1.2e+06").replace("(avg): 40547.1", "(avg): 1.2e+06")
    assert benchmark_model.read(small)["mean_ms"] == 1200.0


class Bundle:
    """What is read of one."""

    name = "net-mobile-int8"

    def __init__(self, folder, runtime="tflite"):
        self.folder = folder
        self.manifest = type("Manifest", (), {"runtime": runtime})()

    def refuse_altered(self):
        pass


def program(tmp_path, body):
    path = tmp_path / "benchmark_model"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@needs_adb
def test_the_tool_of_the_user_is_sent_and_run_there(phone, tmp_path):
    """A program that prints what LiteRT's prints: where it was measured nothing of LiteRT's runs."""
    (tmp_path / "model.tflite").write_bytes(os.urandom(300_000))
    device, bundle = adb.Adb(phone.serial), Bundle(tmp_path)
    subprocess.run(["adb", "connect", phone.serial], check=True, capture_output=True)
    tool = program(tmp_path, f"echo \"$@\" > {tmp_path}/asked\ncat <<'END'\n{PRINTED}END")
    found = benchmark_model.measure(bundle, device, "phone", tool, threads=2, seconds=0.5)
    assert (found.tool, found.device, found.mean_ms, found.runs) == (
        "LiteRT benchmark_model",
        "phone",
        40.5471,
        50,
    )
    asked = (tmp_path / "asked").read_text().split()
    graph = Path(asked[0].removeprefix("--graph="))
    assert graph.read_bytes() == (tmp_path / "model.tflite").read_bytes()
    assert asked[1:] == ["--num_threads=2", "--num_runs=10", "--min_secs=0.5"]
    assert json.dumps(found.to_json()) and found.to_json()["kind"] == "tool", "no report of edgeeff's own"
    before = graph.stat().st_mtime_ns
    benchmark_model.measure(bundle, device, "phone", tool, threads=2, seconds=0.5)
    assert graph.stat().st_mtime_ns == before, "what is there is not sent again"
    for body, message in (
        ("echo nothing", "holds no times"),
        ("echo broken >&2; exit 3", "benchmark_model failed: .*exit status 3"),
        ("echo 'sh: syntax error' >&2; exit 2", "is for another processor"),
    ):
        with pytest.raises(DeviceError, match=message):
            benchmark_model.measure(bundle, device, "phone", program(tmp_path, body), threads=1, seconds=0.5)
    (tmp_path / "text").write_text("no program")
    with pytest.raises(DeviceError, match="is no program for Android"):
        benchmark_model.measure(bundle, device, "phone", tmp_path / "text", threads=1, seconds=0.5)


@needs_adb
def test_bench_names_whose_figures_they_are(phone, make_bundle, tmp_path, capsys, monkeypatch):
    tool = program(tmp_path, f"cat <<'END'\n{PRINTED}END")
    bundle = make_bundle("net", runtime="tflite")
    (tmp_path / "devices.toml").write_text(
        f'schema = 1\n[device.phone]\naddress = "adb:{phone.serial}"\nbenchmark_model = "{tool}"\n'
    )
    monkeypatch.setenv("EDGEEFF_DEVICES", str(tmp_path / "devices.toml"))

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            cli.main(["bench", str(bundle.folder), "--device", "phone", *arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    status, out, err = run("--json")
    assert status == 0, err
    (found,) = json.loads(out)
    assert (found["tool"], found["device"], found["mean_ms"]) == ("LiteRT benchmark_model", "phone", 40.5471)
    assert "record" not in found, "no report that a history would store"
    status, out, _ = run()
    assert status == 0 and "no latencies of edgeeff's" in out and "40.55 ms" in out
    status, _, err = run("--until", "1%", "--cool", "50C")
    assert status == 2 and "--until and --cool with phone, which LiteRT benchmark_model measures" in err
