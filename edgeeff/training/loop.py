"""The descent: steps, schedule, moving average, judging, what is kept meanwhile. It knows no task.

A batch is cut into parts that are computed side by side, each by one thread, and their gradients are added
in order: the result does not hang on the number of processors or threads. An interrupted descent goes on
where it last kept its state, and ends at the same bits.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from edgeeff.cache import Bookmark
from edgeeff.errors import TrainingError
from edgeeff.graph.side_by_side import one_thread
from edgeeff.progress import Recorder
from edgeeff.training import fitting, state
from edgeeff.training.average import Average, copied, fill
from edgeeff.training.device import precision
from edgeeff.training.schedule import Schedule
from edgeeff.training.state import Position

#: Seconds after which the state is kept within an epoch.
KEPT_EVERY = 30.0
#: Epochs that a course by the clock takes at most.
MOST_EPOCHS = 1000
_BETAS = (0.9, 0.999)
_MOMENTS = ("exp_avg", "exp_avg_sq")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Group:
    """Tensors that learn at one rate.

    Args:
        tensors: By name; names differ between groups.
        rate: Of AdamW, at the height of the schedule.
        decay: Its weight decay (Loshchilov & Hutter 2019).
    """

    tensors: Mapping[str, Tensor]
    rate: float
    decay: float = 0.0


@dataclass(frozen=True)
class Score:
    """What a state is worth on the images that judge.

    Args:
        value: What decides: the larger, the better.
        loss: What decides between equal values: the smaller, the better.
        figures: What the history shows of it.
    """

    value: float
    loss: float
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def rank(self) -> tuple[float, float]:
        """States in their order; one whose value is not a number is the worst."""
        lowest = -sys.float_info.max
        value = self.value if math.isfinite(self.value) else lowest
        return value, -self.loss if math.isfinite(self.loss) else lowest


#: A part of a batch: gives its share of the batch's loss; the random generator is its own.
Part = Callable[[torch.Generator], Tensor]


class Learner(Protocol):
    """What learns."""

    def groups(self) -> Sequence[Group]:
        """What learns by gradients."""

    def buffers(self) -> Mapping[str, Tensor]:
        """What else changes with each step, such as batch statistics that are not frozen."""

    def steps(self) -> int:
        """Batches of an epoch."""

    def batches(self, epoch: int, begin: int) -> Iterator[Any]:
        """The batches of an epoch from number ``begin`` on; they hang on nothing but these numbers."""

    def parts(self, batch: Any, epoch: int) -> Sequence[Part]:
        """A batch's loss, in parts that add up to it. Their number must not hang on the machine.

        Where there are several, they run side by side, and draw from the generator that each is given alone.
        """

    def score(self) -> Score:
        """What the present state is worth."""


@dataclass(frozen=True)
class Course:
    """How long and how fast.

    Args:
        epochs: Passes over the images; with ``minutes`` as many as fit.
        minutes: Instead, how long; after the first epoch it is settled how many epochs that are. Until then
            the rate must not hang on their number: a warm-up lasts an epoch at least.
        warmup: Epochs in which the rate grows; a fraction will do.
        patience: Epochs without a better state after which it ends; None: it goes to its end.
        average: Decay of the moving average that is judged and kept; 0: none.
        earliest: Epochs before which patience does not count: the course changes with this one.
        batch: Images of a step, which a message names where memory runs out; 0: not known.
        beat: What the state at the beginning is worth: no worse one is taken. None: any is.
        clip: The largest norm of the gradients together; None: any.
        seed: Of dropout and the like.
        flag: The option that says the largest rate, for a message.
    """

    epochs: int
    minutes: float | None = None
    warmup: float = 0.0
    patience: int | None = None
    average: float = 0.0
    beat: Score | None = None
    earliest: int = 0
    batch: int = 0
    clip: float | None = None
    seed: int = 0
    flag: str = "--rate"


@dataclass(frozen=True)
class Descent:
    """What came of it.

    Args:
        history: An entry for each epoch: epoch, rate, loss, seconds, and the figures of the score.
        best: The epoch whose state was kept, counted from 1; 0: that of the beginning, which none was better
            than.
        stopped: Why it ended before its time; empty where it did not.
    """

    history: tuple[Mapping[str, Any], ...]
    best: int
    stopped: str = ""


@contextmanager
def workers(most: int = 4) -> Iterator[ThreadPoolExecutor]:
    """Threads that compute parts, one torch thread each."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(
        max(1, min(most, usable)), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        yield pool


def in_order(pool: ThreadPoolExecutor, run: Callable[[int], Found], count: int) -> Iterator[Found]:
    """``run(0)``, ``run(1)`` … computed side by side, given in order; few wait to be taken.

    One more is under way than there are threads: results that come early do not pile up behind a slow one.
    """
    ahead = deque(pool.submit(run, number) for number in range(min(count, pool._max_workers + 1)))
    for number in range(count):
        found = ahead.popleft().result()
        if number + pool._max_workers + 1 < count:
            ahead.append(pool.submit(run, number + pool._max_workers + 1))
        yield found
        del found


