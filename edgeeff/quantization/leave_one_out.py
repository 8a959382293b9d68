"""What a part of a plan costs: the output's error with everything quantised, and with all but the part.

The error of a reading is E = Σ ‖z − z_float‖² over the images, z what decides in the outputs (centring.py:
logits less their mean over the classes, as a shift of all logits changes no prediction; several outputs, each
by its power). Of a part, a tensor or a layer's weights or several:

    share = (E(all) − E(all but the part)) / E(all)        alone = E(the part only) / E(all)

Exact, by running the simulator (simulate.py), and so the shares need not add up to one: errors cancel and
strengthen one another, and a part whose error makes up for another's has a negative share. Nor are small
shares worth much on few images: any change upstream makes all roundings behind it fall otherwise. Hence the
doubt that comes with a share, and why a part that stands out should stand out alone too.

Up to a part's first reader its run is the one that everything else shares: it is forked there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.graph.execute import Program, Reader, Run
from edgeeff.graph.side_by_side import side_by_side
from edgeeff.quantization import sensitivity, simulate
from edgeeff.quantization.centring import Deciding
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
        outputs: The network's outputs that are rounded with it: no node need read those.
    """

    name: str
    places: frozenset[Place]
    outputs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Errors:
    """Energies of what decides in the outputs, of each of N images.

    Args:
        agreeing: Whether the quantised network decides as the float one does, all labels alike, bool [N];
            true where nothing is decided of an image, as of features and boxes.
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
    return Part(name, frozenset(plan.readers[name]), frozenset({name} & {*plan.outputs}))


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
    places = frozenset[Place]().union(*(p.places for p in parts))
    return Part(name, places, frozenset[str]().union(*(p.outputs for p in parts)))


def measure(
    program: Program,
    plan: Plan,
    parts: Sequence[Part],
    batches: Iterable[Tensor],
    advance: Callable[[int], None] = lambda _: None,
    meaning: Meaning | None = None,
    deciding: Deciding | None = None,
) -> Errors:
    """The errors of all parts over some images.

    Args:
        program: The float graph that the plan is of.
        plan: What is quantised, and how.
        parts: Of the plan.
        batches: The graph's input, float32 [N, 3, H, W].
        advance: Told how many images were done.
        meaning: What the outputs mean; None: exclusive classes.
        deciding: What of them decides; None: what does by their meaning.
    """
    meaning = meaning or Meaning()
    of_outputs = deciding or Deciding(meaning.exclusive)
    read, found = simulate.reader(plan), []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's own threads wait by spinning; batches run side by side instead
    try:
        work = partial(_measure, program, plan, parts, read, meaning, of_outputs)
        for rows in side_by_side(work, batches, sensitivity.abreast(program)):
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
    program: Program,
    plan: Plan,
    parts: Sequence[Part],
    read: Reader,
    meaning: Meaning,
    of_outputs: Deciding,
    images: Tensor,
) -> F64:
    """A row for each field of :class:`Errors`, and of the last two for each part: [3 + 2 · parts, N]."""
    start = Run(program, {program.input: images}, dict(program.reads))
    outputs = start.fork().finish()
    of_outputs = of_outputs.by(_double(outputs))
    reference = of_outputs(_double(outputs))

    def error(run: Run, read: Reader, quantised: Container[str]) -> tuple[Tensor, dict[str, Tensor]]:
        found = _outputs(plan, run.finish(read), quantised)
        return (of_outputs(_double(found)) - reference).square().sum(1), found

    without: dict[int, Tensor] = {}
    alone: dict[int, Tensor] = {}
    exact, quantised = start.fork(), start
    begun = _first_readers(program, parts)
    for position in range(len(program.steps) + 1):
        for number in begun[position]:
            part = parts[number]
            others, only = _all_but(read, part.places), _only(read, part.places)
            without[number], _ = error(quantised.fork(), others, {*plan.outputs} - part.outputs)
            alone[number], _ = error(exact.fork(), only, part.outputs)
        if position < len(program.steps):
            exact.step()
            quantised.step(read)
    total, found = error(quantised, read, plan.outputs)
    agreeing = torch.ones(len(images), dtype=torch.float64)
    if meaning.decides and meaning.detection is None and not meaning.by_pixel:
        (decided,), (decided_float,) = found.values(), outputs.values()
        same = meaning.decisions(decided.numpy()) == meaning.decisions(decided_float.numpy())
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


def _outputs(plan: Plan, found: dict[str, Tensor], quantised: Container[str]) -> dict[str, Tensor]:
    """The network's outputs as the plan leaves those named: what is put out is no node's reading."""
    return {
        name: simulate.fake_quantise(value, plan.activations[name]) if name in quantised else value
        for name, value in found.items()
    }


def _double(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double() for name, value in outputs.items()}
