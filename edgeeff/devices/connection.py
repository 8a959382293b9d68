"""A board as an :class:`edgeeff.device.Device`: an agent over a transport, and bundles that are sent to it.

A connection that breaks is made anew when something is asked for next. Images that were on their way are sent
again, a few times, since the same pixels give the same outputs; a launch that was cut has no result, and is
an error: whoever measures may make it again as a whole. A session that was open is opened again.
"""

from __future__ import annotations

import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from edgeeff import digests
from edgeeff.device import Finished
from edgeeff.devices import answers, engines
from edgeeff.devices.link import BrokenError, Link
from edgeeff.devices.sending import send
from edgeeff.devices.session import RemoteSession
from edgeeff.devices.transport import Transport, timeless
from edgeeff.errors import DeviceError, EdgeeffError, MissingRuntimeError, OptionError
from edgeeff.harness import machine
from edgeeff.manifest import MANIFEST
from edgeeff.onboard.frames import Frame

#: Launches that a board makes.
LAUNCHES = ("launch", "throughput_launch")
#: Seconds that an answer may take: to what is done at once, and to what a runtime does.
SOON, LONG = 60.0, 1800.0
#: Times that a connection is made anew for one piece of work, and seconds before each.
PAUSES = (0.0, 2.0, 5.0)
#: Seconds that the agent before this one may take to let go of the board's lock, once it has lost its host.
_LOCK_AGAIN = 20.0

Result = TypeVar("Result")


