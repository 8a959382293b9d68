"""From what the user names to a page's material: bundles, and the JSON files that verbs printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeeff import regular
from edgeeff import text as texts
from edgeeff.bundle import MANIFEST, Bundle
from edgeeff.errors import MissingFileError, ReportError
from edgeeff.harness import record
from edgeeff.harness.record import SCHEMA
from edgeeff.report import values
from edgeeff.report.material import Material, Report, Subject, lettered
from edgeeff.report.trends import MOST, of_tracks

#: What is read, by the kind that a record names.
KINDS = ("accuracy", "latency", "throughput", "profile", "gate", "diagnosis", "build", "trend", "training")
#: Bytes of the largest report file that is read.
_LARGEST = 64 << 20
_TAKES = (
    "a bundle's folder, or what `edgeeff bench`, `eval`, `gate`, `diagnose`, `build` or `history plot` "
    "printed with --json"
)


def read(paths: Sequence[Path], title: str = "") -> Material:
    """The material of bundles and report files, in the order given.

    Raises:
        MissingFileError: A path is not there.
        ReportError: A file is no report, or one of a newer schema.
        BundleError: A folder is no bundle, or one of a newer schema.
    """
    subjects, reports, warnings = list[Subject](), list[Report](), list[str]()
    for path in paths:
        if regular.is_folder(path):
            subject, said = of_bundle(Bundle.load(path))
            subjects.append(subject)
            warnings += said
        elif regular.exists(path):
            reports += reports_of(path)
        else:
            raise MissingFileError(f"there is no {path}", mend=f"pass {_TAKES}")
    return assembled(subjects, reports, warnings, title)


def assembled(
    subjects: Sequence[Subject], reports: Sequence[Report], warnings: Sequence[str] = (), title: str = ""
) -> Material:
    """The same of what was read: every bundle that a report speaks of has its row."""
    reports = _once(reports)
    known, doubts = _subjects(subjects, reports)
    said = dict.fromkeys([*warnings, *doubts, *_machines(reports)])
    names = list(dict.fromkeys(one.facts.get("model") or one.name for one in known))
    named = title or (", ".join(names[:3]) + (" …" if len(names) > 3 else "")) or "edgeeff"
    return Material(
        named,
        lettered(known),
        tuple(one for one in reports if one.kind not in ("build", "trend")),
        series=tuple(s for one in reports if one.kind == "trend" for s in of_tracks(_tracks(one))[:MOST]),
        warnings=tuple(said),
    )


def of_bundle(bundle: Bundle) -> tuple[Subject, list[str]]:
    """A bundle as a subject, and what there is to warn of: altered files, a record that cannot be read."""
    found, damaged = bundle.verification()
    warnings = [*bundle.plugin_warnings(), *([damaged] if damaged else [])]
    if altered := bundle.altered():
        named = ", ".join(altered[:3]) + (" …" if len(altered) > 3 else "")
        warnings.append(f"{bundle.folder}: {named} does not have the manifest's SHA-256: it was altered")
    of, about = bundle.manifest, record.about(bundle)
    facts = {**_facts(about), "input": f"{of.input}, {of.preprocess.size[0]}×{of.preprocess.size[1]}"}
    size = values.whole(about, "artifact_bytes")
    return Subject(values.text(bundle.name), bundle.digest(), "", 0, facts, size, found or {}), warnings


def _facts(about: Any) -> dict[str, str]:
    """What a record says of a bundle, as far as it is text."""
    names = ("model", "target", "runtime", "precision", "task")
    return {name: said for name in names if (said := values.text(about, name))}


def reports_of(path: Path) -> list[Report]:
    """The reports of a JSON file: one, or a list of them.

    Raises:
        ReportError: It holds no report, or one of a newer schema.
    """
    if path.name == MANIFEST:
        raise ReportError(f"{path} is a part of a bundle", mend=f"pass {_TAKES}")
    return from_json(texts.read_json(path, ReportError, _LARGEST), path.name)


def from_json(data: Any, source: str) -> list[Report]:
    """The same of data that was read; ``source`` stands in messages.

    Raises:
        ReportError: It holds no report, or one of a newer schema.
    """
    listed = data if isinstance(data, list) else [data]
    if not listed:
        raise ReportError(f"{source} holds no report", mend=f"pass {_TAKES}")
    return [_report(one, source) for one in listed]


def _report(data: Any, source: str) -> Report:
    if not isinstance(data, Mapping):
        raise ReportError(f"{source} holds no report", mend=f"pass {_TAKES}")
    for place in (data, values.at(data, "record")):
        version = values.number(place, "schema_version")
        if version is not None and version > SCHEMA:
            raise ReportError(
                f"{source} has schema {version:g}, this version of edgeeff reads up to {SCHEMA}",
                mend="update edgeeff",
            )
    kind = values.text(data, "record", "kind") or values.text(data, "kind") or _by_shape(data)
    if kind not in KINDS:
        said = f"a report of the kind {kind!r}" if kind else "no report of edgeeff"
        raise ReportError(f"{source} holds {said}", mend=f"pass {_TAKES}")
    return Report(kind, values.text(source), data)


def _by_shape(data: Mapping[str, Any]) -> str:
    """The kind of what has no record: a diagnosis, a row of `build --json`, a trend."""
    if isinstance(data.get("findings"), list) and isinstance(data.get("groups"), list):
        return "diagnosis"
    if isinstance(data.get("verdicts"), list):
        return "gate"
    if isinstance(data.get("tracks"), list):
        return "trend"
    return "build" if {"bundle", "name", "verification", "check"} <= set(data) else ""


def _tracks(report: Report) -> list[Any]:
    return values.rows(report.data, "tracks")


def _once(reports: Sequence[Report]) -> list[Report]:
    """Without those that were given twice."""
    found: list[Report] = []
    for one in reports:
        if not any(one.kind == other.kind and one.data == other.data for other in found):
            found.append(one)
    return found


def _subjects(given: Sequence[Subject], reports: Sequence[Report]) -> tuple[list[Subject], list[str]]:
    """All bundles, once each; and what the reports say of others by the names of those that were given."""
    known: dict[str, Subject] = {}
    for subject in given:
        known.setdefault(subject.key, subject)
    doubts = []
    for report in reports:
        for name, facts, size, verification in _named(report):
            digest = report.digest(name)
            same = [one for one in known.values() if one.name == name]
            if not digest and same:
                continue  # no record says that it is another one
            about = values.at(report.data, "record", "about", name)
            size = values.whole(about, "artifact_bytes") if size is None else size
            new = Subject(name, digest, "", 0, {**_facts(about), **facts}, size, verification)
            old = known.setdefault(new.key, new)
            if old is not new:
                known[new.key] = replace(old, facts={**new.facts, **old.facts}, size=old.size or new.size)
            elif same and digest:
                doubts.append(
                    f"{report.source} is of another bundle {name} ({digest[:8]}) than the one before it "
                    f"({same[0].digest[:8] or 'not known'}): each has a row of its own"
                )
    return _distinct(list(known.values())), doubts


def _named(report: Report) -> list[tuple[str, dict[str, str], int | None, Mapping[str, Any]]]:
    """The bundles that a report speaks of: name, facts, size and verification, as far as it says them."""
    data = report.data
    if report.kind in ("latency", "throughput", "profile"):
        return [
            (name, {k: shown for k in ("runtime", "precision") if (shown := values.text(one, k))}, None, {})
            for one in values.rows(data, "entries")
            if (name := values.text(one, "name"))
        ]
    if report.kind == "accuracy":
        names = [values.text(data, "bundle"), report.reference]
        return [(name, {}, None, {}) for name in names if name]
    if report.kind == "build":
        found = {
            "artifact": data.get("verification"),
            **{k: data.get(k) for k in ("hub", "not_run", "check")},
        }
        found["warnings"] = values.sentences(data, "warnings")
        return [(values.text(data, "name"), {}, values.whole(data, "size_bytes"), found)]
    return []


def _distinct(subjects: list[Subject]) -> list[Subject]:
    """Those of one name are told apart by the beginnings of their digests."""
    names = [one.name for one in subjects]
    return [
        replace(one, name=f"{one.name} ({one.digest[:8]})", called=one.name)
        if names.count(one.name) > 1 and one.digest
        else one
        for one in subjects
    ]


def _machines(reports: Sequence[Report]) -> list[str]:
    """A warning where times were taken in several environments."""
    timed = [one for one in reports if one.kind in ("latency", "throughput", "profile") and one.environment]
    if len({one.environment for one in timed}) < 2:
        return []
    sources = ", ".join(dict.fromkeys(one.source for one in timed))
    return [
        f"{sources}: measured on different machines, or with different versions: times of one cannot be "
        "compared with times of another"
    ]
