"""The lock of a machine: one measurement at a time, who holds it, and what becomes of a dead holder's."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgeeff.errors import BusyError, OptionError, OutputError
from edgeeff.harness import lock

HOLD = """
import sys
from pathlib import Path
from edgeeff.harness import lock
with lock.alone():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path, monkeypatch):
    """A process that holds the lock until its standard input ends."""
    monkeypatch.setenv(lock.VARIABLE, str(tmp_path / "measuring.lock"))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, "suite.toml"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.stdin.close()
    process.wait(30)
    process.stdout.close()


def test_the_second_is_refused_with_who_holds_it(held):
    with pytest.raises(BusyError) as caught, lock.alone():
        pass
    assert f"process {held.pid} of " in caught.value.what and "-c suite.toml" in caught.value.what
    assert "--wait" in caught.value.mend


@pytest.mark.parametrize("wait", [-1.0, float("nan"), float("inf")])
def test_what_is_no_time_is_not_waited(wait):
    with pytest.raises(OptionError, match="wait is"), lock.alone(wait=wait):
        pass


def test_the_second_waits_and_then_has_it(held):
    told = []

    def tell(text):
        told.append(text)
        held.stdin.close()  # it ends while we wait

    with lock.alone(wait=60, tell=tell):
        assert lock.holder().pid == os.getpid()
    assert f"process {held.pid}" in told[0]
    assert lock.holder() is None


def test_a_dead_holders_lock_is_free(held):
    held.send_signal(signal.SIGKILL)
    held.wait(30)
    assert lock.holder().pid == held.pid  # it could not take its name away
    with lock.alone():
        assert lock.holder().pid == os.getpid()


def test_a_lock_that_cannot_be_made_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(lock.VARIABLE, str(tmp_path / "file" / "measuring.lock"))
    with pytest.raises(OutputError, match="EDGEEFF_LOCK"), lock.alone():
        pass


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc, in which nothing can be made")
def test_where_no_file_can_be_made_nobody_measures(monkeypatch):
    monkeypatch.setenv(lock.VARIABLE, "/proc/edgeeff-measuring.lock")
    with pytest.raises(OutputError, match="no file can be made there"), lock.alone():
        pass


def test_a_damaged_name_is_no_name(monkeypatch, tmp_path):
    for content in (b"", b"[]", b"{}", b"\xff", b'{"pid": null}'):
        (tmp_path / "x.holder").write_bytes(content)
        assert lock.holder(tmp_path / "x") is None
