"""LiteRT's own ``benchmark_model``, run on an Android device without Python, and what it printed.

It is the user's: a program for the device's processor, which TensorFlow's site offers. Its figures are its
own: of random input, in one process, without rounds against another bundle.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeeff import digests, regular
from edgeeff.bundle import Bundle
from edgeeff.devices.kinds.adb import FOLDER, Adb
from edgeeff.errors import BundleError, DeviceError, OptionError

NAME = "LiteRT benchmark_model"
_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?(?:e[+-]?[0-9]{1,2})?)(?![0-9.e])"
_TIMINGS = re.compile(
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_COUNT = re.compile(
    rf"count=([0-9]{{1,15}})\b.*?\bmin={_NUMBER} max={_NUMBER} avg={_NUMBER}(?: std={_NUMBER})?"
)
#: Seconds that a file may take to be sent, and that the tool may take beyond what it measures.
_SENDING, _BEYOND = 600.0, 300.0
_LARGEST = 1 << 30


@dataclass(frozen=True)
class ToolTimes:
    """What the tool says of one model; times are of an inference, milliseconds of wall time.

    Args:
        tool: Its name.
        device: The device's name.
        bundle: The bundle's.
        threads: That it was told to use.
        runs: That it counted.
        mean_ms: Over these; it gives no median.
        least_ms: The shortest.
        most_ms: The longest.
        deviation_ms: Their standard deviation; None: it did not print it.
        init_ms: To load the model.
        first_ms: Of the first inference.
        program_sha256: Of the program.
        command: As it was called there.
    """

    tool: str
    device: str
    bundle: str
    threads: int
    runs: int
    mean_ms: float
    least_ms: float
    most_ms: float
    deviation_ms: float | None
    init_ms: float
    first_ms: float
    program_sha256: str
    command: str

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"kind": "tool", **asdict(self)}


def measure(
    bundle: Bundle, device: Adb, name: str, program: Path, *, threads: int, seconds: float
) -> ToolTimes:
    """Send program and model, run the one on the other, and read what it says.

    Args:
        bundle: Of TFLite.
        device: Where.
        name: What the device is called.
        program: The binary, on this machine.
        threads: Of the runtime.
        seconds: To measure.

    Raises:
        OptionError: The bundle is for another runtime, or takes several images in a run.
        DeviceError: The program cannot be read, sent or run, or printed no times.
    """
    if bundle.manifest.runtime != "tflite":
        raise OptionError(
            f"{bundle.name} is for {bundle.manifest.runtime}, and {NAME} runs .tflite files",
            mend="pass a bundle of the runtime tflite, such as mobile-int8",
        )
    content = regular.read(program, DeviceError, _LARGEST, "correct benchmark_model in devices.toml")
    if content[:4] != b"\x7fELF" and content[:2] != b"#!":
        raise DeviceError(
            f"{program} is no program for Android",
            mend="download benchmark_model for its processor (android_aarch64), and name that",
        )
    bundle.refuse_altered()
    model = regular.read(bundle.folder / "model.tflite", BundleError, _LARGEST, "build the bundle again")
    there = send(device, content, "benchmark_model")
    graph = send(device, model, "model.tflite")
    argv = [there, f"--graph={graph}", f"--num_threads={threads}", "--num_runs=10", f"--min_secs={seconds:g}"]
    done = _run(device, argv, seconds + _BEYOND)
    printed = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")
    if done.returncode:
        raise _failed(device, name, done.returncode, printed)
    said = read(printed)
    if said is None:
        raise DeviceError(
            f"{name}: what {NAME} printed holds no times:\n{_tail(printed)}",
            mend="try another version of it; edgeeff reads `Inference timings in us: …` and `count=… avg=…`",
        )
    return ToolTimes(
        tool=NAME,
        device=name,
        bundle=bundle.name,
        threads=threads,
        program_sha256=digests.of_bytes(content),
        command=shlex.join(argv),
        **said,
    )


def read(printed: str) -> dict[str, Any] | None:
    """The figures of its output; None where they are not there: it ended before it had any."""
    timings, counts = _TIMINGS.search(printed), list(_COUNT.finditer(printed))
    if timings is None or not counts:
        return None
    last = counts[-1]  # the ones before are of the warm-up
    milliseconds = [float(value) / 1e3 for value in last.groups()[1:4]]
    return {
        "runs": int(last[1]),
        "least_ms": milliseconds[0],
        "most_ms": milliseconds[1],
        "mean_ms": float(timings[4]) / 1e3,
        "deviation_ms": None if last[5] is None else float(last[5]) / 1e3,
        "init_ms": float(timings[1]) / 1e3,
        "first_ms": float(timings[2]) / 1e3,
    }


def send(device: Adb, content: bytes, name: str) -> str:
    """Have a file there, whole, under its digest; what lies there already is not sent again.

    Returns:
        Its path there.

    Raises:
        DeviceError: It cannot be written there.
    """
    digest = digests.of_bytes(content)
    path = f"{FOLDER}/tool/{digest[:16]}-{name}"
    check = f"sha256sum {path} 2>/dev/null"
    if digest.encode() in _run(device, ["sh", "-c", check], _SENDING).stdout:
        return path
    part = f"{path}.part"
    script = f"mkdir -p {FOLDER}/tool && cat > {part} && chmod 755 {part} && mv {part} {path} && {check}"
    done = _run(device, ["sh", "-c", script], _SENDING, content)
    if done.returncode or digest.encode() not in done.stdout:
        raise DeviceError(
            f"adb:{device.serial}: {name} could not be written to {FOLDER} there:\n"
            f"{_tail(done.stderr.decode('utf-8', 'replace'))}",
            mend="free some of its storage, and run the same again",
        )
    return path


def _run(
    device: Adb, argv: Sequence[str], seconds: float, given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            device.command(argv), input=given, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"adb:{device.serial}: {argv[0].rpartition('/')[2]} did not end within {seconds:g} s",
            mend="plug the device in again, and see what keeps it busy",
        ) from None


def _failed(device: Adb, name: str, status: int, printed: str) -> DeviceError:
    if "not executable" in printed or "exec format" in printed.lower() or "syntax error" in printed:
        return DeviceError(
            f"{name}: {NAME} is for another processor:\n{_tail(printed)}",
            mend="download the one for this device: `adb shell getprop ro.product.cpu.abi` says which",
        )
    found = device.explain(status, printed)
    return DeviceError(f"{name}: {NAME} failed: {found.what}", mend=found.mend)


def _tail(printed: str) -> str:
    clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in printed.replace("\r", ""))
    return "\n".join(f"    {row.strip()[:200]}" for row in clean.strip().splitlines()[-5:]) or "    (nothing)"
