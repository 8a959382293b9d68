"""What a worker does: one unit, whose result is stored before it is told of.

Everything that goes in and out is plain data: an error that cannot be pickled would take its worker along.
"""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgeeff import memory, shortage
from edgeeff.bundle import Bundle
from edgeeff.errors import ClusterError, EdgeeffError, MatrixError
from edgeeff.harness.judging import How
from edgeeff.harness.shards import Judged, Shard
from edgeeff.matrix import facts
from edgeeff.matrix.store import Store
from edgeeff.matrix.units import Outcome
from edgeeff.progress import Recorder, Silent

#: The state of a shard, in its result.
STATE = "state.npz"
#: Where a bundle lies in the result of a build.
BUNDLES = "bundle"


def hello(probe: str) -> dict[str, Any]:
    """What a client must know of a worker: whether it sees the folder of results, and what it runs.

    Args:
        probe: A file that the client wrote there.
    """
    try:
        seen = Path(probe).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        seen = f"{type(error).__name__}: {error}"
    return {
        "seen": seen,
        "host": socket.gethostname(),
        "code": facts.code(),
        "computing": facts.computing(),
    }


def run(
    job: Mapping[str, Any], place: str, commit: str | None = None, logs: str | None = None
) -> dict[str, Any]:
    """Do one unit, and tell what became of it as plain data (:class:`Outcome`).

    Args:
        job: What :meth:`Unit.job` gives.
        place: The folder of results.
        commit: What reports are stored under; None: it is found out here.
        logs: A folder that what runtimes print goes to; None: it stays.
    """
    if logs is not None:
        _silence(Path(logs))
    return asdict(attempt(job, Store(Path(place)), _WORK[job["kind"]], commit))


def attempt(
    job: Mapping[str, Any], store: Store, work: Callable[..., Mapping[str, Any]], commit: str | None = None
) -> Outcome:
    """Do one unit if its result is not there, and store that; what goes wrong is told, and not raised.

    Args:
        job: What :meth:`Unit.job` gives.
        store: Where results lie.
        work: ``work(job, store, folder)``: makes the result in a folder, and returns what is said of it.
        commit: What reports are stored under.
    """
    begun, key, where = time.monotonic(), str(job["key"]), f"{socket.gethostname()}:{os.getpid()}"
    try:
        with (
            store.claimed(key),
            _commit(commit),
            shortage.told(f"{job['name']} was at work", shortage.RUNNING),
        ):
            if (there := store.read(key)) is not None:
                return Outcome(key, "there", warnings=tuple(there.get("warnings", ())))
            with store.making(key) as folder:
                said = work(job, store, folder)
                seconds = time.monotonic() - begun
                about = {
                    **said,
                    "name": job["name"],
                    "kind": job["kind"],
                    "facts": job["facts"],
                    "needs": job["needs"],
                    "utc": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "seconds": round(seconds, 3),
                    "where": where,
                }
                store.put(key, folder, about)
        store.mend(key)
        return Outcome(key, "made", warnings=tuple(said.get("warnings", ())), seconds=seconds, where=where)
    except EdgeeffError as error:
        failed = Outcome(
            key, "failed", error.what, error.mend, type(error).__name__, error.warnings, where=where
        )
    except Exception as error:
        failed = Outcome(key, "failed", *_unexpected(error), type(error).__name__, where=where)
        store.fail(
            key, {"name": job["name"], **asdict(failed), "traceback": traceback.format_exc()[-20_000:]}
        )
        return failed
    finally:
        memory.give_back()
    store.fail(key, {"name": job["name"], **asdict(failed)})
    return failed


def _unexpected(error: Exception) -> tuple[str, str]:
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return f"{named}{error.strerror or error}", "check the path, its permissions and the free space"
    what = f"{type(error).__name__}: {error}"[:500]
    return what, "this is an error of edgeeff or of a runtime: the folder failures/ has the traceback"


@contextmanager
def _commit(commit: str | None) -> Iterator[None]:
    """What records of reports take for the commit, in a process that does one unit at a time."""
    before = os.environ.get("EDGEEFF_COMMIT")
    if commit is not None:
        os.environ["EDGEEFF_COMMIT"] = commit
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("EDGEEFF_COMMIT", None)
        else:
            os.environ["EDGEEFF_COMMIT"] = before


def _build(job: Mapping[str, Any], store: Store, folder: Path) -> Mapping[str, Any]:
    """A bundle, in ``bundle/`` of the result."""
    from edgeeff.pipeline.build import build

    payload = job["payload"]
    here = facts.of_build(payload["options"], payload["target"], payload["called"])
    _refuse_others(job, here)
    recorder = Recorder(Silent())
    (built,) = build(
        **payload["options"],
        targets=[payload["target"]],
        name=payload["called"],
        output=folder / BUNDLES,
        progress=recorder,
    )
    for left in (folder / BUNDLES).glob(".*"):
        with suppress(OSError):
            left.unlink()
    report, _ = built.bundle.verification()
    return {
        "warnings": list(built.warnings),
        "bundle": f"{BUNDLES}/{built.bundle.folder.name}",
        "digest": built.bundle.digest(),
        "not_run": built.not_run,
        "report": report if report and "record" in report else None,
        "figures": {"sqnr": None if built.verification is None else _finite(built.verification.sqnr)},
    }


