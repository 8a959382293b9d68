"""``edgeeff run`` on a stream of frames: a line for each, and one that ends them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import console, streams
from edgeeff.cli._answering import Answers, Entry, Kept
from edgeeff.errors import EdgeeffError, OptionError, StreamError

if TYPE_CHECKING:
    from edgeeff.preprocess import Fit, Preprocess
    from edgeeff.streams import Frame, Source
    from edgeeff.streams.latencies import Latencies

_PANEL = "Streams"
#: Of a --budget: seconds in each of its units.
_UNITS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "s": 1.0}


@dataclass(frozen=True)
class Streaming:
    """Options of streams."""

    raw: Annotated[
        str | None,
        typer.Option(
            metavar="WxH:FORMAT@RATE",
            help="What raw frames are, as 640x480:nv12@30; rgb24, bgr24, gray, nv12, yuv420p, yuyv422.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    latest: Annotated[
        bool | None,
        typer.Option(
            "--latest/--no-latest",
            help="Drop frames rather than lag behind. Default: of cameras, servers and live pipelines.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="33ms",
            help="Warn at the end where the p99 of the time from decode to answer is over it.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    timeout: Annotated[
        float,
        typer.Option(
            help="Seconds without a frame until a source is lost; 0: never.", rich_help_panel=_PANEL
        ),
    ] = 10.0
    reconnect: Annotated[
        float,
        typer.Option(
            help="Seconds that a lost camera or server is tried again; 0: not at all.", rich_help_panel=_PANEL
        ),
    ] = 60.0

    def opened(self, source: str, *, turn: bool) -> Source:
        """The source, open; what is said of it is printed.

        Args:
            source: A stream.
            turn: Turn frames as a video says they are to be shown.

        Raises:
            EdgeeffError: It cannot be opened.
        """
        from edgeeff.streams import open_source

        found = open_source(
            source,
            raw=self.raw,
            latest=self.latest,
            timeout=self.timeout,
            reconnect=self.reconnect,
            turn=turn,
            tell=console.note,
        )
        if found.latest and self.latest is None:
            console.note(f"{found.name} is live: a frame that is overtaken is dropped (--no-latest: none is)")
        return found

    def seconds(self) -> float | None:
        """The budget.

        Raises:
            OptionError: It is no time.
        """
        if self.budget is None:
            return None
        text = self.budget.strip()
        unit = next((unit for unit in _UNITS if text.endswith(unit)), None)
        try:
            found = float(text.removesuffix(unit or "")) * _UNITS[unit or ""]
        except (KeyError, ValueError):
            found = 0.0
        if not 0 < found < 500:
            raise OptionError(f"--budget {self.budget!r:.40} is no time", mend="write it as 33ms or 0.5s")
        return found


@dataclass
class Ended:
    """How a stream ended."""

    interrupted: bool = False
    error: StreamError | None = None


def run(
    source: Source,
    answers: Answers,
    kept: Kept,
    limit: int | None,
    budget: float | None,
    *,
    json: bool,
) -> StreamError | None:
    """Answer the frames of a source, each as it comes; as JSON one line for each, and one that ends them.

    Returns:
        Why the source ended before it was to, where frames were answered; they are kept.

    Raises:
        EdgeeffError: Not one frame came, or something else than the source failed.
    """
    from edgeeff.streams.latencies import Latencies

    latencies, ended = Latencies(), Ended()
    early: list[str] = []
    prepare = partial(_prepared, answers.predict.preprocess)

    try:
        for frame, (fitted, took) in islice(source.prepared(prepare), limit):
            begun = time.perf_counter()
            if not latencies.count:
                early = _warned(source.tally.known_early(source.name))
            entry = Entry(f"{source.name} frame {frame.number}", *fitted, frame=frame)
            (answer,) = answers.of([entry])
            now = time.perf_counter()
            seconds = now - frame.came if source.live else frame.decoding + took + now - begun
            latencies.add(seconds)
            if json:
                console.json_line(_line(entry.name, frame, seconds, answer.data))
            elif not kept.shows:
                console.plain(f"{entry.name}  {answer.line}")
            kept.add(entry, answer)
            if streams.nobody_reads():
                break
    except KeyboardInterrupt:
        ended.interrupted = True
        raise
    except StreamError as error:
        if not source.tally.frames:
            raise
        ended.error = error
    finally:
        warnings = [*source.tally.warnings(source.name), *over_budget(latencies, budget)]
        _warned([warning for warning in warnings if warning not in early])
        if source.tally.dropped:
            console.note(_dropped(source))
        if json and source.tally.frames:
            times = _times(latencies, budget)
            console.json_line(_end(source, [*answers.warnings, *warnings], ended, times))
    return ended.error


def _warned(warnings: list[str]) -> list[str]:
    """The same, printed."""
    for warning in warnings:
        console.warn(warning)
    return warnings


def _prepared(preprocess: Preprocess, frame: Frame) -> tuple[tuple[Any, Fit], float]:
    """A frame as the bundle takes it, where it lies in that, and the seconds that it took.

    A bundle that takes NV12 of the frame's size gets the frame's own planes, and RGB is made of none.
    """
    begun, camera = time.perf_counter(), preprocess.camera
    if camera is not None and camera.planar and frame.raster.size == preprocess.taken[::-1]:
        planes = frame.raster.nv12(camera.matrix, camera.range)
        if planes is not None:
            return (planes, preprocess.place(frame.raster.size)), time.perf_counter() - begun
    return preprocess.fitted(frame.image), time.perf_counter() - begun


def _line(name: str, frame: Frame, seconds: float, data: Mapping[str, Any]) -> dict[str, Any]:
    """A frame's line of JSON."""
    place = {"image": name, "frame": frame.number, "seconds": frame.seconds}
    state = {"missing": frame.missing, "dropped": frame.dropped, "damaged": frame.damaged}
    return {**place, **state, "latency_ms": round(seconds * 1e3, 3), **data}


