"""The boards of a suite's cases: opened when they are needed, locked for each case, closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace

from edgeeff.bundle import Bundle
from edgeeff.device import Device
from edgeeff.devices import file, open_device
from edgeeff.errors import DeviceError, EdgeeffError
from edgeeff.gate.suite import LOCAL, Case
from edgeeff.harness import cooling, lock, where
from edgeeff.harness.record import Record, record

#: Opens the board of an address or a name; given how long it waits for others, and what is told of that.
Open = Callable[[str, float, Callable[[str], None]], "Device | None"]


def open_by_name(name: str, wait: float, tell: Callable[[str], None]) -> Device | None:
    """The board of an address or a name of a devices file; None: it is this machine.

    Raises:
        DeviceError: It cannot be reached, or there is none of that name.
        BusyError: Somebody else has it.
    """
    return open_device(name, wait=wait, tell=tell)


@dataclass
class Boards:
    """Where the cases of a run are measured, and the record of each place.

    Args:
        cases: Of the suite, which its records name the bundles of.
        opening: How a board is opened.
        wait: Seconds that a case waits for whoever has its board, or measures there.
        tell: Called with what is waited for.
    """

    cases: Sequence[Case]
    opening: Open
    wait: float
    tell: Callable[[str], None]
    #: By the device of a case.
    records: dict[str, Record] = field(default_factory=dict)
    _opened: dict[str, Device | None] = field(default_factory=dict)
    _refused: dict[str, EdgeeffError] = field(default_factory=dict)

    @contextmanager
    def at(self, case: Case) -> Iterator[tuple[Case, Record]]:
        """The case where it is measured, which nobody else measures on meanwhile, and that place's record.

        A connection that broke is made anew for the next case; a board that cannot be reached is not tried
        again.

        Raises:
            DeviceError: It cannot be reached.
            BusyError: Somebody else measures there, and goes on longer than is waited.
        """
        device = self._device(case.device)
        begun = self._record(case.device, device)
        if device is None:
            # A name that means this machine: the gate of "local" cases holds its lock already.
            with nullcontext() if case.device == LOCAL else lock.alone(self.wait, self.tell):
                yield case, begun
            return
        with ExitStack() as stack:
            try:
                stack.enter_context(device.lock(self.wait))
            except DeviceError as error:
                self._refused[case.device] = error
                raise
            stack.enter_context(self._cool(case.device))
            old = None if case.old is None else case.old.on(device)
            yield replace(case, bundle=case.bundle.on(device), old=old), begun

    def _device(self, address: str) -> Device | None:
        if address == LOCAL:
            return None
        if address in self._refused:
            raise self._refused[address]
        if address not in self._opened:
            try:
                self._opened[address] = self.opening(address, self.wait, self.tell)
            except EdgeeffError as error:
                self._refused[address] = error
                raise
        return self._opened[address]

    def _record(self, address: str, device: Device | None) -> Record:
        if address not in self.records:
            of = [case for case in self.cases if case.device == address]
            bundles: list[Bundle] = []
            names: list[str] = []
            for case in of:
                bundles += [case.bundle, *([case.old] if case.old is not None else [])]
                names += [case.name, *([f"{case.name} (old)"] if case.old is not None else [])]
            self.records[address] = record("gate", bundles, names, where.of(device))
        return self.records[address]

    def _cool(self, address: str) -> AbstractContextManager[None]:
        """Launches there wait as the devices file says, where the command line says nothing."""
        if ":" in address or cooling.waits():
            return nullcontext()
        return cooling.before_launches(file.look_up(address).cool, self.tell)

    def close(self) -> None:
        """Let go of all boards."""
        for device in self._opened.values():
            if device is not None:
                with suppress(EdgeeffError, OSError):
                    device.close()
        self._opened.clear()
