"""How long work tells what it is doing, without knowing who listens, and how its warnings are kept."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast

from edgeeff import shortage
from edgeeff.errors import EdgeeffError, EdgeeffWarning, OutOfMemoryError

Unit = Literal["images", "bytes", "steps", "seconds", "layers", "launches", "launches at most"]
#: The package's only logger: stages and what was decided, at INFO. Warnings are Python's own or a listener's.
LOGGER = logging.getLogger("edgeeff")
LOGGER.addHandler(logging.NullHandler())
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Progress(Protocol):
    """Told what is going on. Calls come from one thread."""

    def stage(self, text: str, total: int | None = None, unit: Unit = "images") -> None:
        """A new stage begins; with ``total`` it can be counted, in ``unit``."""

    def advance(self, count: int = 1) -> None:
        """So many more of the stage's total are done."""

    def tell(self, text: str) -> None:
        """Something that was decided, and that the user should see."""

    def warn(self, text: str) -> None:
        """Something the user must not miss."""


class Silent:
    """Nobody listens."""

    def stage(self, text: str, total: int | None = None, unit: Unit = "images") -> None:
        """Forget it."""

    def advance(self, count: int = 1) -> None:
        """Forget it."""

    def tell(self, text: str) -> None:
        """Forget it."""

    def warn(self, text: str) -> None:
        """Forget it."""


class PythonWarnings(Silent):
    """The listener of a caller who names none: warnings become Python's own, all else is forgotten.

    So ``logging.captureWarnings(True)`` sends them to a log, and ``python -W error::edgeeff.EdgeeffWarning``
    makes errors of them.
    """

    def warn(self, text: str) -> None:
        """Give it to Python's warnings, as if the line that called edgeeff had raised it."""
        warnings.warn(text, EdgeeffWarning, stacklevel=_levels_to_the_caller())


#: A plain function that is called with what is done of a stage, and all of it.
Count = Callable[[int, int], None]


class Counting(PythonWarnings):
    """A plain function as a listener: called as a stage moves on; warnings become Python's own."""

    def __init__(self, count: Count) -> None:
        self._count, self._done, self._total = count, 0, 0

    def stage(self, text: str, total: int | None = None, unit: Unit = "images") -> None:
        """Count from the beginning."""
        self._done, self._total = 0, total or 0

    def advance(self, count: int = 1) -> None:
        """Call the function with what is done and all."""
        self._done += count
        self._count(self._done, self._total)


class Recorder:
    """A listener that passes everything on, and keeps each warning.

    The same warning may be raised many times: once for every target that it concerns. The listener hears it
    once; every recording that is under way keeps it, once and in order.

    Args:
        listener: Hears everything; None: :class:`PythonWarnings`.
    """

    def __init__(self, listener: Progress | None = None) -> None:
        self._listener: Progress = listener or PythonWarnings()
        self._heard: dict[str, None] = {}
        self.doing = "starting"
        self._recordings: list[dict[str, None]] = [{}]

    @classmethod
    def of(cls, listener: Progress | Count | None) -> Recorder:
        """The listener itself if it records, else a recorder before it; a plain function counts."""
        if isinstance(listener, Recorder):
            return listener
        if listener is not None and not hasattr(listener, "stage"):
            return cls(Counting(listener))
        return cls(cast("Progress | None", listener))

    def stage(self, text: str, total: int | None = None, unit: Unit = "images") -> None:
        """A new stage begins."""
        self.doing = text
        LOGGER.info("%s", text)
        self._listener.stage(text, total, unit)

    def advance(self, count: int = 1) -> None:
        """So many more of the stage's total are done."""
        self._listener.advance(count)

    def refuse_stopped(self) -> None:
        """End work here whose result nobody waits for any more; it may be that of another thread."""

    def tell(self, text: str) -> None:
        """Something that was decided."""
        LOGGER.info("%s", text)
        self._listener.tell(text)

    def warn(self, text: str, about: str | None = None) -> None:
        """Something the user must not miss.

        Args:
            text: A sentence.
            about: The bundle that alone it concerns: the listener hears its name first.
        """
        for recording in self._recordings:
            recording[text] = None
        heard = text if about is None else f"{about}: {text}"
        if heard not in self._heard and text not in self._heard:
            self._heard[heard] = None
            self._listener.warn(heard)

    def warn_again(self, texts: Iterable[str]) -> None:
        """Warnings that were kept when a result was made, which is now taken as it is."""
        for text in texts:
            self.warn(text)

    def repeat(self, found: Mapping[str, Sequence[str]]) -> None:
        """Warnings of bundles that were left alone, with the names of the bundles of each."""
        for text, names in found.items():
            if text not in self._heard:
                self._listener.warn(f"{', '.join(names)}: {text}")

    @property
    def warnings(self) -> tuple[str, ...]:
        """All so far, in order."""
        return tuple(self._recordings[0])

    @contextmanager
    def recording(self, begin: Iterable[str] = ()) -> Iterator[dict[str, None]]:
        """Keep what is warned of within, after ``begin``: the keys of what it gives, in order."""
        found = dict.fromkeys(begin)
        self._recordings.append(found)
        try:
            yield found
        finally:
            self._recordings = [other for other in self._recordings if other is not found]


def recorded(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Give a function a :class:`Recorder` as its ``progress``, and what was warned of to its errors."""

    @wraps(work)
    def recording(*args: Arguments.args, **options: Arguments.kwargs) -> Result:
        given: Any = options.get("progress")
        recorder = Recorder.of(given)
        options["progress"] = recorder
        try:
            return work(*args, **options)
        except Exception as error:
            if shortage.is_shortage(error) and not isinstance(error, OutOfMemoryError):
                short = shortage.refusal(recorder.doing, shortage.BUILDING)
                short.warnings = recorder.warnings
                raise short from None
            if isinstance(error, EdgeeffError):
                error.warnings = recorder.warnings
            raise

    return recording


def _levels_to_the_caller() -> int:
    """For ``warnings.warn`` in the function that asks: the first frame outside the package, or the last."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "edgeeff":
        frame, level = frame.f_back, level + 1
    return level
