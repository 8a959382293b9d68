"""One agent that runs on a board, and the frames to and from it: threads, heartbeats, and how it ended."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from edgeeff.devices.parcel import LOADER, MARK, OLDEST, parcel
from edgeeff.devices.transport import Transport
from edgeeff.errors import DeviceError, EdgeeffError, named
from edgeeff.onboard import frames
from edgeeff.onboard.frames import Frame, FrameError

#: Seconds between two signs of life, and without one of the agent after which it is given up.
BEAT, SILENCE = 1.0, 30.0
#: Seconds that a board may take to start Python and receive the agent.
_START = 120.0
#: Seconds that a process may take to end once its input is closed.
_END = 5.0
_TAIL = 16 << 10
#: Bytes that a login shell may print before the agent speaks.
_GREETING = 256 << 10
#: Frames that answer no question: that the agent is ready, or why it is not.
_GREETINGS = 2


class BrokenError(Exception):
    """The connection to a board broke; what was asked for last has no result.

    Args:
        reason: What the user is told.
    """

    def __init__(self, reason: EdgeeffError) -> None:
        super().__init__(reason.what)
        self.reason = reason


class Link:
    """A running agent.

    Args:
        name: The board's, for messages.
        transport: How commands reach it.
        python: The command that starts Python there.

    Raises:
        BrokenError: The board cannot be reached, or the connection broke.
        DeviceError: There is no Python, or one that is too old.
    """

    def __init__(self, name: str, transport: Transport, python: Sequence[str]) -> None:
        self._name, self._transport, self._python = name, transport, python
        agent = parcel()
        command = [*python, "-c", LOADER, agent.digest, str(len(agent.content))]
        try:
            self._process = subprocess.Popen(
                transport.command(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for us: we end it
            )
        except OSError as error:
            raise DeviceError(
                f"{name}: {error.filename or 'the connection'} cannot be started: {error.strerror or error}",
                mend="install the program that reaches this kind of device",
            ) from None
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._heard, self._writing = time.monotonic(), threading.Lock()
        self._answers: queue.Queue[Frame | Exception] = queue.Queue()
        self._errors = bytearray()
        self._number, self._ended = 0, threading.Event()
        self._silent = False
        self._keeper, self._reader = self._thread(self._keep_errors), self._thread(self._greet)
        try:
            self._begin(agent.content)
        except BaseException:
            self.kill()
            raise

    def ask(self, header: Mapping[str, Any], payloads: Sequence[Any] = (), *, within: float) -> Frame:
        """Ask for something, and wait for the answer.

        Args:
            header: ``op`` and what goes with it.
            payloads: Bytes that go with it.
            within: Seconds that the answer may take.

        Raises:
            BrokenError: The connection broke, or no answer came in time.
            EdgeeffError: The agent refused.
        """
        return self.answer(self.say(header, payloads), within)

    def say(self, header: Mapping[str, Any], payloads: Sequence[Any] = ()) -> int:
        """Ask for something; the number is for :meth:`answer`.

        Raises:
            BrokenError: The connection broke.
        """
        self._number += 1
        self._write({**header, "id": self._number}, payloads)
        return self._number

    def answer(self, number: int, within: float) -> Frame:
        """The answer to what was asked for; answers come in the order of the questions.

        Raises:
            BrokenError: The connection broke, or no answer came in time.
            EdgeeffError: The agent refused.
        """
        deadline = time.monotonic() + within
        while True:
            try:
                found = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.kill()
                raise BrokenError(
                    DeviceError(
                        f"{self._name} did not answer within {within:g} s",
                        mend="see what keeps the board busy, and try again",
                    )
                ) from None
            if isinstance(found, Exception):
                self._answers.put(found)  # whoever asks next hears it too
                raise BrokenError(self._reason(found))
            if found.header.get("id") != number:
                continue  # of a question that was given up
            self._refuse(found)
            return found

    def _refuse(self, frame: Frame) -> None:
        error = frame.header.get("error")
        if error is not None:
            kind, what, mend = (
                map(str, error) if isinstance(error, list) and len(error) == 3 else ("", "", "")
            )
            raise named(kind, f"{self._name}: {what}", mend)

    @property
    def alive(self) -> bool:
        """Whether frames can be sent still."""
        return not self._ended.is_set() and self._process.poll() is None

    def kill(self) -> None:
        """End it now; the agent ends by itself when its input does."""
        self._ended.set()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END)
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        for thread, pipe in ((self._reader, self._process.stdout), (self._keeper, self._process.stderr)):
            if thread is not threading.current_thread():
                thread.join(_END)
            if pipe is not None and not thread.is_alive():  # what it started may hold its streams
                pipe.close()

    def _begin(self, content: bytes) -> None:
        """Hand over the agent, if the board lacks it, and wait until it is ready."""
        deadline = time.monotonic() + _START
        begun = sent = False
        while True:
            try:
                said = self._answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                reason = DeviceError(
                    f"{self._name} did not start Python within {_START:g} s",
                    mend="see what keeps the board busy, and try again",
                )
                raise BrokenError(reason) from None
            if isinstance(said, Exception):
                why = self._reason(said)
                if not begun and self._process.poll() == 0:
                    why = DeviceError(
                        f"{self._name}: {' '.join(self._python)} ended there without a word",
                        mend="that login has to run commands as they are given (no forced command), and "
                        "python in devices.toml has to name Python 3.8 or newer",
                    )
                raise BrokenError(why)
            begun = True
            word = str(said.header.get("loader", ""))
            if word == "send" and not sent:
                sent = True
                with suppress(OSError):
                    view = memoryview(content)
                    while view:
                        view = view[os.write(self._in, view[: 1 << 16]) :]
            elif word.startswith("old "):
                raise DeviceError(
                    f"{self._name} has Python {word[4:]}, and the agent needs {'.'.join(map(str, OLDEST))}",
                    mend="install a newer one there, and name its command with python in devices.toml",
                )
            elif word == "damaged":
                reason = DeviceError(f"the agent reached {self._name} damaged", mend="try again")
                raise BrokenError(reason)
            elif said.header.get("op") == "ready":
                break
            else:
                self._refuse(said)
                if not word:
                    raise BrokenError(
                        self._reason(FrameError("it says neither that it is ready nor why not"))
                    )
        self._thread(self._beat)

    def _greet(self) -> None:
        """What the loader says, then frames."""
        seen = bytearray()
        mark = re.compile(re.escape(MARK.encode()) + rb"([a-z]+[ .0-9]*)\n")
        try:
            while True:
                part = os.read(self._out, 1)
                if not part:
                    raise FrameError("it ended")
                seen += part
                self._hear()
                found = mark.search(seen, seen.rfind(b"\n", 0, -1) + 1) if part == b"\n" else None
                if found:
                    word = found[1].decode("ascii")
                    seen.clear()
                    if word == "ready":
                        break
                    self._answers.put(Frame({"loader": word}, []))
                elif len(seen) > _GREETING:
                    raise FrameError("what it printed is no agent's")
        except (OSError, FrameError) as error:
            self._answers.put(error)
            return
        self._read()

    def _read(self) -> None:
        greetings, last = 0, 0
        try:
            while True:
                frame = frames.read(self._out, self._hear)
                if frame is None:
                    raise FrameError("it ended")
                if frame.header.get("op") == "beat":
                    continue
                number = frame.header.get("id")
                if number is None and greetings < _GREETINGS:
                    greetings += 1
                elif type(number) is int and last < number <= self._number:
                    last = number
                else:  # kept, such answers would fill the memory
                    raise FrameError("it answers what was not asked")
                self._answers.put(frame)
        except (OSError, FrameError, ValueError) as error:
            self._answers.put(error)

    def _hear(self) -> None:
        self._heard = time.monotonic()

    def _beat(self) -> None:
        """Give signs of life, and give the agent up when it gives none."""
        while not self._ended.wait(BEAT):
            if time.monotonic() - self._heard > SILENCE:
                self._silent = True
                with suppress(OSError):
                    self._process.kill()
                return
            if self._writing.acquire(blocking=False):  # else bytes flow anyway
                try:
                    frames.write(self._in, {"op": "beat"})
                except (OSError, ValueError):
                    return
                finally:
                    self._writing.release()

    def _write(self, header: Mapping[str, Any], payloads: Sequence[Any]) -> None:
        with self._writing:
            if self._ended.is_set():
                raise BrokenError(self._reason(FrameError("it was closed")))
            try:
                frames.write(self._in, header, payloads)
            except FrameError as error:
                raise DeviceError(
                    f"{self._name}: {error}", mend="build the bundle with a smaller --batch"
                ) from None
            except (OSError, ValueError) as error:
                raise BrokenError(self._reason(error)) from None

    def _keep_errors(self) -> None:
        assert self._process.stderr is not None
        with suppress(OSError, ValueError):
            while part := os.read(self._process.stderr.fileno(), 1 << 12):
                self._errors += part
                del self._errors[:-_TAIL]

    def _reason(self, error: Exception) -> EdgeeffError:
        """Why the connection broke, once it has."""
        silent = self._silent
        status = self._process.poll()
        if status is None:
            with suppress(subprocess.TimeoutExpired):
                status = self._process.wait(_END)
        self.kill()
        self._keeper.join(_END)
        printed = bytes(self._errors).decode("utf-8", "replace")
        if silent:
            return DeviceError(
                f"{self._name} gave no sign of life for {SILENCE:g} s",
                mend="see that it is on and reachable, and try again",
            )
        own = re.findall(r"^edgeeff agent: (.+)$", printed, re.MULTILINE)
        if own:
            return DeviceError(f"the agent on {self._name} ended: {own[-1]}", mend="try again")
        if status == 127 or (status is not None and "No such file or directory" in printed and status == 126):
            return DeviceError(
                f"{self._name} has no {' '.join(self._python)}",
                mend="install Python 3.8 or newer there, or name its command with python in devices.toml",
            )
        if status is None or (status == 0 and isinstance(error, FrameError)):
            return DeviceError(
                f"the connection to {self._name} ended ({error})",
                mend="see that the board is well, and try again",
            )
        return self._transport.explain(status, printed)

    @staticmethod
    def _thread(target: Any) -> threading.Thread:
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        return thread
