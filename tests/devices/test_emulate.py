"""``emulate:``: addresses, what is refused, and why an emulator failed. ``make test-arm`` runs it."""

from __future__ import annotations

import pytest

from edgeeff.devices import connection, open_transport
from edgeeff.devices.kinds import emulate
from edgeeff.errors import DeviceError, OptionError
from tests.devices.local import PYTHON, Local


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    (tmp_path / ".installed").touch()
    monkeypatch.setenv(emulate.FOLDER, str(tmp_path))
    return tmp_path.resolve()


@pytest.mark.parametrize(
    ("rest", "cpu"),
    [
        ("aarch64", "cortex-a76"),
        ("aarch64,cpu=cortex-a72", "cortex-a72"),
        ("aarch64,cpu=max,sve=off", "max,sve=off"),
    ],
)
def test_addresses(rest, cpu, prepared, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/of/this/machine")
    command = open_transport(f"emulate:{rest}").command(["python3", "-c", "pass"])
    assert command[:2] == ["env", "-i"] and f"EDGEEFF_EMULATED_CPU={cpu}" in command
    assert command[-3:] == [str(prepared / "python3.11/usr/bin/python3"), "-c", "pass"]
    assert not [part for part in command if "/of/this/machine" in part]


@pytest.mark.parametrize(
    "rest", ["armv7", "aarch64,", "aarch64,cpu=", "aarch64,cpu=a;b", "aarch64,gpu=max", "aarch64,cpu=max,sve"]
)
def test_no_addresses(rest, prepared):
    with pytest.raises(DeviceError, match="is no emulated board"):
        open_transport(f"emulate:{rest}")


def test_a_folder_that_is_not_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv(emulate.FOLDER, str(tmp_path / "none"))
    with pytest.raises(DeviceError, match="no emulated aarch64 board is there") as error:
        open_transport("emulate:aarch64")
    assert "scripts/arm --install" in error.value.mend


@pytest.mark.parametrize(
    ("status", "said", "cause"),
    [
        (1, "qemu-aarch64: unable to find CPU model 'cortex-a99'", "knows no such processor"),
        (1, "qemu-aarch64: can't apply global max-arm-cpu.foo=on: Property 'max.foo' not found", "processor"),
        (139, "qemu: uncaught target signal 11 (Segmentation fault)", "crashed"),
        (127, "env: no such file", "Python does not start"),
        (9, "", "exit status 9"),
    ],
)
def test_why_it_failed(status, said, cause, tmp_path):
    error = emulate.Emulated(tmp_path).explain(status, said)
    assert cause in error.what and said in error.what


def test_nothing_is_measured_where_times_say_nothing(tmp_path):
    transport = Local(tmp_path)
    transport.timeless = emulate.Emulated.timeless
    board = connection.connect("here", transport, PYTHON)
    try:
        with pytest.raises(OptionError, match="an emulator's times say nothing of a board"):
            board.launch("launch", [], [], threads=1, seconds=0.1, seed=0, patience=10)
    finally:
        board.close()