def descend(
    learner: Learner,
    course: Course,
    progress: Recorder,
    *,
    doing: str = "training",
    bookmark: Bookmark | None = None,
) -> Descent:
    """Take all steps of a course, or those that an interrupted run left; the learner ends in its best state.

    Args:
        learner: What learns.
        course: How long and how fast.
        progress: Hears of each step.
        doing: What the progress bar says.
        bookmark: Where the state is kept meanwhile. It is left there: whoever writes the result drops it.

    Raises:
        TrainingError: The loss is no number any more, and there is no state that was judged before.
    """
    with one_thread(), workers() as pool:
        return _Run(learner, course, progress, bookmark, pool, doing).go()


class _Run:
    """One descent."""

    def __init__(
        self,
        learner: Learner,
        course: Course,
        progress: Recorder,
        bookmark: Bookmark | None,
        pool: ThreadPoolExecutor,
        doing: str,
    ) -> None:
        self._learner, self._course, self._progress = learner, course, progress
        self._bookmark, self._pool, self._doing = bookmark, pool, doing
        groups = learner.groups()
        self._parameters = {name: value for group in groups for name, value in group.tensors.items()}
        self._live = {**self._parameters, **learner.buffers()}
        self._optimizer = torch.optim.AdamW(
            [
                {"params": list(group.tensors.values()), "lr": group.rate, "weight_decay": group.decay}
                for group in groups
            ],
            betas=_BETAS,
        )
        self._fastest = [group.rate for group in groups]
        self._device = next((value.device for value in self._live.values()), torch.device("cpu"))
        self._average = Average(self._live, course.average)
        self._best = copied(self._live)
        self._position = Position()
        self._kept = time.monotonic()

    def go(self) -> Descent:
        """From where it stands to the end."""
        self._restore()
        where, steps = self._position, self._learner.steps()
        self._progress.stage(self._doing, self._epochs() * steps, unit="steps")
        self._progress.advance(where.taken)
        stopped = ""
        while not where.over:
            stopped = self._epoch(where.taken // steps, where.taken % steps)
            self._settle()
            stopped = stopped or self._patience()
            where.over = bool(stopped) or where.taken >= self._epochs() * steps
            self._keep()
        fill(self._live, self._best)
        self._warn_of_no_gain()
        return Descent(tuple(where.history), where.best, stopped)

    def _warn_of_no_gain(self) -> None:
        """Warn where the state of the beginning is the result, since nothing came of the whole course."""
        if self._course.beat is not None and self._position.history and not self._position.best:
            self._progress.warn(
                f"{self._doing}: none of {len(self._position.history)} epochs was better than the state at "
                f"the beginning, which is kept. Train longer (--epochs), or at another {self._course.flag}"
            )

    def _epochs(self) -> int:
        if self._course.minutes is None:
            return self._course.epochs
        return self._position.epochs or 1

    def _settle(self) -> None:
        """After the first epoch of a course by the clock: how many there will be."""
        where = self._position
        if self._course.minutes is not None and not where.epochs and where.history:
            each = max(where.history[0]["seconds"], 1e-6)
            where.epochs = int(max(1, min(MOST_EPOCHS, self._course.minutes * 60 / each)))
            self._progress.tell(
                f"epochs   {where.epochs} for {self._course.minutes:g} minutes, by the first one's time. "
                f"Another machine may take another number: --epochs {where.epochs} is the same anywhere"
            )
            self._progress.stage(self._doing, where.epochs * self._learner.steps(), unit="steps")
            self._progress.advance(where.taken)

    def _patience(self) -> str:
        where, patience = self._position, self._course.patience
        if patience is not None and len(where.history) - max(where.best, self._course.earliest) >= patience:
            return f"no better for {patience} epochs"
        return ""

    def _epoch(self, epoch: int, begin: int) -> str:
        """The rest of an epoch; why the descent ends with it, if it does."""
        where, steps, course = self._position, self._learner.steps(), self._course
        unsettled = course.minutes is not None and not where.epochs
        epochs = MOST_EPOCHS if unsettled else self._epochs()
        schedule = Schedule(epochs * steps, round(course.warmup * steps))
        started = time.monotonic() - where.seconds
        for batch in self._learner.batches(epoch, begin):
            share = schedule.share(where.taken)
            for group, rate in zip(self._optimizer.param_groups, self._fastest, strict=True):
                group["lr"] = rate * share
            with fitting.named(course.batch, self._device):
                loss, trouble = self._step(batch, epoch, where.taken)
            if trouble:
                return self._diverged(trouble, where.taken + 1, max(self._fastest) * share)
            where.taken += 1
            where.sums[0] += loss
            where.sums[1] += 1
            self._average.update(where.taken)
            self._progress.advance(1)
            where.seconds = time.monotonic() - started
            if time.monotonic() - self._kept > KEPT_EVERY:
                self._keep()
        with self._average.in_place():
            score = self._learner.score()
            if score.rank > self._rank(where.best):
                where.best, self._best = epoch + 1, copied(self._live)
        rate = max(group["lr"] for group in self._optimizer.param_groups)
        where.history.append(
            {
                "epoch": epoch + 1,
                "rate": rate,
                "loss": where.sums[0] / max(1.0, where.sums[1]),
                "seconds": where.seconds,
                "value": score.value,
                "validation_loss": score.loss,
                **score.figures,
            }
        )
        where.sums, where.seconds = [0.0, 0.0], 0.0
        return ""

    def _rank(self, epoch: int) -> tuple[float, float]:
        if not epoch:
            return self._course.beat.rank if self._course.beat else (-math.inf, -math.inf)
        entry = self._position.history[epoch - 1]
        return Score(entry["value"], entry["validation_loss"]).rank

    def _step(self, batch: Any, epoch: int, taken: int) -> tuple[float, str]:
        """One step of the optimiser; the loss, and what is wrong with it or its gradients."""
        parameters = list(self._parameters.values())
        parts = self._learner.parts(batch, epoch)
        seed = self._course.seed

        def gradients(number: int) -> tuple[float, tuple[Tensor | None, ...]]:
            random = torch.Generator().manual_seed(_mixed(seed, taken, number))
            with torch.enable_grad(), precision(parameters[0].device):
                loss = parts[number](random)
                return float(loss.detach()), torch.autograd.grad(loss, parameters, allow_unused=True)

        if len(parts) == 1:  # a single part may draw from torch's own generator, which threads would share
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(_mixed(seed, taken))
                losses, sums = _added([gradients(0)])
        else:
            losses, sums = _added(in_order(self._pool, gradients, len(parts)))
        loss = math.fsum(losses) if all(map(math.isfinite, losses)) else math.nan
        if not math.isfinite(loss):
            return loss, "the loss"
        for parameter, one in zip(parameters, sums, strict=True):
            parameter.grad = one
        norm = _norm([p.grad for p in parameters if p.grad is not None])
        if not math.isfinite(norm):
            return loss, "the gradient"
        if self._course.clip is not None and norm > self._course.clip:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(self._course.clip / norm)
        self._optimizer.step()
        return loss, ""

    def _diverged(self, what: str, step: int, rate: float) -> str:
        """Warn and end with the last state that was judged; refuse where there is none."""
        text = f"{what} is no number any more at step {step}, at a rate of {rate:.2g}"
        if not self._position.best and self._course.beat is None:
            raise TrainingError(
                f"{text}, and no epoch was judged before",
                mend=f"train at a lower {self._course.flag}, or with more --warmup",
            )
        state = f"epoch {self._position.best}" if self._position.best else "the beginning"
        self._progress.warn(
            f"{text}: training ends, and the state of {state} is taken. Train at a lower "
            f"{self._course.flag}, or with more --warmup"
        )
        return text

    def _keep(self) -> None:
        self._kept = time.monotonic()
        tensors = {f"live.{name}": value for name, value in self._live.items()}
        tensors |= {f"best.{name}": value for name, value in self._best.items()}
        tensors |= {f"average.{name}": value for name, value in self._average.values.items()}
        for name, parameter in self._parameters.items():
            for moment in _MOMENTS:
                with suppress(KeyError):
                    tensors[f"{moment}.{name}"] = self._optimizer.state[parameter][moment]
        state.keep(self._bookmark, self._position, tensors)

    def _restore(self) -> None:
        found = state.restore(self._bookmark)
        if found is None:
            return
        self._position, tensors = found
        parts: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            part, _, name = key.partition(".")
            parts.setdefault(part, {})[name] = value
        fill(self._live, parts["live"])
        fill(self._best, parts["best"])
        fill(self._average.values, parts.get("average", {}))
        for name, parameter in self._parameters.items():
            moments = {m: parts[m][name].to(parameter.device) for m in _MOMENTS if name in parts.get(m, {})}
            if moments:
                # Each parameter has taken as many steps as it has had gradients: all of them.
                step = torch.tensor(float(self._position.taken))
                self._optimizer.state[parameter] = {"step": step, **moments}


def _added(
    found: Iterable[tuple[float, tuple[Tensor | None, ...]]],
) -> tuple[list[float], list[Tensor | None]]:
    """Losses of all parts, and the sums of their gradients; a part's own are let go of as soon as they count.

    In the order of the parts, whichever is done first, so that the sums have the same bits.
    """
    losses: list[float] = []
    sums: list[Tensor | None] = []
    for loss, gradients in found:
        losses.append(loss)
        sums = sums or [None] * len(gradients)
        for number, gradient in enumerate(gradients):
            before = sums[number]
            if gradient is not None:
                sums[number] = gradient.clone() if before is None else before.add_(gradient)
    return losses, sums


def _norm(gradients: Sequence[Tensor]) -> float:
    return math.sqrt(math.fsum(float(g.double().square().sum()) for g in gradients))


def _mixed(*numbers: int) -> int:
    """One seed of several numbers; equal ones give equal seeds."""
    found = 0x9E3779B97F4A7C15
    for number in numbers:
        found = (found ^ (number + 0x7F4A7C15)) * 0xBF58476D1CE4E5B9 & (1 << 63) - 1
        found ^= found >> 29
    return found
