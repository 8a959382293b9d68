"""Blocks computed in parts, some channels at a time, so that less memory is in use at once; exactly the same.

A block of an EfficientNet makes many channels of few (the expansion), works on each channel by itself
(Swish, padding, the depthwise convolution), and makes few of them again. At the expansion most memory is in
use: of Swish three tensors of that size (x, its sigmoid, their product). What works on each channel by itself
can be done for some of the channels after the others, from the expansion's weights of these channels on. Only
what comes out at the end is put together, and after a stride of 2 that is a quarter of the size. Nothing is
computed twice, and every number keeps its scale: the codes are the same to the bit.

Patch-based inference (Lin et al., MCUNetV2, 2021) saves more, by parts of the image that overlap, and
computes the overlap twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgeeff.backends.tflite.model import Model, Operator
from edgeeff.backends.tflite_micro.operators import MOST_JOINED
from edgeeff.backends.tflite_micro.peak import peak
from edgeeff.graph.lowering import Options, Quantization, Tensor

#: What works on each channel by itself.
_CHANNELWISE = frozenset(
    (
        *("LOGISTIC", "TANH", "HARD_SWISH", "RELU", "RELU6", "QUANTIZE", "MUL", "ADD", "SUB"),
        *("DEPTHWISE_CONV_2D", "PAD", "PADV2", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
    )
)
#: Into how many parts a block is divided: each more is more operators.
_COUNTS = (2, 3, 4, 6, 8, MOST_JOINED)
#: What a block takes has to fall to this share of itself at least.
_WORTH = 0.98
#: Between a tensor's name and its part's number.
_PART = "/part "
#: Channels of a part are a multiple of this, but for the last: optimised kernels take so many at once.
_MULTIPLE = 8


@dataclass(frozen=True)
class Chain:
    """A convolution, and what works on each of its channels behind it.

    Args:
        operators: Their places in the model, the convolution first.
        tensors: What they make.
        exits: Of these what somebody else reads.
        channels: Of each of them.
    """

    operators: tuple[int, ...]
    tensors: frozenset[str]
    exits: tuple[str, ...]
    channels: int


def in_parts(model: Model) -> tuple[Model, dict[str, int]]:
    """A model whose blocks are computed in as many parts as lower its peak of memory.

    Always the block at the peak is divided further, until that does not help it.

    Returns:
        The model, and for each block that is divided the name of its first tensor and the number of parts.
    """
    found = {model.operators[chain.operators[0]].outputs[0]: chain for chain in _chains(model)}
    counts: dict[str, int] = {}
    divided = model
    while (name := _of(divided.operators[peak(divided).operator], found)) is not None:
        count = _further(model, divided, found, counts, name)
        if count is None:
            break
        counts[name] = count
        divided = _divided(model, found, counts)
    for name in list(counts):  # where another one's peak stays, some need not have been
        fewer = {n: count for n, count in counts.items() if n != name}
        if peak(_divided(model, found, fewer)).size <= peak(divided).size:
            counts = fewer
    return _divided(model, found, counts), counts


def _further(
    model: Model, divided: Model, chains: Mapping[str, Chain], counts: Mapping[str, int], name: str
) -> int | None:
    """Into how many parts a block is divided next; None where more parts do not lower what it takes."""
    now = _takes(divided, chains[name])
    for count in _COUNTS:
        if count <= counts.get(name, 1) or count * _MULTIPLE > chains[name].channels:
            continue
        if _takes(_divided(model, chains, {**counts, name: count}), chains[name]) < now * _WORTH:
            return count
    return None


def _takes(model: Model, chain: Chain) -> int:
    """Where most is in use among the operators of a block, divided or not."""
    own = {at for at, op in enumerate(model.operators) if _whole(op.outputs[0]) in chain.tensors}
    return peak(model, among=own).size


def _of(operator: Operator, chains: Mapping[str, Chain]) -> str | None:
    """The block that an operator of a model, divided or not, is of, or reads."""
    for made in (_whole(operator.outputs[0]), *operator.inputs):
        for name, chain in chains.items():
            if made in chain.tensors:
                return name
    return None


def _whole(name: str) -> str:
    """A tensor's name in the model that is not divided."""
    return name.rpartition(_PART)[0] or name


def _chains(model: Model) -> list[Chain]:
    readers: dict[str, list[int]] = {}
    for at, operator in enumerate(model.operators):
        for name in operator.inputs:
            readers.setdefault(name, []).append(at)
    chains = [
        _chain(model, at, readers)
        for at, operator in enumerate(model.operators)
        if operator.code == "CONV_2D"
    ]
    return [chain for chain in chains if len(chain.operators) > 1]