class Connection:
    """A board.

    Args:
        name: As the user wrote it.
        transport: How commands reach it.
        python: The command that starts Python there.

    Raises:
        DeviceError: It cannot be reached, or has no Python that serves.
    """

    def __init__(self, name: str, transport: Transport, python: str = "python3") -> None:
        self._name, self._transport = name, transport
        self._python = shlex.split(python) or ["python3"]
        self._turn = threading.RLock()
        self._link: Link | None = None
        self._sent: set[str] = set()
        self._built: set[str] = set()
        self._locked = self._closed = False
        self._facts: dict[str, Any] | None = None
        self._unused: list[tuple[Link, int]] = []
        try:
            with self._turn:
                self._linked()
        except BrokenError as broken:
            self.close()
            raise broken.reason from None
        except BaseException:
            self.close()
            raise

    @property
    def name(self) -> str:
        """As the user wrote it."""
        return self._name

    def environment(self) -> Mapping[str, Any]:
        """What of the board decides about figures: the keys of ``harness.record.environment()``.

        Raises:
            DeviceError: The connection broke.
        """
        found = self.machine().to_json()
        del found["load_average"]
        return found

    def machine(self) -> machine.Machine:
        """The board, as it was when it was first asked.

        Raises:
            DeviceError: The connection broke.
        """
        if self._facts is None:
            self._facts = self.facts()["machine"]
        return machine.Machine.of(self._facts)

    def facts(self) -> dict[str, Any]:
        """All that is known of the board now.

        Returns:
            ``machine`` (the fields of ``harness.machine.Machine``), ``now`` (as
            ``edgeeff.onboard.describing.now`` has it) and ``clock_offset_s``, by which its clock is ahead.

        Raises:
            DeviceError: The connection broke.
        """
        modules, runtimes = machine.telling()
        # What measures there is the agent, and so this edgeeff.
        own = {name: version for name, version in machine.runtime_versions().items() if name == "edgeeff"}

        def ask(link: Link) -> dict[str, Any]:
            begun = time.time()
            frame = link.ask({"op": "facts", "modules": modules, "runtimes": runtimes}, within=SOON)
            middle = (begun + time.time()) / 2
            found = answers.read(answers.Facts, frame, self._name)
            board, now = found.machine.model_dump(), found.now.model_dump()
            board["versions"] = {**own, **board["versions"]}
            return {"machine": board, "now": now, "clock_offset_s": found.now.utc - middle}

        return self._again(ask)

    def doubts(self) -> list[str]:
        """What speaks against figures that were taken there, such as a place of a lab that was lost."""
        ask: Callable[[], list[str]] | None = getattr(self._transport, "doubts", None)
        return [] if ask is None else ask()

    def temperatures(self) -> dict[str, float]:
        """Of its zones and the processor's sensors now, °C by their names.

        Raises:
            DeviceError: The connection broke.
        """
        found = self._again(lambda link: link.ask({"op": "temperatures"}, within=SOON))
        return answers.read(answers.Temperatures, found, self._name).temperatures_c

    def session(self, bundle: Path, *, threads: int) -> RemoteSession:
        """Load a bundle into its runtime there; its files are sent where the board lacks them.

        Raises:
            MissingRuntimeError: The runtime is not installed there.
            DeviceError: The board's disk is full, or the connection broke.
            BundleError: The artifact cannot be loaded.
            VerificationError: It was built there, and does not do what the bundle's graph does.
        """
        session = RemoteSession(self, bundle, threads)
        self._again(session.opened)
        if engines.is_built_there(bundle) and (seal := digests.of_file(bundle / MANIFEST)) not in self._built:
            engines.verify(self, bundle)
            self._built.add(seal)
        return session

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
        """Measure in one fresh process there; see :class:`edgeeff.device.Device`.

        Raises:
            OptionError: There is no such kind of launch on a board, or no times are taken there.
            DeviceError: The board's disk is full, or the connection broke: this launch has no result.
            VerificationError: As for :meth:`session`.
        """
        reason = timeless(self._transport)
        if reason is not None:
            raise OptionError(
                f"{self._name} is not measured: {reason}",
                mend="measure on a board, --device ssh://user@board; run, eval and diagnose work here",
            )
        if kind not in LAUNCHES:
            what = {"profile_launch": "the times of layers are"}.get(kind, f"{kind} is")
            raise OptionError(f"{what} not taken on {self._name}", mend="leave out --device for this")
        for bundle in bundles:
            self._build(bundle)
        keys = [self._again(partial(self.push, bundle=bundle)) for bundle in bundles]
        header: dict[str, Any] = {"op": "launch", "kind": kind, "digests": keys, "images": list(images)}
        header |= {"threads": threads, "seconds": seconds, "seed": seed, "requests": requests}
        return self._finished({**header, "patience": patience}, patience)

    def _build(self, bundle: Path) -> None:
        """Have a board build and verify what only it can: minutes, which no launch has the patience for."""
        if engines.is_built_there(bundle) and digests.of_file(bundle / MANIFEST) not in self._built:
            with suppress(MissingRuntimeError):  # the launch says that it is not run
                self.session(bundle, threads=1)

    def script(self, bundle: Path, name: str, arguments: Sequence[str], patience: float) -> Finished:
        """Run a script that a bundle carries, such as ``build_engine.py``, in the board's copy of it.

        Args:
            bundle: Its folder here.
            name: A file of the bundle.
            arguments: Of the script.
            patience: Seconds after which it is ended.

        Raises:
            BundleError: The bundle carries no such script.
            DeviceError: The connection broke.
        """
        digest = self._again(partial(self.push, bundle=bundle))
        header = {"op": "script", "digest": digest, "name": name, "arguments": list(arguments)}
        return self._finished({**header, "patience": patience}, patience)

    def fetch(self, bundle: Path, name: str) -> bytes:
        """A file of ``measured/`` of the board's copy of a bundle, such as ``verify.json``.

        Raises:
            DeviceError: There is no such file, or the connection broke.
        """
        digest = digests.of_file(bundle / MANIFEST)

        def ask(link: Link) -> Frame:
            self.push(link, bundle)
            return link.ask({"op": "fetch", "digest": digest, "name": name}, within=LONG)

        found = self._again(ask)
        answers.read(answers.Nothing, found, self._name, payloads=1)
        return bytes(found.payloads[0])

    @contextmanager
    def lock(self, wait: float) -> Iterator[None]:
        """Hold the lock that keeps other measurements off the board.

        Raises:
            BusyError: Somebody still holds it.
            DeviceError: The connection broke.
        """
        self._again(lambda link: self._take(link, wait))
        self._locked = True
        try:
            yield
        finally:
            self._locked = False
            with suppress(BrokenError, DeviceError), self._turn:
                if self._link is not None and self._link.alive:
                    self._link.ask({"op": "unlock"}, within=SOON)

    def close(self) -> None:
        """Let go of the board; nothing is left there but the store of bundles."""
        self._closed = True
        self._give_up()
        self._transport.close()

    def __reduce__(self) -> Any:
        raise TypeError(f"the connection to {self._name} cannot be handed to another process: open it there")

    # For sessions.

    def push(self, link: Link, bundle: Path) -> str:
        """Send a bundle unless the board has it; returns the digest of its manifest.

        Raises:
            BrokenError: The connection broke.
            DeviceError: The board cannot hold it.
            BundleError: It was altered, or a file of it cannot be read.
        """
        digest = digests.of_file(bundle / MANIFEST)
        if digest not in self._sent:
            found = link.ask({"op": "has", "digest": digest}, within=LONG)
            if not answers.read(answers.Held, found, self._name).has:
                send(link, bundle, digest)
            self._sent.add(digest)
        return digest

    def again(self, work: Callable[[Link], Result]) -> Result:
        """Do something that may be done again where the connection breaks.

        Raises:
            DeviceError: It broke too often.
        """
        return self._again(work)

    def unused(self, link: Link, number: int) -> None:
        """A session that nobody has any more; it is closed when something is asked for next."""
        self._unused.append((link, number))

    def _finished(self, header: Mapping[str, Any], patience: float) -> Finished:
        """Have a process run there, once.

        Raises:
            DeviceError: The connection broke: there is no result.
        """
        with self._turn:
            try:
                found = self._linked().ask(header, within=patience + SOON)
            except BrokenError as broken:
                raise broken.reason from None
            except EdgeeffError:
                raise
            except BaseException:  # Ctrl-C: the process there ends with its agent
                self._give_up()
                raise
        ended = answers.read(answers.Ended, found, self._name, payloads=2)
        out, err = found.payloads
        return Finished(ended.returncode, bytes(out), bytes(err))

    def _again(self, work: Callable[[Link], Result]) -> Result:
        with self._turn:
            for pause in (*PAUSES, None):
                try:
                    return work(self._linked())
                except BrokenError as broken:
                    if pause is None:
                        raise broken.reason from None
                    time.sleep(pause)
                except KeyboardInterrupt:
                    self._give_up()
                    raise
        raise AssertionError

    def _give_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.kill()

    def _linked(self) -> Link:
        """The agent, started anew where it is gone.

        Raises:
            BrokenError: The board cannot be reached.
            DeviceError: It has no Python that serves.
            BusyError: The lock was held, and somebody else has it now.
        """
        if self._closed:
            raise DeviceError(f"the connection to {self._name} was closed", mend="open the device again")
        if self._link is None or not self._link.alive:
            self._give_up()
            self._sent.clear()
            link = Link(self._name, self._transport, self._python)
            self._link = link
            if self._locked:
                self._take(link, _LOCK_AGAIN)
        while self._unused:
            link, number = self._unused.pop()
            if link is self._link:
                self._link.ask({"op": "close", "session": number}, within=SOON)
        return self._link

    def _take(self, link: Link, wait: float) -> None:
        command = shlex.join(["edgeeff" if a.endswith(("__main__.py", "/edgeeff")) else a for a in sys.argv])
        said = f"{command} on {socket.gethostname()}"
        link.ask({"op": "lock", "wait": wait, "command": said[:500]}, within=wait + SOON)


def connect(name: str, transport: Transport, python: str = "python3") -> Connection:
    """A board that a transport reaches; arguments and errors as of :class:`Connection`."""
    return Connection(name, transport, python)
