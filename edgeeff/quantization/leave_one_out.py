"""What a part of a plan costs: the output's error with everything quantised, and with all but the part.

The error of a reading is E = Σ ‖z − z_float‖² over the images, z the logits less their mean over the
classes (a shift of all logits changes no prediction; where labels do not exclude each other it does, and z
are the logits). Of a part, a tensor or a layer's weights or several:

    share = (E(all) − E(all but the part)) / E(all)        alone = E(the part only) / E(all)

Exact, by running the simulator (simulate.py), and so the shares need not add up to one: errors cancel and
strengthen one another, and a part whose error makes up for another's has a negative share. Nor are small
shares worth much on few images: any change upstream makes all roundings behind it fall otherwise. Hence the
doubt that comes with a share, and why a part that stands out should stand out alone too.

Up to a part's first reader its run is the one that everything else shares: it is forked there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.graph.execute import Program, Reader, Run
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization import simulate
from edgeeff.quantization.centring import centred
from edgeeff.quantization.plan import Plan
from edgeeff.tasks import Meaning

F64 = npt.NDArray[np.float64]

#: Who reads: a node's name and the number of its input.
Place = tuple[str, int]


@dataclass(frozen=True)
class Part:
    """Some of what a plan quantises.

    Args:
        name: Of the tensor or the layer, or what the parts have in common.
        places: The reads that are quantised.
        output: Whether the network's output, which no node reads, is among them.
    """

    name: str
    places: frozenset[Place]
    output: bool = False


@dataclass(frozen=True)
class Errors:
    """Energies of the centred logits, of each of N images.

    Args:
        agreeing: Whether the quantised network decides as the float one does, all labels alike, bool [N].
        signal: Of the float network, [N].
        total: Of the error with everything quantised, [N].
        without: Of the error with all but a part quantised, [N] for each part.
        alone: Of the error with a part only, likewise.
    """

    agreeing: npt.NDArray[np.bool_]
    signal: F64
    total: F64
    without: Mapping[Part, F64]
    alone: Mapping[Part, F64]

    def share(self, part: Part) -> float:
        """What of the error is gone when a part stays float; 0 where there is no error, or no number."""
        return 1 - float(self.without[part].sum() / self.total.sum()) if self._is_known else 0.0

    def doubt(self, part: Part) -> float:
        """The standard error of a share, from image to image (of a ratio: Cochran 1977, section 2.11)."""
        if not self._is_known or len(self.total) < 2:
            return 0.0
        rest = self.without[part] - self.without[part].sum() / self.total.sum() * self.total
        count = len(rest)
        return float(np.sqrt(np.square(rest).sum() * count / (count - 1)) / self.total.sum())

    def alone_share(self, part: Part) -> float:
        """The error of a part alone, by that of all."""
        return float(self.alone[part].sum() / self.total.sum()) if self._is_known else 0.0

    @property
    def _is_known(self) -> bool:
        return bool(0 < self.total.sum() < np.inf)  # not so for NaN


def tensor(plan: Plan, name: str) -> Part:
    """A tensor."""
    return Part(name, frozenset(plan.readers[name]), name in plan.outputs)


def weights(layer: str) -> Part:
    """A layer's weights, with the bias that was corrected for them."""
    return Part(layer, frozenset({(layer, 1), (layer, 2)}))


def layer(plan: Plan, node: ir.Node) -> Part:
    """A layer as it is when it stays float: its weights, and its input as this layer reads it."""
    name, reads = str(node.name), {(str(node.name), 0)}
    producer = node.inputs[0].producer() if node.inputs[0] is not None else None
    if producer is not None and producer.op_type == "Flatten":
        reads.add((str(producer.name), 0))
    quantised = {place for places in plan.readers.values() for place in places}
    return Part(name, weights(name).places | (reads & quantised))


def together(name: str, parts: Iterable[Part]) -> Part:
    """Several parts as one."""
    parts = list(parts)
    return Part(name, frozenset().union(*(p.places for p in parts)), any(p.output for p in parts))


