"""Reports as they come from anywhere: what all of them have, understood, bounded, and put together by run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from edgeeff.errors import ReportError
from edgeeff.harness.commit import PATTERN
from edgeeff.harness.record import SCHEMA, environment_digest
from edgeeff.history.figures import Figure, Said

#: What `--json` adds to a report about the history itself: no part of it.
OWN = "history"
_MEND = (
    "pass what `--json` of bench, eval or gate printed, or the measured/verification.json of a bundle that "
    "was built"
)
_RESULTS = 100_000


def _plain(text: str) -> str:
    if any(ord(c) < 32 or 0xD800 <= ord(c) <= 0xDFFF or ord(c) == 127 for c in text):
        raise ValueError("a control character")
    return text


def _of_a_calendar(text: str) -> str:
    datetime.fromisoformat(text.removesuffix("Z"))  # ValueError of a 31st of February
    return text


Text = Annotated[str, Field(max_length=300), AfterValidator(_plain)]
Short = Annotated[str, Field(max_length=100), AfterValidator(_plain)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Utc = Annotated[
    str,
    Field(pattern=r"^(19|20)\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\dZ$"),
    AfterValidator(_of_a_calendar),
]


class _About(BaseModel):
    name: Text = ""
    model: Text = ""
    target: Text = ""
    runtime: Short = ""
    precision: Annotated[str, Field(max_length=20), AfterValidator(_plain)] = ""
    task: Short = ""
    batch: int | Annotated[str, Field(max_length=20), AfterValidator(_plain)] = 1
    artifact_bytes: Annotated[int, Field(ge=0, lt=1 << 50)] | None = None


class _Record(BaseModel):
    schema_version: int
    kind: Annotated[str, Field(pattern=r"^[a-z_]{1,20}$")]
    run_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    utc: Utc
    bundles: Annotated[dict[Text, Sha256], Field(max_length=10_000)]
    about: Annotated[dict[Text, _About], Field(max_length=10_000)] = {}
    commit: Annotated[str, Field(pattern=PATTERN)] | None = None
    environment: Annotated[dict[Text, Any], Field(max_length=1000)]


@dataclass(frozen=True)
class Read:
    """A report that was understood.

    Args:
        uid: Its run's.
        digest: SHA-256 of all that is stored of it.
        kind: What it is of.
        utc: When it was begun.
        commit: What was checked out.
        bundles: The digest of each, by the name that the report has for it.
        about: What is known of each, by the same names.
        environment: What it was measured on.
        environment_digest: SHA-256 of that.
        said: The rest.
    """

    uid: str
    digest: str
    kind: str
    utc: str
    commit: str | None
    bundles: Mapping[str, str]
    about: Mapping[str, Mapping[str, Any]]
    environment: Mapping[str, Any]
    environment_digest: str
    said: Said


def kinds() -> tuple[str, ...]:
    """Those of which figures are kept: the files of ``kinds/``."""
    return tuple(sorted(path.stem for path in (Path(__file__).parent / "kinds").glob("[a-z]*.py")))


def read(data: object, source: str = "the report") -> Read:
    """Understand a report.

    Args:
        data: What ``to_json`` of a report gives, or a file's JSON.
        source: What messages call it.

    Raises:
        ReportError: It is none, or of a newer schema, or of a kind that no figures are kept of.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("record"), Mapping):
        raise ReportError(
            f"{source} is no report: it has no record of its run",
            mend=_MEND,
        )
    version = data["record"].get("schema_version")
    if type(version) is int and version > SCHEMA:
        raise ReportError(
            f"{source} has schema {version}, this version of edgeeff reads up to {SCHEMA}",
            mend="update edgeeff",
        )
    try:
        record = _Record.model_validate(data["record"])
        _refuse_large(record.environment)
        if record.kind not in kinds():
            raise ReportError(
                f"{source} is a report of the kind {record.kind}, of which no figures are kept",
                mend=f"pass one of {', '.join(kinds())}",
            )
        said: Said = import_module(f"edgeeff.history.kinds.{record.kind}").said(data, tuple(record.bundles))
        _refuse_wrong(said, record.bundles)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ReportError(
            f"{source} cannot be understood as a report: {_first(error)}",
            mend=_MEND,
        ) from None
    sizes = _sizes(record)
    return Read(
        uid=record.run_id,
        digest=_digest(record, said),
        kind=record.kind,
        utc=record.utc,
        commit=record.commit,
        bundles=dict(record.bundles),
        about={name: record.about.get(name, _About(name=name)).model_dump() for name in record.bundles},
        environment=record.environment,
        environment_digest=environment_digest(record.environment),
        said=Said(**{**vars(said), "figures": (*said.figures, *sizes)}),
    )


