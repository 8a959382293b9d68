"""Dask: processes of this machine, or the workers of a scheduler somewhere.

``distributed`` is imported here alone. A scheduler takes code from whoever can talk to it, so that it is
talked to by TLS with a certificate on both sides; the local one makes its certificates when it starts.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeeff import memory, regular
from edgeeff.cache import versions
from edgeeff.digests import of_json
from edgeeff.errors import ClusterError, MissingRuntimeError
from edgeeff.files import write_file
from edgeeff.harness.machine import describe
from edgeeff.installing import install_line
from edgeeff.matrix import facts, work
from edgeeff.matrix.store import Store

#: Seconds in which a scheduler must answer.
PATIENCE = 20.0
#: The share of this machine's memory that local workers may take together.
_MEMORY = 0.85
#: What client, scheduler and workers must have in common.
_COMMON = ("python", "dask", "distributed", "cloudpickle", "msgpack")
#: Who speaks of a cluster that comes and goes.
_LOGGERS = ("distributed", "distributed.client", "distributed.core", "tornado", "asyncio", "bokeh")


@dataclass(frozen=True)
class Tls:
    """The files of a client's certificate; None: what Dask's own configuration says."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class Where:
    """Where units are computed.

    Args:
        workers: Processes of this machine; None: one for each processor. Of no meaning with a scheduler.
        scheduler: Its address, ``tls://host:port``; None: this machine.
        tls: The client's certificate for it.
        insecure: Whether it may be one without TLS.
    """

    workers: int | None = None
    scheduler: str | None = None
    tls: Tls = field(default_factory=Tls)
    insecure: bool = False


class Cluster:
    """A client of a scheduler, whose workers were found to see what we see.

    Args:
        client: Dask's.
        hellos: What each worker said of itself, by its address.
        local: Whether its workers are ours.
    """

    def __init__(self, client: Any, hellos: Mapping[str, Mapping[str, Any]], *, local: bool) -> None:
        self._client, self._local = client, local
        self.hellos = dict(hellos)
        kinds = Counter(of_json(said["computing"]) for said in hellos.values())
        self.kind = kinds.most_common(1)[0][0]
        self.computing: Mapping[str, Any] = next(
            said["computing"] for said in hellos.values() if of_json(said["computing"]) == self.kind
        )
        self.warnings = tuple(_others(self.hellos, self.computing))

    @property
    def description(self) -> str:
        """In a few words."""
        hosts = len({said["host"] for said in self.hellos.values()})
        return f"{len(self.hellos)} workers on {hosts} machine{'s' * (hosts > 1)}"

    def pids(self) -> list[int]:
        """The processes of the workers."""
        return list(self._client.run(os.getpid).values())

    def slots(self) -> int:
        """Units that can be computed at once now.

        Raises:
            ClusterError: The scheduler is gone.
        """
        return sum(self._threads().values())

    def _threads(self) -> dict[str, int]:
        try:
            return dict(self._client.nthreads())
        except Exception as error:
            raise _lost(error) from None

    def submit(
        self,
        job: Mapping[str, Any],
        arguments: tuple[Any, ...],
        done: Callable[[Any, Exception | None], None],
    ) -> Any:
        """Let a unit be done.

        Args:
            job: What :meth:`Unit.job` gives.
            arguments: Of :func:`work.run`, behind the job.
            done: Called from another thread with what that gave, or with the error why it gave nothing.
        """
        alike = None
        if job["kind"] != "build" and not self._local:
            alike = [
                address for address, said in self.hellos.items() if of_json(said["computing"]) == self.kind
            ]
        try:
            future = self._client.submit(
                work.run,
                *(dict(job), *arguments),
                key=f"{job['kind']}-{job['key'][:24]}-{secrets.token_hex(4)}",
                pure=False,
                workers=alike,
                allow_other_workers=False,
            )
        except Exception as error:
            raise _lost(error) from None

        def ended(ended: Any) -> None:
            try:
                done(ended.result(timeout=PATIENCE), None)
            except BaseException as error:  # Dask's cancellations are no Exceptions
                done(None, error if isinstance(error, Exception) else RuntimeError(repr(error)))

        future.add_done_callback(ended)
        return future

    def cancel(self, futures: list[Any]) -> None:
        """Let go of units that were not begun."""
        with suppress(Exception):
            self._client.cancel(futures, force=True)

    def connected(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self._client.status == "running")


