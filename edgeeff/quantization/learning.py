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
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.cache import Bookmark
from edgeeff.graph.execute import Program, Reader, outputs_of, trace
from edgeeff.quantization.centring import Deciding
from edgeeff.quantization.plan import ActivationQuantization, LayerQuantization, Plan
from edgeeff.quantization.simulate import sites_of

#: Who reads a learned value: a layer's input number, or a tensor's scale (None).
Place = tuple[str, int | None]
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


#: A plan's activations by tensor, and its layers by name.
Found = tuple[dict[str, ActivationQuantization], dict[str, LayerQuantization]]


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
    plan, parameters = subject.plan, _Parameters(subject.plan, subject.weights, subject.free)
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
    parameters: _Parameters,
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


def _adam(parameters: _Parameters, rates: Rates) -> torch.optim.Adam:
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
    parameters: _Parameters,
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


class _Parameters:
    """All that learns, as leaf tensors."""

    def __init__(self, plan: Plan, weights: Mapping[str, Tensor], free: Sequence[str]) -> None:
        self._plan = plan
        self._sites = sites_of(plan.readers)
        self.logs = {
            name: torch.tensor(math.log(plan.activations[name].scale)).requires_grad_() for name in free
        }
        self.steps: dict[str, Tensor] = {}
        self.codes: dict[str, Tensor] = {}
        self.biases: dict[str, Tensor] = {}
        self._unit: dict[str, float] = {}
        for name, layer in plan.layers.items():
            scale = torch.from_numpy(layer.scale).reshape(-1, *[1] * (layer.codes.ndim - 1))
            rounded = torch.from_numpy(layer.codes).float()
            # Where rounding was to nearest the float weight is the better start: it knows which way it leans.
            exact = weights[name] / scale
            start = torch.where((exact - rounded).abs() <= 0.5, exact, rounded)
            self.codes[name] = start.clone().requires_grad_()
            self.steps[name] = scale.log().clone().requires_grad_()
            self._unit[name] = max(float(np.abs(layer.bias).mean()), 1e-6)
            self.biases[name] = (torch.from_numpy(layer.bias) / self._unit[name]).requires_grad_()

    def rounded(self, largest: int) -> dict[Place, Tensor]:
        """The weights, biases and scales that the graph computes with, by who reads them."""
        found: dict[Place, Tensor] = {}
        for name, codes in self.codes.items():
            found[name, 1] = _straight(codes, -largest, largest) * self.steps[name].exp()
            found[name, 2] = self.biases[name] * self._unit[name]
        return found | {(name, None): log.exp() for name, log in self.logs.items()}

    def read(self, rounded: Mapping[Place, Tensor]) -> Reader:
        """What nodes read, with gradients."""

        def read(node: ir.Node, index: int, value: Tensor) -> Tensor:
            name = str(node.name)
            if (name, index) in rounded:
                return rounded[name, index]
            tensor = self._sites.get((name, index))
            if tensor is None:
                return value
            quantization = self._plan.activations[tensor]
            scale = rounded.get((tensor, None))
            if scale is None:
                scale = torch.tensor(quantization.scale)
            low, high = (code - quantization.zero_point for code in quantization.codes)
            result: Tensor = _Learnable.apply(value, scale, low, high)  # type: ignore[no-untyped-call]
            return result

        return read

    def plan(self, largest: int) -> Found:
        """As they are now."""
        with torch.no_grad():
            activations = dict(self._plan.activations)
            for name, log in self.logs.items():
                old = activations[name]
                scale = float(np.float32(log.exp().item()))
                activations[name] = ActivationQuantization(scale, old.zero_point, old.type)
            layers = {
                name: LayerQuantization(
                    scale=np.asarray(self.steps[name].exp().reshape(-1).numpy(), np.float32),
                    codes=np.asarray(codes.round().clamp(-largest, largest).to(torch.int8).numpy()),
                    bias=np.asarray((self.biases[name] * self._unit[name]).numpy(), np.float32),
                )
                for name, codes in self.codes.items()
            }
        return activations, layers


class _Learnable(torch.autograd.Function):
    """scale · clamp(round(x / scale)), with the gradients of LSQ for both."""

    @staticmethod
    def forward(context: object, value: Tensor, scale: Tensor, low: int, high: int) -> Tensor:  # type: ignore[override]
        context.save_for_backward(value)  # type: ignore[attr-defined]
        step = scale.item()  # a number, not a tensor: torch's quick way
        context.grid = step, low, high, scale.shape  # type: ignore[attr-defined]
        return (value / step).round_().clamp_(low, high).mul_(step)

    @staticmethod
    def backward(context: object, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:  # type: ignore[override]
        (value,) = context.saved_tensors  # type: ignore[attr-defined]
        step, low, high, shape = context.grid  # type: ignore[attr-defined]
        exact = value / step
        passed = torch.ops.aten.hardtanh_backward(gradient, exact, low, high)  # where it was not clamped
        of_scale = None
        if context.needs_input_grad[1]:  # type: ignore[attr-defined]
            # ∂/∂s of s·clamp(round(x/s)): the code itself outside, the rounding error inside.
            inside = torch.dot(passed.reshape(-1), exact.reshape(-1))
            codes = exact.clamp_(low, high).round_()
            of_scale = (torch.dot(gradient.reshape(-1), codes.reshape(-1)) - inside).reshape(shape)
        return passed, of_scale, None, None


def _straight(value: Tensor, low: int, high: int) -> Tensor:
    clamped = value.clamp(low, high)
    return clamped + (clamped.round() - clamped).detach()


def _gradients(
    subject: Subject,
    parameters: _Parameters,
    leaves: Mapping[Place, Tensor],
    images: Tensor,
    signal: float,
) -> list[Tensor]:
    program, of_outputs = subject.program, subject.deciding
    with torch.no_grad():
        wanted = of_outputs(trace(program, images))
    with torch.enable_grad():
        vectors = of_outputs(trace(program, images, read=parameters.read(leaves)))
        loss = (vectors - wanted).square().mean(1).sum() / signal
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(leaves.values(), found, strict=True)]


def _signal(program: Program, images: Sequence[Tensor], of_outputs: Deciding) -> float:
    """Mean square of what decides; of feature maps image by image, as all of them would not fit memory."""
    if of_outputs.energies:
        means = [float(of_outputs(outputs_of(program, image[None])).square().mean()) for image in images]
        return math.fsum(means) / len(means)
    rows = [{name: value[0] for name, value in outputs_of(program, i[None]).items()} for i in images]
    teacher = {name: torch.stack([row[name] for row in rows]) for name in program.outputs}
    return float(of_outputs(teacher).square().mean())


@torch.inference_mode()
def _error(subject: Subject, parameters: _Parameters, images: Sequence[Tensor]) -> float:
    """Error energy of what decides, as a share of the signal's."""
    program, of_outputs = subject.program, subject.deciding
    read = parameters.read(parameters.rounded(subject.largest))
    error = signal = 0.0
    for image in images:
        wanted = of_outputs(trace(program, image[None]))
        found = of_outputs(trace(program, image[None], read=read))
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
