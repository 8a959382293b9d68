"""A measurement in a fresh process: starting it, its events, and what its end means."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeeff import errors, shortage
from edgeeff.bundle import MANIFEST, Bundle
from edgeeff.errors import EdgeeffError
from edgeeff.progress import Count, Progress, Recorder
from edgeeff.watched import Watched


@dataclass(frozen=True)
class Launches:
    """How bundles are measured.

    Args:
        launches: Processes, one after another.
        threads: Of each runtime.
        seconds: For each bundle in a launch.
        seed: Of the noise that a bundle without golden images is run on.
    """

    launches: int
    threads: int
    seconds: float
    seed: int


def start(
    module: str,
    bundles: Sequence[Bundle],
    images: Sequence[int],
    *,
    threads: int,
    seconds: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Start one process of :mod:`edgeeff.harness.launch` or the like, and give back its events.

    ``images`` says for each bundle how many a run of it has.

    Raises:
        EdgeeffError: It told of an error, or it crashed.
    """
    command = [sys.executable, "-m", module]
    command += [f"--threads={threads}", f"--seconds={seconds}", f"--seed={seed}"]
    command += [f"--images={','.join(map(str, images))}", "--"]
    command += [str(bundle.folder.resolve()) for bundle in bundles]
    # -m puts the working folder on the import path: it is ours, not the user's, who may keep anything there.
    # subprocess.run kills the process on Ctrl-C.
    finished = subprocess.run(
        command, cwd=Path(errors.__file__).parent.parent, capture_output=True, text=True, errors="replace"
    )
    events = [json.loads(line) for line in finished.stdout.splitlines() if line.endswith("}")]
    for event in events:
        if event["event"] == "error":
            kind = getattr(errors, event["kind"], EdgeeffError)
            raise kind(event["what"], mend=event["mend"])
    if finished.returncode or not events or events[-1]["event"] != "done":
        raise _crash(bundles, events, finished.returncode, finished.stderr)
    return events


def repeatedly(
    module: str,
    bundles: Sequence[Bundle],
    images: Sequence[int],
    hear: Callable[[Mapping[str, Any]], None],
    how: Launches,
    progress: Progress | Count | None = None,
) -> dict[int, str]:
    """Start processes one after another, each with the bundles that the earlier ones could run.

    Args:
        module: What each runs.
        bundles: Those that are measured.
        images: How many a run of each has.
        hear: Called with each event, whose ``bundle`` is a place in ``bundles``.
        how: How many processes, and how each measures.
        progress: Told of each launch, as of a step of one stage.

    Returns:
        Why bundles were not run, by their places.

    Raises:
        ChangedFileError: A bundle was replaced meanwhile.
        EdgeeffError: As for :func:`start`.
    """
    watched = Watched()
    watched.add(bundle.folder / MANIFEST for bundle in bundles)
    not_run: dict[int, str] = {}
    listener = Recorder.of(progress)
    listener.stage(f"measuring {len(bundles)} bundle{'s' * (len(bundles) > 1)}", how.launches, "launches")
    for _ in range(how.launches):
        runnable = [i for i in range(len(bundles)) if i not in not_run]
        if not runnable:
            break
        those = [bundles[i] for i in runnable], [images[i] for i in runnable]
        for told in start(module, *those, threads=how.threads, seconds=how.seconds, seed=how.seed):
            event = {**told, "bundle": runnable[told["bundle"]]} if "bundle" in told else told
            if event["event"] == "not run":
                not_run[event["bundle"]] = event["what"]
            else:
                hear(event)
        listener.advance()
    watched.refuse_changed()  # each launch loads them anew
    return not_run


def _crash(
    bundles: Sequence[Bundle], events: Sequence[Mapping[str, Any]], status: int, stderr: str
) -> EdgeeffError:
    """Why a process died, pinned on the bundle it was loading, or on all of them once they ran in turn."""
    last = events[-1] if events else {}
    guilty = [bundles[last["bundle"]]] if last.get("event") == "loading" else bundles
    how = f"signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"exit status {status}"
    doing = "loading" if last.get("event") == "loading" else "running"
    if shortage.told_in(stderr):
        return shortage.refusal(f"{doing} {', '.join(bundle.name for bundle in guilty)}", shortage.RUNNING)
    tail = "\n".join(stderr.strip().splitlines()[-10:]) or "(it printed nothing)"
    return EdgeeffError(
        f"{doing} {', '.join(bundle.name for bundle in guilty)} ended the process with {how}:\n{tail}",
        mend="measure the bundles one by one, and report what the runtime printed to its makers",
    )
