"""Reports that were printed elsewhere, such as CI's artifacts: JSON files that nobody vouches for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edgeeff import regular, text
from edgeeff.errors import ReportError
from edgeeff.history import reports
from edgeeff.history.reports import Read

#: Bytes of the largest file; a profile of the largest network has some 200 kB.
LARGEST = 64 << 20
#: Reports of one file, and files of one folder.
MOST = 10_000


def read(paths: Sequence[Path], commit: str | None = None) -> list[Read]:
    """The reports of files, and of the ``*.json`` below folders; those of one run are put together.

    Args:
        paths: Files and folders.
        commit: What was checked out, for reports that do not say.

    Raises:
        ReportError: A file holds no report, or none is there.
    """
    found = [one for path in paths for file in _files(path) for one in _of_file(file)]
    if not found:
        raise ReportError(
            f"no report in {', '.join(map(str, paths))}",
            mend="name files that `--json` of bench, eval or gate was sent to",
        )
    if commit is not None:
        found = [one if one.commit is not None else replace(one, commit=commit) for one in found]
    return reports.together(found)


def _files(path: Path) -> list[Path]:
    if not regular.is_folder(path):
        return [path]
    files = sorted(file for file in path.rglob("*.json") if regular.is_file(file))
    if len(files) > MOST:
        raise ReportError(f"{path} holds {len(files)} JSON files", mend=f"pass at most {MOST} at once")
    return files


def _of_file(path: Path) -> Iterator[Read]:
    data = text.read_json(path, ReportError, LARGEST)
    several = data if isinstance(data, list) else [data]
    if len(several) > MOST:
        raise ReportError(f"{path} holds {len(several)} reports", mend=f"pass at most {MOST} at once")
    for number, one in enumerate(several):
        source = f"{path}{f', report {number}' if len(several) > 1 else ''}"
        yield reports.read(one, source)
