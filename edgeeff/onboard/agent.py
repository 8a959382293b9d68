"""The agent: what runs on a board while somebody elsewhere uses it.

It reads frames from standard input, does what they ask for one after another, and answers by frames on
standard output. The host says at least each second that it is still there; when nothing has come for
:data:`SILENCE` seconds, or the input ends, the agent kills its children and ends: after a cut a remote
process would else live on, and slow whatever is measured next. What is left is the store of whole bundles.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeeff.onboard import describing, frames, sensors, store
from edgeeff.onboard.children import Child
from edgeeff.onboard.frames import Frame, FrameError
from edgeeff.onboard.lock import Lock
from edgeeff.onboard.receiving import Incoming
from edgeeff.onboard.refusal import Refused

#: Seconds without a byte from the host after which the agent ends, and between two signs of life of either.
SILENCE, BEAT = 5.0, 1.0
#: Frames that wait to be done; the host waits for answers, so more is no host of ours.
_WAITING = 256


class Agent:
    """The state of one connection.

    Args:
        source: The descriptor that frames come from.
        out: The one that they go to.
        modules: The zip file that the agent's modules lie in, for its children.
        kept: The store.
    """

    def __init__(self, source: int, out: int, modules: str, kept: store.Store) -> None:
        self._source, self._out, self._modules, self._store = source, out, modules, kept
        self._heard = time.monotonic()
        self._writing = threading.Lock()
        self._queue: queue.Queue[Any] = queue.Queue(_WAITING)
        self._children: dict[int, Child] = {}
        self._sessions: dict[int, Child] = {}
        self._incoming: Incoming | None = None
        self._lock = Lock()
        self._ending = threading.Lock()

    def run(self) -> None:
        """Do what is asked for until the host is gone."""
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.end(1))
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # writing fails then, and that ends it
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        while True:
            frame = self._queue.get()
            if isinstance(frame, Frame):
                self._do(frame)

    def end(self, status: int) -> None:
        """Kill the children, leave nothing half-made, and end this process."""
        if not self._ending.acquire(blocking=False):
            return
        for child in list(self._children.values()):
            child.kill()
        with suppress(Exception):
            self._lock.release()
            self._store.close()
        os._exit(status)

    def _read(self) -> None:
        """Frames as they come; the end of them is the end of all."""
        status = 0
        try:
            while True:
                frame = frames.read(self._source, self._hear)
                if frame is None:
                    break
                if frame.header.get("op") != "beat":
                    self._queue.put_nowait(frame)
        except (FrameError, OSError, queue.Full) as error:
            print(f"edgeeff agent: {error}", file=sys.stderr)
            status = 1
        finally:
            self.end(status)

    def _hear(self) -> None:
        self._heard = time.monotonic()

    def _watch(self) -> None:
        """End when the host gives no sign of life."""
        silent = 0
        while True:
            time.sleep(BEAT)
            # Seen twice: after this process was stopped itself, the reader has to come first.
            silent = silent + 1 if time.monotonic() - self._heard > SILENCE else 0
            if silent >= 2:
                print("edgeeff agent: nothing comes from the host any more", file=sys.stderr)
                self.end(1)

    def _beat(self) -> None:
        """Give signs of life; a thread of its own, which a host that reads nothing holds up."""
        while True:
            time.sleep(BEAT)
            self._send({"op": "beat"}, [])

    def _send(self, header: dict[str, Any], payloads: list[Any]) -> None:
        with self._writing:
            try:
                frames.write(self._out, header, payloads)
            except OSError:
                self.end(1)

    def _do(self, frame: Frame) -> None:
        name, number = str(frame.header.get("op")), frame.header.get("id")
        try:
            done = _OPERATIONS.get(name)
            if done is None:
                raise Refused("DeviceError", f"the agent knows nothing of {name!r:.40}", "update edgeeff")
            header, payloads = done(self, frame)
        except Refused as error:
            header, payloads = {"error": [error.kind, error.what, error.mend]}, []
        except Exception as error:
            what = f"the agent failed at {name}: {type(error).__name__}: {error}"
            header, payloads = {"error": ["DeviceError", what, "report this"]}, []
        self._send({**header, "id": number}, payloads)

    def _started(self, module: str, arguments: Any, standard_input: bool = False) -> Child:
        try:
            child = Child(self._modules, module, arguments, standard_input)
        except OSError as error:
            raise Refused(
                "DeviceError", f"the board starts no process: {error.strerror or error}", "free memory there"
            ) from None
        self._children[child.process.pid] = child
        return child

    # What can be asked for: each takes a frame, and gives the header and the payloads of its answer.

    def facts(self, frame: Frame) -> Any:
        """What the board is, and how it does."""
        asked = frame.header
        found = describing.describe(
            Path("/"), describing.installed(asked["modules"], asked["runtimes"], ["numpy"])
        )
        return {"machine": found, "now": describing.now(store.home())}, []

    def temperatures(self, frame: Frame) -> Any:
        """How hot the board is: asked every few seconds, so nothing else is looked at."""
        return {"temperatures_c": dict(sensors.read().temperatures_c)}, []

    def has(self, frame: Frame) -> Any:
        """Whether a bundle is there; it is held from then on."""
        return {"has": self._store.has(frame.header["digest"])}, []

    def push(self, frame: Frame) -> Any:
        """Begin to receive a bundle; what was begun before is given up."""
        self._drop()
        self._incoming = self._store.begin(frame.header["digest"], int(frame.header["size"]))
        return {}, []

    def file(self, frame: Frame) -> Any:
        """Begin a file of it."""
        self._receiving(lambda incoming: incoming.file(frame.header["name"]))
        return {}, []

    def data(self, frame: Frame) -> Any:
        """Bytes of that file."""
        self._receiving(lambda incoming: incoming.data(b"".join(frame.payloads)))
        return {}, []

    def pushed(self, frame: Frame) -> Any:
        """All of it has come."""
        self._receiving(lambda incoming: incoming.finish())
        self._incoming = None
        return {}, []

    def _receiving(self, step: Callable[[Incoming], None]) -> None:
        if self._incoming is None:
            raise Refused("DeviceError", "no bundle is being sent", "run it again: it is sent anew")
        try:
            step(self._incoming)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._incoming is not None:
            self._incoming.drop()
            self._incoming = None

    def open(self, frame: Frame) -> Any:
        """Load a bundle into its runtime."""
        folder = self._store.use(frame.header["digest"])
        arguments = {"bundle": str(folder), "threads": frame.header["threads"]}
        child = self._started("serving", arguments, standard_input=True)
        answer = self._heard_of(child, lambda out: None)
        if "error" in answer.header:
            self._gone(child)
            raise Refused(*answer.header["error"])
        self._sessions[child.process.pid] = child
        return {"session": child.process.pid, "batch": answer.header["batch"]}, []

    def infer(self, frame: Frame) -> Any:
        """Pixels to outputs."""
        child = self._sessions.get(frame.header["session"])
        if child is None:
            raise Refused("DeviceError", "no such session is open on the board", "run it again")
        header = {"arrays": frame.header["arrays"]}
        answer = self._heard_of(child, lambda out: frames.write(out, header, frame.payloads, sealed=False))
        return {"arrays": answer.header["arrays"]}, answer.payloads

    def _heard_of(self, child: Child, say: Callable[[int], None]) -> Frame:
        """What a session's process answers.

        Raises:
            Refused: It died; the message ends with what it printed.
        """
        answer = None
        assert child.process.stdin is not None and child.process.stdout is not None
        with suppress(OSError, FrameError):
            say(child.process.stdin.fileno())
            answer = frames.read(child.process.stdout.fileno())
        if answer is not None:
            return answer
        child.kill()
        said = child.last_words()
        status = child.process.poll()
        self._gone(child)
        how = "was ended" if status is None else f"ended with exit status {status}"
        if status is not None and status < 0:
            how = f"was ended by signal {-status}"
        printed = "\n".join(said.strip().splitlines()[-10:]) or "(it printed nothing)"
        raise Refused(
            "DeviceError",
            f"the bundle's process on the board {how}:\n{printed}",
            "see what the runtime printed: the board may be out of memory (its kernel's log says so)",
        )

    def close(self, frame: Frame) -> Any:
        """Unload a bundle."""
        child = self._sessions.get(frame.header["session"])
        if child is not None:
            self._gone(child)
        return {}, []

    def _gone(self, child: Child) -> None:
        child.kill()
        with suppress(Exception):
            child.process.wait(5)
        for stream in (child.process.stdin, child.process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._sessions.pop(child.process.pid, None)
        self._children.pop(child.process.pid, None)

    def launch(self, frame: Frame) -> Any:
        """Measure in a fresh process."""
        asked = frame.header
        if asked["kind"] not in ("launch", "throughput_launch"):
            raise Refused(
                "OptionError", f"a board has no {asked['kind']!r:.40}", "leave out --device for this"
            )
        folders = [str(self._store.use(digest)) for digest in asked["digests"]]
        names = ("kind", "images", "threads", "seconds", "seed", "requests")
        arguments = {"bundles": folders, **{name: asked[name] for name in names}}
        return self._finished(self._started("launch", arguments), float(asked["patience"]))

    def script(self, frame: Frame) -> Any:
        """Run a script that a bundle carries, such as build_engine.py."""
        folder = self._store.use(frame.header["digest"])
        name = str(frame.header["name"])
        if name not in _sealed(folder):
            raise Refused("BundleError", f"the bundle carries no script {name!r:.80}", "build it again")
        arguments = [str(folder / name), *map(str, frame.header["arguments"])]
        return self._finished(self._started("script", arguments), float(frame.header["patience"]))

    def _finished(self, child: Child, patience: float) -> Any:
        """How a process ended, and what it printed; it is ended where it takes too long."""
        done = threading.Event()
        out = child.collect(done.set)
        in_time = done.wait(patience)
        child.kill()  # what it started too
        said = child.last_words()
        status = child.process.poll() if in_time else None
        self._gone(child)
        return {"returncode": status}, [bytes(out), said.encode("utf-8", "replace")]

    def fetch(self, frame: Frame) -> Any:
        """A file that was written beside a bundle's sealed ones there."""
        folder, name = self._store.use(frame.header["digest"]), str(frame.header["name"])
        path = folder / "measured" / name
        if "/" in name or name in ("", ".", "..") or path.is_symlink() or not path.is_file():
            raise Refused(
                "DeviceError", f"the board has no measured/{name:.80} of the bundle", "measure it there"
            )
        if path.stat().st_size > _LARGEST_FETCHED:
            raise Refused("DeviceError", f"measured/{name:.80} on the board is too large", "copy it by hand")
        return {}, [path.read_bytes()]

    def lock(self, frame: Frame) -> Any:
        """Keep other measurements off the board."""
        self._lock.take(float(frame.header["wait"]), str(frame.header["command"]), lambda: None)
        return {}, []

    def unlock(self, frame: Frame) -> Any:
        """Let them in again."""
        self._lock.release()
        return {}, []


