"""Where a bundle runs that is not this machine: what a board offers to whatever measures or runs bundles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edgeeff.backends import Session


@dataclass(frozen=True)
class Finished:
    """A process that ended.

    Args:
        returncode: Its exit status, negative where a signal ended it; None: it took too long and was ended.
        stdout: The beginning of what it printed there, as much as is kept.
        stderr: The end of what it printed there.
    """

    returncode: int | None
    stdout: bytes
    stderr: bytes


class Device(Protocol):
    """A board. The host decodes, preprocesses and scores images; the board computes and measures."""

    @property
    def name(self) -> str:
        """As the user wrote it."""

    def environment(self) -> Mapping[str, Any]:
        """What of the board decides about figures: the keys of ``harness.record.environment()``.

        Raises:
            DeviceError: It cannot be reached, or the connection broke.
        """

    def doubts(self) -> Sequence[str]:
        """What speaks against figures that were taken there since it was opened, a sentence each."""

    def temperatures(self) -> Mapping[str, float]:
        """Of its zones and the processor's sensors now, °C by their names; none where nothing tells any.

        Raises:
            DeviceError: The connection broke.
        """

    def session(self, bundle: Path, *, threads: int) -> Session:
        """Load a bundle into its runtime there; its files are sent where the board lacks them.

        Args:
            bundle: Its folder here, whose files were held against their seals a moment ago.
            threads: Of the runtime.

        Raises:
            MissingRuntimeError: The runtime is not installed there.
            DeviceError: The board cannot be reached, its disk is full, or the connection broke.
            BundleError: The artifact cannot be loaded.
        """

    def launch(
        self,
        kind: str,
        bundles: Sequence[Path],
        images: Sequence[int],
        *,
        threads: int,
        seconds: float,
        seed: int,
        patience: float,
        requests: int | None = None,
    ) -> Finished:
        """Measure in one fresh process there, which tells the events of ``edgeeff.harness.launch``.

        Args:
            kind: ``launch`` or ``throughput_launch``.
            bundles: Their folders here, in the order that they are loaded in.
            images: In a run of each.
            threads: Of each runtime.
            seconds: For each bundle.
            seed: Of the noise that a bundle without golden images is run on.
            patience: Seconds after which the process is ended.
            requests: Runs at once, of a launch that has several.

        Raises:
            OptionError: There is no such kind of launch on a board.
            DeviceError: The board cannot be reached, its disk is full, or the connection broke: there is no
                result of this launch, and it can be made again as a whole.
        """

    def lock(self, wait: float) -> AbstractContextManager[None]:
        """Hold the lock that keeps other measurements off the board.

        Args:
            wait: Seconds to wait for whoever holds it.

        Raises:
            BusyError: Somebody still holds it.
            DeviceError: As for :meth:`session`.
        """

    def close(self) -> None:
        """Let go of the board; nothing is left there but the store of bundles."""
