"""One HTML file of bundles and of what was measured of them.

One way down: paths ─▶ :mod:`reading` (bundles, report files, the history) ─▶ :class:`material.Material` ─▶
:mod:`sections`, one file and one template each ─▶ :mod:`page`, which puts them together. :mod:`drawing` holds
the figures, as SVG.

Whatever is shown comes from files that nobody vouches for: text is escaped by Jinja2 and markupsafe alone,
numbers are read by :mod:`values`, and the page's policy (CSP) lets nothing run or load but its own script.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeeff.report import page, reading
from edgeeff.report.material import Material, Report


def of_paths(paths: Sequence[Path], title: str = "") -> tuple[str, Material]:
    """The page of bundles and report files, and what it was drawn from.

    Raises:
        MissingFileError: A path is not there.
        ReportError: A file is no report, or one of a newer schema.
        BundleError: A folder is no bundle, or one of a newer schema.
    """
    material = reading.read(paths, title)
    return page.render(material), material


def of_diagnosis(found: Mapping[str, Any]) -> str:
    """The page of one diagnosis, as plain data."""
    title = f"{found['model']} for {found['target']}"
    return page.render(Material(title, reports=(Report("diagnosis", "diagnosis", found),)))
