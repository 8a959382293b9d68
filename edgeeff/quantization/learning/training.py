"""Training until a budget is met, or time is over: on streamed images, the best state kept.

Each so many steps the plan that the state stands for, its numbers rounded as a bundle has them, is judged on
images kept aside, and the best of all is returned; where none is better than what training began with, that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from edgeeff.cache import Bookmark
from edgeeff.graph.execute import Program, outputs_of
from edgeeff.quantization import simulate
from edgeeff.quantization.learning import descent, found, losses, states
from edgeeff.quantization.learning.averaging import Average
from edgeeff.quantization.learning.freezing import Freezing
from edgeeff.quantization.learning.learnable import Found, Parameters
from edgeeff.quantization.learning.losses import Loss
from edgeeff.quantization.learning.pace import Limits, Pace
from edgeeff.quantization.learning.states import Array
from edgeeff.quantization.learning.subject import Rates, Subject

#: Images of the set kept aside that run at a time.
_TOGETHER = 4


@dataclass(frozen=True)
class Batch:
    """Images of a step, float32 [C, H, W] each, and their classes, −1 where unknown; None: no labels."""

    images: Sequence[Tensor]
    classes: Sequence[int] | None = None


#: The batches from a step on, without end.
Stream = Callable[[int], Generator[Batch, None, None]]


@dataclass(frozen=True)
class Course:
    """How training goes.

    Args:
        limits: How long.
        loss: What is made small.
        rates: How fast.
        batch: Images in a step.
        judged: Steps between two states that are judged.
        device: What computes: cpu, or cuda.
    """

    limits: Limits
    loss: Loss
    rates: Rates
    batch: int = 8
    judged: int = 50
    device: str = "cpu"


@dataclass(frozen=True)
class Trained:
    """What training found, and what it cost.

    Args:
        found: The best state.
        steps: Taken in all.
        best: The step whose state that is; 0: what training began with.
        before: Error energy of what decides on the images kept aside, as a share of the signal's.
        after: The same of the best state.
        images: Seen, each time counted.
        cpu_seconds: Of the processor, of all runs.
        seconds: By the clock.
        frozen: Share of the weights that were frozen.
        met: Whether a budget was, by the last state that was held against it.
        failed: What ended training too early; empty if nothing did.
    """

    found: Found
    steps: int
    best: int
    before: float
    after: float
    images: int
    cpu_seconds: float
    seconds: float
    frozen: float
    met: bool
    failed: str = ""


@dataclass
class _State:
    """What changes, beside the parameters and the optimizer's moments."""

    best: Found
    error: float
    before: float
    at: int = 0
    step: int = 0
    seen: int = 0
    met: bool = False


def train(
    subject: Subject,
    stream: Stream,
    aside: Sequence[Tensor],
    course: Course,
    *,
    meets: Callable[[Found, int], bool] | None = None,
    look: Callable[[Pace, int, float], None] = lambda *_: None,
    bookmark: Bookmark | None = None,
) -> Trained:
    """Train.

    Args:
        subject: What learns.
        stream: Batches from a step on.
        aside: Images that are in no batch, to judge by.
        course: How.
        meets: Whether a plan meets the budget; given the number of the step too.
        look: Called after each step with the pace, the steps taken, and the best error so far.
        bookmark: Where the state is kept meanwhile.
    """
    return _Training(subject, stream, aside, course, bookmark).run(meets, look)


