"""Learn scales, biases and weights of a whole plan at once, so that the outputs are the float graph's again.

The quantised graph runs with its roundings in place; their gradients pass straight through (Bengio et al.
2013), and a scale has the gradient of Esser et al. 2020 (LSQ). The teacher is the float graph on the same
images, no label is needed. Weights move in units of their codes, scales in units of their logarithm, biases
in units of the layer's own, so that one learning rate of each kind serves every layer.

A batch is cut into parts that are computed side by side and summed in order: the result does not hang on the
number of threads. Interrupted learning goes on where it last kept its state, and ends at the same bits.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgeeff.cache import Bookmark
from edgeeff.graph.execute import Program, outputs_of, trace
from edgeeff.quantization.centring import Deciding
from edgeeff.quantization.learnable import Found, Parameters, Place
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization, Plan

#: Parts of a batch.
PARTS = 2
#: Steps between two states that are kept, and the largest such state: that of 80 million weights.
KEPT_EVERY, LARGEST_STATE = 25, 1 << 30
#: What Adam keeps of each parameter.
MOMENTS = ("exp_avg", "exp_avg_sq")
#: The largest shift of an image in either direction, pixels: as many images more.
SHIFT = 8
#: An image's contrast is multiplied by something between these.
CONTRAST = (0.8, 1.1)


@dataclass(frozen=True)
class Rates:
    """The largest step of each kind, under Adam.

    Args:
        weight: In codes.
        scale: As a share.
        bias: In mean magnitudes of the layer's biases.
    """

    weight: float
    scale: float
    bias: float


@dataclass(frozen=True)
class Learned:
    """What learning found.

    Args:
        activations: By tensor.
        layers: By name.
        before: Error energy of what decides in the outputs on the images kept aside, as a share of the
            signal's.
        after: The same for what is returned.
    """

    activations: Mapping[str, ActivationQuantization]
    layers: Mapping[str, LayerQuantization]
    before: float
    after: float


@dataclass(frozen=True)
class Subject:
    """What learns, and from what.

    Args:
        program: The float graph that the plan is of.
        plan: Where learning starts.
        weights: The float weights of the plan's layers.
        free: The tensors whose scale may change.
        largest: The largest code of a weight.
        deciding: What of the outputs decides; the differences of logits, where nothing else is said.
    """

    program: Program
    plan: Plan
    weights: Mapping[str, Tensor]
    free: Sequence[str]
    largest: int
    deciding: Deciding = field(default_factory=Deciding)


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

    Args:
        subject: What learns.
        images: Inputs of the graph, float32 [3, H, W] each.
        aside: Others, to judge by.
        course: How long and how fast.
        advance: Told of each step, and at once of those that an interrupted run has taken.
        bookmark: Where the state is kept meanwhile.
    """
    plan, parameters = subject.plan, Parameters(subject.plan, subject.weights, subject.free)
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
    signal = _signal(subject.program, images, subject.deciding) * course.batch
    optimizer = _adam(parameters, course.rates)
    fastest = [group["lr"] for group in optimizer.param_groups]
    random = np.random.default_rng(course.seed)
    begin = _restore(bookmark, optimizer, random)
    advance(begin)
    with ThreadPoolExecutor(
        min(PARTS, os.cpu_count() or 1), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        for step in range(begin, course.steps):
            for group, rate in zip(optimizer.param_groups, fastest, strict=True):
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / course.steps))
            chosen = random.choice(len(images), course.batch, replace=course.batch > len(images))
            seen = [_vary(images, int(i), random) for i in chosen]
            _step(subject, parameters, optimizer, pool, seen, signal)
            if bookmark and (step + 1) % KEPT_EVERY == 0:
                _keep(bookmark, step + 1, optimizer, random)
            advance(1)


def _adam(parameters: Parameters, rates: Rates) -> torch.optim.Adam:
    return torch.optim.Adam(
        [
            {"params": list(parameters.codes.values()), "lr": rates.weight},
            {"params": list(parameters.logs.values()), "lr": rates.scale},
            {"params": list(parameters.steps.values()), "lr": rates.scale},
            {"params": list(parameters.biases.values()), "lr": rates.bias},
        ],
        betas=(0.9, 0.999),
    )


def _step(
    subject: Subject,
    parameters: Parameters,
    optimizer: torch.optim.Optimizer,
    pool: ThreadPoolExecutor,
    seen: list[Tensor],
    signal: float,
) -> None:
    """One step of the optimizer: the gradients of the parts are summed in order."""
    rounded = parameters.rounded(subject.largest)
    leaves = {place: value.detach().requires_grad_() for place, value in rounded.items()}
    parts = [
        pool.submit(_gradients, subject, parameters, leaves, torch.stack(seen[part::PARTS]), signal)
        for part in range(PARTS)
    ]
    found = [part.result() for part in parts]
    optimizer.zero_grad()
    torch.autograd.backward(list(rounded.values()), [torch.stack(g).sum(0) for g in zip(*found, strict=True)])
    optimizer.step()


