"""One launch: bundles loaded, warmed up and run in turn, and the events that this is told by.

``edgeeff.harness.launch`` does so on this machine and :mod:`edgeeff.onboard.launch` on a board; how a bundle
is loaded is theirs.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeeff.onboard import energy, sensors
from edgeeff.onboard.measuring import Loading, measure, warm_up
from edgeeff.onboard.refusal import Refused

#: What a launch says of a bundle whose runtime cannot run.
MISSING = "MissingRuntimeError"


def each(count: int, load: Callable[[int], None], tell: Callable[..., None]) -> bool:
    """Load bundles one by one, with an event for each that cannot run here; False after an ``error``.

    Args:
        count: How many there are.
        load: Loads one, by its number.
        tell: Told each event.
    """
    for number in range(count):
        tell("loading", bundle=number)
        try:
            load(number)
        except Refused as error:
            if error.kind != MISSING:
                tell("error", bundle=number, kind=error.kind, what=error.what, mend=error.mend)
                return False
            tell("not run", bundle=number, what=error.what)
    return True


def run(
    count: int,
    load: Callable[[int], tuple[Callable[[], object], Loading]],
    *,
    seconds: float,
    tell: Callable[..., None],
) -> int:
    """Load, warm up, measure; the exit status is 0, or 2 after an ``error`` event.

    Args:
        count: How many bundles there are.
        load: Loads one by its number: one inference of it, and what loading cost; or raises ``Refused``.
        seconds: Measuring time for each bundle; the warm-up takes as long at most.
        tell: Told each event.
    """
    inferences: dict[int, Callable[[], object]] = {}

    def loading(number: int) -> None:
        inferences[number], cost = load(number)
        tell("loaded", bundle=number, **vars(cost))

    if not each(count, loading, tell):
        return 2
    if inferences:
        tell("measuring")
        ready = list(inferences.values())
        steady = warm_up(ready, seconds * len(ready))
        before, begin = sensors.read(), sensors.Busy.now()
        samples = measure(ready, seconds * len(ready))
        others, after = sensors.Busy.now().others_since(begin), sensors.read()
        for number, sample, settled in zip(inferences, samples, steady):  # noqa: B905 (Python 3.8)
            tell("samples", bundle=number, wall_ns=sample.wall_ns, cpu_ns=sample.cpu_ns, steady=settled)
        tell("conditions", **sensors.Around(before, after, others).to_json())
        meter = energy.meter()
        for number, made in inferences.items() if meter else ():
            found = energy.of_inference(meter, made, seconds) if meter else None
            if found:
                tell("energy", bundle=number, **vars(found))
    tell("done")
    return 0