class _Training:
    def __init__(
        self,
        subject: Subject,
        stream: Stream,
        aside: Sequence[Tensor],
        course: Course,
        bookmark: Bookmark | None,
    ) -> None:
        self.subject, self.stream, self.course, self.bookmark = subject, stream, course, bookmark
        self.program = _on(subject.program, course.device)
        self.aside = [torch.stack(list(aside[i : i + _TOGETHER])) for i in range(0, len(aside), _TOGETHER)]
        self.parameters = Parameters(subject, course.device)
        self.optimizer = descent.adam(self.parameters, course.rates)
        self.freezing = Freezing(self.parameters.codes, subject.largest)
        self.average = Average([p for group in self.optimizer.param_groups for p in group["params"]])
        self.cpu = 0.0

    def run(
        self, meets: Callable[[Found, int], bool] | None, look: Callable[[Pace, int, float], None]
    ) -> Trained:
        begun = time.process_time()
        pace = Pace(self.course.limits)
        failed = ""
        with descent.side_by_side() as pool:
            state = self._begin(pool, pace, begun)
            objective = self._objective(pool)
            if state.step == 0 and meets is not None:
                state.met = meets(state.best, 0)
            look(pace, state.step, state.error)
            with closing(self.stream(state.step)) as batches:  # its threads end with it
                while not pace.over(state.step) and not (state.met and state.step == 0):
                    failed = self._step(next(batches), objective, pool, pace, state)
                    if failed:
                        break
                    last = pace.over(state.step)
                    if state.step % self.course.judged == 0 or last:
                        self._judge(pool, state, last=last)
                        if meets is not None and (pace.cooling is None or last):
                            state.met = meets(state.best, state.step)
                        pace.look(state.step, met=state.met)
                    if self.bookmark and state.step % states.KEPT_EVERY == 0:
                        self._keep(pace, state, begun)
                    look(pace, state.step, state.error)
        spent = self.cpu + time.process_time() - begun
        return Trained(
            *(state.best, state.step, state.at, state.before, state.error, state.seen, spent),
            *(pace.elapsed, self.freezing.share, state.met, failed),
        )

    def _begin(self, pool: ThreadPoolExecutor, pace: Pace, begun: float) -> _State:
        plan = self.subject.plan
        kept = states.restore(self.bookmark, self.optimizer)
        if kept is None:
            start: Found = dict(plan.activations), dict(plan.layers)
            error = self._error(pool, start)
            return _State(start, error, error)
        said, arrays = kept
        self.freezing.restore(_below(arrays, "freezing."))
        self.average.restore(_below(arrays, "average."))
        pace.cooling, pace.spent, self.cpu = said["cooling"], said["seconds"], said["cpu"]
        best = found.of_arrays(plan, _below(arrays, "best."))
        return _State(
            *(best, said["error"], said["before"], said["at"], said["taken"], said["seen"], said["met"])
        )

    def _keep(self, pace: Pace, state: _State, begun: float) -> None:
        assert self.bookmark is not None
        arrays = {f"freezing.{name}": array for name, array in self.freezing.state().items()}
        arrays |= {f"average.{name}": array for name, array in self.average.state().items()}
        arrays |= {f"best.{name}": array for name, array in found.to_arrays(state.best).items()}
        said: dict[str, Any] = {
            "error": state.error,
            "before": state.before,
            "at": state.at,
            "seen": state.seen,
            "met": state.met,
            "cooling": pace.cooling,
            "seconds": pace.elapsed,
            "cpu": self.cpu + time.process_time() - begun,
        }
        if not states.keep(self.bookmark, state.step, self.optimizer, arrays, said):
            self.bookmark = None

    def _step(
        self,
        batch: Batch,
        objective: losses.Objective,
        pool: ThreadPoolExecutor,
        pace: Pace,
        state: _State,
    ) -> str:
        """One step; returns what went wrong."""
        rate, rates = pace.rate(state.step), self.course.rates
        fastest = (rates.weight, rates.scale, rates.scale, rates.bias)
        for group, full in zip(self.optimizer.param_groups, fastest, strict=True):
            group["lr"] = rate * full
        images = [image.to(self.course.device) for image in batch.images]
        loss = descent.step(
            *(self.program, self.parameters, self.subject.largest, self.optimizer, pool),
            *(images, objective, batch.classes),
            outputs_too=True,
        )
        if not math.isfinite(loss):
            return (
                f"the loss became {loss} at step {state.step + 1}, at {rate:.0%} of the rates "
                f"(weights {rates.weight:g}, scales {rates.scale:g}, biases {rates.bias:g})"
            )
        self.freezing.watch(pace.fallen(state.step))
        state.step += 1
        self.average.watch(state.step)
        state.seen += len(batch.images)
        return ""

    def _judge(self, pool: ThreadPoolExecutor, state: _State, *, last: bool) -> None:
        """Take the mean of the last states if it is the best so far; at the end the state itself, too."""
        with self.average.in_place():
            found = [self.parameters.plan(self.subject.largest)]
        if last:
            found.append(self.parameters.plan(self.subject.largest))
        for now in found:
            error = self._error(pool, now)
            if error < state.error:  # never of what is no number
                state.best, state.error, state.at = now, error, state.step

    def _objective(self, pool: ThreadPoolExecutor) -> losses.Objective:
        of_outputs = self.subject.deciding
        squares = [s for part in pool.map(self._squares, self.aside) for s in part]
        signal = max(math.fsum(squares) / len(squares), 1e-30)
        return losses.objective(of_outputs, self.course.loss, signal, self.course.batch)

    def _squares(self, images: Tensor) -> list[float]:
        outputs = outputs_of(self.program, images.to(self.course.device))
        values = self.subject.deciding.by(outputs)(outputs)
        return [float(row) for row in values.square().mean(1)]

    def _error(self, pool: ThreadPoolExecutor, now: Found) -> float:
        """Error energy of a plan on the images kept aside, as a share of the signal's."""
        plan = replace(self.subject.plan, activations=now[0], layers=now[1])
        program, read = self.program, simulate.reader(plan, device=self.course.device)

        def look(images: Tensor) -> tuple[float, float]:
            images = images.to(self.course.device)
            outputs = simulate.outputs(plan, outputs_of(program, images, read=read))
            return losses.error(self.subject.deciding, outputs_of(program, images), outputs)

        parts = list(pool.map(look, self.aside))
        return math.fsum(noise for noise, _ in parts) / max(math.fsum(power for _, power in parts), 1e-30)


def _below(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}


def _on(program: Program, device: str) -> Program:
    if device == "cpu":
        return program
    return replace(program, constants={name: value.to(device) for name, value in program.constants.items()})
