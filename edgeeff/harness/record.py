"""What every report says of itself: its schema, which run it is of, when, of which bundles, and where.

A figure without these cannot be compared with another one later.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from edgeeff import digests, inference_device
from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError
from edgeeff.harness import commit, machine, where

#: Raised when a field of a report changes its name or its meaning; new fields alone do not raise it.
SCHEMA = 1
Kind = Literal["accuracy", "build", "device", "gate", "latency", "profile", "throughput", "verification"]


@dataclass(frozen=True)
class Record:
    """A report's own data.

    Args:
        kind: What the report is of.
        bundles: Each bundle's digest, by the name that the report has for it: SHA-256 of its
            ``manifest.json``, which holds the SHA-256 of each of its files.
        environment: Processor, system and versions, as :func:`environment` has them.
        run_id: 32 hexadecimal digits, another for each run.
        utc: When the report was begun, ISO 8601 to the second.
        about: Of each bundle, by the same names, what figures are sorted by later: model, target, runtime,
            precision, task, images in a run, and the bytes of its artifact, as :func:`about` has them.
        commit: What was checked out, as :mod:`edgeeff.harness.commit` says; None: it is not known.
        device: The board that computed, as the user wrote it: ``environment`` is its own. None: this machine.
        host: The environment of the machine that asked for it, where that is another one.
    """

    kind: Kind
    bundles: Mapping[str, str]
    environment: Mapping[str, Any]
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    utc: str = field(default_factory=lambda: datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
    about: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    commit: str | None = None
    device: str | None = None
    host: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data; ``device`` and ``host`` where a board computed."""
        there = {"device": self.device, "host": dict(self.host or {})} if self.device is not None else {}
        return {
            "schema_version": SCHEMA,
            "kind": self.kind,
            "run_id": self.run_id,
            "utc": self.utc,
            "bundles": dict(self.bundles),
            "about": {name: dict(facts) for name, facts in self.about.items()},
            "commit": self.commit,
            "environment": dict(self.environment),
            "environment_sha256": environment_digest(self.environment),
            **there,
        }


def record(
    kind: Kind,
    bundles: Sequence[Bundle],
    names: Sequence[str] | None = None,
    place: where.Place | None = None,
) -> Record:
    """The record of a report that is begun now.

    Args:
        kind: What the report is of.
        bundles: Those that it is about, a reference too.
        names: What the report calls them; None: their own names.
        place: Where it is measured, where that has been described already; None: where the first bundle runs.
    """
    found: dict[str, str] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name, bundle in zip(names or [bundle.name for bundle in bundles], bundles, strict=True):
        digest = bundle.digest()
        other = found.get(name, digest) != digest  # a bundle and its reference may have one name
        found[called := f"{name} ({bundle.folder})" if other else name] = digest
        facts[called] = about(bundle)
    there = place or where.of(bundles[0].device if bundles else None)
    host = None if there.device is None else where.this().environment
    return Record(
        *(kind, found, there.environment),
        about=facts,
        commit=commit.current(),
        device=there.name,
        host=host,
    )


def about(bundle: Bundle) -> dict[str, Any]:
    """What figures of a bundle are sorted by: of its manifest, and the size of its artifact in bytes."""
    manifest = bundle.manifest
    said = {name: getattr(manifest, name) for name in ("name", "model", "target", "runtime", "precision")}
    said |= {"task": manifest.task, "batch": manifest.batch.to_json()}
    try:
        return said | {"artifact_bytes": artifact_bytes(bundle)}
    except (EdgeeffError, OSError):  # its runtime is a plug-in that is gone, or a file is
        return said | {"artifact_bytes": None}


def artifact_bytes(bundle: Bundle) -> int:
    """The size of the files that hold the network.

    Raises:
        EdgeeffError: Its runtime is not known here.
        OSError: One of them is not there.
    """
    sealed, size = bundle.manifest.files, 0
    for need in bundle.runtime.artifact:
        names = (need,) if isinstance(need, str) else need
        size += sum((bundle.folder / name).stat().st_size for name in [n for n in names if n in sealed][:1])
    return size


def environment(here: machine.Machine | None = None) -> dict[str, Any]:
    """What of a machine decides about figures and stays from run to run: no load, no free memory, no time."""
    found = where.lasting((here or machine.describe()).to_json())
    name = inference_device.named()
    return found if name == inference_device.CPU else {**found, inference_device.FACT: name}


def environment_digest(found: Mapping[str, Any]) -> str:
    """SHA-256 of an environment, the same for two runs whose figures may be compared."""
    return digests.of_json(found)
