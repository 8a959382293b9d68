"""Long runs of the samples: memory, descriptors, damaged input, and how they end.

Each sample that runs here is given thousands of photos, or frames of a clip, in one process, which is looked
at through /proc while it works. Growth is held against the time when a fifth of the work was done. Then one
damaged photo or frame among good ones, and SIGTERM in the middle of the work. No figure of it is a time, so
the machine need not be quiet.

    python -m benchmarks.samples_soak dist/lite0-cpu-int8 dist/lite0-mobile-int8 --frames 5000

About 1 minute for 1000 frames of all samples on one core.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.table import arguments, show, write_json
from edgeeff import c_header
from edgeeff.bundle import Bundle

SAMPLES = Path(__file__).parents[1] / "samples"
GI = Path("/usr/lib/python3/dist-packages/gi")
#: How many photos there are; the work goes through them again and again.
PHOTOS = 16
#: Part of the work after which growth is counted: until then libraries load and caches fill.
WARM = 0.2


@dataclass(frozen=True)
class Sample:
    """One sample with one bundle.

    Args:
        name: Of its folder.
        start: Gives the command for so many frames, the damaged one among them or not.
        environment: Beside this process's.
        continues: Whether a damaged frame is passed over; else it ends the program with exit status 2.
    """

    name: str
    start: Callable[[int, bool], list[str]]
    environment: dict[str, str]
    continues: bool


@dataclass(frozen=True)
class Soaked:
    """What a long run came to; memory in MB."""

    sample: str
    frames: int
    answered: int
    status: int
    rss_mb: float
    growth_mb: float
    descriptors: int
    more_descriptors: int
    damaged: str
    sigterm: str


def main(given: Sequence[str] | None = None) -> list[Soaked]:
    """Measure and print; raises SystemExit with status 1 where a sample leaks or loses frames."""
    parser = arguments(__doc__)
    parser.add_argument("bundles", nargs="+", type=Path, help="of OpenVINO and of TFLite, classifiers")
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--most-mb", type=float, default=5.0, help="growth that is allowed")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(given)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        work = Path(folder)
        photos = _photos(work)
        rows = []
        for bundle in map(Bundle.load, asked.bundles):
            for sample in _samples(bundle, photos, work / bundle.name):
                rows.append(_soak(sample, asked.frames))
                print(f"{rows[-1].sample}: {rows[-1].growth_mb:+.2f} MB", file=sys.stderr)
    if not rows:
        sys.exit("none of these bundles has a sample that runs here")
    show(f"{asked.frames} frames of each sample", [asdict(row) for row in rows], {"growth_mb": "+.2f"})
    write_json(asked.json, [asdict(row) for row in rows])
    bad = [row.sample for row in rows if row.growth_mb > asked.most_mb or row.more_descriptors > 0]
    bad += [row.sample for row in rows if row.answered != row.frames or row.status]
    if bad:
        sys.exit(f"grew, or lost frames: {', '.join(sorted(set(bad)))}")
    return rows


def _photos(work: Path) -> list[Path]:
    """Seeded photos of several sizes, and one that is cut off."""
    random = np.random.default_rng(1)
    for number in range(PHOTOS):
        coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
        coarse.resize((240 + 7 * number, 180 + 5 * number)).save(work / f"{number:02d}.jpg")
    whole = (work / "00.jpg").read_bytes()
    (work / "damaged.jpg").write_bytes(whole[:100])
    return sorted(work.glob("[0-9]*.jpg"))


def _samples(bundle: Bundle, photos: list[Path], work: Path) -> list[Sample]:
    """What runs here of the samples for a bundle's runtime."""
    work.mkdir()
    runtime = bundle.manifest.runtime
    named = {"openvino": "openvino", "tflite": "litert"}.get(runtime)
    if named is None:
        return []
    found = []
    if program := _compiled(f"cpp-{named}", bundle, work):
        found.append(_of_photos(f"cpp-{named}", [str(program)], bundle, photos))
    script = SAMPLES / f"python-{named}" / "classify.py"
    if script.is_file():
        found.append(_of_photos(f"python-{named}", [sys.executable, str(script)], bundle, photos))
    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}-"
    if any(tag in path.name for path in GI.glob("_gi.*.so")) and shutil.which("gst-inspect-1.0"):
        (work / "bindings").mkdir()
        (work / "bindings" / "gi").symlink_to(GI)
        found.append(_of_clip(f"gstreamer, {named}", bundle, photos, work))
    return found


