"""One launch of a benchmark: a fresh process that loads all bundles and runs them in turn.

``python -m edgeeff.harness.launch`` is started by :func:`edgeeff.harness.launches.measure`. It writes one
JSON object a line on standard output: an event as it comes to each bundle (so that a crash can be pinned on
one), what loading it cost, and at last the samples. Whatever a runtime prints goes to standard error.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError, MissingRuntimeError
from edgeeff.harness import energy, resident, sensors
from edgeeff.harness.golden import golden_inputs
from edgeeff.preprocess import Pixels

WINDOW = 10
TOLERANCE = 0.03
MINIMUM_ROUNDS = 10
#: Of linux/prctl.h.
_PR_SET_PDEATHSIG = 1

Inference = Callable[[], object]
Tell = Callable[..., None]


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

    def prepare(self, pixels: Pixels) -> Any: ...

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


def warm_up(inferences: Sequence[Inference], seconds: float) -> list[bool]:
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


def measure(inferences: Sequence[Inference], seconds: float) -> list[Samples]:
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
        peak_memory_mb: See :class:`edgeeff.harness.resident.Growth`, of both together.
    """

    load_ms: float
    first_ms: float
    peak_memory_mb: float | None


def prepare(bundle: Bundle, images: int, *, threads: int, seed: int) -> tuple[Inference, Loading]:
    """Load a bundle and run it once, on its first golden images or on seeded noise.

    Returns:
        One inference of it, and what this cost.

    Raises:
        MissingRuntimeError: The bundle's runtime cannot run here.
    """
    pixels = benchmark_images(bundle, images, seed)
    bundle.refuse_altered()
    bundle.runtime.part("run")
    with resident.growth() as grown:
        begin = time.perf_counter_ns()
        session = bundle.session(threads=threads, checked=True)
        loaded = time.perf_counter_ns()
        made = inference(session, pixels)
        ready = time.perf_counter_ns()
        made()
        end = time.perf_counter_ns()
    return made, Loading((loaded - begin) / 1e6, (end - ready) / 1e6, grown.peak_mb)


def inference(session: Any, pixels: Pixels) -> Inference:
    """One inference of a session on pixels uint8 [N, H, W, 3], prepared beforehand where it can be."""
    if isinstance(session, _Prepared):
        prepared, execute = session.prepare(pixels), session.execute
        return lambda: execute(prepared)
    return lambda: session.infer(pixels)


def benchmark_images(bundle: Bundle, images: int, seed: int) -> Pixels:
    """Raw pixels uint8 [images, H, W, 3]: the golden ones, again and again, or noise if there are none."""
    if (bundle.folder / "golden" / "inputs.npy").is_file():
        return _repeated(golden_inputs(bundle), images)
    preprocess = bundle.manifest.preprocess
    shape = (images, *preprocess.size, preprocess.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def _repeated(pixels: Pixels, images: int) -> Pixels:
    """The first so many of them, from the beginning again where they are fewer."""
    return np.ascontiguousarray(pixels[np.arange(images) % len(pixels)])


def each(folders: Sequence[Path], load: Callable[[int, Bundle], None], tell: Tell) -> bool:
    """Load the bundles one by one, with an event for each that cannot run here; False after an ``error``."""
    for number, folder in enumerate(folders):
        tell("loading", bundle=number)
        try:
            load(number, Bundle.load(folder))
        except MissingRuntimeError as error:
            tell("not run", bundle=number, what=error.what)
        except EdgeeffError as error:
            tell("error", bundle=number, kind=type(error).__name__, what=error.what, mend=error.mend)
            return False
    return True


def run(
    folders: Sequence[Path], images: Sequence[int], *, threads: int, seconds: float, seed: int, tell: Tell
) -> int:
    """Load, warm up, measure; the exit status is 0, or 2 after an ``error`` event."""
    inferences: dict[int, Inference] = {}

    def load(number: int, bundle: Bundle) -> None:
        inferences[number], cost = prepare(bundle, images[number], threads=threads, seed=seed)
        tell("loaded", bundle=number, **vars(cost))

    if not each(folders, load, tell):
        return 2
    if inferences:
        tell("measuring")
        ready = list(inferences.values())
        steady = warm_up(ready, seconds * len(ready))
        before, begin = sensors.read(), sensors.Busy.now()
        samples = measure(ready, seconds * len(ready))
        others, after = sensors.Busy.now().others_since(begin), sensors.read()
        for number, sample, settled in zip(inferences, samples, steady, strict=True):
            tell("samples", bundle=number, wall_ns=sample.wall_ns, cpu_ns=sample.cpu_ns, steady=settled)
        tell("conditions", **sensors.Around(before, after, others).to_json())
        meter = energy.meter()
        for number, made in inferences.items() if meter else ():
            found = energy.of_inference(meter, made, seconds) if meter else None
            if found:
                tell("energy", bundle=number, **vars(found))
    tell("done")
    return 0


def end_with(parent: int) -> None:
    """Have the system end this process when its parent dies: else it would go on beside the next measurement.

    Linux alone can; elsewhere nothing is done.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os._exit(1)


def main(run: Callable[..., int] = run) -> int:
    """Read the arguments, keep standard output for the events, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="measuring time for each bundle")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", default="", help="images in a run of each bundle, with commas between")
    parser.add_argument("--requests", type=int, help="runs at once, where a launch has several")
    parser.add_argument("--parent", type=int, help="process that this one ends with")
    arguments = parser.parse_args()
    if arguments.parent is not None and sys.platform == "linux":
        end_with(arguments.parent)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # runtimes print from C++ too

        def tell(event: str, **content: Any) -> None:
            out.write(json.dumps({"event": event, **content}) + "\n")
            out.flush()

        with suppress(KeyboardInterrupt):
            images = [int(number) for number in filter(None, arguments.images.split(","))]
            more = {} if arguments.requests is None else {"requests": arguments.requests}
            return run(
                arguments.bundles,
                images or [1] * len(arguments.bundles),
                threads=arguments.threads,
                seconds=arguments.seconds,
                seed=arguments.seed,
                tell=tell,
                **more,
            )
    return 130


if __name__ == "__main__":
    sys.exit(main())
