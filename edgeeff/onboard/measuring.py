"""Inferences timed in turn: the core of every launch, here and on a board, so that figures are the same."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edgeeff.onboard import resident

WINDOW = 10
TOLERANCE = 0.03
MINIMUM_ROUNDS = 10


@dataclass
class Samples:
    """What was measured of one bundle, an entry for each inference.

    Args:
        wall_ns: Time that passed, nanoseconds.
        cpu_ns: Time that all threads of the process computed, nanoseconds.
    """

    wall_ns: list[int] = field(default_factory=list)
    cpu_ns: list[int] = field(default_factory=list)


@runtime_checkable
class _Prepared(Protocol):
    """A session that can make its native input beforehand, so that only the inference is timed."""

    def prepare(self, pixels: Any) -> Any: ...

    def execute(self, prepared: Any) -> Any: ...


def order(count: int, round_: int) -> list[int]:
    """In which order ``count`` bundles run in a round: rotated, and balanced for what comes before what.

    Over ``count`` rounds (twice as many where it is odd) each bundle takes each place equally often, and
    follows each other one equally often: a bundle that empties the caches or heats the processor does it
    to all others alike (Williams 1949).
    """
    first = [(k + 1) // 2 if k % 2 else (count - k // 2) % count for k in range(count)]
    row = [(place + round_) % count for place in first]
    return row[::-1] if count % 2 and round_ // count % 2 else row


def is_steady(times: Sequence[int]) -> bool:
    """Whether the median of the last ten times is within 3 % of that of the ten before."""
    if len(times) < 2 * WINDOW:
        return False
    before = float(np.median(times[-2 * WINDOW : -WINDOW]))
    return abs(float(np.median(times[-WINDOW:])) - before) <= TOLERANCE * before


def warm_up(inferences: Sequence[Callable[[], object]], seconds: float) -> list[bool]:
    """Run all in turn until the times of each are steady, for ``seconds`` at most; say which are."""
    times: list[list[int]] = [[] for _ in inferences]
    deadline = time.perf_counter() + seconds
    for round_ in range(sys.maxsize):
        for i in order(len(inferences), round_):
            start = time.perf_counter_ns()
            inferences[i]()
            times[i].append(time.perf_counter_ns() - start)
        if all(map(is_steady, times)) or time.perf_counter() >= deadline:
            break
    return [is_steady(t) for t in times]


def measure(inferences: Sequence[Callable[[], object]], seconds: float) -> list[Samples]:
    """Time all in turn, round after round, for ``seconds`` and at least ten rounds."""
    samples = [Samples() for _ in inferences]
    # A garbage collection would be charged to whichever inference it happens to fall on.
    gc.collect()
    gc.disable()
    try:
        deadline = time.perf_counter() + seconds
        round_ = 0
        while round_ < MINIMUM_ROUNDS or time.perf_counter() < deadline:
            for i in order(len(inferences), round_):
                inference = inferences[i]
                wall, cpu = time.perf_counter_ns(), time.process_time_ns()
                inference()
                cpu_after, wall_after = time.process_time_ns(), time.perf_counter_ns()
                samples[i].wall_ns.append(wall_after - wall)
                samples[i].cpu_ns.append(cpu_after - cpu)
            round_ += 1
    finally:
        gc.enable()
    return samples


@dataclass(frozen=True)
class Loading:
    """What it cost to load a bundle.

    Args:
        load_ms: To make the artifact ready: read, compiled, memory allocated. Neither the import of its
            runtime's Python modules nor the check of its files' SHA-256 is in it.
        first_ms: Of the first inference.
        peak_memory_mb: See :class:`edgeeff.onboard.resident.Growth`, of both together.
    """

    load_ms: float
    first_ms: float
    peak_memory_mb: float | None


def loaded(load: Callable[[], Any], pixels: Any) -> tuple[Callable[[], object], Loading]:
    """Load a session and run it once, on pixels uint8 [N, H, W, C].

    Args:
        load: Loads it; its runtime's modules are imported already.
        pixels: Of one run.

    Returns:
        One inference of it, and what this cost.
    """
    with resident.growth() as grown:
        begin = time.perf_counter_ns()
        session = load()
        ready_at = time.perf_counter_ns()
        made = inference(session, pixels)
        ready = time.perf_counter_ns()
        made()
        end = time.perf_counter_ns()
    return made, Loading((ready_at - begin) / 1e6, (end - ready) / 1e6, grown.peak_mb)


def inference(session: Any, pixels: Any) -> Callable[[], object]:
    """One inference of a session on pixels uint8 [N, H, W, 3], prepared beforehand where it can be."""
    if isinstance(session, _Prepared):
        prepared, execute = session.prepare(pixels), session.execute
        return lambda: execute(prepared)
    return lambda: session.infer(pixels)


def golden_or_noise(golden: Any, images: int, shape: tuple[int, int, int], seed: int) -> Any:
    """Raw pixels uint8 [images, H, W, C] of one run: the golden ones, again and again, or noise.

    Args:
        golden: Raw pixels uint8 [N, H, W, C]; None: there are none.
        images: In the run.
        shape: Height, width and channels of the input.
        seed: Of the noise.
    """
    if golden is None:
        return np.random.default_rng(seed).integers(0, 256, (images, *shape), np.uint8)
    return np.ascontiguousarray(golden[np.arange(images) % len(golden)])
