"""Boards: one thread each, which measures one unit at a time and tries again where the board was lost.

It runs in the client, not on Dask: a worker that dies takes the results along that it held, and a benchmark
would be taken again. Here a result is in its place before anybody hears of it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeeff.device import Device
from edgeeff.errors import EdgeeffError, MissingRuntimeError
from edgeeff.harness import lock, record
from edgeeff.matrix import work
from edgeeff.matrix.file import LOCAL
from edgeeff.matrix.planning import on_board
from edgeeff.matrix.store import Store
from edgeeff.matrix.units import Outcome, Unit
from edgeeff.progress import Recorder, Silent

#: How often a unit is tried whose board was lost or busy, and the seconds before the second try; they double.
ATTEMPTS, PAUSE = 4, 2.0
#: Seconds to wait for another measurement on the board.
WAIT = 600.0
#: Errors of a board, not of what was to be measured there.
_OF_BOARD = ("DeviceError", "BusyError", "ClaimError")

Opener = Callable[[str], Device | None]
#: Called with a unit as it was planned, and with what it waits for, or with what became of it.
Told = Callable[[Unit, "str | Outcome"], None]


@dataclass
class Board:
    """One board and its thread.

    Args:
        address: As the matrix has it.
        opener: Makes a device of an address; None is this machine.
        store: Where results lie.
        tell: Hears of each unit; from the board's thread.
        commit: What reports are stored under.
        attempts: How often a unit is tried.
        pause: Seconds before the second time.
    """

    address: str
    opener: Opener
    store: Store
    tell: Told
    commit: str | None = None
    attempts: int = ATTEMPTS
    pause: float = PAUSE
    _waiting: queue.SimpleQueue[Unit | None] = field(default_factory=queue.SimpleQueue)
    _stop: threading.Event = field(default_factory=threading.Event)
    _device: Device | None = None
    _open: bool = False
    _environment: Mapping[str, Any] = field(default_factory=dict)
    _gone: str = ""
    _thread: threading.Thread | None = None

    def add(self, unit: Unit) -> None:
        """One more unit, whose bundles are there."""
        self._waiting.put(unit)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"board {self.address}", daemon=True)
            self._thread.start()

    def stop(self, wait: float = 5.0) -> None:
        """Begin nothing more; wait a little for what is at work."""
        self._stop.set()
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(wait)

    def _serve(self) -> None:
        try:
            while not self._stop.is_set() and (unit := self._waiting.get()) is not None:
                if self._stop.is_set():
                    return
                try:
                    outcome = self._done(unit)
                except Exception as error:  # nothing that a board does may end its thread unheard
                    outcome = Outcome(
                        unit.key, "failed", f"{type(error).__name__}: {error}"[:500], "", "Error"
                    )
                self.tell(unit, outcome)
        finally:
            self._close()

    def _done(self, unit: Unit) -> Outcome:
        """A unit, tried again where the board was lost."""
        outcome, pause = Outcome(unit.key, "failed"), self.pause
        for number in range(1, self.attempts + 1):
            if self._gone:
                return Outcome(
                    unit.key, "failed", self._gone, "bring it back, and start again", "DeviceError"
                )
            self.tell(unit, "" if number == 1 else f"try {number} of {self.attempts}: {outcome.what}")
            outcome = self._tried(unit)
            if outcome.status != "failed" or outcome.kind not in _OF_BOARD or self._stop.is_set():
                return outcome
            reached = self._open
            self._close()
            if number < self.attempts and self._stop.wait(pause):
                return outcome
            pause *= 2
        if not reached:  # no unit would fare better
            self._gone = f"{self.address} was not reached {self.attempts} times: {outcome.what}"
        return replace(outcome, what=f"{outcome.what} ({self.attempts} tries)")

    def _tried(self, unit: Unit) -> Outcome:
        try:
            self._reach()
            whole = on_board(unit, self._environment)
            if self.store.read(whole.key) is not None:
                return Outcome(whole.key, "there")
            with self._alone():
                return work.attempt(whole.job(), self.store, self._measure, self.commit)
        except EdgeeffError as error:
            return Outcome(unit.key, "failed", error.what, error.mend, type(error).__name__, error.warnings)

    def _reach(self) -> None:
        if self._open:
            return
        device = self.opener(self.address)
        try:
            self._environment = record.environment() if device is None else device.environment()
        except BaseException:
            if device is not None:
                with suppress(Exception):
                    device.close()
            raise
        self._device, self._open = device, True

    def _close(self) -> None:
        device, self._device, self._open = self._device, None, False
        if device is not None:
            with suppress(Exception):
                device.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._device is None:
            with lock.alone(WAIT):
                yield
        else:
            with self._device.lock(WAIT):
                yield

    def _measure(self, job: Mapping[str, Any], store: Store, folder: Path) -> Mapping[str, Any]:
        del folder  # its result is a report alone
        how, device = job["facts"]["how"], self._device
        if job["kind"] == "eval":
            what = work.judged(job, store)
            what = replace(what, bundle=what.bundle.on(device))
            from edgeeff.matrix import facts

            return work.evaluated(work.whole(what, facts.opened(job["payload"]["images"])))
        from edgeeff.harness.latency import benchmark

        bundle = work.bundle(store, job["needs"]["bundle"]).on(device)
        report = benchmark([bundle], **how, progress=Recorder(Silent()))
        (entry,) = report.entries
        if entry.timing is None:
            raise MissingRuntimeError(
                f"{entry.name} was NOT RUN on {self.address}: {entry.not_run}",
                mend="install the runtime there, or leave the cell out ([[exclude]])",
            )
        times = entry.timing.wall_ms
        figures = {"p50_ms": times.p50, "p99_ms": times.p99}
        return {"warnings": list(report.warnings), "report": report.to_json(), "figures": figures}


def open_address(address: str) -> Device | None:
    """The device of an address; None: this machine.

    Raises:
        DeviceError: It cannot be reached.
    """
    if address == LOCAL:
        return None
    from edgeeff.devices import open_device

    return open_device(address, wait=WAIT)
