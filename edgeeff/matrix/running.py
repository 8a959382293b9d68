"""A run of a matrix: what is missing is done, as soon as what it needs is there; the rest is left alone."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from edgeeff.errors import ClusterError
from edgeeff.matrix import boards
from edgeeff.matrix.boards import Board, Opener
from edgeeff.matrix.file import LOCAL
from edgeeff.matrix.planning import Plan, is_of_board
from edgeeff.matrix.store import Store
from edgeeff.matrix.units import Outcome, Unit

#: Seconds between two looks at the workers, and for which there may be none.
_LOOK, _NONE = 2.0, 60.0

Status = Literal["waiting", "running", "made", "there", "failed", "skipped"]


class Pool(Protocol):
    """Where units are computed: :class:`edgeeff.matrix.cluster.Cluster`, or a test's."""

    def slots(self) -> int:
        """Units that can be computed at once now; raises ClusterError where it is gone."""

    def submit(
        self,
        job: Mapping[str, Any],
        arguments: tuple[Any, ...],
        done: Callable[[Any, Exception | None], None],
    ) -> Any:
        """Let a unit be done; ``done`` hears what became of it."""

    def cancel(self, futures: list[Any]) -> None:
        """Let go of units that were not begun."""

    def connected(self) -> bool:
        """Whether it is there."""


@dataclass
class State:
    """A unit in a run.

    Args:
        unit: The unit; of a board with its environment, once that is known.
        status: Where it stands.
        outcome: What became of it, once it is over.
        begun: When it was, by the monotonic clock; 0 before.
        note: What a running one waits for.
        where: What it runs on.
    """

    unit: Unit
    status: Status = "waiting"
    outcome: Outcome | None = None
    begun: float = 0.0
    note: str = ""
    where: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self.status not in ("waiting", "running")

    @property
    def good(self) -> bool:
        """Whether its result is there."""
        return self.status in ("made", "there")


