"""Reports as the verbs print them, and a database of PostgreSQL where Debian's server is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeeff.harness.record import Record

ENVIRONMENT = {
    "cpu": "AMD EPYC",
    "board": None,
    "architecture": "x86_64",
    "flags": ["avx2"],
    "governor": "performance",
    "versions": {"openvino": "2026.4", "edgeeff": "0.1.0"},
}
Report = dict[str, Any]


def latency(cpu_ms: float = 1.0, **of_record: Any) -> Report:
    """A report of ``bench`` of one bundle of b0."""
    about = {
        "name": "b0-cpu-int8",
        "model": "b0",
        "target": "cpu-int8",
        "runtime": "openvino",
        "precision": "int8",
        "artifact_bytes": 5_000_000,
    }
    digest = of_record.pop("digest", "a" * 64)
    fields = {"environment": ENVIRONMENT, "run_id": uuid.uuid4().hex, "about": {"b0-cpu-int8": about}}
    record = Record("latency", {"b0-cpu-int8": digest}, **{**fields, **of_record})
    timing = {
        "wall_ms": {"mean": 1.2, "p50": 1.1, "p90": 1.3, "p99": 1.9},
        "cpu_ms": cpu_ms,
        "images": 1,
        "wall_launches_ms": [1.1, 1.2],
        "cpu_launches_ms": [cpu_ms, cpu_ms],
        "inferences": 100,
    }
    entry = {"name": "b0-cpu-int8", "timing": timing, "cpu_ratio": None, "wall_ratio": None}
    return {
        "entries": [entry],
        "baseline": "b0-cpu-int8",
        "launches": 2,
        "seconds": 0.5,
        "threads": 1,
        "seed": 0,
        "record": record.to_json(),
    }


@pytest.fixture(scope="session")
def make_report() -> Callable[..., Report]:
    """``make_report(cpu_ms=1.0, utc=…, commit=…, digest=…)``."""
    return latency


def _initdb() -> Path | None:
    """Debian keeps it off the path."""
    found = shutil.which("initdb")
    others = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found) if found else others[-1] if others else None


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of PostgreSQL that nobody else reaches: the folder of its socket."""
    initdb = _initdb()
    if initdb is None:
        pytest.skip("initdb is not installed (Debian: postgresql)")
    root = os.geteuid() == 0  # whom PostgreSQL refuses to work for
    if root and (shutil.which("runuser") is None or not _user("postgres")):
        pytest.skip("runuser or the user postgres is not here")
    folder = Path(tempfile.mkdtemp(prefix="edgeeff-pg-", dir="/tmp"))  # a socket's path must be short
    if root:
        shutil.chown(folder, "postgres")
    as_them = ["runuser", "-u", "postgres", "--"] if root else []

    def run(*command: str) -> None:
        subprocess.run([*as_them, *command], cwd=folder, check=True, capture_output=True, timeout=120)

    data = str(folder / "data")
    control = [str(initdb.with_name("pg_ctl")), "-D", data, "-w"]
    # It ends the server when the tests end, and when they are killed too: then its input is closed.
    guard = subprocess.Popen(
        ["sh", "-c", 'read _; "$@" -m immediate stop; rm -rf "$0"', str(folder), *as_them, *control],
        **{"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
        cwd="/",
        start_new_session=True,
    )
    assert guard.stdin is not None
    try:
        run(str(initdb), "-D", data, "-U", "edgeeff", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        run(*control, "-l", str(folder / "log"), "-o", options, "start")
        yield str(folder)
    finally:
        guard.stdin.close()
        guard.wait(60)


def _user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


@pytest.fixture
def postgresql(server) -> str:
    """The URL of an empty database."""
    import psycopg

    name = f"d{uuid.uuid4().hex[:12]}"
    with psycopg.connect(host=server, user="edgeeff", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return f"postgresql://edgeeff@/{name}?host={server}"
