"""Boards with networks of their own: what a cut, a slow line and a full disk look like from here."""

from __future__ import annotations

import subprocess
import time

import pytest

from edgeeff.devices import open_transport
from edgeeff.devices.kinds import ssh

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
