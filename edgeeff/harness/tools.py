"""The same artifacts measured by their runtimes' own tools: OpenVINO's benchmark_app, LiteRT's benchmark.

Who reads a figure of ``edgeeff bench`` may hold it against what the field quotes. Each bundle is measured
alone, as a tool does, in launches that take turns with runs of the tool; what is compared is the median wall
time of a run. The tools fill the input with random values.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from edgeeff.backends.tool import Asked, Reading
from edgeeff.bundle import Bundle
from edgeeff.errors import EdgeeffError
from edgeeff.harness.estimate import Estimate, estimate
from edgeeff.harness.launches import How, measure
from edgeeff.progress import Recorder

#: Further apart than this, and one of the two measures something else.
NEAR = 0.02


@dataclass(frozen=True)
class Compared:
    """One bundle by ours and by its runtime's tool.

    Args:
        bundle: Its name.
        tool: The tool's; None where the runtime has none.
        ours_ms: The median wall time of a run, the geometric mean over launches, milliseconds.
        theirs_ms: The same by the tool.
        ratio: Ours over theirs, paired by launch.
        least_ratio: That of the shortest times, which other programs disturb least.
        command: How the tool was called at last.
        reason: Why the two were not compared.
    """

    bundle: str
    tool: str | None
    ours_ms: Estimate | None = None
    theirs_ms: Estimate | None = None
    ratio: Estimate | None = None
    least_ratio: Estimate | None = None
    command: tuple[str, ...] = ()
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        figures = {"ours_ms": self.ours_ms, "theirs_ms": self.theirs_ms, "ratio": self.ratio}
        figures["least_ratio"] = self.least_ratio
        return {
            "bundle": self.bundle,
            "tool": self.tool,
            **{name: figure.to_json() if figure else None for name, figure in figures.items()},
            "command": list(self.command),
            "reason": self.reason,
        }

    @property
    def apart(self) -> bool:
        """Whether the two are certainly further apart than 2 %."""
        between = self.ratio.interval if self.ratio else None
        return between is not None and (between.low > 1 + NEAR or between.high < 1 - NEAR)


def compare(
    bundles: Sequence[Bundle],
    names: Sequence[str],
    batches: Sequence[int],
    how: How,
    launches: int,
    recorder: Recorder,
) -> tuple[Compared, ...]:
    """Measure bundles by ours and by their runtimes' tools.

    Args:
        bundles: Each is measured alone.
        names: What the report calls them.
        batches: Images in a run of each.
        how: How a launch measures; a tool measures as long, and a second at least.
        launches: Of each of the two.
        recorder: Told of each pair; warned where the two are certainly further apart than 2 %.

    Raises:
        EdgeeffError: As for :func:`edgeeff.harness.launches.measure`.
    """
    recorder.stage("measuring beside the runtimes' tools", launches * len(bundles), "launches")
    found = []
    for bundle, name, batch in zip(bundles, names, batches, strict=True):
        made = _compared(bundle, name, batch, how, launches, recorder)
        if made.apart and made.ratio is not None:
            recorder.warn(
                f"{name}: {made.tool} says {1 / made.ratio.value:.3f} of the time that bench says: they "
                "differ by more than 2 %"
            )
        found.append(made)
    return tuple(found)


def _compared(bundle: Bundle, name: str, batch: int, how: How, launches: int, recorder: Recorder) -> Compared:
    try:
        runtime = bundle.runtime
    except EdgeeffError as error:
        return Compared(name, None, reason=error.what)
    if not runtime.offers("tool"):
        return Compared(name, None, reason=f"{runtime.name} brings no benchmark of its own")
    tool = str(runtime.part("tool").NAME)
    pairs: list[tuple[Reading, Reading]] = []
    line: list[str] = []
    for number in range(launches):
        ours = theirs = None
        for turn in ("ours", "theirs") if number % 2 == 0 or not pairs else ("theirs", "ours"):
            if turn == "ours":
                launch = measure([bundle], [batch], how, number)
                if launch.not_run:
                    return Compared(name, tool, reason=launch.not_run[0])
                times = launch.runs[0].wall_ns
                ours = Reading(median(times) / 1e6, min(times) / 1e6)
            else:
                about = ours or pairs[-1][0]
                try:
                    line, theirs = _asked(bundle, batch, how, about)
                except EdgeeffError as error:
                    return Compared(name, tool, reason=error.what)
        if ours is not None and theirs is not None:
            pairs.append((ours, theirs))
        recorder.advance()
    return Compared(
        name,
        tool,
        ours_ms=estimate([math.log(ours.median_ms) for ours, _ in pairs]),
        theirs_ms=estimate([math.log(theirs.median_ms) for _, theirs in pairs]),
        ratio=estimate([math.log(ours.median_ms / theirs.median_ms) for ours, theirs in pairs]),
        least_ratio=estimate([math.log(ours.least_ms / theirs.least_ms) for ours, theirs in pairs]),
        command=tuple(line),
    )


def _asked(bundle: Bundle, batch: int, how: How, about: Reading) -> tuple[list[str], Reading]:
    """Run the tool once, about as long as a launch of ours.

    Raises:
        EdgeeffError: It cannot measure this, failed, or did not end.
    """
    part = bundle.runtime.part("tool")
    manifest = bundle.manifest
    with tempfile.TemporaryDirectory(prefix="edgeeff-tool-") as folder:
        asked = Asked(
            folder=bundle.folder.resolve(),
            properties=manifest.runtime_properties,
            input_type=manifest.input,
            images=batch,
            dynamic=manifest.batch.dynamic,
            threads=how.threads,
            seconds=how.seconds,
            runs=max(20, round(how.seconds * 1e3 / about.median_ms)),
            into=Path(folder),
        )
        line = part.command(asked)
        try:
            done = subprocess.run(line, cwd=folder, capture_output=True, timeout=how.patience(1))
            reading = part.read(asked) if done.returncode == 0 else None
        except subprocess.TimeoutExpired:
            raise _failed(part.NAME, f"did not end within {how.patience(1):g} s") from None
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise _failed(part.NAME, f"wrote nothing that can be read ({error!r:.80})") from None
    if reading is not None and reading.least_ms == 0:
        raise _failed(part.NAME, "tells no times as short as these")
    if reading is None or not (0 < reading.least_ms <= reading.median_ms < math.inf):
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()[-3:]
        raise _failed(part.NAME, f"exit status {done.returncode}: {' / '.join(said)[:300]}")
    return line, reading


def _failed(name: str, what: str) -> EdgeeffError:
    return EdgeeffError(f"{name} {what}", mend="run its command by hand; `bench --json --tools` has it")
