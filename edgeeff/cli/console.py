"""What the verbs print with: results on standard output, progress and complaints on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import TimeElapsedColumn as Elapsed
from rich.table import Table
from rich.text import Text

from edgeeff.progress import Unit

#: Where no terminal tells its width, tables are as wide as they need: a log is not folded at 80 columns.
_PIPE_WIDTH = 200


class _Console(Console):
    """Rich's, but a reader that goes away (``| head``) is no failure: see ``edgeeff.cli``."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out = _Console(markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)
err = _Console(markup=False, stderr=True, width=None if sys.stderr.isatty() else _PIPE_WIDTH, highlight=False)


def plain(text: str) -> None:
    """Text on standard output, as it is."""
    out.print(Text(text), soft_wrap=not out.is_terminal)


def table(content: Table) -> None:
    """A table on standard output."""
    out.print(content)


def as_json(data: Mapping[str, Any] | list[Any]) -> None:
    """Data on standard output, for programs."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def json_line(data: Mapping[str, Any]) -> None:
    """One line of JSON lines: each is whole as soon as it is there."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def json_item(data: Mapping[str, Any], *, first: bool) -> None:
    """One item of a JSON list that is written as its items come."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    sys.stdout.write(("[\n" if first else ",\n") + "  " + text.replace("\n", "\n  "))
    sys.stdout.flush()


def json_end(*, empty: bool) -> None:
    """The end of that list."""
    sys.stdout.write("[]\n" if empty else "\n]\n")


def note(text: str) -> None:
    """Something that was decided, beside the results."""
    err.print(Text(text), soft_wrap=not err.is_terminal)


def warn(text: str) -> None:
    """Something the reader must not miss."""
    err.print(Text("WARNING ", style="bold yellow") + Text(text), soft_wrap=not err.is_terminal)


def fail(what: str, mend: str) -> None:
    """What was wrong and how to mend it."""
    err.print(Text("error: ", style="bold red") + Text(what), soft_wrap=not err.is_terminal)
    err.print(Text(f"  → {mend}"), soft_wrap=not err.is_terminal)


def fail_as_json(kind: str, what: str, mend: str, status: int, warnings: Sequence[str]) -> None:
    """The same for programs: one line, the last of standard error."""
    error = {"kind": kind, "what": what, "mend": mend, "exit_status": status}
    sys.stderr.write(json.dumps({"error": error, "warnings": list(warnings)}, ensure_ascii=False) + "\n")
    sys.stderr.flush()


def _columns(unit: Unit) -> tuple[ProgressColumn, ...]:
    counted = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    left = TimeRemainingColumn(compact=True)
    return SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), counted, Elapsed(), left


#: Seconds after which a stage without a bar says how long it will take: by then it can be told.
_TELLING = 10.0


class _Estimate:
    """How long a stage will still take, told once."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._begin = total, 0, time.monotonic()
        self._first = 0

    def advance(self, count: int) -> float | None:
        """So many more are done; returns the seconds left when it is time to tell."""
        self._done += count
        if self._first == 0:  # what was found done, and the first, which also warms up
            self._first, self._begin = self._done, time.monotonic()
            return None
        passed = time.monotonic() - self._begin
        if passed < _TELLING or self._done >= self._total:
            return None
        return passed / (self._done - self._first) * (self._total - self._done)


class ConsoleProgress:
    """A progress bar on a terminal, plain lines elsewhere; both say how long a stage will still take."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._estimate: _Estimate | None = None
        if err.is_terminal:
            self._bar = Progress(*_columns("images"), console=err, transient=True)

    def __enter__(self) -> ConsoleProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def stage(self, text: str, total: int | None = None, unit: Unit = "images") -> None:
        """A new stage begins."""
        if self._bar is None:
            count = f" ({total} {unit})" if total and unit != "bytes" else ""
            err.print(Text(f"• {text}{count}"))
            self._estimate = _Estimate(total) if total else None
            return
        self._bar.columns = _columns(unit)
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(text, total=total)

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)
        elif self._estimate is not None and (left := self._estimate.advance(count)) is not None:
            self._estimate = None
            err.print(Text(f"  about {left:.0f} s more"))

    def tell(self, text: str) -> None:
        """Something that was decided."""
        err.print(Text(text), soft_wrap=not err.is_terminal)

    def warn(self, text: str) -> None:
        """Something the user must not miss."""
        warn(text)