def measure(
    program: Program,
    plan: Plan,
    parts: Sequence[Part],
    batches: Iterable[Tensor],
    advance: Callable[[int], None] = lambda _: None,
    meaning: Meaning | None = None,
) -> Errors:
    """The errors of all parts over some images.

    Args:
        program: The float graph that the plan is of.
        plan: What is quantised, and how.
        parts: Of the plan.
        batches: The graph's input, float32 [N, 3, H, W].
        advance: Told how many images were done.
        meaning: What the logits mean; None: exclusive classes.
    """
    meaning = meaning or Meaning()
    read, found = simulate.reader(plan), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's own threads wait by spinning; batches run side by side instead
    try:
        for rows in side_by_side(lambda batch: _measure(program, plan, parts, read, batch, meaning), batches):
            found.append(rows)
            advance(rows.shape[1])
    finally:
        torch.set_num_threads(threads)
    agreeing, signal, total, *rest = np.concatenate(found, axis=1)
    without, alone = rest[: len(parts)], rest[len(parts) :]
    return Errors(
        agreeing > 0,
        signal,
        total,
        dict(zip(parts, without, strict=True)),
        dict(zip(parts, alone, strict=True)),
    )


@torch.inference_mode()
def _measure(
    program: Program, plan: Plan, parts: Sequence[Part], read: Reader, images: Tensor, meaning: Meaning
) -> F64:
    """A row for each field of :class:`Errors`, and of the last two for each part: [3 + 2 · parts, N]."""
    start = Run(program, {program.input: images}, dict(program.reads))
    logits = start.fork().finish()
    reference = centred(logits.double(), meaning.exclusive)

    def error(run: Run, read: Reader, output: bool) -> tuple[Tensor, Tensor]:
        found = _output(plan, run.finish(read), output)
        return (centred(found.double(), meaning.exclusive) - reference).square().sum(1), found

    without: dict[int, Tensor] = {}
    alone: dict[int, Tensor] = {}
    exact, quantised = start.fork(), start
    begun = _first_readers(program, parts)
    for position in range(len(program.steps) + 1):
        for number in begun[position]:
            part = parts[number]
            others, only = _all_but(read, part.places), _only(read, part.places)
            without[number], _ = error(quantised.fork(), others, not part.output)
            alone[number], _ = error(exact.fork(), only, part.output)
        if position < len(program.steps):
            exact.step()
            quantised.step(read)
    total, found = error(quantised, read, True)
    same = meaning.decisions(found.numpy()) == meaning.decisions(logits.numpy())
    agreeing = torch.from_numpy(same.reshape(len(images), -1).all(1)).double()
    rows = [agreeing, reference.square().sum(1), total]
    rows += [side[number] for side in (without, alone) for number in range(len(parts))]
    return np.asarray(torch.stack(rows).numpy(), np.float64)


def _first_readers(program: Program, parts: Sequence[Part]) -> Mapping[int, list[int]]:
    """By the number of a step, the parts that nothing before it reads."""
    position = {str(node.name): number for number, (node, _) in enumerate(program.steps)}
    found: dict[int, list[int]] = defaultdict(list)
    for number, part in enumerate(parts):
        found[min((position[node] for node, _ in part.places), default=len(position))].append(number)
    return found


def _all_but(read: Reader, places: frozenset[Place]) -> Reader:
    return lambda node, index, value: value if (node.name, index) in places else read(node, index, value)


def _only(read: Reader, places: frozenset[Place]) -> Reader:
    return lambda node, index, value: read(node, index, value) if (node.name, index) in places else value


def _output(plan: Plan, logits: Tensor, quantised: bool) -> Tensor:
    """The network's output as the plan leaves it: where it is quantised, no node reads it so."""
    for name in plan.outputs if quantised else ():
        logits = simulate.fake_quantise(logits, plan.activations[name])
    return logits
