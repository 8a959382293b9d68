"""Processes of an agent: each in a process group of its own, ended with the agent whatever becomes of it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from edgeeff.onboard.ending import end_with

#: Bytes of a process's events, and of the end of what it printed beside them, that are kept.
MOST_EVENTS, TAIL = 64 << 20, 64 << 10
#: Seconds that are waited for the rest of what a process printed, once it has ended.
_LAST_WORDS = 5.0
#: Names the command that starts Python on this board, where it is not what runs the agent.
PYTHON = "EDGEEFF_PYTHON"
#: The agent's modules come first; nothing is imported from the working folder.
_BOOT = (
    "import sys; sys.path[:] = [sys.argv[1]] + [p for p in sys.path if p]; "
    "from edgeeff.onboard.children import begin; begin()"
)


class Child:
    """A process.

    Args:
        agent: The zip file, or folder, that the agent's modules lie in.
        module: Whose ``main(arguments)`` it runs, below ``edgeeff.onboard``.
        arguments: Plain data.
        standard_input: Whether it is spoken to.
    """

    def __init__(self, agent: str, module: str, arguments: Any, standard_input: bool = False) -> None:
        python = shlex.split(os.environ.get(PYTHON, "")) or [sys.executable or "python3"]
        more = [agent, module, str(os.getpid()), json.dumps(arguments)]
        descriptor = agent.rpartition("/")[2] if agent.startswith("/proc/self/fd/") else ""
        self.process = subprocess.Popen(
            [*python, "-c", _BOOT, *more],
            stdin=subprocess.PIPE if standard_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=[int(descriptor)] if descriptor else [],
        )
        self.errors = bytearray()
        self._threads = [self._thread(self._keep_errors)]

    def collect(self, ended: Callable[[], None]) -> bytearray:
        """Keep what it prints, and say when it has ended; returns what is filled meanwhile.

        Args:
            ended: Called once, by another thread.
        """
        out = bytearray()

        def head() -> None:
            assert self.process.stdout is not None
            while True:
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                if not part:
                    return
                out.extend(part[: max(0, MOST_EVENTS - len(out))])

        def wait() -> None:
            self.process.wait()
            for thread in self._threads:
                thread.join(_LAST_WORDS)
            ended()

        self._threads.append(self._thread(head))
        self._thread(wait)
        return out

    def kill(self) -> None:
        """End it and all that it started; nothing where it has ended."""
        with suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """The end of what it printed beside its results, once it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_LAST_WORDS)
        for thread in self._threads:
            thread.join(_LAST_WORDS)
        return bytes(self.errors).decode("utf-8", "replace")

    def _keep_errors(self) -> None:
        assert self.process.stderr is not None
        while True:
            part = os.read(self.process.stderr.fileno(), 1 << 16)
            if not part:
                return
            self.errors.extend(part)
            del self.errors[:-TAIL]

    @staticmethod
    def _thread(target: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        return thread


def begin() -> None:
    """What a child runs: ``agent module parent arguments`` are its arguments."""
    module, parent, arguments = sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
    sys.argv[1:] = []
    # A signal that the agent blocks or ignores is not ignored here.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        end_with(parent)
    from importlib import import_module

    sys.exit(import_module(f"edgeeff.onboard.{module}").main(arguments))


def run_script(arguments: Sequence[str]) -> int:
    """Become another Python program, which ends with the agent as this one does."""
    python = shlex.split(os.environ.get(PYTHON, "")) or [sys.executable or "python3"]
    os.execvp(python[0], [*python, *arguments])
    return 127  # never: execvp returns only by an exception
