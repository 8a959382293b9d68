"""Take what is done to the pixels out of the graph, to where the images are prepared.

    pixels ─ Mul(1/255) ─ Sub(μ) ─ Div(σ) ─ stem      ⇒      input ─ stem,   mean 255·μ, std 255·σ
    pixels ─ colours turned around ─ stem(W)          ⇒      input ─ stem(W turned around)
    pixels ─ Clip(0, 255) ─ stem                      ⇒      input ─ stem,   mean 0, std 1

Only where it stands in front of everything: zeros that are put around the pixels before would be other values
after it, and the translation has refused that already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.importing.affine import next_affine
from edgeeff.graph.model import add_constant, constant, float32, remove
from edgeeff.graph.writer import Hint
from edgeeff.preprocess import Channels

_Numbers = npt.NDArray[np.float64]

# A network that takes pixels of 0…255 divides by 50 or more; one that takes 0…1 by about 0.25.
_MOST_OF_UNIT_RANGE = 2.0
_PIXELS, _UNIT = 255.0, 1.0  # white, in pixels and in shares of it
_SAME = 1e-6  # of the range of pixels: two means that differ by less are one


@dataclass(frozen=True)
class Front:
    """What stood before the network.

    Args:
        mean: (p − mean) / std was taken of pixels p of 0…255; None if nothing was.
        std: Likewise.
        divisor: The file itself takes p / divisor.
        turned: Whether the file exchanged the first and the last of three channels.
    """

    mean: Channels | None = None
    std: Channels | None = None
    divisor: float = 1.0
    turned: bool = False


def take_out(graph: ir.Graph, *, pixels: bool, hints: Mapping[ir.Node, Hint]) -> Front:
    """Remove the normalisation at the input, and what puts the channels in another order.

    Args:
        graph: Changed in place. Its input's channels stay those of the file, in the file's order.
        pixels: Whether the input is known to be 0…255; else the size of the numbers tells, or a clamp.
        hints: What the file calls its nodes, for messages.

    Raises:
        GraphError: It turns brightness around, clamps it or bends it, or no network with the channels of the
            file is the same.
    """
    _drop_unread(graph)
    source = graph.inputs[0]
    assert source.shape is not None
    count = int(list(source.shape)[1])  # type: ignore[arg-type]  # all sizes are known
    scale, shift, order = np.ones(count), np.zeros(count), np.arange(count)
    found, white = False, _PIXELS if pixels else None
    while True:
        if (step := next_affine(source)) is not None:
            node, a, b = step
            scale, shift, found = scale * a, shift * a + b, True
        elif (clamp := _next_clamp(source)) is not None:
            # It says what its input reaches from and to: all pixels, so that it changes none of them.
            node, white, found = clamp, _white(clamp, scale, shift, white), True
        elif (node_and_order := _next_order(source)) is not None:
            node, chosen = node_and_order
            scale, shift, order = scale[chosen], shift[chosen], order[chosen]
        else:
            break
        remove(node, source)
    if later := next((node for node in graph if node.op_type == "Gather"), None):
        raise GraphError(
            f"channels are taken out or put in another order inside of the network ({_called(later, hints)})",
            mend="EfficientNets have no such step, but in front of the first layer: export it anew",
        )
    if (later := _activation_on(source)) is not None:
        raise GraphError(
            f"{_called(later, hints)} is computed of the pixels themselves, before any convolution",
            mend="export the network without its preprocessing, and say --mean and --std",
        )
    if not (scale > 0).all():
        raise GraphError(
            f"its input is multiplied by {scale.tolist()}",
            mend="export the network without its preprocessing, and say --mean and --std",
        )
    mean, std = -shift / scale, 1 / scale
    if len(order) != count or (order != np.arange(count)).any():
        mean, std = _into_stem(graph, source, order, mean, std, count)
    if not found:
        return Front(turned=_is_turned(order))
    unit = white == _UNIT or (
        white is None
        and float(std.max()) <= _MOST_OF_UNIT_RANGE
        and float(abs(mean).max()) <= _MOST_OF_UNIT_RANGE
    )
    divisor = 255.0 if unit else 1.0
    return Front(_channels(mean * divisor), _channels(std * divisor), divisor, _is_turned(order))


def _next_clamp(value: ir.Value) -> ir.Node | None:
    """The only reader of a tensor, if it is a clamp."""
    uses = value.uses()
    node = next(iter(value.consumers())) if len(uses) == 1 and not value.is_graph_output() else None
    return node if node is not None and node.op_type in ("Clip", "Relu") else None


def _white(clamp: ir.Node, scale: _Numbers, shift: _Numbers, known: float | None) -> float | None:
    """Which value of the file's input is white, as a clamp of ``scale`` · input + ``shift`` says.

    Raises:
        GraphError: It would change pixels of 0…255, and of 0…1.
    """
    low, high = (
        ((np.asarray(bound, np.float64) - shift) / scale if bound is not None else unbounded)
        for bound, unbounded in zip(
            [constant(operand) for operand in [*clamp.inputs[1:], None, None][:2]]
            if clamp.op_type == "Clip"
            else [np.zeros(()), None],
            (np.full(len(scale), -np.inf), np.full(len(scale), np.inf)),
            strict=True,
        )
    )
    near = 1e-4  # 1/255 in float32, and figures as people round them
    unbounded = bool((high > 10 * _PIXELS).all())
    for white in (_PIXELS, _UNIT) if known is None else (known,):
        fits = (scale > 0).all() and (low <= near * white).all() and (high >= (1 - near) * white).all()
        # Without an upper bound it tells neither; a scale before it does, or nothing.
        if fits and not (unbounded and known is None and (scale == 1).all()):
            return known if unbounded else white
    raise GraphError(
        f"{clamp.op_type} in front of the first layer cuts pixels off, or does not tell whether they are of "
        f"0…1 or 0…255: it lets {low.max():g} to {high.min():g} through",
        mend="export the network without its preprocessing, and say --mean and --std",
    )


def _activation_on(source: ir.Value) -> ir.Node | None:
    """What computes of the pixels, and is no convolution of them."""
    return next((node for node in source.consumers() if node.op_type not in ("Conv", "Gather")), None)


def _called(node: ir.Node, hints: Mapping[ir.Node, Hint]) -> str:
    """A node by the file's own name."""
    return f"{node.op_type} {(hints[node].node if node in hints else '') or node.name!r}"