def over_budget(latencies: Latencies, budget: float | None) -> list[str]:
    """A warning where the p99 is over the budget."""
    p99 = latencies.percentile(0.99)
    if budget is None or p99 <= budget:
        return []
    return [
        f"from decode to answer a frame takes {p99 * 1e3:.1f} ms at the 99th percentile, over the budget of "
        f"{budget * 1e3:g} ms; {latencies.over(budget)} of {latencies.count} frames are over it"
    ]


def _times(latencies: Latencies, budget: float | None) -> dict[str, Any]:
    """The times from decode to answer, for the last line."""
    found = {f"p{share}": round(latencies.percentile(share / 100) * 1e3, 3) for share in (50, 90, 99)}
    found["max"] = round(latencies.largest * 1e3, 3)
    if budget is not None:
        return {**found, "budget": budget * 1e3, "over_budget": latencies.over(budget)}
    return found


def _dropped(source: Source) -> str:
    tally = source.tally
    return (
        f"{tally.frames} frames of {source.name} were answered, and {tally.dropped} were dropped, since "
        "newer ones were there (--no-latest answers each)"
    )


def _end(source: Source, warnings: list[str], ended: Ended, times: dict[str, Any]) -> dict[str, Any]:
    """The last line of a stream's JSON."""
    tally = source.tally
    error: EdgeeffError | None = ended.error
    return {
        "source": source.name,
        "frames": tally.frames,
        "missing_frames": tally.missing,
        "dropped_frames": tally.dropped,
        "skipped_packets": tally.skipped,
        "damaged_frames": tally.damaged,
        "reconnections": tally.reconnections,
        "ended_early": tally.ended_early,
        "interrupted": ended.interrupted,
        "error": None if error is None else error.what,
        "latency_ms": times,
        "warnings": warnings,
    }
