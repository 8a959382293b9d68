"""Whether a bundle is slower than another: launches of both together, until the statistics can say.

CPU time of one thread decides, whatever else the machine does: both bundles run in turn in one process, so
that a neighbour's load disturbs both. Where a GPU or several threads compute, CPU time says little and wall
time decides; it wants a quiet machine (on a busy one wall time let 2 to 4 % of slowdowns of the limit pass).
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError
from edgeeff.gate.sequential import RULE, Decision, Plan, conclude, decide
from edgeeff.gate.verdict import Settle, Verdict, unmeasured
from edgeeff.harness import cooling, machine, sensors
from edgeeff.harness.launches import Clock, How, Launch, measure
from edgeeff.progress import Recorder

NEW, OLD = 0, 1
#: A clock whose smallest step is a larger part of an inference than this part of the limit sees nothing.
_STEP = 0.2

Measure = Callable[[Sequence[Bundle], Sequence[int], How, int], Launch]


@dataclass
class Measured:
    """The launches of a pair so far.

    Args:
        pair: The new bundle and the old one.
        batches: Images of a run of each.
        how: How each launch measures.
        clock: What decides.
        launch: What makes a launch.
        launches: Those that were made, in order.
        seconds: That they took.
        cores: Processors that may be used where it is measured; None: not known.
        cool: Where its waits for a cool board begin.
    """

    pair: tuple[Bundle, Bundle]
    batches: tuple[int, int]
    how: How
    clock: Clock
    launch: Measure = measure
    launches: list[Launch] = field(default_factory=list)
    seconds: float = 0.0
    cores: int | None = field(default_factory=lambda: machine.describe().usable_cores)
    cool: int = field(default_factory=cooling.mark)

    def more(self) -> Launch:
        """Make one more launch.

        Raises:
            EdgeeffError: A bundle cannot run here, crashed, or hung; or its times are no measurement.
        """
        begin = time.perf_counter()
        made = self.launch(self._told_apart(), self.batches, self.how, len(self.launches))
        self.seconds += time.perf_counter() - begin
        for place, reason in made.not_run.items():
            raise EdgeeffError(
                f"{self._told_apart()[place].name} NOT RUN: {reason}",
                mend="gate it where its runtime can run",
            )
        self.launches.append(made)
        return made

    def _told_apart(self) -> list[Bundle]:
        """The pair by names that say which is which: a message of a crash has to, and both may have one."""
        return [
            replace(bundle, manifest=replace(bundle.manifest, name=f"the {which} {bundle.name}"))
            for which, bundle in zip(("new", "old"), self.pair, strict=True)
        ]

    def ratio(self, launch: Launch, limit: float) -> float:
        """The logarithm of new / old of a launch.

        Raises:
            EdgeeffError: Its times are no measurement.
        """
        for place, bundle in enumerate(self._told_apart()):
            refuse_times(launch.runs[place].times_ns(self.clock), bundle.name, self.clock, limit)
        return launch.log_ratio(NEW, OLD, self.clock)


def refuse_times(times_ns: Sequence[int], name: str, clock: Clock, limit: float) -> None:
    """Refuse times that no working clock gives.

    Args:
        times_ns: Of each round of a launch.
        name: Of the bundle.
        clock: That gave them.
        limit: The slowdown that they must show.

    Raises:
        EdgeeffError: The clock went backwards or stood still, or its steps are too coarse for the limit.
    """
    times = np.sort(np.asarray(times_ns, np.int64))
    if not len(times):
        raise EdgeeffError(f"no inference of {name} was timed", mend="measure for more --seconds")
    if times[0] < 0:
        raise EdgeeffError(
            f"the {clock} clock went backwards during an inference of {name}",
            mend="repeat the gate; if it happens again, look at the machine's clock (clocksource, NTP)",
        )
    steps = np.diff(times)
    step = float(steps[steps > 0].min()) if (steps > 0).any() else math.inf
    typical = float(np.median(times))
    # Nanoseconds hardly ever repeat: times that do, and whose nearest others are far away, are so many steps.
    if times[0] == 0 or ((steps == 0).any() and step > _STEP * limit * typical):
        size = "stands still" if step == math.inf else f"has steps of {step / 1e6:g} ms"
        raise EdgeeffError(
            f"the {clock} clock {size}, too coarse for inferences of {name} ({typical / 1e6:.3g} ms) and a "
            f"limit of {limit:.1%}",
            mend="gate a larger batch, or by the other --clock",
        )


def gate(case: str, measured: Measured, plan: Plan, listener: Recorder) -> Verdict:
    """Make launches until the statistics can say, and say it.

    Args:
        case: What the verdict calls it.
        measured: The pair; its launches stay there.
        plan: How it is decided.
        listener: Told of each launch, and warned.

    Returns:
        An ``error`` where a bundle crashed, hung or cannot run, or the clock does not work.
    """
    first: list[float] = []
    second: list[float] = []
    decided: Decision | None = None
    trouble: EdgeeffError | None = None
    try:
        listener.stage(f"latency of {case}", plan.launches, "launches")
        while decided is None:
            series = second if _failed(first, plan) else first
            if series is second and not second:
                listener.stage(f"latency of {case} again: a fail must repeat", plan.launches, "launches")
            series.append(measured.ratio(measured.more(), plan.limit))
            listener.advance()
            decided = conclude(first, second, plan)
    except EdgeeffError as error:
        trouble = error
    except ValueError as error:  # launches that are copies of one another
        trouble = EdgeeffError(f"{error}: these are no measurements", mend="look at the machine's clock")
    data = _data(measured, plan, first, second)
    for text in data["doubts"]:
        if measured.clock == "wall":
            listener.warn(f"{case}: {text}")
        else:  # load and heat only make it take longer: both bundles of a round meet them
            listener.tell(f"{case}: {text}")
    for text in cooling.doubts(cooling.since(measured.cool)):
        listener.warn(f"{case}: {text}")
    verdict = Verdict(case, "latency", "error", unit="%", limit=100 * plan.limit)
    verdict = replace(verdict, seconds=measured.seconds, measured=data)
    if trouble is not None or decided is None:
        return unmeasured(verdict, trouble) if trouble is not None else verdict
    return _said(verdict, decided, plan, second)


def _failed(first: Sequence[float], plan: Plan) -> bool:
    once = decide(first, plan) if first else None
    return once is not None and once.status == "fail"


def _said(verdict: Verdict, decided: Decision, plan: Plan, second: Sequence[float]) -> Verdict:
    """The verdict with what was decided, in words too."""
    seen = decided.look
    value, low, high = (percent(number) for number in (seen.mean, seen.low, seen.high))
    made, limit = f"{seen.launches} launches", f"{100 * plan.limit:g} %"
    settle = None
    if decided.status == "pass":
        why = f"{made} exclude a slowdown of {limit}: {high:+.1f} % at most"
        if second:
            why += "; a first series seemed slower, and the second did not confirm it"
    elif decided.status == "fail":
        why = f"{made} in two series, each of which excludes that it is as fast: {value:+.1f} %"
    else:
        each = verdict.seconds / seen.launches
        if decided.needed is None:
            why = f"{made} differ too much ({100 * seen.deviation:.1f} %): quieten the machine"
        else:
            settle = Settle(launches=decided.needed, seconds=round(decided.needed * each, 1))
            why = f"{made} exclude neither that it is as fast nor a slowdown of {limit}"
        if second:
            why += "; a first series seemed slower, and the second did not confirm it"
    return replace(verdict, status=decided.status, value=value, low=low, high=high, why=why, settle=settle)


def percent(logarithm: float) -> float:
    """A logarithm of new / old as a change in per cent."""
    return 100.0 * math.expm1(logarithm)


def _data(
    measured: Measured,
    plan: Plan,
    first: Sequence[float],
    second: Sequence[float],
) -> dict[str, Any]:
    """What was measured and how, as plain data."""
    times = [
        [launch.runs[place].times_ns(measured.clock) for launch in measured.launches] for place in (NEW, OLD)
    ]
    medians = [[statistics.median(one) / 1e6 for one in of if one] for of in times]
    around = [launch.around for launch in measured.launches if launch.around is not None]
    return {
        "rule": RULE,
        "clock": measured.clock,
        "threads": measured.how.threads,
        "seconds_per_launch": measured.how.seconds,
        "images": list(measured.batches),
        "launches": len(measured.launches),
        "looks": list(plan.looks),
        "alpha": plan.alpha,
        "beta": plan.beta,
        "log_ratios": list(first),
        "repeat_log_ratios": list(second),
        "new_ms": medians[NEW],
        "old_ms": medians[OLD],
        "before": around[0].before.to_json() if around else None,
        "after": around[-1].after.to_json() if around else None,
        "others": [one.others for one in around],
        "cooled": [one.to_json() for one in cooling.since(measured.cool)],
        "doubts": sensors.doubts(around, measured.cores, measured.how.threads),
    }