def _shard(job: Mapping[str, Any], store: Store, folder: Path) -> Mapping[str, Any]:
    """What a shard of the images added up, as a file."""
    from edgeeff.harness import shards

    _refuse_others(job, {"computing": facts.computing()}, "computing")
    number, of = job["facts"]["shard"]
    images = facts.opened(job["payload"]["images"])

    def check(start: int, stop: int) -> None:
        first, last = start // facts.BLOCK, -(-stop // facts.BLOCK)
        _refuse_photos(job, facts.blocks(images.pictures, first, last), first, len(images))

    shards.evaluate(judged(job, store), images, Shard(number, of), folder / STATE, check=check)
    return {"warnings": []}


def _eval(job: Mapping[str, Any], store: Store, folder: Path) -> Mapping[str, Any]:
    """A report, of all images or merged of shards."""
    from edgeeff.harness import shards

    images = facts.opened(job["payload"]["images"])
    what = judged(job, store)
    if job["parts"]:
        report = shards.merge(what, images, [store.place(key) / STATE for key in job["parts"]])
    else:
        _refuse_others(job, {"computing": facts.computing()}, "computing")
        _refuse_photos(job, facts.blocks(images.pictures), 0, len(images))
        report = whole(what, images)
    return evaluated(report)


def whole(what: Judged, images: Any) -> Any:
    """The report of all images, in this process."""
    from edgeeff.harness.accuracy import evaluate

    how = what.how
    return evaluate(
        what.bundle,
        images,
        reference=what.reference,
        white=what.white,
        threshold=how.threshold,
        threads=how.threads,
        progress=Silent(),
        warn=lambda _: None,
    )


def evaluated(report: Any) -> dict[str, Any]:
    """What is said of a report of accuracy."""
    said = report.to_json()
    scores, reference = report.scores, report.reference
    agreement = reference.agreement if reference is not None else None
    figures = {
        "metric": report.metric,
        "score": None if scores is None else _finite(scores.primary),
        "drop_points": None if report.drop is None else _finite(report.drop),
        "agreement": None if agreement is None else _finite(agreement.value),
        "sqnr": None if reference is None else _finite(reference.sqnr),
        "images": report.images,
    }
    return {"warnings": list(report.warnings), "report": said, "figures": figures}


def judged(job: Mapping[str, Any], store: Store) -> Judged:
    """The bundles that a unit needs, and how they are judged."""
    needs, how = job["needs"], job["facts"]["how"]
    reference = bundle(store, needs["reference"]) if "reference" in needs else None
    return Judged(
        bundle(store, needs["bundle"]),
        reference,
        how["white"],
        How(how["threshold"], how["threads"]),
    )


def bundle(store: Store, key: str) -> Bundle:
    """The bundle that a build made.

    Raises:
        MatrixError: It is not there: somebody removed it meanwhile.
        BundleError: It was altered.
    """
    said = store.read(key)
    if said is None:
        raise MatrixError(f"the build {key[:12]} is not in {store.folder}", mend="start the matrix again")
    found = Bundle.load(store.place(key) / said["bundle"])
    if found.digest() != said["digest"]:
        raise MatrixError(f"{found.folder} was altered", mend="remove it, and start the matrix again")
    return found


def _refuse_others(job: Mapping[str, Any], here: Mapping[str, Any], *names: str) -> None:
    """Refuse a unit whose inputs are others here than where it was planned.

    Raises:
        ClusterError: They are.
    """
    planned = job["facts"]
    planned = {name: planned[name] for name in names} if names else planned
    if wrong := facts.differing(json.loads(json.dumps(here, default=str)), planned):
        raise ClusterError(
            f"{socket.gethostname()} sees another {', '.join(wrong[:5])} than the matrix was planned with",
            mend="let all workers see the same files under the same paths, with the same versions installed",
        )


def _refuse_photos(job: Mapping[str, Any], found: list[str], first: int, count: int) -> None:
    planned = job["payload"]["blocks"][first : first + len(found)]
    if found != planned or count != job["facts"]["images"]["count"]:
        raise ClusterError(
            f"{socket.gethostname()} sees other photos in {job['payload']['images']} than the matrix was "
            "planned with",
            mend="let all workers see the same files under the same paths, and change none during a run",
        )


def _finite(value: float) -> float | None:
    return float(value) if value == value and abs(value) != float("inf") else None


_silenced = False


def _silence(folder: Path) -> None:
    """Send what runtimes print to a file: it would stand amid the client's table."""
    global _silenced
    if _silenced:
        return
    _silenced = True
    with suppress(OSError):
        name = folder / f"{socket.gethostname()}-{os.getpid()}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        number = os.open(name, flags, 0o644)
        os.dup2(number, 1)
        os.dup2(number, 2)
        os.close(number)


_WORK: Mapping[str, Callable[..., Mapping[str, Any]]] = {"build": _build, "shard": _shard, "eval": _eval}
