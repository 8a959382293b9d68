"""So many steps on the calibration images: the step ``learn`` of a recipe."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgeeff.cache import Bookmark
from edgeeff.graph.execute import outputs_of, trace
from edgeeff.quantization.learning import descent, losses, states
from edgeeff.quantization.learning.learnable import Found, Parameters
from edgeeff.quantization.learning.subject import Learned, Rates, Subject
from edgeeff.quantization.learning.varying import vary


@dataclass(frozen=True)
class Course:
    """How long and how fast.

    Args:
        steps: Of Adam, its rates falling to zero along a cosine.
        batch: Images in a step, a multiple of four.
        rates: How fast.
        seed: Of the order of the images and their shifts.
    """

    steps: int
    batch: int
    rates: Rates
    seed: int


def learn(
    subject: Subject,
    images: Sequence[Tensor],
    aside: Sequence[Tensor],
    course: Course,
    *,
    advance: Callable[[int], None] = lambda _: None,
    bookmark: Bookmark | None = None,
) -> Learned:
    """Learn from some images; what is no better on the images kept aside is not taken.

    Interrupted learning goes on where it last kept its state, and ends at the same bits.

    Args:
        subject: What learns.
        images: Inputs of the graph, float32 [3, H, W] each.
        aside: Others, to judge by.
        course: How long and how fast.
        advance: Told of each step, and at once of those that an interrupted run has taken.
        bookmark: Where the state is kept meanwhile.
    """
    plan, parameters = subject.plan, Parameters(subject)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's own threads wait by spinning; parts run side by side instead
    try:
        before = _error(subject, parameters, aside)
        _descend(subject, parameters, images, course, advance, bookmark)
        after = _error(subject, parameters, aside)
        # Of a plan that stays no last bit changes: exp(log(scale)) would change some.
        best: Found = dict(plan.activations), dict(plan.layers)
        if after < before:
            best = parameters.plan(subject.largest)
    finally:
        torch.set_num_threads(threads)
    return Learned(best[0], best[1], before, min(after, before))


def _descend(
    subject: Subject,
    parameters: Parameters,
    images: Sequence[Tensor],
    course: Course,
    advance: Callable[[int], None],
    bookmark: Bookmark | None,
) -> None:
    """Take all steps, or those that an interrupted run has left."""
    objective = losses.objective(subject.deciding, losses.Loss(), signal(subject, images), course.batch)
    optimizer = descent.adam(parameters, course.rates)
    fastest = [group["lr"] for group in optimizer.param_groups]
    random = np.random.default_rng(course.seed)
    begin = 0
    if (found := states.restore(bookmark, optimizer)) is not None:
        begin, random.bit_generator.state = found[0]["taken"], found[0]["random"]
    advance(begin)
    with descent.side_by_side() as pool:
        for step in range(begin, course.steps):
            for group, rate in zip(optimizer.param_groups, fastest, strict=True):
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / course.steps))
            chosen = random.choice(len(images), course.batch, replace=course.batch > len(images))
            seen = [vary(images, int(i), random) for i in chosen]
            descent.step(subject.program, parameters, subject.largest, optimizer, pool, seen, objective)
            if bookmark and (step + 1) % states.KEPT_EVERY == 0:
                states.keep(bookmark, step + 1, optimizer, {}, {"random": random.bit_generator.state})
            advance(1)


def signal(subject: Subject, images: Sequence[Tensor]) -> float:
    """Mean square of what decides; of maps image by image, as all of them would not fit memory."""
    program, of_outputs = subject.program, subject.deciding
    rows: list[dict[str, Tensor]] = []
    means: list[float] = []
    for image in images:
        outputs = outputs_of(program, image[None])
        if len(outputs) > 1 or any(value.dim() > 2 for value in outputs.values()):
            means.append(float(of_outputs(outputs).square().mean()))
        else:
            rows.append({name: value[0] for name, value in outputs.items()})
    if means:
        return math.fsum(means) / len(means)
    teacher = {name: torch.stack([row[name] for row in rows]) for name in program.outputs}
    return float(of_outputs(teacher).square().mean())


@torch.inference_mode()
def _error(subject: Subject, parameters: Parameters, images: Sequence[Tensor]) -> float:
    """Error energy of what decides, as a share of the signal's."""
    program = subject.program
    read = parameters.read(parameters.rounded(subject.largest))
    found = 0.0
    energy = 0.0
    for image in images:
        outputs = trace(program, image[None]), trace(program, image[None], read=read)
        noise, power = losses.error(subject.deciding, *outputs)
        found += noise
        energy += power
    return found / max(energy, 1e-30)
