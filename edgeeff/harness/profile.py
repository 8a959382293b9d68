"""Where the time of an inference goes, layer by layer. A profile is no latency.

A runtime that reads the clock before and after each layer is slower for it, so profiles are taken in
processes of their own and no figure of theirs is one of :mod:`edgeeff.harness.latency`. They say what share a
kind of layer has, what another build changed, and how much of what the processor can do at best is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from edgeeff.backends import LayerTime
from edgeeff.bundle import Bundle
from edgeeff.errors import OptionError
from edgeeff.harness import machine, where
from edgeeff.harness.fresh_process import How, common_device, repeatedly
from edgeeff.harness.latency import LAUNCHES, SECONDS
from edgeeff.harness.record import Record, record
from edgeeff.harness.subjects import distinct_names, in_runs, no_times, opened, warn_of_plugins
from edgeeff.progress import Count, Progress, Recorder, recorded

LAUNCH = "edgeeff.harness.profile_launch"

Key = TypeVar("Key")


@dataclass(frozen=True)
class Share:
    """What layers of one sort take together.

    Args:
        microseconds: For one inference.
        fraction: Of the sum over all layers.
        layers: How many they are.
    """

    microseconds: float
    fraction: float
    layers: int


@dataclass(frozen=True)
class LayerTimes:
    """One bundle's profile.

    Args:
        layers: In the order of execution; of each the median over launches of its mean in a launch.
        inference_us: The median time of a whole inference in these launches, microseconds, counters and all.
        inferences: How many were timed, all launches together.
        images: In one inference.
    """

    layers: tuple[LayerTime, ...]
    inference_us: float
    inferences: int
    images: int = 1

    @property
    def layers_us(self) -> float:
        """The sum over the layers, microseconds."""
        return sum(layer.microseconds for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of all convolutions and matrix products, for one inference."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def gmacs_per_s(self) -> float:
        """Thousand million multiply-adds a second, over all layers."""
        return self.multiply_adds / self.layers_us / 1e3 if self.layers_us else 0.0

    def shares(self, key: Callable[[LayerTime], Key]) -> dict[Key, Share]:
        """The layers together by what ``key`` says of them, the slowest sort first."""
        sorts: dict[Key, list[float]] = {}
        for layer in self.layers:
            sorts.setdefault(key(layer), []).append(layer.microseconds)
        whole = self.layers_us or 1.0
        shares = {sort: Share(sum(times), sum(times) / whole, len(times)) for sort, times in sorts.items()}
        return dict(sorted(shares.items(), key=lambda item: -item[1].microseconds))


@dataclass(frozen=True)
class Entry:
    """One bundle in a report: its profile, or why it was NOT RUN."""

    name: str
    runtime: str
    precision: str
    runtime_properties: Mapping[str, str]
    times: LayerTimes | None
    not_run: str | None


@dataclass(frozen=True)
class ProfileReport:
    """What :func:`profile` found.

    Args:
        entries: One for each bundle, in the order they were given.
        peaks: By runtime, the large INT8 convolution that ran in turn with the bundles.
        launches: How many processes were started.
        seconds: Time for each bundle in a launch.
        threads: Of each runtime.
        machine: What the figures hold for.
        record: Which run this is, of which bundles, when and where.
        warnings: What the reader must not miss.
    """

    entries: tuple[Entry, ...]
    peaks: Mapping[str, LayerTime]
    launches: int
    seconds: float
    threads: int
    machine: machine.Machine
    record: Record
    warnings: tuple[str, ...] = ()

    def peak(self, runtime: str) -> float | None:
        """What a runtime reached here at best, thousand million multiply-adds a second; None: not in INT8."""
        layer = self.peaks.get(runtime)
        return _rate(layer) if layer is not None and layer.precision == "int8" else None

    def peak_fraction(self, entry: Entry) -> float | None:
        """What part of that the bundle reaches, over all layers; None where it was NOT RUN."""
        peak = self.peak(entry.runtime)
        return entry.times.gmacs_per_s / peak if entry.times and peak else None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "entries": [self._entry_json(entry) for entry in self.entries],
            "peaks": {
                runtime: {**_layer_json(layer), "gmacs_per_s": self.peak(runtime)}
                for runtime, layer in self.peaks.items()
            },
            "launches": self.launches,
            "seconds": self.seconds,
            "threads": self.threads,
            "warnings": list(self.warnings),
            "machine": self.machine.to_json(),
            "record": self.record.to_json(),
        }

    def _entry_json(self, entry: Entry) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": entry.name,
            "status": "NOT RUN" if entry.times is None else "ok",
            "reason": entry.not_run,
            "runtime": entry.runtime,
            "precision": entry.precision,
            "runtime_properties": dict(entry.runtime_properties),
        }
        if entry.times is None:
            return found
        times = entry.times
        kinds, kernels = times.shares(sort), times.shares(kernel)
        return {
            **found,
            "inference_us": times.inference_us,
            "layers_us": times.layers_us,
            "inferences": times.inferences,
            "images": times.images,
            "inference_us_per_image": times.inference_us / times.images,
            "multiply_adds": times.multiply_adds,
            "gmacs_per_s": times.gmacs_per_s,
            "int8_peak_fraction": self.peak_fraction(entry),
            "kinds": [{"kind": k, "precision": p, **vars(share)} for (k, p), share in kinds.items()],
            "kernels": [{"kernel": k, "precision": p, **vars(share)} for (k, p), share in kernels.items()],
            "layers": [_layer_json(layer) for layer in times.layers],
        }


def sort(layer: LayerTime) -> tuple[str, str]:
    """What a layer is to the network, and what it computes in."""
    return layer.kind, layer.precision


def kernel(layer: LayerTime) -> tuple[str, str]:
    """What ran a layer, and what it computes in."""
    return layer.kernel, layer.precision


def side_by_side(profiles: Sequence[LayerTimes]) -> list[dict[str, LayerTime]]:
    """The layers of several profiles, by the names that they have in the first one where they can be matched.

    Two tools name the convolutions of one network each in its own way. Where a profile has the first one's
    sequence of multiply-adds it is the same network, and the n-th convolution the same layer.
    """
    first = _dense(profiles[0])
    made = []
    for times in profiles:
        dense = _dense(times)
        same = [one.multiply_adds for one in dense] == [one.multiply_adds for one in first]
        names = {one.name: known.name for one, known in zip(dense, first, strict=True)} if same else {}
        made.append({names.get(layer.name, layer.name): layer for layer in times.layers})
    return made


@dataclass(frozen=True)
class _Heard:
    """What launches told: of each bundle its layers by launch and the time of each inference; the peaks."""

    layers: list[list[list[LayerTime]]]
    wall_ns: list[list[int]]
    peaks: dict[str, list[LayerTime]]

    def event(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "layers":
            self.layers[event["bundle"]].append([_layer(data) for data in event["layers"]])
            self.wall_ns[event["bundle"]].extend(event["wall_ns"])
        elif event["event"] == "peak":
            self.peaks.setdefault(event["runtime"], []).append(_layer(event["layer"]))

    def times(self, i: int, images: int) -> LayerTimes:
        wall_ns = self.wall_ns[i]
        return LayerTimes(merged(self.layers[i]), median(wall_ns) / 1e3, len(wall_ns), images)


@recorded
def profile(
    bundles: Sequence[Bundle | Path | str],
    *,
    launches: int = LAUNCHES,
    seconds: float = SECONDS,
    threads: int = 1,
    images: int | None = None,
    seed: int = 0,
    timeout: float | None = None,
    progress: Progress | Count | None = None,
) -> ProfileReport:
    """Time every layer of bundles on this machine.

    Each launch is a fresh process that loads all of them with their runtimes' counters on and runs them
    round-robin on one prepared input, and with them a large INT8 convolution. A bundle whose runtime cannot
    run here, or tells no times of layers, is listed as NOT RUN.

    Args:
        bundles: Bundles or their folders.
        launches: Processes to start, one after another.
        seconds: Time for each bundle in a launch.
        threads: Of each runtime.
        images: As for :func:`edgeeff.harness.latency.benchmark`.
        seed: Of the noise that a bundle without golden images is run on.
        timeout: As for :func:`edgeeff.harness.latency.benchmark`.
        progress: Told of each launch, as the build's is; or a plain function, called after each launch with
            the launches done and all of them.

    Raises:
        OptionError: A number that makes no sense, or bundles that are on a board.
        BundleError: A bundle cannot be read, or was altered.
        ChangedFileError: A bundle was replaced meanwhile.
        EdgeeffError: A bundle crashed its process or hung; the message ends with what it printed.
    """
    recorder = Recorder.of(progress)
    loaded = opened(bundles, launches=launches, seconds=seconds, threads=threads)
    _refuse_board(loaded)
    names, place = distinct_names(loaded), where.this()
    begun = record("profile", loaded, names, place)
    with recorder.recording() as warned:
        batches = in_runs(loaded, images, recorder)
        warn_of_plugins(loaded, recorder)
        for text in (*where.class_warnings(loaded), *no_times(loaded)):
            recorder.warn(text)
    heard = _Heard([[] for _ in loaded], [[] for _ in loaded], {})
    how = How(threads, seconds, seed, timeout)
    not_run = repeatedly(LAUNCH, loaded, batches, heard.event, how, launches, recorder)
    entries = tuple(
        _entry(name, bundle, None if i in not_run else heard.times(i, batches[i]), not_run.get(i))
        for i, (name, bundle) in enumerate(zip(names, loaded, strict=True))
    )
    report = ProfileReport(entries, _best(heard.peaks), launches, seconds, threads, place.machine, begun)
    with recorder.recording() as doubted:
        for text in doubts(report):
            recorder.warn(text)
    return replace(report, warnings=(*warned, *doubted))


def _refuse_board(bundles: Sequence[Bundle]) -> None:
    if (there := common_device(bundles)) is not None:
        raise OptionError(
            f"a profile on the device {there.name}: times of layers are taken on this machine alone",
            mend="profile without the device, or compare whole bundles there",
        )


def doubts(report: ProfileReport) -> list[str]:
    """Warnings of bundles that reach more than the peak: a figure of theirs or of the peak is wrong."""
    return [
        f"{entry.name} is at {fraction:.1%} of the INT8 peak, so the peak is measured too low: "
        "measure again on a quiet machine, with more launches"
        for entry in report.entries
        if (fraction := report.peak_fraction(entry)) is not None and fraction > 1
    ]


def _entry(name: str, bundle: Bundle, times: LayerTimes | None, not_run: str | None) -> Entry:
    of = bundle.manifest
    return Entry(name, of.runtime, of.precision, of.runtime_properties, times, not_run)


def _best(peaks: Mapping[str, Sequence[LayerTime]]) -> dict[str, LayerTime]:
    return {runtime: merged([[layer] for layer in found])[0] for runtime, found in peaks.items()}


def merged(launches: Sequence[Sequence[LayerTime]]) -> tuple[LayerTime, ...]:
    """The layers of several launches as one: of each the median, in the order of the first launch."""
    times: dict[tuple[str, str], list[float]] = {}
    for layers in launches:
        for layer in layers:
            times.setdefault((layer.name, layer.operator), []).append(layer.microseconds)
    return tuple(replace(one, microseconds=median(times[one.name, one.operator])) for one in launches[0])


def _dense(times: LayerTimes) -> list[LayerTime]:
    return [layer for layer in times.layers if layer.multiply_adds]


def _layer(data: Mapping[str, Any]) -> LayerTime:
    return LayerTime(**{**data, "fused": tuple(data["fused"])})


def _layer_json(layer: LayerTime) -> dict[str, Any]:
    return {**vars(layer), "fused": list(layer.fused)}


def _rate(layer: LayerTime) -> float | None:
    return layer.multiply_adds / layer.microseconds / 1e3 if layer.microseconds else None
