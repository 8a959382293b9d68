"""One launch of a benchmark: a fresh process that loads all bundles and runs them in turn.

``python -m edgeeff.harness.launch`` is started by :func:`edgeeff.harness.launches.measure`. It writes one
JSON object a line on standard output: an event as it comes to each bundle (so that a crash can be pinned on
one), what loading it cost, and at last the samples. Whatever a runtime prints goes to standard error.

What is measured, and how, is :mod:`edgeeff.onboard.launching`, which boards run too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError, MissingRuntimeError
from edgeeff.harness.golden import golden_inputs
from edgeeff.onboard import launching, measuring
from edgeeff.onboard.ending import end_with
from edgeeff.onboard.measuring import MINIMUM_ROUNDS as MINIMUM_ROUNDS
from edgeeff.onboard.measuring import TOLERANCE as TOLERANCE
from edgeeff.onboard.measuring import WINDOW as WINDOW
from edgeeff.onboard.measuring import Loading as Loading
from edgeeff.onboard.measuring import Samples as Samples
from edgeeff.onboard.measuring import inference as inference
from edgeeff.onboard.measuring import is_steady as is_steady
from edgeeff.onboard.measuring import measure as measure
from edgeeff.onboard.measuring import order as order
from edgeeff.onboard.measuring import warm_up as warm_up
from edgeeff.onboard.refusal import Refused
from edgeeff.preprocess import Pixels

Inference = Callable[[], object]
Tell = Callable[..., None]


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
    return measuring.loaded(lambda: bundle.session(threads=threads, checked=True), pixels)


def benchmark_images(bundle: Bundle, images: int, seed: int) -> Pixels:
    """Raw pixels uint8 [images, H, W, C]: the golden ones, again and again, or noise if there are none."""
    golden = golden_inputs(bundle) if (bundle.folder / "golden" / "inputs.npy").is_file() else None
    preprocess = bundle.manifest.preprocess
    shape = (*preprocess.taken, preprocess.channels)
    found: Pixels = measuring.golden_or_noise(golden, images, shape, seed)
    return found


@contextmanager
def refusals() -> Iterator[None]:
    """Have errors told as launches tell them."""
    try:
        yield
    except EdgeeffError as error:
        missing = isinstance(error, MissingRuntimeError)
        kind = launching.MISSING if missing else type(error).__name__
        raise Refused(kind, error.what, error.mend) from error


def each(folders: Sequence[Path], load: Callable[[int, Bundle], None], tell: Tell) -> bool:
    """Load the bundles one by one, with an event for each that cannot run here; False after an ``error``."""

    def loading(number: int) -> None:
        with refusals():
            load(number, Bundle.load(folders[number]))

    return launching.each(len(folders), loading, tell)


def run(
    folders: Sequence[Path], images: Sequence[int], *, threads: int, seconds: float, seed: int, tell: Tell
) -> int:
    """Load, warm up, measure; the exit status is 0, or 2 after an ``error`` event."""

    def load(number: int) -> tuple[Inference, Loading]:
        with refusals():
            return prepare(Bundle.load(folders[number]), images[number], threads=threads, seed=seed)

    return launching.run(len(folders), load, seconds=seconds, tell=tell)


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
