"""What ``edgeeff run`` does with streams: its speed on a video, a long run, and a server that is killed.

    python -m benchmarks.streams speed dist/lite0-cpu-int8
    python -m benchmarks.streams soak dist/lite0-cpu-int8 --frames 100000
    python -m benchmarks.streams rtsp dist/lite0-cpu-int8 --kills 20

``speed``: frames a second of ``run`` on a 1080p video against a bare loop (PyAV's decoder and ``to_image``,
Pillow's resize, the runtime, one line printed), each in a process of its own, in turn; the first frames,
which warm up, are not counted. ``soak``: small raw frames through a pipe; resident memory and descriptors of
the process, after the first tenth and at the end. ``rtsp``: a server on loopback is killed and started again
at random moments; each time frames have to come again, in the same process.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks.table import arguments, show, write_json

_SERVER = Path(__file__).parent.parent / "tests" / "streams" / "rtsp_server.py"
#: Frames at the beginning of a video that are not counted.
_WARM = 20
_BARE = """
import sys
import av, numpy as np
from PIL import Image
from edgeeff.bundle import Bundle
bundle = Bundle.load(sys.argv[1])
session, preprocess = bundle.session(1), bundle.manifest.preprocess
height, width = preprocess.size
method = getattr(Image.Resampling, preprocess.interpolation.upper())
with av.open(sys.argv[2]) as container:
    for frame in container.decode(video=0):
        image = frame.to_image()
        box = preprocess.place(image.size).box
        pixels = np.asarray(image.resize((width, height), method, box))
        (scores,) = session.execute(session.prepare(pixels[None]))
        print(int(scores.argmax()), flush=True)
"""


def _run(bundle: Path, source: str, *options: str, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgeeff", "run", str(bundle), source, "--json", "--top=1", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)


def _clip(path: Path, frames: int) -> None:
    """A video of 1920 x 1080 pixels, H.264, of shapes that move over noise that moves."""
    import av

    rng = np.random.default_rng(0)
    base = np.kron(rng.integers(0, 256, (135, 240, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        for number in range(frames):
            shown = np.roll(base, (3 * number, 5 * number), (0, 1))
            shown[300:600, (20 * number) % 1600 :][:, :300] = (200, 30, 30)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())


def _rate(process: subprocess.Popen[str], frames: int) -> float:
    """Frames a second, from the line of one to that of the last."""
    assert process.stdout is not None
    begun = 0.0
    for number in range(frames):
        if not process.stdout.readline():
            raise SystemExit(f"it ended after {number} frames")
        if number == _WARM:
            begun = time.perf_counter()
    passed = time.perf_counter() - begun
    process.communicate()
    return (frames - 1 - _WARM) / passed


def speed(bundle: Path, frames: int, rounds: int) -> dict[str, Any]:
    """Frames a second of ``run`` and of the bare loop, and the median of the ratios."""
    found: dict[str, list[float]] = {"run": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        _clip(clip, frames)
        for turn in range(rounds):
            for which in ("run", "bare") if turn % 2 else ("bare", "run"):
                if which == "run":
                    process = _run(bundle, str(clip))
                else:
                    command = [sys.executable, "-c", _BARE, str(bundle), str(clip)]
                    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                found[which].append(_rate(process, frames))
    ratios = np.divide(found["run"], found["bare"])
    return {
        "bundle": bundle.name,
        "run_fps": float(np.median(found["run"])),
        "bare_fps": float(np.median(found["bare"])),
        "ratio": float(np.median(ratios)),
        "lowest": float(ratios.min()),
        "highest": float(ratios.max()),
    }


def _state(pid: int) -> tuple[int, int]:
    """Resident bytes and open descriptors of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(list(Path(f"/proc/{pid}/fd").iterdir()))