def _chain(model: Model, first: int, readers: Mapping[str, Sequence[int]]) -> Chain:
    (made,) = model.operators[first].outputs
    channels = model.tensors[made].shape[-1]
    tensors, places = {made}, [first]
    for at in range(first + 1, len(model.operators)):
        operator = model.operators[at]
        if _follows(model, operator, tensors, channels):
            tensors.update(operator.outputs)
            places.append(at)
    kept = set(places)
    outputs = set(model.outputs.values())
    made_in_order = [model.operators[at].outputs[0] for at in places]
    exits = [n for n in made_in_order if n in outputs or not kept.issuperset(readers.get(n, ()))]
    return Chain(tuple(places), frozenset(tensors), tuple(exits), channels)


def _follows(model: Model, operator: Operator, tensors: set[str], channels: int) -> bool:
    """Whether an operator works on each channel of such tensors, and on nothing else."""
    read = [model.tensors[name] for name in operator.inputs]
    activations = [tensor for tensor in read if tensor.data is None]
    (made, *more) = (model.tensors[name] for name in operator.outputs)
    if operator.code not in _CHANNELWISE or more or len(made.shape) != 4 or made.shape[-1] != channels:
        return False
    if not activations or any(tensor.name not in tensors for tensor in activations):
        return False
    if operator.code in ("PAD", "PADV2"):
        pads = model.tensors[operator.inputs[1]].data
        return pads is not None and not pads[-1].any()
    constants = [tensor for tensor in read if tensor.data is not None]
    return all(not t.shape or t.shape[-1] in (1, channels) for t in constants)


def _divided(model: Model, chains: Mapping[str, Chain], counts: Mapping[str, int]) -> Model:
    """The model with each of these chains in so many parts."""
    tensors, operators = dict(model.tensors), []
    starts = {chains[name].operators[0]: (chains[name], count) for name, count in counts.items()}
    gone = {at for chain, _ in starts.values() for at in chain.operators}
    for at, operator in enumerate(model.operators):
        if at in starts:
            operators += _parts(model, *starts[at], tensors)
        elif at not in gone:
            operators.append(operator)
    used = {name for operator in operators for name in (*operator.inputs, *operator.outputs)}
    return replace(model, tensors={n: t for n, t in tensors.items() if n in used}, operators=operators)


def _parts(model: Model, chain: Chain, count: int, tensors: dict[str, Tensor]) -> list[Operator]:
    """The operators of a chain, part by part, and what puts its exits together; their tensors are added."""
    made: list[Operator] = []
    width = -(-chain.channels // (count * _MULTIPLE)) * _MULTIPLE
    bounds = [(low, min(low + width, chain.channels)) for low in range(0, chain.channels, width)]
    for number, (low, high) in enumerate(bounds):
        for place, at in enumerate(chain.operators):
            operator = model.operators[at]
            own = []
            for position, name in enumerate(operator.inputs):
                tensor = model.tensors[name]
                whole = tensor.data is None and name not in chain.tensors
                # The first operator's weights are [outputs, …]; all else has its channels last.
                axis = 0 if place == 0 and position == 1 else -1
                own.append(tensor if whole else _slice(tensor, axis, low, high, chain.channels, number))
            output = _slice(model.tensors[operator.outputs[0]], -1, low, high, chain.channels, number)
            tensors |= {tensor.name: tensor for tensor in (*own, output)}
            names = tuple(tensor.name for tensor in own)
            made.append(replace(operator, inputs=names, outputs=(output.name,)))
    for name in chain.exits:
        parts = tuple(_named(name, number) for number in range(len(bounds)))
        options = Options("ConcatenationOptions", {"axis": 3, "fusedActivationFunction": 0})
        made.append(Operator("CONCATENATION", parts, (name,), options, 2))
    return made


def _named(name: str, number: int) -> str:
    return f"{name}{_PART}{number}"


def _slice(tensor: Tensor, axis: int, low: int, high: int, channels: int, number: int) -> Tensor:
    """Some channels of a tensor; one that has no such channels (pads, a single number) as it is."""
    pads = tensor.type == "int32" and len(tensor.shape) > 1
    if pads or not tensor.shape or tensor.shape[axis] != channels:
        return tensor
    axis %= len(tensor.shape)
    shape = (*tensor.shape[:axis], high - low, *tensor.shape[axis + 1 :])
    data = None if tensor.data is None else np.ascontiguousarray(tensor.data.take(range(low, high), axis))
    quantization = tensor.quantization
    if quantization is not None and quantization.scale.size > 1:
        scale, zero_point = quantization.scale[low:high], quantization.zero_point[low:high]
        quantization = Quantization(scale, zero_point, quantization.axis)
    return Tensor(_named(tensor.name, number), shape, tensor.type, quantization, data)