def _states(optimizer: torch.optim.Optimizer) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
    """Each parameter, and what Adam knows of it."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            yield parameter, optimizer.state[parameter]


def _keep(
    bookmark: Bookmark, taken: int, optimizer: torch.optim.Optimizer, random: np.random.Generator
) -> None:
    """Keep all that the next step depends on."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for number, (parameter, state) in enumerate(_states(optimizer)):
        arrays[f"{number}.value"] = parameter.detach().numpy()
        for name in MOMENTS:
            arrays[f"{number}.{name}"] = state[name].numpy()
    if sum(array.nbytes for array in arrays.values()) > LARGEST_STATE:
        return
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    position = json.dumps({"taken": taken, "random": random.bit_generator.state})
    bookmark.keep({"arrays.npz": buffer.getvalue(), "state.json": position.encode()})


def _restore(bookmark: Bookmark | None, optimizer: torch.optim.Optimizer, random: np.random.Generator) -> int:
    """Take up a state that was kept; returns how many steps it has behind it."""
    parts = bookmark.read() if bookmark else None
    if parts is None:
        return 0
    position = json.loads(parts["state.json"])
    random.bit_generator.state = position["random"]
    with np.load(io.BytesIO(parts["arrays.npz"]), allow_pickle=False) as arrays, torch.no_grad():
        for number, (parameter, moments) in enumerate(_states(optimizer)):
            parameter.copy_(torch.from_numpy(arrays[f"{number}.value"]))
            moments["step"] = torch.tensor(float(position["taken"]))
            moments.update({name: torch.from_numpy(arrays[f"{number}.{name}"]) for name in MOMENTS})
    return int(position["taken"])


def _gradients(
    subject: Subject,
    parameters: Parameters,
    leaves: Mapping[Place, Tensor],
    images: Tensor,
    signal: float,
) -> list[Tensor]:
    program, of_outputs = subject.program, subject.deciding
    with torch.no_grad():
        outputs = trace(program, images)
        of_outputs = of_outputs.by(outputs)
        wanted = of_outputs(outputs)
    with torch.enable_grad():
        vectors = of_outputs(trace(program, images, read=parameters.read(leaves)))
        loss = (vectors - wanted).square().mean(1).sum() / signal
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(leaves.values(), found, strict=True)]


def _signal(program: Program, images: Sequence[Tensor], of_outputs: Deciding) -> float:
    """Mean square of what decides; of feature maps image by image, as all of them would not fit memory."""
    if len(program.outputs) > 1:
        means = [float(of_outputs(outputs_of(program, image[None])).square().mean()) for image in images]
        return math.fsum(means) / len(means)
    rows = [{name: value[0] for name, value in outputs_of(program, i[None]).items()} for i in images]
    teacher = {name: torch.stack([row[name] for row in rows]) for name in program.outputs}
    return float(of_outputs(teacher).square().mean())


@torch.inference_mode()
def _error(subject: Subject, parameters: Parameters, images: Sequence[Tensor]) -> float:
    """Error energy of what decides, as a share of the signal's."""
    program, of_outputs = subject.program, subject.deciding
    read = parameters.read(parameters.rounded(subject.largest))
    error = signal = 0.0
    for image in images:
        outputs = trace(program, image[None])
        of_image = of_outputs.by(outputs)
        wanted = of_image(outputs)
        found = of_image(trace(program, image[None], read=read))
        error += float((found - wanted).double().square().sum())
        signal += float(wanted.double().square().sum())
    return error / max(signal, 1e-30)


def _vary(images: Sequence[Tensor], index: int, random: np.random.Generator) -> Tensor:
    """An image, varied: the teacher says what any image should give, and few would be learned by heart.

    Mirrored or not, shifted by a few pixels (what leaves at one side is mirrored back), its contrast changed,
    and in half of the cases a rectangle of another image put in (CutMix, Yun et al. 2019).
    """
    image = images[index]
    if random.random() < 0.5:
        image = image.flip(2)
    down, right = (int(v) for v in random.integers(0, 2 * SHIFT + 1, 2))
    height, width = image.shape[1:]
    wide = torch.nn.functional.pad(image[None], (SHIFT, SHIFT, SHIFT, SHIFT), mode="reflect")[0]
    image = wide[:, down : down + height, right : right + width] * float(random.uniform(*CONTRAST))
    if random.random() < 0.5:
        other = images[int(random.integers(len(images)))]
        rows, columns = (int(side * random.uniform(0.3, 0.7)) for side in (height, width))
        top, left = int(random.integers(height - rows)), int(random.integers(width - columns))
        image = image.clone()
        image[:, top : top + rows, left : left + columns] = other[:, top : top + rows, left : left + columns]
    return image