def _sizes(record: _Record) -> Iterator[Figure]:
    for name, about in record.about.items():
        if name in record.bundles and about.artifact_bytes is not None:
            yield Figure(name, "artifact_bytes", float(about.artifact_bytes), "bytes")


def _refuse_large(environment: Mapping[str, Any]) -> None:
    text = json.dumps(environment, ensure_ascii=False, allow_nan=False)
    # Half a character, which JSON can write, no database can: the encoding raises ValueError.
    if len(text.encode()) > 1 << 20 or "\\u0000" in text:
        raise ValueError("its environment is too large, or no text")


def _refuse_wrong(said: Said, bundles: Iterable[str]) -> None:
    """What no database keeps, or would keep of something else."""
    if len(said.figures) > _RESULTS or len(said.decisions) > _RESULTS:
        raise ValueError(f"more than {_RESULTS} figures")
    known, seen = set(bundles), set()
    for figure in said.figures:
        for text in (figure.metric, figure.conditions, figure.unit):
            _plain(text)
        if figure.bundle not in known:
            raise ValueError(f"{figure.bundle!r} is none of its bundles")
        if len(figure.metric) > 100 or len(figure.conditions) > 300 or not 0 <= (figure.n or 0) < 1 << 62:
            raise ValueError(f"the figure {figure.metric[:40]!r}")
        key = (figure.bundle, figure.metric, figure.conditions)
        if key in seen:
            raise ValueError(f"the figure {figure.metric!r} of {figure.bundle} stands twice")
        seen.add(key)
    for fact in said.facts.values():
        if not (fact is None or isinstance(fact, bool | int | float | str)) or len(str(fact)) > 300:
            raise ValueError("a fact of how it was measured that is neither a number nor a short text")
        if isinstance(fact, float) and not math.isfinite(fact):
            raise ValueError(f"a fact of how it was measured that is {fact}")
        _plain(str(fact))
    for name in said.not_run:
        _plain(name)
    for decision in said.decisions:
        for text in (decision.name, decision.metric, decision.status, decision.unit, decision.why):
            _plain(text)


def _digest(record: _Record, said: Said) -> str:
    """Of all that is stored, so that another report that claims the same run is noticed."""
    kept = [record.model_dump(), [vars(f) for f in said.figures], [vars(d) for d in said.decisions]]
    text = json.dumps(kept, sort_keys=True, ensure_ascii=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()


def _first(error: Exception) -> str:
    """What was wrong first, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return f"record.{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"[:300]
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"[:300]
    return " ".join(str(error).split())[:300] or type(error).__name__


def together(reports: Sequence[Read]) -> list[Read]:
    """Reports, those of one run made one.

    Raises:
        ReportError: Two reports of one run are of different kinds, or give a figure twice.
    """
    runs: dict[str, dict[str, Read]] = {}
    for one in reports:
        runs.setdefault(one.uid, {})[one.digest] = one
    # In one order, so that the same reports have the same digest however they came.
    return [reduce(_joined, [parts[digest] for digest in sorted(parts)]) for parts in runs.values()]


def _joined(first: Read, other: Read) -> Read:
    both = {(f.bundle, f.metric, f.conditions): f for f in (*first.said.figures, *other.said.figures)}
    again = [f for f in other.said.figures if both[f.bundle, f.metric, f.conditions] != f]
    if first.kind != other.kind or again or first.environment != other.environment:
        raise ReportError(
            f"two reports claim the run {first.uid}, and contradict each other",
            mend="pass the reports of one run as they were written",
        )
    said = Said(
        tuple(both.values()),
        (*first.said.decisions, *other.said.decisions),
        first.said.status if first.said.status == "ok" else other.said.status,
        # what is of one bundle alone, as the runtime that it ran through, is no fact of the run
        {name: fact for name, fact in first.said.facts.items() if other.said.facts.get(name) == fact},
        first.said.warned + other.said.warned,
        (*first.said.not_run, *other.said.not_run),
    )
    digest = hashlib.sha256((first.digest + other.digest).encode()).hexdigest()
    bundles, about = {**first.bundles, **other.bundles}, {**first.about, **other.about}
    return Read(**{**vars(first), "digest": digest, "bundles": bundles, "about": about, "said": said})
