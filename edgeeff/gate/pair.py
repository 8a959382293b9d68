"""Whether a bundle may take the place of an older one: each metric that has a limit, measured and decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgeeff import tasks
from edgeeff.bundle import MANIFEST, Bundle
from edgeeff.errors import EdgeeffError, OptionError
from edgeeff.gate import accuracy, costs, latency
from edgeeff.gate.comparable import refuse_unlike
from edgeeff.gate.limits import MOST_THREADS, OF_IMAGES, UNITS, Limit
from edgeeff.gate.sequential import FEWEST, Plan
from edgeeff.gate.verdict import GateReport, Verdict, unmeasured
from edgeeff.harness import where
from edgeeff.harness.fresh_process import common_device
from edgeeff.harness.latency import clock_of, in_a_run
from edgeeff.harness.launches import Clock, How
from edgeeff.harness.record import record
from edgeeff.harness.subjects import no_times
from edgeeff.images import ImageSet
from edgeeff.progress import Progress, Recorder, recorded
from edgeeff.watched import Watched

#: How much worse the new bundle may be, in the units of :mod:`edgeeff.gate.limits`. None, or not there: that
#: metric is not measured.
Limits = Mapping[str, Limit]
#: Of a pair, where nothing is said: the last three only with images.
DEFAULTS: Limits = {"latency": 3.0, "top_1": 1.0, "sqnr_centred": 1.0, "agreement": 2.0}


@dataclass(frozen=True)
class Method:
    """How a pair is measured.

    Args:
        launches: The most of a series; an even number.
        seconds: Measuring time of each bundle in a launch.
        threads: Of each runtime.
        clock: ``cpu`` or ``wall``; None: CPU time, but wall time where a device or several threads compute.
        timeout: Seconds after which a launch is taken to hang; None: some minutes.
        noise_probe: Measure two equal bundles too, which says how noisy the machine is.
        other_target: Compare bundles of two targets.
        white: The value that is white in images of more than 8 bits, instead of the bundles'.
        images_in_a_run: Of bundles of a dynamic batch; None: the most that they take.
    """

    launches: int = 16
    seconds: float = 0.6
    threads: int = 1
    clock: Clock | None = None
    timeout: float | None = None
    noise_probe: bool = False
    other_target: bool = False
    white: float | None = None
    images_in_a_run: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MOST_THREADS:
            raise OptionError(f"threads is {self.threads}", mend=f"give 1 to {MOST_THREADS}")
        for name, value in (("seconds", self.seconds), ("timeout", self.timeout)):
            if value is not None and not 0 < value < float("inf"):
                raise OptionError(f"{name} is {value}", mend="give a positive number of seconds")
        if self.clock not in (None, "cpu", "wall"):
            raise OptionError(f"there is no clock {self.clock!r}", mend="choose cpu or wall")


@dataclass
class _Pair:
    """A pair that is decided about."""

    case: str
    new: Bundle
    old: Bundle
    limits: Limits
    method: Method
    listener: Recorder
    cores: int | None = None
    verdicts: list[Verdict] = field(default_factory=list)

    def limit(self, metric: str) -> float | None:
        return self.limits.get(metric)


@recorded
def decide(
    new: Bundle | Path | str,
    old: Bundle | Path | str,
    limits: Limits = DEFAULTS,
    *,
    images: ImageSet | Path | str | None = None,
    root: Path | None = None,
    reference: Bundle | Path | str | None = None,
    method: Method | None = None,
    case: str | None = None,
    progress: Progress | None = None,
) -> GateReport:
    """Measure two bundles against each other and decide whether the new one may take the old one's place.

    Args:
        new: A bundle or its folder; both run on this machine, or on the board that they are on.
        old: What is used now.
        limits: By metric; see :data:`Limits`.
        images: To compare their accuracy on, if they bear labels; else how alike they decide.
        root: The folder of the photos that a file of boxes names; None: where they usually are.
        reference: A float bundle, from which neither may be farther away.
        method: How they are measured.
        case: What the verdicts call the pair; None: the new bundle's name.
        progress: Told of what is done, and warned.

    Returns:
        A verdict for each metric with a limit. What could not be measured is an ``error`` among them.

    Raises:
        OptionError: The two must not be compared, or an option makes no sense.
        BundleError: A bundle cannot be read.
        ChangedFileError: A bundle was replaced meanwhile.
        DeviceError: Their board cannot be reached. One that is lost later makes errors of its verdicts.
    """
    listener, method = Recorder.of(progress), method or Method()
    one, other = _opened(new), _opened(old)
    floating = None if reference is None else _opened(reference)
    place = where.of(common_device([one, other]))
    pair = _Pair(case or one.name, one, other, limits, method, listener, place.machine.usable_cores)
    plan = _plan(pair)
    _refuse_idle(images, reference, limits)
    watched = Watched()
    watched.add(bundle.folder / MANIFEST for bundle in (one, other))
    for text in (*refuse_unlike(one, other, other_target=method.other_target), *_doubts(one, other)):
        listener.warn(text)
    begun = record("gate", [one, other, *([floating] if floating else [])], place=place)
    if one.digest() == other.digest() and not method.noise_probe:
        pair.verdicts += _equal(pair, with_images=images is not None)
    else:
        _costs(pair, _latency(pair, plan) if plan is not None else None)
        if images is not None:
            wanted = {metric: limits.get(metric) for metric in OF_IMAGES}
            asked = accuracy.Asked(
                pair.case, one, other, floating, images, method.threads, method.white, root
            )
            pair.verdicts += accuracy.gate(asked, wanted, listener)
    watched.refuse_changed()
    verdicts = tuple(replace(verdict, device=place.name) for verdict in pair.verdicts)
    return GateReport(verdicts, begun, listener.warnings)


def _refuse_idle(images: object, reference: object, limits: Limits) -> None:
    if reference is not None and images is None:
        raise OptionError("a reference, and no images to compare on", mend="name --images too")
    if images is not None and all(limits.get(metric) is None for metric in OF_IMAGES):
        raise OptionError("images, and no limit on what they say", mend=f"limit {', '.join(OF_IMAGES)}")


def _doubts(one: Bundle, other: Bundle) -> list[str]:
    plugins = (*one.plugin_warnings(), *other.plugin_warnings())
    return [*plugins, *where.class_warnings([one, other]), *no_times([one, other])]


def _opened(bundle: Bundle | Path | str) -> Bundle:
    return bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)


def _plan(pair: _Pair) -> Plan | None:
    """How latency is decided, or None where it is not.

    Raises:
        OptionError: No metric has a limit, or a limit or the number of launches makes no sense.
    """
    for metric, limit in pair.limits.items():
        if metric not in UNITS:
            raise OptionError(f"there is no metric {metric!r}", mend=f"limit {', '.join(UNITS)}")
        if limit is not None and not 0 <= limit < 1e6:
            raise OptionError(f"a limit of {limit:g} for {metric}", mend="give 0 or more")
    if all(limit is None for limit in pair.limits.values()):
        raise OptionError("no metric has a limit", mend="limit one at least, such as latency")
    limit = pair.limit("latency")
    if limit is None:
        return None
    return Plan(limit / 100, pair.method.launches)


def _equal(pair: _Pair, *, with_images: bool) -> list[Verdict]:
    """Of the same bundle twice nothing needs to be measured."""
    why = "the two bundles are the same (equal digests): nothing was measured"
    pair.listener.tell(f"{pair.case}: {why}; --noise-probe measures them all the same")
    verdicts = []
    for metric, limit in pair.limits.items():
        if limit is not None and (with_images or metric not in OF_IMAGES):
            name = tasks.room(pair.new.manifest.task).PRIMARY if metric == "top_1" else metric
            verdicts.append(Verdict(pair.case, name, "pass", 0.0, UNITS[metric], limit=limit, why=why))
    return verdicts


def _latency(pair: _Pair, plan: Plan) -> latency.Measured:
    """Decide about latency; what was measured."""
    measured = _measured(pair)
    if measured.clock == "wall":
        pair.listener.warn(
            f"{pair.case} is gated by wall time, which wants a quiet machine: other work on it can hide a "
            "slowdown or look like one"
        )
    pair.verdicts.append(latency.gate(pair.case, measured, plan, pair.listener))
    for text in where.doubts(pair.new.device):
        pair.listener.warn(f"{pair.case}: {text}")
    return measured


def _measured(pair: _Pair) -> latency.Measured:
    method = pair.method
    clock = method.clock or clock_of((pair.new, pair.old), method.threads)
    batches = [in_a_run(bundle, method.images_in_a_run) for bundle in (pair.new, pair.old)]
    how = How(threads=method.threads, seconds=method.seconds, timeout=method.timeout)
    both = ((pair.new, pair.old), (batches[0], batches[1]))
    return latency.Measured(*both, how, clock, cores=pair.cores)


def _costs(pair: _Pair, measured: latency.Measured | None) -> None:
    """Size, and what the launches say of memory and of loading.

    Args:
        pair: What is decided about.
        measured: The launches that decided about latency; None: it has no limit, and these need their own.
    """
    limits = {metric: pair.limit(metric) for metric in ("size", "memory", "load_time")}
    if limits["size"] is not None:
        pair.verdicts.append(costs.size(pair.case, pair.new, pair.old, limits["size"]))
    wanted = [(name, limit) for name, limit in limits.items() if name != "size" and limit is not None]
    if not wanted:
        return
    stopped = any(one.metric == "latency" and one.status == "error" for one in pair.verdicts)
    try:
        if stopped and measured is not None and len(measured.launches) < FEWEST:
            raise EdgeeffError("latency was not measured either", mend="see what is said of latency")
        if measured is None:
            measured = _measured(pair)
            _fill_up(pair, measured)
        found = _of_launches(pair, measured, wanted)
        # What latency needed may be too few for these.
        if not stopped and any(one.status == "inconclusive" for one in found):
            _fill_up(pair, measured)
            found = _of_launches(pair, measured, wanted)
    except EdgeeffError as error:
        empty = [Verdict(pair.case, name, "error", unit="%", limit=limit) for name, limit in wanted]
        found = [unmeasured(one, error) for one in empty]
    pair.verdicts += found


def _fill_up(pair: _Pair, measured: latency.Measured) -> None:
    """Make launches until there are those that memory and loading want."""
    missing = costs.LAUNCHES - len(measured.launches)
    if missing > 0:
        pair.listener.stage(f"loading {pair.case}", missing, "launches")
    for _ in range(missing):
        measured.more()
        pair.listener.advance()


def _of_launches(
    pair: _Pair, measured: latency.Measured, wanted: Sequence[tuple[str, float]]
) -> list[Verdict]:
    """Memory and loading, as far as they are wanted."""
    of = {"memory": costs.memory, "load_time": costs.load_time}
    return [of[name](pair.case, measured.launches, limit) for name, limit in wanted]
