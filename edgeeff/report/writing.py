"""Where a page goes, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeeff import regular
from edgeeff.errors import OutputError
from edgeeff.files import refuse_unwritable
from edgeeff.report import sections
from edgeeff.report.material import Material


def refuse(path: Path) -> None:
    """Refuse a place that no page can be written to, before any work.

    Raises:
        OutputError: It is a folder, or a file that is no HTML page, or its folder cannot be written.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder", mend="name a file, such as report.html")
    if regular.exists(path) and not _is_page(path):  # perhaps one of the reports that the page is to show
        raise OutputError(f"{path} is there and is no HTML page", mend="name another file, or remove it")
    refuse_unwritable(path.parent)


def _is_page(path: Path) -> bool:
    """Whether a file begins as a page does, or is empty."""
    try:
        with regular.opened(path) as file:
            begin = file.read(64)
    except OSError:
        return False
    return not begin or begin.lstrip().lower().startswith(b"<!doctype html")


def words(material: Material) -> str:
    """How much a page shows."""
    bundles, reports = len(material.subjects), len(material.reports)
    return f"{bundles} bundle{'s' if bundles != 1 else ''}, {reports} report{'s' if reports != 1 else ''}"


def summary(path: Path, page: str, material: Material) -> dict[str, Any]:
    """The same for programs."""
    return {
        "report": str(path),
        "bytes": len(page.encode()),
        "bundles": {one.name: one.digest or None for one in material.subjects},
        "reports": [{"source": one.source, "kind": one.kind} for one in material.reports],
        "sections": [name for name, _, _ in sections.filled(material)],
        "warnings": list(material.warnings),
    }