_LARGEST_FETCHED = 64 << 20
_OPERATIONS: dict[str, Callable[[Agent, Frame], Any]] = {
    "facts": Agent.facts,
    "temperatures": Agent.temperatures,
    "has": Agent.has,
    "push": Agent.push,
    "file": Agent.file,
    "data": Agent.data,
    "pushed": Agent.pushed,
    "open": Agent.open,
    "infer": Agent.infer,
    "close": Agent.close,
    "launch": Agent.launch,
    "script": Agent.script,
    "fetch": Agent.fetch,
    "lock": Agent.lock,
    "unlock": Agent.unlock,
}


def _sealed(folder: Path) -> set[str]:
    import json

    return set(json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"])


def main(modules: str) -> None:
    """Serve the host at the other end of standard input and output.

    Args:
        modules: The zip file that this lies in.
    """
    source, out = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        kept = store.Store(store.home(), store.bound())
        with suppress(OSError):
            kept.sweep()
    except Refused as error:
        frames.write(out, {"error": [error.kind, error.what, error.mend]})
        return
    # Which engines were built here is noted in the store too: nothing is left beside it.
    os.environ["XDG_STATE_HOME"] = str(store.home() / "state")
    frames.write(out, {"op": "ready", "pid": os.getpid()})
    Agent(source, out, modules, kept).run()