def _of_photos(name: str, program: list[str], bundle: Bundle, photos: list[Path]) -> Sample:
    def start(frames: int, damaged: bool) -> list[str]:
        work = [str(photos[i % len(photos)]) for i in range(frames)]
        if damaged:
            work[frames // 2] = str(photos[0].with_name("damaged.jpg"))
        return [*program, str(bundle.folder), *work]

    return Sample(name, start, {}, continues=False)


def _of_clip(name: str, bundle: Bundle, photos: list[Path], work: Path) -> Sample:
    """Photos one behind the other are MJPEG."""

    def start(frames: int, damaged: bool) -> list[str]:
        clip = work / f"{frames}{damaged}.mjpeg"
        with clip.open("wb") as file:
            for i in range(frames):
                content = photos[i // 8 % len(photos)].read_bytes()
                file.write(content[: len(content) // 2] if damaged and i == frames // 2 else content)
        return [sys.executable, str(SAMPLES / "gstreamer" / "run.py"), str(bundle.folder), str(clip)]

    return Sample(name, start, {"PYTHONPATH": str(work / "bindings")}, continues=True)


def _compiled(name: str, bundle: Bundle, work: Path) -> Path | None:
    """A program in C++, built as its README says; None: a compiler, a header or a library is not here."""
    if shutil.which("g++") is None or not Path("/usr/include/jpeglib.h").exists():
        return None
    module = {"cpp-openvino": "openvino", "cpp-litert": "ai_edge_litert"}[name]
    spec = find_spec(module)
    root = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
    libraries = sorted([*root.glob("libs/libopenvino.so.*"), *root.glob("libLiteRt.so")])
    if not libraries:
        return None
    c_header.write(bundle, work / "bundle.h")
    flags = ["-std=c++17", "-O2", "-ffp-contract=off", "-isystem", root / "include", "-I", work]
    flags += ["-I", SAMPLES / "common", SAMPLES / name / "run.cpp", "-o", work / name, libraries[0]]
    command = ["g++", *flags, f"-Wl,-rpath,{libraries[0].parent}", "-ljpeg"]
    subprocess.run([*map(str, command)], check=True)
    return work / name


def _soak(sample: Sample, frames: int) -> Soaked:
    """One long run, a short one with something damaged in it, and one that is told to end."""
    seen: set[str] = set()
    looks: list[tuple[int, float, int]] = []
    done = 0
    with _started(sample, sample.start(frames, False)) as process:
        last = ""
        for line in process.stdout:  # type: ignore[union-attr]
            key = line.split("\t", 1)[0]
            if key != last:  # the first line of a frame's answer
                last, done = key, done + 1
                seen.add(key)
                if done % max(frames // 200, 1) == 0 and (look := _look(process.pid)):
                    looks.append((done, *look))
        status = process.wait()
    first = [look for look in looks if WARM * frames <= look[0] <= 2 * WARM * frames] or looks
    end = [look for look in looks if look[0] >= (1 - WARM) * frames] or looks
    resident = [float(np.median([look[1] for look in part])) for part in (first, end)]
    # A photo is open now and then: what is always open counts.
    descriptors = [min(look[2] for look in part) for part in (first, end)]
    return Soaked(
        *(sample.name, frames, done, status, round(resident[1], 1), round(resident[1] - resident[0], 2)),
        *(descriptors[1], descriptors[1] - descriptors[0], _damaged(sample), _ended(sample)),
    )


def _started(sample: Sample, command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **sample.environment}
    environment.pop("PYTHONPATH", None) if not sample.environment else None
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _look(pid: int) -> tuple[float, int] | None:
    """Resident memory in MB, and open descriptors; None: the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return resident / 1024, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except (OSError, StopIteration):
        return None


def _damaged(sample: Sample) -> str:
    """What becomes of a damaged photo or frame among 40."""
    with _started(sample, sample.start(40, True)) as process:
        lines = {line.split("\t", 1)[0] for line in process.stdout}  # type: ignore[union-attr]
        status = process.wait()
    if sample.continues:
        return f"went on, exit status {status}" if not status and len(lines) >= 38 else f"ended: {status}"
    return "ended with exit status 2" if status == 2 else f"NOT refused: exit status {status}"


def _ended(sample: Sample) -> str:
    """How it ends when it is told to in the middle of its work."""
    with _started(sample, sample.start(2000, False)) as process:
        limit = threading.Timer(60, process.kill)
        limit.start()
        process.stdout.readline()  # type: ignore[union-attr]
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        process.stdout.read()  # type: ignore[union-attr]
        status = process.wait()
        limit.cancel()
    how = {0: "exit status 0", -signal.SIGTERM: "by the signal"}.get(status, f"exit status {status}")
    return f"{how}, within {max(1, round(time.monotonic() - begun))} s"


if __name__ == "__main__":
    main()
