"""Whether a step of a training fits into memory, before it is taken.

What takes memory is what a backward pass needs of its forward pass: it grows with the photos that are
computed at once. It is counted in the forward pass of two images.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from edgeeff import memory, shortage
from edgeeff.errors import OutOfMemoryError

Shape = tuple[int, int, int]
#: Images that are counted together: batch normalisation refuses one alone where features are 1×1.
_COUNTED = 2
#: Of the largest output of a layer, so many are there at once beside what is kept for the backward pass.
_IN_FLIGHT = 3
#: Copies of what learns: the moving average, the best state and the optimiser's two moments.
_COPIES = 4
#: Share of the free memory that is left to others.
_SPARED = 0.1


@dataclass(frozen=True)
class Need:
    """Memory that training takes, in bytes.

    Args:
        image: Of each image that is computed at the same time as others.
        learning: Of what learns: so much is a gradient.
        parts: That a batch is cut into; each has gradients of its own until they are added to the others'.
        workers: Parts that are computed at the same time.
    """

    image: int
    learning: int
    parts: int = 1
    workers: int = 1

    def of(self, batch: int) -> int:
        """Of a batch of so many images."""
        parts = min(batch, self.parts)
        at_once = min(batch, -(-batch // parts) * self.workers)
        gradients = min(parts, self.workers + 1) + 1  # those that are under way or wait, and their sum
        return self.image * at_once + self.learning * (_COPIES + gradients)

    def fitting(self, batch: int, free: int) -> int:
        """The largest batch, of ``batch`` images at most, that fits into what is free; 0: none does."""
        most = free * (1 - _SPARED)
        return next((count for count in range(batch, 0, -1) if self.of(count) <= most), 0)


def image_bytes(network: nn.Module, shape: Shape, run: Callable[[Any, Tensor], Any]) -> int:
    """What training a network takes for each image that is computed at once.

    Args:
        network: As it learns: what has no ``requires_grad`` and nothing before it that learns keeps nothing.
        shape: Channels, height and width of an image.
        run: ``run(network, x)``: the forward pass up to the loss's inputs.
    """
    copied = copy.deepcopy(network)  # whose batch statistics may change
    own = {_mark(tensor) for tensor in (*copied.parameters(), *copied.buffers())}
    device = next(copied.parameters()).device
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        if _mark(tensor) not in own:
            kept[_mark(tensor)] = tensor.untyped_storage()
        return tensor

    largest = 0

    def look(_module: nn.Module, _given: Any, out: Any) -> None:
        nonlocal largest
        if isinstance(out, Tensor):
            largest = max(largest, out.numel() * out.element_size())

    for module in copied.modules():
        module.register_forward_hook(look)
    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        out = run(copied, torch.zeros((_COUNTED, *shape), device=device))
    size = sum(storage.nbytes() for storage in kept.values())
    del out  # until here: a storage that is freed leaves its mark to another
    return (size + _IN_FLIGHT * largest) // _COUNTED


def learning_bytes(network: nn.Module) -> int:
    """What of a network learns."""
    return sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)


def free_bytes(device: torch.device) -> int | None:
    """What is free on a device; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return memory.available()


def refuse_large(need: Need, batch: int, shape: Shape, device: torch.device) -> None:
    """Refuse a batch that does not fit into memory.

    Raises:
        OutOfMemoryError: It does not; the message says which one does.
    """
    free = free_bytes(device)
    if free is None:
        return
    fits = need.fitting(batch, free)
    if fits < batch:
        has = f"{'the GPU' if device.type == 'cuda' else 'this machine'} has {_said(free)} free"
        raise OutOfMemoryError(
            f"a step of {batch} photos of {shape[2]}×{shape[1]} takes some {_said(need.of(batch))} of "
            f"memory, and {has}",
            mend=f"--batch {fits} fits; a smaller --size and fewer --blocks take less too"
            if fits
            else _mend(0),
        )


@contextmanager
def named(batch: int, device: torch.device) -> Iterator[None]:
    """Say of memory that runs out in a step which batch may fit: a half.

    Args:
        batch: Images of the step; 0: not known.
        device: Where it is computed.

    Raises:
        OutOfMemoryError: Memory ran out.
    """
    try:
        yield
    except OutOfMemoryError:
        raise
    except Exception as error:
        if not isinstance(error, torch.OutOfMemoryError) and not shortage.is_shortage(error):
            raise
        lost = True
    else:
        lost = False
    if lost:  # outside of the handler, whose error holds what the step had computed
        if device.type == "cuda":
            torch.cuda.empty_cache()
        memory.give_back()
        where, what = " of the GPU" if device.type == "cuda" else "", f" of {batch} photos" if batch else ""
        raise OutOfMemoryError(f"memory{where} ran out in a training step{what}", mend=_mend(batch // 2))


def _mend(fits: int) -> str:
    if fits:
        return f"--batch {fits} takes less; so do a smaller --size and fewer --blocks"
    return "close other programs, or train at a smaller --size or with fewer --blocks: no batch fits"


def _mark(tensor: Tensor) -> int:
    """What tells a tensor's storage from others."""
    return int(tensor.untyped_storage()._cdata)


def _said(size: int) -> str:
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
