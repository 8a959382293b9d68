"""Bundles that a board builds for itself (TensorRT): verified there once, and the result brought home.

A bundle's own scripts do both; the board keeps the engine, under TensorRT's version and the GPU, beside the
bundle in its store.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edgeeff.backends.tensorrt import results
from edgeeff.device import Finished
from edgeeff.errors import DeviceError, VerificationError
from edgeeff.manifest import read_manifest

BUILD, VERIFY, RESULT = "build_engine.py", "verify.py", "verify.json"
#: Seconds that a verification may take: it builds the FP16 control, and times both engines.
_PATIENCE = 3600.0
_LINES = 10


class Board(Protocol):
    """What runs a bundle's scripts there."""

    @property
    def name(self) -> str:
        """As the user wrote it."""

    def script(self, bundle: Path, name: str, arguments: Sequence[str], patience: float) -> Finished:
        """Run one; see :class:`edgeeff.devices.connection.Connection`."""

    def fetch(self, bundle: Path, name: str) -> bytes:
        """A file of ``measured/`` there."""


def is_built_there(bundle: Path) -> bool:
    """Whether a bundle becomes something that runs only on the board itself."""
    return {BUILD, VERIFY} <= set(read_manifest(bundle).files)


def verify(board: Board, bundle: Path) -> None:
    """Have a bundle's engines verified where they were built, unless they were, and enter the result here.

    Args:
        board: It has the engines: a session was loaded there.
        bundle: Its folder here; the result goes into its ``measured/results/``, as ``import-result`` does it.

    Raises:
        VerificationError: The engine does not do what the bundle's graph does.
        BundleError: The result is of another bundle, or cannot be.
        DeviceError: The verification did not end well, or the connection broke.
        OutputError: The result cannot be written here.
    """
    try:
        content = board.fetch(bundle, RESULT)
    except DeviceError:  # none of these engines; a connection that broke is no better now
        done = board.script(bundle, VERIFY, [], _PATIENCE)
        if done.returncode not in (0, 1):
            raise _failure(board, bundle, done) from None
        content = board.fetch(bundle, RESULT)
    with tempfile.TemporaryDirectory(prefix="edgeeff-") as folder:
        brought = Path(folder) / RESULT
        brought.write_bytes(content)
        found = results.read(brought)
    results.hold(found, bundle)
    results.enter(found, bundle)
    if not found.passed:
        raise VerificationError(
            f"{found.bundle} does not do on {board.name}, a {results.board(found)}, what its graph says",
            mend=f"see {bundle / 'measured' / results.RESULTS / results.slug(found)}.json",
        )


def _failure(board: Board, bundle: Path, done: Finished) -> DeviceError:
    printed = done.stderr.decode("utf-8", "replace").strip().splitlines()[-_LINES:]
    how = f"took more than {_PATIENCE:g} s" if done.returncode is None else f"ended with {done.returncode}"
    said = "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in printed)
    return DeviceError(
        f"{board.name}: {VERIFY} of {bundle.name} {how}:\n{said or '(it printed nothing)'}",
        mend="copy the bundle there and run it by hand, or update TensorRT",
    )
