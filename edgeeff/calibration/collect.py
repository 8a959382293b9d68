"""Run the calibration images through the float graph, once, and keep what every target needs of it."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.calibration.statistics import BINS, TensorStatistics
from edgeeff.graph.execute import Program, outputs_of, prepare
from edgeeff.graph.execute import rows as by_channel
from edgeeff.graph.operators import traits
from edgeeff.memory import give_back, hold_little
from edgeeff.preprocess import Pixels, Preprocess

#: Positions of one image and channel that enter the histogram; extremes and moments see all of them.
POSITIONS = 256

#: Batches between two returns of freed memory: more often costs time, less often costs memory.
GIVE_BACK_EVERY = 4

#: Bytes of weights from which memory is worth more than time: B7's, V2-L's and beyond.
HEAVY = 240 << 20

#: Histograms of smaller tensors than this would have no bin at all; the value is far below any int8 step.
FINEST_EDGE = 2.0**-20


def observed_tensors(model: ir.Model) -> set[str]:
    """The tensors that some scheme may quantise: all but a convolution's output that a clamp follows."""
    names = {str(model.graph.inputs[0].name)}
    for node in model.graph:
        output = node.outputs[0]
        readers = list(output.consumers())
        clamped = len(readers) == 1 and traits(readers[0]).clamp and not output.is_graph_output()
        if not traits(node).view and not clamped:
            names.add(str(output.name))
    return names


def collect(
    model: ir.Model,
    preprocess: Preprocess,
    batches: Iterable[Pixels],
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, TensorStatistics]:
    """Statistics of every tensor that a scheme may quantise.

    Memory does not grow with the number of images: a batch becomes a few numbers for each channel, and the
    batches' numbers are merged in the order of the images, whichever thread was done first.

    Args:
        model: The base graph.
        preprocess: How raw pixels become the graph's input.
        batches: Raw pixels uint8 [n, H, W, 3].
        advance: Told how many images were done, for a progress bar.
    """
    program = prepare(model)
    if sum(constant.nbytes for constant in program.constants.values()) > HEAVY:
        hold_little()
    names = observed_tensors(model)
    merged = _Merged(names)
    threads = torch.get_num_threads()
    # One torch thread for each batch: torch's own threads wait for each other by spinning, which on a busy
    # machine turns seconds into minutes.
    torch.set_num_threads(1)
    try:
        for number, count in enumerate(
            _in_order(
                batches, lambda turn, pixels: _measure(program, preprocess, pixels, names, turn, merged)
            )
        ):
            advance(count)
            if number % GIVE_BACK_EVERY == 0:
                give_back()
    finally:
        torch.set_num_threads(threads)
    return merged.statistics


class _Merged:
    """The statistics of all batches so far, to which each batch adds its own tensor by tensor.

    They are merged in the order of the batches, so that no bit depends on which thread was first; what comes
    early waits, and nothing else of a batch is kept.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.statistics: dict[str, TensorStatistics] = {}
        self._locks = {name: threading.Lock() for name in names}
        self._early: dict[str, dict[int, TensorStatistics]] = {name: {} for name in self._locks}
        self._next = dict.fromkeys(self._locks, 0)

    def add(self, turn: int, name: str, part: TensorStatistics) -> None:
        """Take a tensor's statistics of the batch number ``turn``, and merge all whose turn it is."""
        with self._locks[name]:
            early = self._early[name]
            early[turn] = part
            while (ready := early.pop(self._next[name], None)) is not None:
                before = self.statistics.get(name)
                self.statistics[name] = ready if before is None else before.merge(ready)
                self._next[name] += 1


def _in_order(batches: Iterable[Pixels], work: Callable[[int, Pixels], int]) -> Iterator[int]:
    """Work on a few batches at a time, begun in their order, and yield the results in that order."""
    workers = max(1, min(os.cpu_count() or 1, 4))
    waiting: deque[Future[int]] = deque()
    # torch keeps the number of its own threads for each thread that calls it.
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for turn, pixels in enumerate(batches):
            waiting.append(pool.submit(work, turn, pixels))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _measure(
    program: Program, preprocess: Preprocess, pixels: Pixels, names: set[str], turn: int, merged: _Merged
) -> int:
    """Run a batch and add its statistics; returns the number of its images."""

    def observe(name: str, value: Tensor) -> None:
        if name in names:
            merged.add(turn, name, _summarise(value))

    outputs_of(program, torch.from_numpy(preprocess.normalise(pixels)), observe)
    return len(pixels)


def _summarise(value: Tensor) -> TensorStatistics:
    """The statistics of one batch of a tensor, [N, C, H, W], [N, C] or [N, anchors, C]."""
    rows = by_channel(value)
    images, channels = rows.shape[:2]
    # One axis at a time: four times as fast as both at once, or as aminmax.
    minimum, maximum = rows.amin(2).amin(0), rows.amax(2).amax(0)
    size = images * rows.shape[2]
    mean = rows.mean(2).double().mean(0)
    square = torch.linalg.vector_norm(rows, dim=2).double().square().sum(0) / size
    bound = torch.maximum(minimum.abs(), maximum.abs()).double().clamp_min(FINEST_EDGE)
    edge = torch.exp2(torch.ceil(torch.log2(bound)))
    # A fixed stride over the positions: the same pixels every time, spread over the image.
    stride = max(1, -(-rows.shape[2] // POSITIONS))
    if stride > 1 and stride % 2 == 0:
        stride += 1  # an odd stride does not fall on the same columns of every row
    sample = rows[:, :, ::stride]
    half = BINS // 2
    # Rounded down before the shift, which in float32 would lift the smallest negative values over zero.
    index = (sample * (half / edge).float()[:, None]).floor_().add_(half).clamp_(0, BINS - 1).to(torch.int32)
    index += torch.arange(0, channels * BINS, BINS, dtype=torch.int32)[:, None]
    histogram = torch.bincount(index.reshape(-1), minlength=channels * BINS).reshape(channels, BINS)
    return TensorStatistics(
        minimum=minimum.numpy(),
        maximum=maximum.numpy(),
        mean=mean.numpy(),
        second_moment=square.numpy(),
        count=size,
        histogram=histogram.numpy().astype(np.float32),
        edge=edge.numpy(),
    )
