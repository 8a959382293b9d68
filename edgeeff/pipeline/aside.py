"""Finishing one target's bundle while the next target is quantised, as if one had followed the other.

What the finishing tells and warns of is heard when the main thread takes its result: calls of a listener come
from one thread, whole and in a fixed order. At most one bundle is finished beside the quantising, so memory
is bounded by two targets.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Generic, TypeVar

from edgeeff.progress import Recorder, Silent, Unit

Result = TypeVar("Result")
#: Bytes of a float graph up to which a second target's graphs fit beside those that are quantised.
LARGEST = 128 << 20
#: Seconds after which a thread gives Python's lock to one that waits. By default it is fifty times as long,
#: and the quantising, which gives the lock away for each operator, would stand still meanwhile.
_SWITCH = 1e-4


class _StoppedError(Exception):
    """The build has ended for another reason: what is being finished is dropped."""


class Later(Recorder):
    """A recorder whose listener hears everything later, from another thread.

    Args:
        about: What is being finished. By then the listener is at something else: a line says what the lines
            behind it are about. Warnings name their bundle themselves.
    """

    def __init__(self, about: str) -> None:
        super().__init__(Silent())
        self._about = about
        self._calls: list[Callable[[Recorder], None]] = []
        self._named = self._stopped = False

    def stop(self) -> None:
        """End what tells this recorder anything from now on."""
        self._stopped = True

    def replay(self, recorder: Recorder) -> None:
        """Tell another recorder what this one was told so far, once."""
        calls, self._calls = self._calls, []
        for call in calls:
            call(recorder)

    def stage(self, text: str, total: int | None = None, unit: Unit = "images") -> None:
        """A new stage begins."""
        self.doing = text
        self._keep(lambda recorder: recorder.stage(text, total, unit))

    def advance(self, count: int = 1) -> None:
        """So many more of the stage's total are done."""
        self._keep(lambda recorder: recorder.advance(count))

    def tell(self, text: str) -> None:
        """Something that was decided."""
        if not self._named:
            self._named = True
            self._keep(lambda recorder: recorder.tell(f"bundle   {self._about}, finished meanwhile:"))
        self._keep(lambda recorder: recorder.tell(text))

    def warn(self, text: str, about: str | None = None) -> None:
        """Something the user must not miss."""
        for recording in self._recordings:
            recording[text] = None
        self._keep(lambda recorder: recorder.warn(text, about))

    def refuse_stopped(self) -> None:
        """End the work where :meth:`stop` asked for it."""
        if self._stopped:
            raise _StoppedError

    def _keep(self, call: Callable[[Recorder], None]) -> None:
        self.refuse_stopped()
        self._calls.append(call)


class Promised(Generic[Result]):
    """A result that is there, or is being made in another thread."""

    def __init__(self, future: Future[Result], later: Later | None, recorder: Recorder) -> None:
        self._future, self._later, self._recorder = future, later, recorder

    def result(self) -> Result:
        """The result, once it is there. What making it told is heard first; its error is raised."""
        self._future.exception()
        if self._later is not None:
            self._later.replay(self._recorder)
        return self._future.result()

    def stop(self) -> None:
        """Let it end soon, without a result."""
        if self._later is not None:
            self._later.stop()


class Aside:
    """One thread beside the main one.

    As a context it is left only when nothing is being made any more. An error of the main thread waits for
    what was begun before it, whose own error comes first, as it would have without a second thread; Ctrl-C
    ends it instead.

    Args:
        recorder: Hears everything; to be called from the main thread alone.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="finishing")
        self._last: Promised[object] | None = None

    def __enter__(self) -> Aside:
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        last, self._last = self._last, None
        try:
            if last is not None and error is not None:
                if isinstance(error, Exception):
                    last.result()
                else:
                    last.stop()
        finally:
            self._pool.shutdown()
            sys.setswitchinterval(self._interval)

    def begin(self, about: str, work: Callable[[Recorder], Result], *, beside: bool) -> Promised[Result]:
        """Do some work, beside what follows or now; what was begun before is taken first.

        Args:
            about: What it finishes, as its user knows it.
            work: Is called with the recorder that it is to tell what it does.
            beside: Whether to do it in the other thread.
        """
        if not beside:
            future: Future[Result] = Future()
            future.set_result(work(self._recorder))
            return Promised(future, None, self._recorder)
        if self._last is not None:
            self._last.result()
        later = Later(about)
        made = Promised(self._pool.submit(partial(work, later)), later, self._recorder)
        self._last = made  # type: ignore[assignment]  # of any result
        return made


def worthwhile(graph: int) -> bool:
    """Whether two targets at once are sooner done: not on one processor, nor where memory is the limit.

    Args:
        graph: Bytes of the float graph.
    """
    return graph <= LARGEST and processors() > 1


def processors() -> int:
    """How many this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
