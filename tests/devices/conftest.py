"""Boards, started once each."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.devices.boards import Board, Sshd, needs_namespaces, needs_sshd, serving


@pytest.fixture(scope="session")
def loopback(tmp_path_factory):
    """An sshd on a port of this machine."""
    needs_sshd()
    with serving(Sshd(tmp_path_factory.mktemp("loopback"))) as sshd:
        yield sshd


@pytest.fixture
def board():
    """A board with a network of its own."""
    needs_namespaces()
    with (
        tempfile.TemporaryDirectory(prefix="eff-board-", dir="/tmp") as folder,
        serving(Board(Path(folder), number=1)) as started,
    ):
        yield started
