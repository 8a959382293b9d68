"""One launch of a profile: a fresh process that runs bundles in turn with their runtimes' counters on.

``python -m edgeeff.harness.profile_launch`` is started by :func:`edgeeff.harness.profile.profile` and tells
events as :mod:`edgeeff.harness.launch` does. The largest convolution that a runtime is asked for its peak
with takes its turn among the bundles, so that both meet the same machine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edgeeff import backends
from edgeeff.backends import LayerTime, ProfiledSession
from edgeeff.bundle import Bundle
from edgeeff.harness.launch import Inference, Tell, benchmark_images, each, inference, main, measure

#: Rounds before the first reading: few, because a runtime's counters may round the sum of all that were.
WARM_UP = 5


def run(
    folders: Sequence[Path], images: Sequence[int], *, threads: int, seconds: float, seed: int, tell: Tell
) -> int:
    """Load, warm up, profile; the exit status is 0, or 2 after an ``error`` event."""
    sessions: dict[int, ProfiledSession] = {}
    peaks: dict[str, ProfiledSession] = {}
    inferences: list[Inference] = []

    def load(number: int, bundle: Bundle) -> None:
        session = bundle.profiled_session(threads)
        made = inference(session, benchmark_images(bundle, images[number], seed))
        made()
        sessions[number] = session
        inferences.append(made)

    if not each(folders, load, tell):
        return 2
    for name in sorted({Bundle.load(folders[number]).manifest.runtime for number in sessions}):
        peaks[name], prepared = backends.runtime(name).part("profile").peak(threads)
        inferences.append(partial(peaks[name].execute, prepared))
    if inferences:
        tell("measuring")
        _profile(sessions, peaks, inferences, seconds, tell)
    tell("done")
    return 0


def _profile(
    sessions: dict[int, ProfiledSession],
    peaks: dict[str, ProfiledSession],
    inferences: Sequence[Inference],
    seconds: float,
    tell: Tell,
) -> None:
    for _ in range(WARM_UP):
        for made in inferences:
            made()
    for session in (*sessions.values(), *peaks.values()):
        session.layers()
    samples = measure(inferences, seconds * len(inferences))
    for (number, session), sample in zip(sessions.items(), samples, strict=False):
        layers = [vars(layer) for layer in session.layers()]
        tell("layers", bundle=number, wall_ns=sample.wall_ns, layers=layers)
    for name, session in peaks.items():
        tell("peak", runtime=name, layer=vars(max(session.layers(), key=_work)))


def _work(layer: LayerTime) -> int:
    return layer.multiply_adds


if __name__ == "__main__":
    sys.exit(main(run))
