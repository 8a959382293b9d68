"""Where a gate's report goes beside the terminal: files and annotations that others read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from edgeeff.errors import OutputError
from edgeeff.files import refuse_special, refuse_unwritable, write_file
from edgeeff.gate.formats import github, gitlab, junit, markdown
from edgeeff.gate.verdict import GateReport


@dataclass(frozen=True)
class Outputs:
    """Which formats are wanted.

    Args:
        junit: A file for JUnit XML, or None.
        markdown: A file for a pull request's comment, or None.
        gitlab: A file for GitLab's code quality report, or None.
        github: Whether annotations are wanted.
    """

    junit: Path | None = None
    markdown: Path | None = None
    gitlab: Path | None = None
    github: bool = False

    def refuse(self) -> None:
        """Refuse files that cannot be written, before anything is measured.

        Raises:
            OutputError: One is a folder, or lies in a folder that cannot be written; two are the same.
            ModuleNotFoundError: JUnit's is wanted, and its library is not installed.
        """
        if self.junit is not None:
            import_module("junitparser")
        files = [path for path in (self.junit, self.markdown, self.gitlab) if path is not None]
        for path in files:
            if path.is_dir():
                raise OutputError(f"{path} is a folder", mend=f"name a file, such as {path / 'gate.xml'}")
            refuse_special(path)
            refuse_unwritable(path.parent)
        if len({path.resolve() for path in files}) < len(files):
            raise OutputError("two formats are to be written to one file", mend="name a file for each")

    def write(self, report: GateReport, name: str, source: Path) -> str:
        """Write the files.

        Args:
            report: What was decided.
            name: Of the suite, or of what was gated.
            source: The suite's file, or the bundle: what GitLab shows an issue at.

        Returns:
            Annotations to print, a line each; empty where none are wanted.
        """
        if self.junit is not None:
            write_file(self.junit, junit.text(report, name).encode())
        if self.markdown is not None:
            write_file(self.markdown, markdown.text(report, name).encode())
        if self.gitlab is not None:
            write_file(self.gitlab, gitlab.text(report, name, _in_the_repository(source)).encode())
        return github.text(report, name) if self.github else ""


def _in_the_repository(source: Path) -> str:
    """A path as seen from where CI runs, the top of the repository; of one outside of it the name."""
    seen = Path(os.path.relpath(source))
    return seen.name if seen.is_absolute() or ".." in seen.parts else seen.as_posix()
