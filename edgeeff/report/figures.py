"""The figures of bundles, taken from whatever reports hold them: one place for tables and plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgeeff.report import values
from edgeeff.report.material import Material, Report, Subject

#: The source of what a build found out.
BUILD = "build"
Basis = tuple[str, int | None]
Conditions = tuple[str, int | None, int]


@dataclass(frozen=True)
class Scored:
    """What is known of a bundle's accuracy.

    Args:
        metric: The task's own: ``top_1``, ``mean_average_precision``; empty where nothing was scored.
        score: 0…1; None: no labels.
        interval: Of the score.
        lost: Percentage points less than the float control; None: not known.
        agreement: With the float network's decisions, 0…1.
        agreed: Its interval.
        sqnr: Against the float network, dB.
        images: That were run.
        source: Where it comes from: a report's file, or ``build``.
        via: What was run, if it was not the bundle's own runtime.
        not_run: Why nothing was run.
    """

    metric: str = ""
    score: float | None = None
    interval: tuple[float, float] | None = None
    lost: float | None = None
    agreement: float | None = None
    agreed: tuple[float, float] | None = None
    sqnr: float | None = None
    images: int | None = None
    source: str = ""
    via: str = ""
    not_run: str = ""

    @property
    def known(self) -> bool:
        """Whether it says anything of the accuracy."""
        return self.score is not None or self.agreement is not None or self.sqnr is not None

    @property
    def basis(self) -> Basis:
        """What it was judged by: an evaluation or the build, and how many images."""
        return "build" if self.source == BUILD else "evaluation", self.images


@dataclass(frozen=True)
class Timed:
    """A bundle's times, of each image, milliseconds.

    Args:
        p50: The median of the time that passed.
        p90: Its 90th percentile.
        p99: Its 99th percentile.
        cpu: The CPU time.
        ratio: How many times as long as the baseline, by the report's clock.
        ratio_interval: Its 95 % interval.
        baseline: The bundle that it was held against.
        launches: The median of each launch.
        images: In one run.
        clock: ``cpu`` or ``wall``, of the ratio.
        p99_9: The 99.9th percentile, of enough inferences.
        report: That they are from.
        data: The entry of the report.
        not_run: Why there are none.
    """

    report: Report
    data: Mapping[str, Any]
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    cpu: float | None = None
    ratio: float | None = None
    ratio_interval: tuple[float, float] | None = None
    baseline: str = ""
    launches: tuple[float, ...] = ()
    images: int = 1
    clock: str = "cpu"
    p99_9: float | None = None
    not_run: str = ""


def score_of(data: Mapping[str, Any], metric: str) -> tuple[float | None, tuple[float, float] | None]:
    """A metric of a report's scores, which is a proportion with its interval or a plain number."""
    found = values.at(data, metric)
    if isinstance(found, Mapping):
        return values.number(found, "value"), values.interval(found, "interval")
    return values.number(data, metric), None


def evaluations(material: Material) -> dict[str, list[tuple[Report, Scored]]]:
    """What evaluations found of each bundle, by its key, in the order of the reports."""
    found: dict[str, list[tuple[Report, Scored]]] = {}
    for report in material.of("accuracy"):
        subject = material.subject(report, values.text(report.data, "bundle"))
        if subject is not None:
            found.setdefault(subject.key, []).append((report, _scored(report)))
        reference = material.subject(report, report.reference)
        if reference is not None and values.at(report.data, "reference", "scores"):
            held = found.setdefault(reference.key, [])
            scored = _reference(report)
            if not any(other == scored for _, other in held):
                held.append((report, scored))
    return found


def _scored(report: Report) -> Scored:
    data, reference = report.data, values.at(report.data, "reference")
    metric = values.text(data, "metric") or "top_1"
    score, interval = score_of(values.at(data, "scores") or {}, metric)
    ran = values.text(data, "status") != "NOT RUN"
    return Scored(
        metric=metric if score is not None else "",
        score=score,
        interval=interval,
        lost=values.number(data, "drop_points"),
        agreement=values.number(reference, "agreement", "value"),
        agreed=values.interval(reference, "agreement", "interval"),
        sqnr=values.level(reference, "sqnr_db"),
        images=values.whole(data, "images"),
        source=report.source,
        via=values.text(data, "via"),
        not_run="" if ran else values.text(data, "reason") or "no reason was given",
    )