def _next_order(value: ir.Value) -> tuple[ir.Node, npt.NDArray[np.int64]] | None:
    """The only reader of a tensor, if it puts channels in another order; and that order."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    node = next(iter(value.consumers()))
    indices = constant(node.inputs[1]) if node.op_type == "Gather" else None
    return None if indices is None else (node, indices.astype(np.int64))


def _into_stem(
    graph: ir.Graph,
    source: ir.Value,
    order: npt.NDArray[np.int64],
    mean: _Numbers,
    std: _Numbers,
    count: int,
) -> tuple[_Numbers, _Numbers]:
    """Let the first convolution read the file's channels; its own mean and std become theirs.

    A channel that is read several times (a grey image as three) has the sum of its weights, which is exact
    where all its copies have one mean: else what is put around the borders would need several.
    """
    readers = list(source.consumers())
    weight = constant(readers[0].inputs[1]) if len(readers) == 1 and readers[0].op_type == "Conv" else None
    if weight is None or weight.shape[1] != len(order):
        raise GraphError(
            "its channels are put in another order, and more than one convolution reads them",
            mend="export the network without its preprocessing",
        )
    wide = np.zeros((len(weight), count, *weight.shape[2:]))
    # A channel that nothing reads has values like the others': a range of its own would cost theirs.
    means, stds = np.full(count, mean.mean()), np.full(count, std.mean())
    for channel in range(count):
        copies = np.flatnonzero(order == channel)
        if len(copies):
            means[channel], stds[channel] = mean[copies[0]], std[copies[0]]
        if (
            np.ptp(mean[copies]) > _SAME * 255 * max(1.0, float(abs(mean[copies]).max()))
            if len(copies)
            else 0
        ):
            raise GraphError(
                "it makes several channels of one and takes another mean from each: no network of "
                f"{count} channels computes the same at the borders",
                mend="export the network without its preprocessing, for the channels that it was trained on",
            )
        for copy in copies:
            wide[:, channel] += weight[:, copy].astype(np.float64) * (stds[channel] / std[copy])
    name = f"{readers[0].name}.of_the_files_channels"
    readers[0].replace_input_with(1, add_constant(graph, name, float32(wide, "the first convolution")))
    return means, stds


def _is_turned(order: npt.NDArray[np.int64]) -> bool:
    return list(order) == [2, 1, 0]


def _drop_unread(graph: ir.Graph) -> None:
    """Forget nodes whose output nothing reads: parts of a tensor that were put together again."""
    for node in reversed(list(graph)):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)


def _channels(values: _Numbers) -> Channels:
    """As written in decimal: 1/255 is no float32, and what comes back of it is not quite 255."""
    return tuple(float(f"{value:.7g}") + 0.0 for value in values)  # 0.0 turns −0 into 0