def why(error: Exception) -> tuple[str, str]:
    """Why a unit gave nothing, and what to do about it, where its process died or the scheduler did."""
    name = type(error).__name__
    if name == "KilledWorker":
        return (
            "its worker died four times: out of memory, or killed",
            "give it more memory (fewer --workers), or see the worker's log",
        )
    if name in ("FutureCancelledError", "CancelledError", "CommClosedError", "TimeoutError"):
        return "the scheduler is gone", "start it again, and the matrix: what is done is kept"
    return f"{name}: {error}"[:500], "see the log of the scheduler and of the worker"


@contextmanager
def opened(where: Where, store: Store) -> Iterator[Cluster]:
    """Workers, for as long as the context lasts.

    Raises:
        MissingRuntimeError: The extra ``matrix`` is not installed.
        ClusterError: The scheduler is unreachable, not secured or of other versions; it has no worker; or a
            worker does not see the folder of results.
    """
    refuse_missing()
    if where.scheduler is not None:
        _refuse_unsecured(where)
        with _silent(), _remote(where) as client:
            yield Cluster(client, _greeted(client, store, local=False), local=False)
        return
    with _silent(), _own(where.workers) as client:
        yield Cluster(client, _greeted(client, store, local=True), local=True)


@contextmanager
def _silent() -> Iterator[None]:
    """Dask does not log what we say ourselves, such as a worker that died; then loggers are as before."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def refuse_missing() -> None:
    """Refuse to begin without the extra ``matrix``.

    Raises:
        MissingRuntimeError: It is not installed.
    """
    try:
        import cryptography  # noqa: F401
        import distributed  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingRuntimeError(
            f"edgeeff matrix needs {(error.name or 'distributed').partition('.')[0]}, which is not installed",
            mend=f"install it: {install_line('matrix')}",
        ) from None


def _refuse_unsecured(where: Where) -> None:
    address = str(where.scheduler)
    kind, separator, rest = address.partition("://")
    if not separator or not rest:
        raise ClusterError(f"{address!r:.80} is no address of a scheduler", mend="write tls://host:8786")
    if kind not in ("tls", "tcp"):
        raise ClusterError(f"a scheduler at {kind}:// is not talked to", mend="write tls://host:8786")
    if kind == "tcp" and not where.insecure:
        raise ClusterError(
            f"the scheduler {address} has no TLS: whoever reaches it can run code on all of its workers",
            mend="start it with --tls-ca-file, --tls-cert and --tls-key, and name it tls://…; in a network "
            "of your own pass --insecure",
        )


@contextmanager
def _own(workers: int | None) -> Iterator[Any]:
    """A scheduler and workers of this machine; nothing listens beyond its loopback."""
    import dask

    distributed: Any = import_module("distributed")
    count = workers or max(1, describe().usable_cores or 1)
    allowed = memory.allowed()
    limit = None if allowed is None else int(allowed * _MEMORY / count)
    quiet: dict[str, Any] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    with dask.config.set(quiet):
        cluster = distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            memory_limit=limit or 0,
            host="127.0.0.1",
            protocol="tls://",
            security=distributed.Security.temporary(),
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        try:
            client = distributed.Client(cluster)
            try:
                yield client
            finally:
                with suppress(Exception):
                    client.close(timeout=5)
        finally:
            with suppress(Exception):
                cluster.close(timeout=10)


@contextmanager
def _remote(where: Where) -> Iterator[Any]:
    """A client of a scheduler that somebody runs."""
    distributed: Any = import_module("distributed")
    address, security = str(where.scheduler), _security(where)
    try:
        client = distributed.Client(address, security=security, timeout=PATIENCE, set_as_default=False)
    except Exception as error:  # TypeErrors of Dask's own, where one side has TLS and the other has none
        raise ClusterError(
            f"no scheduler answers at {address}: {_said(error)}",
            mend="start it, or correct the address; scheduler, workers and client need one CA",
        ) from None
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=5)


def _security(where: Where) -> Any:
    distributed: Any = import_module("distributed")
    given = {"tls_ca_file": where.tls.ca, "tls_client_cert": where.tls.cert, "tls_client_key": where.tls.key}
    for name, path in given.items():
        if path is not None and not regular.is_file(path):
            option = f"--{name.replace('_client', '').removesuffix('_file').replace('_', '-')}"
            raise ClusterError(f"{option}: there is no file {path}", mend="correct the path")
    if str(where.scheduler).startswith("tcp"):
        return None
    said = {name: str(path) for name, path in given.items() if path is not None}
    found = distributed.Security(require_encryption=True, **said)
    missing = [name for name in given if getattr(found, name) is None]
    if missing:
        raise ClusterError(
            f"a scheduler with TLS wants a certificate of its client: {', '.join(missing)} are not known",
            mend="pass --tls-ca, --tls-cert and --tls-key, or set them in Dask's configuration",
        )
    return found


def _greeted(client: Any, store: Store, *, local: bool) -> dict[str, dict[str, Any]]:
    """What each worker says of itself, once they are known to run what we run and to see what we see."""
    _refuse_versions(client)
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except Exception:
        raise ClusterError("the scheduler has no worker", mend="start one: `dask worker tls://…`") from None
    token, probe = secrets.token_hex(16), store.folder / "claims" / f"probe-{secrets.token_hex(4)}"
    write_file(probe, token.encode())
    try:
        found: dict[str, dict[str, Any]] = client.run(work.hello, str(probe))
    except Exception as error:
        raise ClusterError(
            f"a worker cannot run edgeeff: {_said(error)}",
            mend=f"install edgeeff {_version()} there, with what it builds and runs with",
        ) from None
    finally:
        probe.unlink(missing_ok=True)
    for address, said in found.items():
        if said["seen"] != token:
            raise ClusterError(
                f"the worker {address} on {said['host']} does not see {store.folder}",
                mend="mount the folder there under the same path, with the checkpoints and photos too "
                "(docs/matrix.md)",
            )
        if said["code"] != facts.code():
            raise ClusterError(
                f"the worker {address} on {said['host']} runs another edgeeff "
                f"({said['computing']['versions'].get('edgeeff', 'a checkout')}) than this one "
                f"({_version()})",
                mend="install the very same version there",
            )
    del local
    return found


def _refuse_versions(client: Any) -> None:
    try:
        found = client.get_versions(check=False)
    except Exception as error:
        raise _lost(error) from None
    own = _versions(found["client"])
    others = {"the scheduler": found["scheduler"], **{f"worker {a}": v for a, v in found["workers"].items()}}
    for name, said in others.items():
        theirs = _versions(said or {})
        wrong = [f"{what} {theirs[what]} (here {own[what]})" for what in _COMMON if theirs[what] != own[what]]
        if wrong:
            raise ClusterError(
                f"{name} has {', '.join(wrong)}",
                mend="install the same versions there: pip install with this project's constraints.txt",
            )


def _versions(said: Mapping[str, Any]) -> dict[str, str]:
    packages = said.get("packages", {})
    found = {name: str(packages.get(name)) for name in _COMMON}
    return found | {"python": ".".join(str(packages.get("python")).split(".")[:2])}


def _others(hellos: Mapping[str, Mapping[str, Any]], computing: Mapping[str, Any]) -> Iterator[str]:
    """Warnings of workers that compute differently from most."""
    for address, said in hellos.items():
        if wrong := facts.differing(said["computing"], computing):
            yield (
                f"the worker {address} on {said['host']} has other {', '.join(wrong[:4])} than most: it "
                "builds, and evaluates nothing"
            )


def _version() -> str:
    return versions("edgeeff").get("edgeeff", "of this checkout")


def _lost(error: Exception) -> ClusterError:
    return ClusterError(
        f"the scheduler is gone: {_said(error)}", mend="start it again, and the matrix: what is done is kept"
    )


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
