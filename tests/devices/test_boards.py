"""Boards with networks of their own: what a cut, a slow line and a full disk look like from here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgeeff.bundle import write_bundle
from edgeeff.devices import open_transport
from edgeeff.devices.connection import connect
from edgeeff.devices.kinds import ssh
from edgeeff.errors import DeviceError, EdgeeffError
from tests.devices.boards import Board, Sshd, descendants, running, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def transport(board, monkeypatch):
    monkeypatch.setenv(ssh.CONFIGURATION, str(board.config))
    opened = open_transport("ssh://b1")
    yield opened
    opened.close()


def test_a_cut_is_noticed_within_seconds(board, transport):
    process = subprocess.Popen(
        transport.command(["cat"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        process.stdin.write(b"x")
        process.stdin.flush()
        assert process.stdout.read(1) == b"x"
        board.cut()
        cut = time.monotonic()
        status = process.wait(30)
        noticed = time.monotonic() - cut
        error = transport.explain(status, process.stderr.read().decode())
    assert noticed < 8, "ServerAlive 2 s, two missed"
    assert "closed or lost" in error.what


def test_a_board_that_is_switched_off_does_not_answer(board, transport):
    board.cut()
    done = subprocess.run(transport.command(["true"]), capture_output=True, check=False)
    error = transport.explain(done.returncode, done.stderr.decode())
    assert "does not answer" in error.what or "no route" in error.what


def launch(device, *bundles, seconds=0.2):
    folders = [bundle.folder for bundle in bundles]
    return device.launch(
        "launch", folders, [1] * len(folders), threads=1, seconds=seconds, seed=0, patience=60
    )


def larger(bundle, size):
    """The bundle with a file more of so many bytes."""
    files = {name: (bundle.folder / name).read_bytes() for name in bundle.manifest.files}
    more = np.random.default_rng(0).bytes(size)
    return write_bundle(bundle.folder.with_name("larger"), bundle.manifest, {**files, "more.bin": more})


def test_a_launch_that_is_cut_has_no_result_and_leaves_nothing(board, reach, make_bundle):
    """The cable is out in the middle, then in again: agent and process are gone, and the board is free."""
    device, bundle = reach(board), make_bundle()
    launch(device, bundle)
    came = []
    with device.lock(0):

        def measure():
            try:
                came.append(launch(device, bundle, seconds=20))
            except EdgeeffError as error:
                came.append(error)

        thread = threading.Thread(target=measure)
        thread.start()
        while len(running(f"EDGEEFF_HOME={board.home}")) < 2 and not came:
            time.sleep(0.05)
        board.cut()
        thread.join(30)
        assert [type(one) for one in came] == [DeviceError]
        assert board.is_free(15), "without a host, 15 s later"
        board.mend()
    other = reach(board)
    with other.lock(0):
        assert launch(other, bundle).returncode == 0
    other.close()
    assert board.left() == []


def test_images_on_their_way_survive_a_cut(board, reach, make_bundle, colours):
    bundle = make_bundle()
    session = bundle.on(reach(board)).session(threads=1)
    whole = session.infer(colours[0])
    for pid in board.sessions():
        for one in (*descendants(pid), pid):
            os.kill(one, signal.SIGKILL)
    again = session.infer(colours[0])
    assert all(np.array_equal(whole[name], again[name]) for name in whole)


def test_a_slow_line_carries_a_bundle(board, reach, make_bundle, colours):
    board.slow()
    bundle = make_bundle()
    found = bundle.on(reach(board)).session(threads=1).infer(colours[0][:2])
    assert all(
        np.array_equal(found[n], v) for n, v in bundle.session(threads=1).infer(colours[0][:2]).items()
    )


def test_a_full_disk_is_said_and_is_left_as_it_was(namespaces, reach, make_bundle):
    with serving(Board(Path("/tmp") / f"eff-full-{os.getpid()}", number=2, disk="4m")) as board:
        big, device = larger(make_bundle(), 8 << 20), reach(board)
        with pytest.raises(DeviceError, match="disk is full") as refused:
            big.on(device).session(threads=1)
        assert "EDGEEFF_HOME" in refused.value.mend
        assert launch(device, make_bundle("other")).returncode == 0, "what fits goes on"
        device.close()
        assert board.is_free() and board.left() == []
    shutil.rmtree(board.folder)


def test_two_hosts_that_send_one_bundle_at_once(board, reach, make_bundle):
    board.slow("4mbit")
    big, devices = larger(make_bundle(), 1 << 20), [reach(board), reach(board)]
    found = []
    threads = [threading.Thread(target=lambda d=d: found.append(launch(d, big))) for d in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [one.returncode for one in found] == [0, 0]
    for device in devices:
        device.close()
    assert board.is_free() and board.left() == []


def test_a_push_that_is_killed_leaves_nothing(board, reach, make_bundle):
    board.slow("2mbit")
    big, device = larger(make_bundle(), 1 << 20), reach(board)
    came = []

    def send():
        try:
            came.append(launch(device, big))
        except EdgeeffError as error:
            came.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    staged = board.seen / "edgeeff" / "work"
    while not list(staged.glob("*/in-*/*")) and not came:
        time.sleep(0.02)
    for pid in board.sessions():
        for one in (*descendants(pid), pid):
            os.kill(one, signal.SIGKILL)
    thread.join(120)
    assert came[0].returncode == 0, "it is sent again"
    device.close()
    assert board.is_free() and board.left() == []


@pytest.mark.parametrize("version", ["2.7", "3.6", "3.7"])
def test_a_python_that_is_too_old_is_said(loopback, reach, version):
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    python = next(iter(kept.glob(f"{version}.*/bin/python")), None) or shutil.which(f"python{version}")
    if python is None:
        pytest.skip(f"no Python {version} here")
    with pytest.raises(DeviceError, match=f"has Python {version}"):
        reach(python=python)


def test_a_login_shell_that_talks(tmp_path, reach, make_bundle):
    """A .bashrc that prints, a banner of 100 kB, LANG=C, a home with spaces and a quote."""
    (tmp_path / "banner").write_text(("x" * 99 + "\n") * 1000)
    talking = Sshd(
        tmp_path / "talking",
        more=f"Banner {tmp_path}/banner\n",
        environment={"LANG": "C"},
        house="it's my home",
    )
    with serving(talking):
        (talking.home / ".bashrc").write_text("seq 1000; printf 'edgeeff-agent \\n'; echo oops >&2\n")
        bundle = make_bundle()
        assert launch(reach(talking), bundle).returncode == 0
        (talking.home / ".bashrc").write_text("yes | head -c 3000000\n")
        with pytest.raises(DeviceError) as refused:
            reach(talking)
        assert "prints" in str(refused.value) or "printed" in str(refused.value)


def test_a_store_that_cannot_be_written(tmp_path, reach, make_bundle):
    readonly = Sshd(tmp_path / "ro", environment={"EDGEEFF_HOME": "/proc/nowhere"})
    with serving(readonly), pytest.raises(DeviceError, match="cannot be written") as refused:
        launch(reach(readonly), make_bundle())
    assert "EDGEEFF_HOME" in refused.value.mend


def test_a_board_that_is_cut_off_before_the_agent_came_is_free_again(board, transport):
    """What receives the agent waits for no more than 10 s."""
    with pytest.raises(EdgeeffError):
        connect("ssh://b1", Cutting(board), sys.executable)
    assert board.is_free(15)
    board.mend()


class Cutting:
    """The way to a board whose cable is out as soon as it asks for the agent."""

    def __init__(self, board):
        self.board, self.way = board, open_transport("ssh://b1")

    def command(self, argv):
        *begin, _ = argv
        threading.Thread(target=self._cut, daemon=True).start()
        return self.way.command([*begin, "100000000"])

    def _cut(self):
        while not running(f"EDGEEFF_HOME={self.board.home}"):
            time.sleep(0.05)
        time.sleep(1)
        self.board.cut()

    def explain(self, returncode, stderr):
        return self.way.explain(returncode, stderr)

    def close(self):
        self.way.close()
