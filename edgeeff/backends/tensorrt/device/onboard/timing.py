"""Latency of engines in turn, so that a clock that drifts drifts for all of them, and their ratio."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from .running import Engine

ROUNDS = 25
"""What the bootstrap resamples: the runs of one round share clock and temperature and are not independent."""

_RESAMPLES, _SEED = 10000, 0
_CLOCKS = ("host_ms", "gpu_ms")


def interleave(engines: dict[str, Engine], runs: int, warm_up: float = 1.0) -> dict[str, Any]:
    """Time engines in turn; input and output stay on the device.

    Args:
        engines: By their precision.
        runs: Timed runs of each, at the least.
        warm_up: Seconds for each before anything is timed: a Jetson's clocks rise under load only.

    Returns:
        The figures of :func:`summarise`.
    """
    return summarise(sample(engines, runs, warm_up))


def sample(engines: dict[str, Engine], runs: int, warm_up: float = 1.0) -> dict[str, dict[str, Any]]:
    """The same, as they were taken: of each engine and clock, milliseconds [rounds, runs]."""
    for engine in engines.values():
        until = time.perf_counter() + warm_up
        while time.perf_counter() < until:
            engine.execute()
    each = -(-runs // ROUNDS)
    samples = {name: {clock: np.empty((ROUNDS, each)) for clock in _CLOCKS} for name in engines}
    for turn in range(ROUNDS):
        # Every other round the other way about: who comes second finds a warmer GPU.
        for name, engine in list(engines.items())[:: 1 if turn % 2 else -1]:
            engine.execute()  # fetches again what the other engine drove out of the caches
            for i in range(each):
                start = time.perf_counter()
                gpu = engine.gpu_milliseconds()
                samples[name]["host_ms"][turn, i] = (time.perf_counter() - start) * 1e3
                samples[name]["gpu_ms"][turn, i] = gpu
    return samples


def summarise(samples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Percentiles of each precision and clock, and INT8's ratio to FP16 where both were timed.

    Args:
        samples: For each precision and clock, milliseconds [rounds, runs].

    Returns:
        ``{"runs": …, "rounds": …, "int8": {"host_ms": {"p50": …, "p90": …, "p99": …}, "gpu_ms": {…}}, …,
        "ratio": {"host_ms": {"value": …, "low": …, "high": …}, "gpu_ms": {…}} or None}``
    """
    shape = next(iter(samples.values()))["host_ms"].shape
    found: dict[str, Any] = {"runs": int(np.prod(shape)), "rounds": int(shape[0]), "ratio": None}
    for name, clocks in samples.items():
        found[name] = {clock: percentiles(times) for clock, times in clocks.items()}
    if {"int8", "fp16"} <= set(samples):
        found["ratio"] = {clock: ratio(samples["int8"][clock], samples["fp16"][clock]) for clock in _CLOCKS}
    return found


def percentiles(times: Any) -> dict[str, float]:
    """The 50th, 90th and 99th of all runs."""
    return {f"p{p}": round(float(np.percentile(times, p)), 4) for p in (50, 90, 99)}


def ratio(test: Any, control: Any) -> dict[str, float]:
    """The median over rounds of the ratio of their medians, with its 95 % bootstrap interval.

    Args:
        test: Milliseconds [rounds, runs].
        control: The same, measured in turn with it, so that the rounds are pairs.
    """
    pairs = np.median(test, axis=1) / np.median(control, axis=1)
    picks = np.random.default_rng(_SEED).integers(0, len(pairs), (_RESAMPLES, len(pairs)))
    low, high = np.percentile(np.median(pairs[picks], axis=1), [2.5, 97.5])
    return {
        "value": round(float(np.median(pairs)), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }
