"""A measurement in a fresh process: starting it, its events, and what its end means."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from edgeeff import errors, shortage
from edgeeff.bundle import MANIFEST, Bundle
from edgeeff.device import Device, Finished
from edgeeff.errors import EdgeeffError, MissingRuntimeError, OptionError
from edgeeff.harness import cooling
from edgeeff.harness.launch import order
from edgeeff.onboard import sensors
from edgeeff.progress import Count, Progress, Recorder
from edgeeff.watched import Watched

#: Bytes of a process's events, and of the end of what it printed beside them, that are kept.
_MOST_EVENTS, _TAIL = 64 << 20, 64 << 10
#: Characters of a line that an error shows.
_LINE = 400
#: Seconds that are waited for the rest of what a process printed, once it has ended.
_LAST_WORDS = 5.0


@dataclass(frozen=True)
class How:
    """How a launch measures.

    Args:
        threads: Of each runtime.
        seconds: For each bundle in a launch; the warm-up takes as long at most.
        seed: Of the noise that a bundle without golden images is run on.
        timeout: Seconds after which a launch is taken to hang and is ended; None: see :meth:`patience`.
        requests: Runs at once, of a launch that has several; None: it has not.
    """

    threads: int = 1
    seconds: float = 0.6
    seed: int = 0
    timeout: float | None = None
    requests: int | None = None

    def patience(self, bundles: int) -> float:
        """Seconds that a launch of so many bundles may take: five minutes and twenty times what it measures.

        Loading may compile for minutes on a small board, and the least of ten rounds may take longer than
        ``seconds``.
        """
        return 300.0 + 20.0 * self.seconds * bundles if self.timeout is None else self.timeout


def start(
    module: str, bundles: Sequence[Bundle], images: Sequence[int], how: How, number: int = 0
) -> list[dict[str, Any]]:
    """Start one process of :mod:`edgeeff.harness.launch` or the like, and give back its events.

    The bundle that is loaded second is slower by some tenths of a per cent; so the order of loading changes
    with each launch, and is balanced over the launches as that of a round is.

    Args:
        module: What it runs.
        bundles: Those that are measured.
        images: For each bundle how many a run of it has.
        how: How it measures.
        number: Which launch of a series it is, from 0.

    Returns:
        What the process told; ``bundle`` of an event is a place in ``bundles``.

    Raises:
        OptionError: The bundles are to run on several devices.
        DeviceError: Their board cannot be reached, or the connection broke.
        EdgeeffError: It told of an error, it crashed, it took longer than a launch may, or it ended without
            a result of one of the bundles.
    """
    places = order(len(bundles), number)
    loaded = [bundles[place] for place in places]
    taking = [images[place] for place in places]
    patience, device = how.patience(len(bundles)), common_device(bundles)
    cooling.before_launch(partial(_temperatures, device))
    if device is None:
        finished = _here(module, loaded, taking, how, patience)
        return _understood(finished, loaded, places, patience)
    return _there(device, module, loaded, places, taking, how, patience)


def _temperatures(device: Device | None) -> Mapping[str, float]:
    """Of where a launch runs, °C by zone."""
    return sensors.read().temperatures_c if device is None else device.temperatures()


def _there(
    device: Device,
    module: str,
    loaded: Sequence[Bundle],
    places: Sequence[int],
    images: Sequence[int],
    how: How,
    patience: float,
) -> list[dict[str, Any]]:
    """Run the process on a board; what cannot be sent there is not run, and the others are."""
    absent: list[dict[str, Any]] = []
    sent: list[int] = []
    for i, bundle in enumerate(loaded):
        bundle.refuse_altered()
        try:
            bundle.refuse_unpushable()
            sent.append(i)
        except MissingRuntimeError as error:
            absent.append({"event": "not run", "bundle": places[i], "what": error.what})
    if not sent:
        return absent
    bundles, own = [loaded[i] for i in sent], [places[i] for i in sent]
    finished = device.launch(
        module.rpartition(".")[2],
        [bundle.folder for bundle in bundles],
        [images[i] for i in sent],
        threads=how.threads,
        seconds=how.seconds,
        seed=how.seed,
        patience=patience,
        requests=how.requests,
    )
    return [*absent, *_understood(finished, bundles, own, patience)]


def common_device(bundles: Sequence[Bundle]) -> Device | None:
    """Where bundles run that are measured in one process; None: on this machine.

    Raises:
        OptionError: They are to run on several devices.
    """
    devices = {id(bundle.device): bundle.device for bundle in bundles}
    if len(devices) > 1:
        names = ", ".join("this machine" if d is None else d.name for d in devices.values())
        raise OptionError(
            f"bundles that run on {names} cannot be measured in one process",
            mend="measure those of each device by themselves",
        )
    return next(iter(devices.values()), None)


def _here(
    module: str, loaded: Sequence[Bundle], images: Sequence[int], how: How, patience: float
) -> Finished:
    """Run the process on this machine."""
    command = [sys.executable, "-m", module]
    command += [f"--threads={how.threads}", f"--seconds={how.seconds}", f"--seed={how.seed}"]
    command += [f"--parent={os.getpid()}"]
    command += [f"--images={','.join(map(str, images))}"]
    command += [] if how.requests is None else [f"--requests={how.requests}"]
    command += ["--", *(str(bundle.folder.resolve()) for bundle in loaded)]
    # -m puts the working folder on the import path: it is ours, not the user's, who may keep anything there.
    return _run(command, Path(errors.__file__).parent.parent, patience)


def _understood(
    finished: Finished, loaded: Sequence[Bundle], places: Sequence[int], patience: float
) -> list[dict[str, Any]]:
    """The events of a process; ``bundle`` of one is a place in the caller's order.

    Args:
        finished: The process.
        loaded: The bundles in the order that it loaded them in.
        places: Where each of them stands in the caller's order.
        patience: Seconds that it might take.

    Raises:
        EdgeeffError: As for :func:`start`.
    """
    events = _events(finished.stdout)
    if finished.returncode is None:
        raise _hang(loaded, events, patience, _text(finished.stderr))
    for event in events:
        if event["event"] == "error":
            raise errors.named(event["kind"], event["what"], event["mend"])
    if finished.returncode or not events or events[-1]["event"] != "done":
        raise _crash(loaded, events, finished.returncode, _text(finished.stderr))
    found = {event.get("bundle") for event in events if event["event"] not in ("loading", "loaded")}
    if silent := [bundle.name for place, bundle in enumerate(loaded) if place not in found]:
        raise _silence(silent, _text(finished.stderr))
    return [{**event, "bundle": places[event["bundle"]]} if "bundle" in event else event for event in events]


class Series:
    """Launches of the same bundles, one after another: those that cannot run are tried once."""

    def __init__(self, module: str, bundles: Sequence[Bundle], images: Sequence[int], how: How) -> None:
        self._module, self._bundles, self._images, self._how = module, bundles, images, how
        self._watched = Watched()
        self._watched.add(bundle.folder / MANIFEST for bundle in bundles)
        #: Why bundles are not run, by their places.
        self.not_run: dict[int, str] = {}
        self._number = 0

    @property
    def runnable(self) -> list[int]:
        """The places of the bundles that no launch has said to be NOT RUN."""
        return [i for i in range(len(self._bundles)) if i not in self.not_run]

    def launch(self) -> list[dict[str, Any]]:
        """The events of one more launch, of the bundles that can run; none where none can.

        Raises:
            EdgeeffError: As for :func:`start`.
        """
        runnable = self.runnable
        if not runnable:
            return []
        those = [self._bundles[i] for i in runnable], [self._images[i] for i in runnable]
        told = start(self._module, *those, self._how, self._number)
        self._number += 1
        events = [{**e, "bundle": runnable[e["bundle"]]} if "bundle" in e else e for e in told]
        for event in events:
            if event["event"] == "not run":
                self.not_run[event["bundle"]] = event["what"]
        return events

    def refuse_changed(self) -> None:
        """Each launch loads the bundles anew.

        Raises:
            ChangedFileError: One was replaced meanwhile.
        """
        self._watched.refuse_changed()


def repeatedly(
    module: str,
    bundles: Sequence[Bundle],
    images: Sequence[int],
    hear: Callable[[Mapping[str, Any]], None],
    how: How,
    launches: int,
    progress: Progress | Count | None,
) -> dict[int, str]:
    """Measure bundles in several processes, one after another.

    Args:
        module: What each runs.
        bundles: Those that are measured.
        images: How many a run of each has.
        hear: Called with each event, whose ``bundle`` is a place in ``bundles``.
        how: How each process measures.
        launches: How many processes.
        progress: Told of each launch, as of a step of one stage.

    Returns:
        Why bundles were not run, by their places.

    Raises:
        ChangedFileError: A bundle was replaced meanwhile.
        EdgeeffError: As for :func:`start`.
    """
    series = Series(module, bundles, images, how)
    listener = Recorder.of(progress)
    listener.stage(f"measuring {len(bundles)} bundle{'s' * (len(bundles) > 1)}", launches, "launches")
    for _ in range(launches):
        if not series.runnable:
            break
        for event in series.launch():
            hear(event)
        listener.advance()
    series.refuse_changed()
    return series.not_run


def _run(command: Sequence[str], folder: Path, seconds: float) -> Finished:
    """Run a process, and keep as much of what it prints as can be of use, whatever a runtime prints.

    It is killed on Ctrl-C, and when its time is over.
    """
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = bytearray(), bytearray()

    def head(pipe: IO[bytes]) -> None:
        while part := os.read(pipe.fileno(), 1 << 16):
            out.extend(part[: max(0, _MOST_EVENTS - len(out))])

    def tail(pipe: IO[bytes]) -> None:
        while part := os.read(pipe.fileno(), 1 << 16):
            err.extend(part)
            del err[:-_TAIL]

    assert process.stdout is not None and process.stderr is not None
    readers = {
        threading.Thread(target=read, args=(pipe,), daemon=True): pipe
        for read, pipe in ((head, process.stdout), (tail, process.stderr))
    }
    status: int | None = None
    try:
        for reader in readers:
            reader.start()
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.kill()  # nothing where it has ended
        process.wait()
        for reader, pipe in readers.items():
            reader.join(_LAST_WORDS)
            if not reader.is_alive():  # what the process started may hold its streams for ever
                pipe.close()
    return Finished(status, bytes(out), bytes(err))


def _text(printed: bytes) -> str:
    return printed.decode("utf-8", errors="replace")


def _events(printed: bytes) -> list[dict[str, Any]]:
    """The events that were told whole; what a library printed beside them is none."""
    found = []
    for line in _text(printed).splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            found.append(event)
    return found


def _where(bundles: Sequence[Bundle], events: Sequence[Mapping[str, Any]]) -> str:
    """What a process was doing: the bundle that it was loading, or all of them once they ran in turn."""
    last: Mapping[str, Any] = events[-1] if events else {"event": "starting"}
    if last["event"] == "loading":
        return f"loading {bundles[last['bundle']].name}"
    doing = "starting with" if last["event"] == "starting" else "running"
    return f"{doing} {', '.join(bundle.name for bundle in bundles)}"


def _tail(stderr: str) -> str:
    lines = [
        line if len(line) <= _LINE else f"…{line[-_LINE:]}" for line in stderr.strip().splitlines()[-10:]
    ]
    return "\n".join(lines) or "(it printed nothing)"


def _hang(
    bundles: Sequence[Bundle], events: Sequence[Mapping[str, Any]], seconds: float, stderr: str
) -> EdgeeffError:
    """A process that did not end."""
    return EdgeeffError(
        f"{_where(bundles, events)} did not end within {seconds:g} s:\n{_tail(stderr)}",
        mend="give a launch more --timeout if it is only slow, or measure the bundles one by one",
    )


def _silence(names: Sequence[str], stderr: str) -> EdgeeffError:
    """A process that ended as if all were well."""
    return EdgeeffError(
        f"a measurement ended without a result of {', '.join(names)}:\n{_tail(stderr)}",
        mend="measure the bundles one by one, and report what was printed",
    )


def _crash(
    bundles: Sequence[Bundle], events: Sequence[Mapping[str, Any]], status: int, stderr: str
) -> EdgeeffError:
    """Why a process died."""
    how = f"signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"exit status {status}"
    doing = _where(bundles, events)
    if shortage.told_in(stderr):
        return shortage.refusal(doing, shortage.RUNNING)
    return EdgeeffError(
        f"{doing} ended the process with {how}:\n{_tail(stderr)}",
        mend="measure the bundles one by one, and report what the runtime printed to its makers",
    )
