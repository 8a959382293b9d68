"""What a page is drawn from: bundles, each with a letter and a colour, and the reports that were given."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgeeff.report import values

#: Colours that the page has; after the last one the first comes again, and the letters still differ.
COLOURS = 8


@dataclass(frozen=True)
class Subject:
    """A bundle: a row of the tables, a letter and a colour of the figures.

    Args:
        name: Of the bundle.
        digest: Of its manifest; empty where nobody says.
        letter: Its own in this page.
        colour: One of ``COLOURS``, counted from 0.
        facts: What its manifest or a report says of it: model, target, runtime, precision.
        size: Of the files that hold the network, bytes; None: not known.
        verification: What its build found out, ``measured/verification.json``; empty: nothing.
        called: Its name, where ``name`` is that with the beginning of its digest: another one has it too.
    """

    name: str
    digest: str
    letter: str = ""
    colour: int = 0
    facts: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    verification: Mapping[str, Any] = field(default_factory=dict)
    called: str = ""

    @property
    def key(self) -> str:
        """What tells it from the others: two bundles of one name are two."""
        return self.digest or f"name:{self.name}"

    @property
    def floating(self) -> bool:
        """Whether it is a float control."""
        return self.facts.get("precision", "").startswith(("fp", "bf"))


@dataclass(frozen=True)
class Report:
    """A report, of whatever file or verb.

    Args:
        kind: ``accuracy``, ``latency``, ``throughput``, ``profile``, ``gate``, ``diagnosis``.
        source: What messages call it: the file's name.
        data: The report.
    """

    kind: str
    source: str
    data: Mapping[str, Any]

    @property
    def utc(self) -> str:
        """When it was begun; empty where nobody says."""
        return values.text(self.data, "record", "utc")

    @property
    def environment(self) -> str:
        """The digest of where it was measured; empty where nobody says."""
        return values.text(self.data, "record", "environment_sha256")

    def digest(self, name: str) -> str:
        """Of the bundle that the report calls so; empty where nobody says."""
        return values.text(self.data, "record", "bundles", name)

    @property
    def reference(self) -> str:
        """What the record of an accuracy report calls the reference; empty without one."""
        name, own = values.text(self.data, "reference", "name"), values.text(self.data, "bundle")
        if name != own:
            return name
        recorded = [one for one, _ in values.items(self.data, "record", "bundles")]
        return next((one for one in recorded if one != own and one.startswith(f"{own} (")), name)


@dataclass(frozen=True)
class Photo:
    """An image on which bundles and the float control, or the label, disagree.

    Args:
        name: Of the image.
        truth: The label's class in words; empty where there is none.
        decided: By bundle, the class in words.
        picture: A small JPEG; empty where the image could not be read.
    """

    name: str
    truth: str
    decided: Mapping[str, str]
    picture: bytes = b""


@dataclass(frozen=True)
class Gallery:
    """Some images on which bundles disagree.

    Args:
        photos: Those that are shown.
        count: How many there are in all.
        images: Of so many that were run.
        against: The bundle from which the others differ; empty: they differ from one another, or from labels.
    """

    photos: tuple[Photo, ...]
    count: int
    images: int
    against: str = ""


@dataclass(frozen=True)
class Point:
    """A run: when (ISO 8601), its figure, the ends of the figure's interval if it has one, and its commit."""

    when: str
    value: float
    low: float | None = None
    high: float | None = None
    commit: str = ""


@dataclass(frozen=True)
class Change:
    """The place of the first run at a new level, what is said of it in a few letters, and in a sentence."""

    place: int
    short: str
    sentence: str


@dataclass(frozen=True)
class Series:
    """The history of one figure of one bundle on one machine.

    Args:
        name: Of the bundle.
        metric: Such as ``cpu_ms``.
        unit: Such as ``ms``.
        about: On what and how it was measured.
        points: The oldest first.
        changes: Where the level changed.
    """

    name: str
    metric: str
    unit: str
    about: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Material:
    """All that a page is drawn from.

    Args:
        title: Of the page.
        subjects: Bundles, those that were given first.
        reports: In the order in which they were given.
        galleries: Images on which bundles disagree.
        series: From the history.
        left_out: So many more series that the history has of these bundles.
        warnings: What this page itself has to warn of, such as figures from two machines.
    """

    title: str
    subjects: tuple[Subject, ...] = ()
    reports: tuple[Report, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    series: tuple[Series, ...] = ()
    left_out: int = 0
    warnings: tuple[str, ...] = ()

    def of(self, kind: str) -> Iterator[Report]:
        """The reports of a kind."""
        return (report for report in self.reports if report.kind == kind)

    def subject(self, report: Report, name: str) -> Subject | None:
        """The bundle that a report calls so; None: it is not of this page, or two of it have that name."""
        if digest := report.digest(name):
            return next((one for one in self.subjects if one.digest == digest), None)
        return self.named(name)

    def named(self, name: str) -> Subject | None:
        """The bundle of that name; None: it is not of this page, or two of it have that name."""
        named = [one for one in self.subjects if name in (one.name, one.called)]
        return named[0] if len(named) == 1 else None

    def shown(self, report: Report, name: str) -> str:
        """What the page calls the bundle that a report calls so: one name through the whole page."""
        subject = self.subject(report, name)
        return name if subject is None else subject.name


def lettered(subjects: Sequence[Subject]) -> tuple[Subject, ...]:
    """The same, each with a letter and a colour of its own."""
    return tuple(replace(one, letter=_letter(i), colour=i % COLOURS) for i, one in enumerate(subjects))


def _letter(number: int) -> str:
    """A, B … Z, AA, AB …"""
    more, last = divmod(number, 26)
    return (_letter(more - 1) if more else "") + string.ascii_uppercase[last]
