"""Where activations lie in the arena: as tflite-micro places them, or in an order that leaves no gaps.

The interpreter places the largest first. Where blocks are computed in parts many small ones live beside a few
that last, and gaps are left between them. It takes offsets from the file instead (the metadata
``OfflineMemoryAllocation``), so they are written there where another order takes less.
"""

from __future__ import annotations

import struct
from bisect import insort
from collections.abc import Mapping, Sequence

from edgeeff.backends.tflite.model import Model
from edgeeff.backends.tflite_micro.peak import aligned, lives

#: The metadata's name, as the interpreter looks for it.
METADATA = "OfflineMemoryAllocation"
#: What is no activation, or is to be placed by the interpreter.
_ELSEWHERE = -1

Offsets = Mapping[str, int]


def metadata(model: Model) -> dict[str, bytes]:
    """The metadata of a model whose activations take less than where the interpreter would place them."""
    own, ours = greedy(model), lasting_first(model)
    if extent(model, ours) >= extent(model, own):
        return {}
    places = [ours.get(name, _ELSEWHERE) for name in model.tensors]
    # A version, the subgraph, the number of tensors, and an offset for each.
    return {METADATA: struct.pack(f"<{3 + len(places)}i", 0, 0, len(places), *places)}


def extent(model: Model, offsets: Offsets) -> int:
    """Bytes from the first to the last that is used."""
    return max(place + aligned(model.tensors[n], model.tensors[n].shape) for n, place in offsets.items())


def greedy(model: Model) -> Offsets:
    """As the interpreter's ``GreedyMemoryPlanner``: the largest first, of two of one size the later."""
    sizes = _sizes(model)
    order = sorted(sizes, key=lambda name: sizes[name])
    return _placed(model, order[::-1])


def lasting_first(model: Model) -> Offsets:
    """Those that live where most memory is in use, of these the ones that last, first."""
    sizes, (first, last) = _sizes(model), lives(model)
    live = [
        sum(size for name, size in sizes.items() if first[name] <= at <= last[name])
        for at in range(len(model.operators) + 1)
    ]

    def rank(name: str) -> tuple[int, int, int]:
        most = max(live[first[name] : last[name] + 1])
        return (-most, first[name] - last[name], -sizes[name])

    return _placed(model, sorted(sizes, key=rank))


def _sizes(model: Model) -> dict[str, int]:
    """Of each activation, in the order of the file."""
    first, _ = lives(model)
    return {name: aligned(t, t.shape) for name, t in model.tensors.items() if name in first}


def _placed(model: Model, order: Sequence[str]) -> Offsets:
    """Each into the lowest gap that holds it, beside what lives at the same time and was placed before."""
    sizes, (first, last) = _sizes(model), lives(model)
    laid: list[tuple[int, int, str]] = []  # begin, end, name; sorted
    for name in order:
        offset = 0
        for begin, end, other in laid:
            if first[other] > last[name] or first[name] > last[other]:
                continue
            if begin - offset >= sizes[name]:
                break
            offset = max(offset, end)
        insort(laid, (offset, offset + sizes[name], name))
    return {name: begin for begin, _, name in laid}