def soak(bundle: Path, frames: int) -> dict[str, Any]:
    """Small raw frames through a pipe."""
    process = _run(bundle, "-", "--raw=64x64:rgb24@30", stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    content = np.random.default_rng(0).integers(0, 256, (16, 64 * 64 * 3), dtype=np.uint8)

    def feed() -> None:
        pipe = process.stdin.buffer  # type: ignore[union-attr]
        for number in range(frames):
            pipe.write(content[number % 16].tobytes())
        pipe.close()

    threading.Thread(target=feed, daemon=True).start()
    early = late = (0, 0)
    for number, line in enumerate(process.stdout):
        if number == frames // 10:
            early = _state(process.pid)
        if number == frames - 50:  # its end is not measured, which no longer runs
            late = _state(process.pid)
        end = line
    status, last = process.wait(), json.loads(end)
    return {
        "frames": last["frames"],
        "status": status,
        "rss_mb": early[0] / 1e6,
        "growth_mb": (late[0] - early[0]) / 1e6,
        "descriptors": early[1],
        "descriptors_at_the_end": late[1],
    }


def _serve(port: int) -> subprocess.Popen[str]:
    command = ["/usr/bin/python3", str(_SERVER), str(port), "160", "120", "15"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None and server.stdout.readline() == "ready\n", "no server of RTSP"
    return server


class _Lines(threading.Thread):
    """The lines of a pipe, read as they come."""

    def __init__(self, pipe: IO[str]) -> None:
        super().__init__(daemon=True)
        self._pipe, self.lines = pipe, list[str]()
        self.start()

    def run(self) -> None:
        self.lines.extend(self._pipe)

    def until(self, count: int, words: str) -> None:
        """Wait until so many lines have these words."""
        while sum(words in line for line in self.lines) < count:
            if not self.is_alive():
                raise SystemExit(f"it ended: {self.lines[-3:]}")
            time.sleep(0.01)


def rtsp(bundle: Path, kills: int, reconnect: float) -> dict[str, Any]:
    """A server that is killed and started again."""
    moments = random.Random(0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = _serve(port)
    options = (f"--reconnect={reconnect:g}", "--timeout=10")
    process = _run(bundle, f"rtsp://127.0.0.1:{port}/live", *options, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    answers, said = _Lines(process.stdout), _Lines(process.stderr)
    returned: list[float] = []
    states: list[tuple[int, int]] = []
    try:
        for number in range(kills):
            answers.until(len(answers.lines) + moments.randint(3, 12), "frame")
            states.append(_state(process.pid))
            server.send_signal(moments.choice([signal.SIGKILL, signal.SIGTERM]))
            server.wait()
            time.sleep(moments.uniform(0.0, 3.0))
            server, begun = _serve(port), time.monotonic()
            said.until(number + 1, "is there again")
            returned.append(time.monotonic() - begun)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        answers.join(5)
    finally:
        server.kill()
        process.kill()
    last = json.loads(answers.lines[-1])
    return {
        "kills": kills,
        "reconnections": last["reconnections"],
        "frames": last["frames"],
        "status": process.returncode,
        "median_return_s": float(np.median(returned)),
        "longest_return_s": max(returned),
        "growth_mb": (states[-1][0] - states[1][0]) / 1e6,
        "descriptors": f"{states[1][1]} to {states[-1][1]}",
    }


def main() -> None:
    """Measure one of the three."""
    parser = arguments(__doc__)
    parser.add_argument("what", choices=("speed", "soak", "rtsp"))
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--frames", type=int, help="300 of a video, 100000 of a soak")
    parser.add_argument("--rounds", type=int, default=7, help="of speed")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--reconnect", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.what == "speed":
        row = speed(given.bundle, given.frames or 300, given.rounds)
    elif given.what == "soak":
        row = soak(given.bundle, given.frames or 100_000)
    else:
        row = rtsp(given.bundle, given.kills, given.reconnect)
    show(f"edgeeff run: {given.what}", [row], {name: ".2f" for name in row if isinstance(row[name], float)})
    write_json(given.json, [row])


if __name__ == "__main__":
    main()
