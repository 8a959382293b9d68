"""Reports as the verbs print them, and a database of PostgreSQL where Debian's server is installed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
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
