"""Baselines: what a bundle measured when it was accepted, a TOML file for each bundle and device class.

They are reviewed and compared as text: keys are sorted, figures have a fixed number of digits, and nothing
in them changes unless something was measured.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from edgeeff import written
from edgeeff.errors import ReportError
from edgeeff.harness.launches import Clock

SCHEMA = 1
#: Runs that are kept, the newest: what runs differ by wants many, a person who reviews them few.
MOST_RUNS = 20
_SHA = r"^[0-9a-f]{64}$"
_HEAD = (
    "# What this bundle measured when it was accepted. `edgeeff gate SUITE --update-baseline` writes it;\n"
    "# reviewer and comment are for you, and kept until another bundle takes its place.\n"
)

Sha = Annotated[str, Field(pattern=_SHA)]
Time = Annotated[float, Field(gt=0, lt=1e12, allow_inf_nan=False)]


class _Figure(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    value: float = Field(allow_inf_nan=False)
    unit: str = Field(max_length=20)


class _RunFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    bundle: Sha
    launches_ms: list[Time] = Field(min_length=2, max_length=1000)
    utc: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


class _AccuracyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    correct: str = Field(max_length=2 << 20)
    images: int = Field(ge=0, le=10_000_000)
    set: Sha


class _BaselineFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    schema_: int = Field(alias="schema")
    accuracy: _AccuracyFile | None = None
    bundle: Sha
    clock: Clock
    comment: str = Field("", max_length=10_000)
    device: dict[str, Any]
    input: str = Field("", max_length=100)
    metrics: dict[str, _Figure] = {}
    model: str
    name: str
    reviewer: str = Field("", max_length=1000)
    run: list[_RunFile] = Field([], max_length=MOST_RUNS)
    series: Sha
    target: str
    threads: int = Field(ge=1)


@dataclass(frozen=True)
class Run:
    """One measurement of a bundle.

    Args:
        bundle: Its digest.
        launches_ms: Time of an image by the baseline's clock, the median of each launch, milliseconds.
        utc: When.
    """

    bundle: str
    launches_ms: tuple[float, ...]
    utc: str


@dataclass(frozen=True)
class Correct:
    """Which labelled images a bundle was right about, so that another may be compared image by image.

    Args:
        set: SHA-256 of the names and labels of all images.
        right: A truth value for each labelled image, in the order of the set.
    """

    set: str
    right: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Baseline:
    """A baseline.

    Args:
        name: Of the bundle.
        model: Its network.
        target: Its target.
        bundle: Its digest.
        series: The device class, by its digest.
        device: The same, as facts.
        threads: Of its runtime.
        clock: By which its times were taken.
        metrics: Value and unit of each metric that is one number.
        runs: The newest last; those of earlier bundles tell what runs of this series differ by.
        correct: Of the labelled images, where there were any.
        reviewer: Who accepted it.
        comment: Why.
        input: What its network takes, such as ``224x224, 3 channels``; empty: it was not written down.
        path: Its file, where it was read.
    """

    name: str
    model: str
    target: str
    bundle: str
    series: str
    device: Mapping[str, Any]
    threads: int
    clock: Clock
    metrics: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    correct: Correct | None = None
    reviewer: str = ""
    comment: str = ""
    input: str = ""
    path: Path | None = None

    @property
    def own_runs(self) -> list[tuple[float, ...]]:
        """The launches of each run of this very bundle."""
        return [run.launches_ms for run in self.runs if run.bundle == self.bundle]

    @property
    def file_name(self) -> str:
        """``b0-cpu-int8@3f2a91c0.toml``: bundle and device class."""
        return f"{re.sub(r'[^A-Za-z0-9._-]+', '_', self.name)[:100]}@{self.series[:8]}.toml"

    def after(self, newer: Baseline) -> Baseline:
        """What stands once this one is measured anew, or another bundle is accepted in its place.

        Times of other threads or of another clock are no runs of the same series: they are left out.
        """
        same = newer.bundle == self.bundle
        alike = (newer.threads, newer.clock) == (self.threads, self.clock)
        return replace(
            newer,
            runs=(*(self.runs if alike else ()), *newer.runs)[-MOST_RUNS:],
            correct=newer.correct or (self.correct if same else None),
            metrics={**(self.metrics if same and alike else {}), **newer.metrics},
            reviewer=self.reviewer if same else "",
            comment=self.comment if same else "",
            path=self.path,
        )

    def text(self) -> str:
        """The content of its file."""
        facts = {k: v for k, v in self.device.items() if not isinstance(v, Mapping)}
        tables = {k: v for k, v in self.device.items() if isinstance(v, Mapping)}
        head = {
            **{name: getattr(self, name) for name in ("bundle", "clock", "comment", "model", "name")},
            **{name: getattr(self, name) for name in ("reviewer", "series", "target", "threads")},
            **({"input": self.input} if self.input else {}),
        }
        parts = [_HEAD, f"schema = {SCHEMA}\n", *_pairs(head)]
        if self.correct is not None:
            right = self.correct.right
            packed = base64.b64encode(np.packbits(right).tobytes()).decode()
            parts += ["\n[accuracy]\n"]
            parts += _pairs({"correct": packed, "images": len(right), "set": self.correct.set})
        parts += ["\n[device]\n", *_pairs(facts)]
        for name, table in sorted(tables.items()):
            parts += [f"\n[device.{_key(name)}]\n", *_pairs(table)]
        for name, (value, unit) in sorted(self.metrics.items()):
            parts += [f"\n[metrics.{_key(name)}]\n", *_pairs({"unit": unit, "value": float(value)})]
        for run in self.runs:
            parts += [
                "\n[[run]]\n",
                *_pairs({"bundle": run.bundle, "launches_ms": run.launches_ms, "utc": run.utc}),
            ]
        return "".join(parts)


def load(path: Path) -> Baseline:
    """A baseline's file.

    Raises:
        ReportError: It cannot be read, is of a newer schema, or holds what does not belong there.
    """
    content = written.read(path, _BaselineFile, ReportError, SCHEMA)
    correct = None
    if content.accuracy is not None:
        correct = Correct(content.accuracy.set, _unpacked(path, content.accuracy))
    return Baseline(
        name=content.name,
        model=content.model,
        target=content.target,
        bundle=content.bundle,
        series=content.series,
        device=content.device,
        threads=content.threads,
        clock=content.clock,
        metrics={name: (one.value, one.unit) for name, one in content.metrics.items()},
        runs=tuple(Run(run.bundle, tuple(run.launches_ms), run.utc) for run in content.run),
        correct=correct,
        reviewer=content.reviewer,
        comment=content.comment,
        input=content.input,
        path=path,
    )


def load_all(folder: Path) -> list[Baseline]:
    """The baselines of a folder, none where there is no such folder.

    Raises:
        ReportError: One cannot be read, or two are of the same bundle and device class.
    """
    found: dict[tuple[str, str, str], Baseline] = {}
    for path in sorted(folder.glob("*.toml")):
        one = load(path)
        key = (one.name, one.target, one.series)
        if key in found:
            raise ReportError(
                f"{found[key].path} and {path} are baselines of the same bundle and device class",
                mend="delete one of them",
            )
        found[key] = one
    return list(found.values())


def _unpacked(path: Path, content: _AccuracyFile) -> npt.NDArray[np.bool_]:
    try:
        data = np.frombuffer(base64.b64decode(content.correct, validate=True), np.uint8)
    except (binascii.Error, ValueError):
        data = np.empty(0, np.uint8)
    if len(data) != -(-content.images // 8):
        raise ReportError(
            f"{path}: accuracy.correct does not hold {content.images} images",
            mend="write the baseline anew with --update-baseline",
        )
    return np.unpackbits(data, count=content.images).astype(np.bool_)


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(name)} = {_value(value)}\n" for name, value in sorted(table.items())]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """A value in TOML's notation; what is not known is an empty text, numbers have six digits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.1f}" if value.is_integer() else repr(float(f"{value:.6g}"))  # bytes are exact
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps("" if value is None else str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
