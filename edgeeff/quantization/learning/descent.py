"""One step of the optimizer, and how it is taken so that no bit depends on the number of threads.

A batch is cut into parts that are computed side by side and summed in order.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

from edgeeff.graph.execute import Program, trace
from edgeeff.quantization.learning.learnable import Parameters, Place
from edgeeff.quantization.learning.losses import Objective
from edgeeff.quantization.learning.subject import Rates

#: Parts of a batch.
PARTS = 2


@contextmanager
def side_by_side() -> Iterator[ThreadPoolExecutor]:
    """Threads for the parts; meanwhile torch has one thread in each.

    torch's own threads wait by spinning, and change the order of sums.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    workers = min(PARTS, os.cpu_count() or 1)
    try:
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def adam(parameters: Parameters, rates: Rates) -> torch.optim.Adam:
    """An optimizer that moves each kind at its own rate."""
    return torch.optim.Adam(
        [
            {"params": list(parameters.codes.values()), "lr": rates.weight},
            {"params": list(parameters.logs.values()), "lr": rates.scale},
            {"params": list(parameters.steps.values()), "lr": rates.scale},
            {"params": list(parameters.biases.values()), "lr": rates.bias},
        ],
        betas=(0.9, 0.999),
    )


def step(
    program: Program,
    parameters: Parameters,
    largest: int,
    optimizer: torch.optim.Optimizer,
    pool: ThreadPoolExecutor,
    images: Sequence[Tensor],
    objective: Objective,
    classes: Sequence[int] | None = None,
    *,
    outputs_too: bool = False,
) -> float:
    """One step of the optimizer: the gradients of the parts are summed in order.

    Args:
        program: The float graph.
        parameters: What learns.
        largest: The largest code of a weight.
        optimizer: Of its leaves.
        pool: Where the parts run.
        images: A batch.
        objective: What is made small.
        classes: Of the images, −1 where unknown; None: no labels are used.
        outputs_too: Whether the graph's outputs are rounded as well, where the plan says so.

    Returns:
        The loss before the step. Where it is no number, no step was taken.
    """
    rounded = parameters.rounded(largest)
    leaves = {place: value.detach().requires_grad_() for place, value in rounded.items()}

    def part(number: int) -> tuple[float, list[Tensor]]:
        own = torch.stack(list(images[number::PARTS]))
        known = None if classes is None else torch.tensor(classes[number::PARTS], device=own.device)

        def loss() -> Tensor:
            with torch.no_grad():
                teacher = trace(program, own)
            outputs = trace(program, own, read=parameters.read(leaves))
            return objective(teacher, parameters.outputs(leaves, outputs) if outputs_too else outputs, known)

        return _gradients(loss, leaves)

    parts = [pool.submit(part, number) for number in range(min(PARTS, len(images)))]
    found = [part.result() for part in parts]
    loss = sum(loss for loss, _ in found)
    if not torch.isfinite(torch.tensor(loss)):
        return loss
    optimizer.zero_grad()
    summed = [torch.stack(g).sum(0) for g in zip(*(gradients for _, gradients in found), strict=True)]
    torch.autograd.backward(list(rounded.values()), summed)
    optimizer.step()
    return loss


def _gradients(of: Callable[[], Tensor], leaves: Mapping[Place, Tensor]) -> tuple[float, list[Tensor]]:
    with torch.enable_grad():
        loss = of()
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(leaves.values(), found, strict=True)]
    return float(loss.detach()), gradients
