"""One HTML file of bundles and of what was measured of them.

One way down: paths ─▶ :mod:`reading` (bundles, report files, the history) ─▶ :class:`material.Material` ─▶
:mod:`sections`, one file and one template each ─▶ :mod:`page`, which puts them together. :mod:`drawing` holds
the figures, as SVG.

Whatever is shown comes from files that nobody vouches for: text is escaped by Jinja2 and markupsafe alone,
numbers are read by :mod:`values`, and the page's policy (CSP) lets nothing run or load but its own script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeeff.errors import EdgeeffError
from edgeeff.report import gallery, page, reading, trends, values
from edgeeff.report.material import Material, Report, Subject

if TYPE_CHECKING:
    from edgeeff.bundle import Bundle
    from edgeeff.harness.accuracy_report import AccuracyReport
    from edgeeff.images import ImageSet
    from edgeeff.progress import Progress

#: Launches of a build's report, and seconds of each bundle in a launch: enough to see, too few to judge.
LAUNCHES, SECONDS = 4, 0.3


def of_paths(
    paths: Sequence[Path], title: str = "", photos: Path | None = None, history: str | None = None
) -> tuple[str, Material]:
    """The page of bundles and report files, and what it was drawn from.

    Args:
        paths: Folders of bundles, and JSON files.
        title: Of the page; empty: the models' names.
        history: Database that says how figures of these bundles moved: a file or an URL, empty for the one
            that ``EDGEEFF_HISTORY`` names or the user's own; None: no history.
        photos: Folder from which images are shown that a report names; None: their names alone.

    Raises:
        MissingFileError: A path is not there.
        ReportError: A file is no report, or one of a newer schema.
        BundleError: A folder is no bundle, or one of a newer schema.
        HistoryError: The database cannot be read.
    """
    material = reading.read(paths, title)
    shown = tuple(gallery.of_comparisons(material, photos))
    missed = gallery.missed(shown, photos) if photos is not None else ()
    material = replace(material, galleries=shown, warnings=(*material.warnings, *missed))
    if history is not None:
        found, more = trends.of_history(
            [one.called or one.name for one in material.subjects], history or None
        )
        nothing = () if found else ("the history holds no two figures of these bundles to be compared",)
        material = replace(
            material,
            series=(*material.series, *found),
            left_out=more,
            warnings=(*material.warnings, *nothing),
        )
    return page.render(material), material


def of_build(bundles: Sequence[Bundle], progress: Progress | None = None) -> tuple[str, tuple[str, ...]]:
    """The page of bundles that were built just now, timed side by side, and what to warn of their times.

    Those that cannot run here are NOT RUN. A measurement that fails is a warning: the bundles stand.

    Args:
        bundles: The float control among them is the baseline.
        progress: Told of each launch and each warning.
    """
    from edgeeff.harness.latency import benchmark
    from edgeeff.progress import Recorder

    listener = Recorder.of(progress)
    subjects, warnings = _subjects(bundles)
    floats = [place for place, one in enumerate(subjects) if one.floating]
    with listener.recording() as warned:
        try:
            timed = benchmark(
                bundles, launches=LAUNCHES, seconds=SECONDS, baseline=(floats or [0])[0], progress=listener
            )
            reports = reading.from_json(timed.to_json(), "build")
        except EdgeeffError as error:
            reports = []
            listener.warn(f"no latency for the report: {error.what}")
    more = [*warnings, *warned] if not reports else warnings
    return page.render(reading.assembled(subjects, reports, more)), tuple(warned)


def of_training(found: Mapping[str, Any], bundles: Sequence[Bundle] = ()) -> str:
    """The page of a training, as plain data, and of the bundles that were built of it."""
    subjects, warnings = _subjects(bundles)
    reports = reading.from_json(dict(found), "finetune")
    title = f"{values.text(found, 'checkpoint')}: {len(values.rows(found, 'classes')) or 'no'} classes"
    return page.render(reading.assembled(subjects, reports, warnings, title))


def of_evaluation(
    reports: Sequence[AccuracyReport], bundles: Sequence[Bundle], images: ImageSet | Path | str
) -> str:
    """The page of evaluations, with pictures of the images on which they differ.

    Args:
        reports: Of one pass over the images.
        bundles: Those that were judged, and the reference.
        images: What was run.
    """
    from edgeeff.recipes import open_to_judge

    subjects, warnings = _subjects(bundles)
    read = [one for report in reports for one in reading.from_json(report.to_json(), "eval")]
    material = reading.assembled(subjects, read, warnings)
    found = gallery.of_outcomes(reports, _names(material, read), open_to_judge(images).pictures)
    return page.render(replace(material, galleries=(found,) if found else ()))


def of_diagnosis(found: Mapping[str, Any]) -> str:
    """The page of one diagnosis, as plain data."""
    title = f"{found['model']} for {found['target']}"
    return page.render(Material(title, reports=(Report("diagnosis", "diagnosis", found),)))


def _names(material: Material, reports: Sequence[Report]) -> list[str]:
    """What the page calls the bundles of evaluations."""
    subjects = [material.subject(one, values.text(one.data, "bundle")) for one in reports]
    return [one.name if one else f"bundle {number}" for number, one in enumerate(subjects)]


def _subjects(bundles: Sequence[Bundle]) -> tuple[list[Subject], list[str]]:
    """Bundles as subjects, and what there is to warn of."""
    found = [reading.of_bundle(bundle) for bundle in bundles]
    return [subject for subject, _ in found], [text for _, said in found for text in said]
