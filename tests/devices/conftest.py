"""Boards, started once each."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

from edgeeff.devices import open_transport
from edgeeff.devices.connection import connect
from edgeeff.devices.kinds import ssh
from tests.devices.boards import Board, Sshd, needs_namespaces, needs_sshd, serving
from tests.harness.conftest import colours as colours
from tests.harness.conftest import make_bundle as make_bundle


@pytest.fixture(scope="session")
def loopback(tmp_path_factory):
    """An sshd on a port of this machine."""
    needs_sshd()
    with serving(Sshd(tmp_path_factory.mktemp("loopback"))) as sshd:
        yield sshd


@pytest.fixture(scope="session")
def namespaces():
    """Only where boards can have networks of their own."""
    needs_namespaces()


@pytest.fixture
def board(namespaces):
    """A board with a network of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="eff-board-", dir="/tmp") as folder,
        serving(Board(Path(folder), number=1)) as started,
    ):
        yield started


@pytest.fixture
def reach(loopback, monkeypatch):
    """Opens a board, by this Python unless another is named."""
    opened = []

    def reach(sshd=loopback, python=sys.executable):
        monkeypatch.setenv(ssh.CONFIGURATION, str(sshd.config))
        address = f"ssh://{sshd.name}"
        opened.append(connect(address, open_transport(address), str(python)))
        return opened[-1]

    yield reach
    for one in opened:
        one.close()