@dataclass
class Run:
    """What is done, and what of it is over.

    Args:
        plan: All units.
        store: Where results lie.
        pool: Opens the pool, if anything is to be computed.
        opener: Makes devices.
        commit: What reports are stored under.
        hear: Called with each unit that changed its status.
        pause: Seconds before a board is tried again.
    """

    plan: Plan
    store: Store
    pool: Callable[[], Any]
    opener: Opener = boards.open_address
    commit: str | None = None
    hear: Callable[[State], None] = lambda _: None
    pause: float = boards.PAUSE
    states: dict[str, State] = field(default_factory=dict)
    _waits: dict[str, set[str]] = field(default_factory=dict)
    _followers: dict[str, list[str]] = field(default_factory=dict)
    _ready: deque[str] = field(default_factory=deque)
    _held: deque[str] = field(default_factory=deque)
    _boards: dict[str, Board] = field(default_factory=dict)
    _events: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)
    _futures: dict[str, Any] = field(default_factory=dict)
    _unmade: int = 0

    def __post_init__(self) -> None:
        self.states = {unit.key: State(unit) for unit in self.plan.units}
        self._find()

    def missing(self) -> list[State]:
        """What is to be done, in order: shards of an evaluation that is there are not."""
        return [state for state in self.states.values() if not state.over]

    def _find(self) -> None:
        """What is there already, and what each other unit waits for."""
        for state in self.states.values():
            if not is_of_board(state.unit) and (said := self.store.read(state.unit.key)) is not None:
                state.status = "there"
                state.outcome = Outcome(state.unit.key, "there", warnings=tuple(said.get("warnings", ())))
        wanted = {key for s in self.states.values() if not s.over for key in s.unit.parts}
        for key in [k for k, s in self.states.items() if s.unit.kind == "shard" and k not in wanted]:
            del self.states[key]
        for key, state in self.states.items():
            if state.over:
                continue
            unit = state.unit
            before = [*unit.needs.values(), *unit.parts, *([unit.after] if unit.after else [])]
            waits = {other for other in before if other in self.states and not self.states[other].over}
            self._waits[key] = waits
            for other in waits:
                self._followers.setdefault(other, []).append(key)
            self._unmade += not is_of_board(unit)

    def run(self) -> None:
        """Do all of it. What fails does not stop the rest.

        Raises:
            ClusterError: There are no workers to begin with.
            KeyboardInterrupt: The user stopped it; what is done is kept.
        """
        with ExitStack() as stack:
            computes = any(not is_of_board(state.unit) for state in self.missing())
            pool: Pool | None = stack.enter_context(self.pool()) if computes else None
            stack.callback(self._end, pool)
            for key, waits in self._waits.items():
                if not waits:
                    self._queue(key)
            watch = _Watch()
            while self._waits:
                if pool is not None:
                    pool = self._computed(pool, watch)
                self._release()
                if not self._waits:
                    break
                with suppress(queue.Empty):
                    self._events.get(timeout=0.5)()
                    while True:
                        self._events.get_nowait()()

    def _computed(self, pool: Pool, watch: _Watch) -> Pool | None:
        """Give the pool what it has room for; None where it is gone."""
        try:
            room = watch.slots(pool) - len(self._futures)
            while room > 0 and self._ready:
                self._submit(pool, self._ready.popleft())
                room -= 1
        except ClusterError as error:
            gone = Outcome("", "failed", error.what, error.mend, "ClusterError")
            for key in [k for k in self._waits if not is_of_board(self.states[k].unit)]:
                if key in self._waits:
                    self._over(key, replace(gone, key=key))
            self._futures.clear()
            return None
        return pool

    def _submit(self, pool: Pool, key: str) -> None:
        state = self.states[key]

        def done(said: Any, error: Exception | None) -> None:
            self._events.put(lambda: self._heard(key, said, error))

        place, logs = str(self.store.folder), str(self.store.folder / "logs")
        self._futures[key] = pool.submit(state.unit.job(), (place, self.commit, logs), done)
        state.status, state.begun = "running", time.monotonic()
        self.hear(state)

    def _heard(self, key: str, said: Any, error: Exception | None) -> None:
        from edgeeff.matrix import cluster

        if self._futures.pop(key, None) is None:
            return
        if error is not None:
            what, mend = cluster.why(error)
            self._over(key, Outcome(key, "failed", what, mend, type(error).__name__))
        else:
            self._over(key, Outcome(**{**said, "warnings": tuple(said["warnings"])}))

    def _queue(self, key: str) -> None:
        """A unit whose needs are over: one of them may have failed."""
        unit = self.states[key].unit
        for need in (*unit.needs.values(), *unit.parts):
            if need in self.states and not self.states[need].good:
                other = self.states[need].unit.name
                self._over(
                    key, Outcome(key, "failed", f"{other} is not there", "see why that failed", "Skipped")
                )
                return
        if not is_of_board(unit):
            self._ready.append(key)
        elif unit.device == LOCAL:
            self._held.append(key)
        else:
            self._to_board(key)

    def _release(self) -> None:
        """This machine measures once nothing is computed any more: else its figures would be noise."""
        while self._held and not self._unmade:
            self._to_board(self._held.popleft())

    def _to_board(self, key: str) -> None:
        unit = self.states[key].unit
        if unit.device not in self._boards:
            own = (self.opener, self.store, self._told, self.commit)
            self._boards[unit.device] = Board(unit.device, *own, pause=self.pause)
        self._boards[unit.device].add(unit)

    def _told(self, unit: Unit, said: str | Outcome) -> None:
        """From a board's thread."""
        self._events.put(lambda: self._board(unit, said))

    def _board(self, unit: Unit, said: str | Outcome) -> None:
        state = self.states[unit.key]
        if isinstance(said, Outcome):
            self._over(unit.key, said)
            return
        state.begun, state.status = state.begun or time.monotonic(), "running"
        state.note, state.where = said, unit.device
        self.hear(state)

    def _over(self, key: str, outcome: Outcome) -> None:
        """Nothing more becomes of a unit; what waited for it may begin."""
        if self._waits.pop(key, None) is None:
            return
        state = self.states[key]
        state.outcome, state.note = outcome, ""
        state.status = "skipped" if outcome.kind == "Skipped" else outcome.status
        if not is_of_board(state.unit):
            self._unmade -= 1
        if state.good:
            for part in state.unit.parts:
                self.store.drop(part)
        self.hear(state)
        for other in self._followers.pop(key, ()):
            waits = self._waits.get(other)
            if waits is not None:
                waits.discard(key)
                if not waits:
                    self._queue(other)

    def _end(self, pool: Pool | None) -> None:
        if pool is not None and self._futures:
            pool.cancel([*self._futures.values()])
        for board in self._boards.values():
            board.stop()


@dataclass
class _Watch:
    """How many workers there are, looked at from time to time."""

    _count: int = 0
    _next: float = 0.0
    _some: float = field(default_factory=time.monotonic)

    def slots(self, pool: Pool) -> int:
        """Units at once.

        Raises:
            ClusterError: The pool is gone, or has had no worker for a minute.
        """
        now = time.monotonic()
        if now < self._next:
            return self._count
        if not pool.connected():
            raise ClusterError(
                "the scheduler is gone", mend="start it again, and the matrix: what is done is kept"
            )
        self._count, self._next = pool.slots(), now + _LOOK
        if self._count:
            self._some = now
        elif now - self._some > _NONE:
            raise ClusterError(
                f"there has been no worker for {_NONE:.0f} s", mend="start workers, and the matrix"
            )
        return self._count