def _reference(report: Report) -> Scored:
    metric = values.text(report.data, "metric") or "top_1"
    score, interval = score_of(values.at(report.data, "reference", "scores") or {}, metric)
    images = values.whole(report.data, "images")
    return Scored(metric if score is not None else "", score, interval, images=images, source=report.source)


def accuracy(material: Material, subject: Subject) -> Scored:
    """The best that is known of a bundle: the latest evaluation, else what its build found."""
    own = [one for _, one in evaluations(material).get(subject.key, [])]
    scored = [one for one in own if not one.not_run]
    if scored:
        return scored[-1]
    found = built(subject)
    return found if found.not_run or not own else replace(found, not_run=own[-1].not_run)


def built(subject: Subject) -> Scored:
    """What a bundle's build found: how close it is to the float network, on a few images."""
    found, via = values.at(subject.verification, "artifact"), ""
    if not isinstance(found, Mapping) and isinstance(hub := values.at(subject.verification, "hub"), Mapping):
        found, via = hub, "its graph in onnxruntime"
    return Scored(
        agreement=values.number(found, "agreement", "value"),
        agreed=values.interval(found, "agreement", "interval"),
        sqnr=values.level(found, "sqnr_db"),
        images=values.whole(found, "images"),
        source=BUILD if found else "",
        via=via,
        not_run=values.text(subject.verification, "not_run"),
    )


def main_basis(material: Material) -> Basis | None:
    """What most bundles were judged by, an evaluation before the build; None where nothing is known."""
    counted: dict[Basis, int] = {}
    for subject in material.subjects:
        scored = accuracy(material, subject)
        if scored.known:
            counted[scored.basis] = counted.get(scored.basis, 0) + 1
    return max(counted, key=lambda one: (one[0] != BUILD, counted[one], one[1] or 0), default=None)


def times(material: Material) -> dict[str, list[Timed]]:
    """The times of each bundle, by its key, in the order of the reports."""
    found: dict[str, list[Timed]] = {}
    for report in material.of("latency"):
        for entry in values.rows(report.data, "entries"):
            subject = material.subject(report, values.text(entry, "name"))
            if subject is not None:
                baseline = material.shown(report, values.text(report.data, "baseline"))
                found.setdefault(subject.key, []).append(_timed(report, entry, baseline))
    return found


def _timed(report: Report, entry: Any, baseline: str) -> Timed:
    timing = values.at(entry, "timing")
    images = values.whole(timing, "images") or 1
    wall = values.at(timing, "wall_ms_per_image") or values.at(timing, "wall_ms")
    per_image = values.number(timing, "cpu_ms_per_image")
    launches = values.rows(timing, "wall_launches_ms")
    clock = "wall" if values.text(report.data, "clock") == "wall" else "cpu"
    return Timed(
        report,
        entry,
        p50=values.number(wall, "p50"),
        p90=values.number(wall, "p90"),
        p99=values.number(wall, "p99"),
        cpu=values.number(timing, "cpu_ms") if per_image is None else per_image,
        p99_9=values.number(wall, "p99_9"),
        ratio=values.number(entry, f"{clock}_ratio", "value"),
        ratio_interval=values.interval(entry, f"{clock}_ratio", "interval"),
        clock=clock,
        baseline=baseline,
        launches=tuple(t / images for one in launches if (t := values.number(one)) is not None),
        images=images,
        not_run=values.text(entry, "reason") if values.text(entry, "status") == "NOT RUN" else "",
    )


def conditions(one: Timed) -> Conditions:
    """What may not differ between times that are compared: the environment, threads, images in a run."""
    return one.report.environment, values.whole(one.report.data, "threads"), one.images


def main_conditions(material: Material) -> Conditions | None:
    """Those in which the most bundles were timed, the first of several; None without any."""
    counted: dict[Conditions, int] = {}
    for each in times(material).values():
        for found in dict.fromkeys(conditions(one) for one in each if one.p50 is not None):
            counted[found] = counted.get(found, 0) + 1
    return max(counted, key=lambda found: counted[found], default=None)  # of equals the first


def latency(material: Material, subject: Subject) -> Timed | None:
    """A bundle's latest times, those of the main conditions before others; None: nobody timed it."""
    own = times(material).get(subject.key, [])
    main = main_conditions(material)
    ranked = sorted(own, key=lambda one: (one.p50 is not None, conditions(one) == main))
    return ranked[-1] if ranked else None
