"""What the clock, the heat and the load say of figures that were taken under them.

They are read where it is measured, by :mod:`edgeeff.onboard.sensors`.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeeff.onboard.sensors import Around as Around
from edgeeff.onboard.sensors import Busy as Busy
from edgeeff.onboard.sensors import Conditions as Conditions
from edgeeff.onboard.sensors import number as number
from edgeeff.onboard.sensors import read as read
from edgeeff.onboard.sensors import text as text


def doubts(launches: Sequence[Around], cores: int | None, threads: int) -> list[str]:
    """What makes the figures of these launches doubtful, a sentence each.

    Args:
        launches: In order.
        cores: That may be used; None: not known.
        threads: Of each runtime.
    """
    if not launches:
        return []
    found = [*_slowed(launches), *_clock(launches)]
    if cores and threads > cores:
        found.append(f"{threads} threads share {cores} processors, and wait for one another")
    others = [one.others for one in launches if one.others is not None]
    if others and cores and _load_changed(others, cores):
        found.append(
            f"the load changed between launches: other programs kept {min(others):.1f} to {max(others):.1f} "
            f"of {cores} processors busy; times are doubtful, ratios less so"
        )
    return [*found, *of_wall_times(launches, cores, threads)]


def of_wall_times(launches: Sequence[Around], cores: int | None, threads: int) -> list[str]:
    """Those of the doubts that say nothing against CPU times: a load that was the same all the time.

    Arguments as of :func:`doubts`.
    """
    others = [one.others for one in launches if one.others is not None]
    if not others or not cores or _load_changed(others, cores):
        return []
    typical = sorted(others)[len(others) // 2]
    if typical + min(threads, cores) <= cores + 0.25:
        return []
    busy = f"other programs kept {typical:.1f} of {cores} processors busy"
    return [f"{busy}: wall times hold under such a load alone"]


def _load_changed(others: Sequence[float], cores: int) -> bool:
    return max(others) - min(others) >= max(0.5, cores / 4)


def _slowed(launches: Sequence[Around]) -> list[str]:
    first, last = launches[0].before, launches[-1].after
    rose = {name: count - first.throttled.get(name, count) for name, count in last.throttled.items()}
    counted = [f"{name} rose by {count}" for name, count in rose.items() if count > 0]
    limits = dict.fromkeys(limit for one in launches for limit in (*one.before.limits, *one.after.limits))
    said = [*counted, *limits]
    if not said:
        return []
    return [f"the processor was throttled while it measured ({', '.join(said)}): cool it, or measure shorter"]


def _clock(launches: Sequence[Around]) -> list[str]:
    """The clock of the fastest processor at the end of each launch, and the highest that is allowed."""
    found = []
    clocks = [max(one.after.cpu_mhz) for one in launches if one.after.cpu_mhz]
    if clocks and min(clocks) < 0.85 * max(clocks):
        found.append(
            f"the clock changed between launches, from {min(clocks):.0f} to {max(clocks):.0f} MHz: set the "
            "governor to performance"
        )
    limits = {one.limit_mhz for around in launches for one in (around.before, around.after)} - {None}
    if len(limits) > 1:
        found.append(
            f"the highest clock that the kernel allows changed while it measured: "
            f"{', '.join(f'{limit:.0f}' for limit in sorted(filter(None, limits)))} MHz"
        )
    return found
