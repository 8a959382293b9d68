"""What the verbs print with: results on standard output, progress and complaints on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from edgeeff.cli import streams
from edgeeff.progress import Unit
from edgeeff.text import clean, steers

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID
    from rich.table import Table

#: Where no terminal tells its width, tables are as wide as they need: a log is not folded at 80 columns.
_PIPE_WIDTH = 200


def _json(data: object, stream: TextIO, indent: int | None = None) -> str:
    """JSON as programs read it; what steers a terminal, or a stream has not, is written as ``\\uXXXX``."""
    text = json.dumps(data, indent=indent, ensure_ascii=not streams.is_unicode(stream))
    if text.isprintable():
        return text
    return "".join(f"\\u{ord(c):04x}" if c != "\n" and steers(c) else c for c in text)


class _Console(Console):
    """Rich's, but nothing printed steers the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that is printed passes here: labels, names of files and layers, a runtime's messages."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(clean(segment.text), segment.style)


def _width(stream: TextIO | None) -> int | None:
    """None: as wide as the terminal. A stream that is closed is None itself."""
    return None if stream is not None and stream.isatty() else _PIPE_WIDTH


out = _Console(markup=False, width=_width(sys.stdout), highlight=False)
err = _Console(markup=False, stderr=True, width=_width(sys.stderr), highlight=False)


def plain(text: str) -> None:
    """Text on standard output, as it is."""
    out.print(Text(text), soft_wrap=not out.is_terminal)


def table(content: Table) -> None:
    """A table on standard output."""
    out.print(content)


def as_json(data: Mapping[str, Any] | list[Any]) -> None:
    """Data on standard output, for programs."""
    sys.stdout.write(_json(data, sys.stdout, indent=2) + "\n")
    sys.stdout.flush()


def json_line(data: Mapping[str, Any]) -> None:
    """One line of JSON lines: each is whole as soon as it is there."""
    sys.stdout.write(_json(data, sys.stdout) + "\n")
    sys.stdout.flush()


def json_item(data: Mapping[str, Any], *, first: bool) -> None:
    """One item of a JSON list that is written as its items come."""
    text = _json(data, sys.stdout, indent=2)
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
    sys.stderr.write(_json({"error": error, "warnings": list(warnings)}, sys.stderr) + "\n")
    sys.stderr.flush()


def _columns(unit: Unit) -> tuple[ProgressColumn, ...]:
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
    from rich.progress import TimeElapsedColumn as Elapsed
    from rich.progress import TimeRemainingColumn as Remaining
    from rich.table import Column

    counted = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    left = Remaining(compact=True)
    # What is being done gives way, not the count: the rest takes up to 44 columns, with a wide bar 72.
    text = TextColumn(
        "{task.description}",
        markup=False,
        table_column=Column(
            max_width=max(12, err.width - (44 if err.width < 100 else 72)), no_wrap=True, overflow="ellipsis"
        ),
    )
    return SpinnerColumn(), text, BarColumn(12 if err.width < 100 else 40), counted, Elapsed(), left


#: Seconds after which a stage without a bar says how long it will take: by then it can be told. Then it does
#: so each minute, and each time that a tenth more is done where that takes longer.
_TELLING, _AGAIN = 10.0, 60.0


class _Estimate:
    """How long a stage will still take, told from time to time."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._begin = total, 0, time.monotonic()
        self._first, self._next = 0, _TELLING

    def advance(self, count: int) -> str | None:
        """So many more are done; returns what is left when it is time to tell."""
        self._done += count
        if self._first == 0:  # what was found done, and the first, which also warms up
            self._first, self._begin = self._done, time.monotonic()
            return None
        passed = time.monotonic() - self._begin
        if passed < self._next or self._done >= self._total:
            return None
        left = passed / (self._done - self._first) * (self._total - self._done)
        again = self._next > _TELLING
        self._next = passed + max(_AGAIN, (passed + left) / 10)
        return (
            f"{self._done} of {self._total}, about {left:.0f} s more" if again else f"about {left:.0f} s more"
        )


class ConsoleProgress:
    """A progress bar on a terminal, plain lines elsewhere; both say how long a stage will still take.

    Args:
        still: The bar is drawn only when something is done, so that it disturbs no measurement.
    """

    def __init__(self, *, still: bool = False) -> None:
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._estimate: _Estimate | None = None
        if err.is_terminal:
            from rich.progress import Progress

            self._bar = Progress(*_columns("images"), console=err, transient=True, auto_refresh=not still)

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
        if not self._bar.live.auto_refresh:
            self._bar.refresh()

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)
            if not self._bar.live.auto_refresh:
                self._bar.refresh()
        elif self._estimate is not None and (left := self._estimate.advance(count)) is not None:
            err.print(Text(f"  {left}"))

    def tell(self, text: str) -> None:
        """Something that was decided."""
        err.print(Text(text), soft_wrap=not err.is_terminal)

    def warn(self, text: str) -> None:
        """Something the user must not miss."""
        warn(text)
