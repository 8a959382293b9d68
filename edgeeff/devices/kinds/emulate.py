"""The device side of an aarch64 board, here, by qemu's user emulation: for function, never for time.

Python, C library and runtimes are those of an aarch64 board, in a folder that ``scripts/arm`` prepares from
Debian's packages and wheels; system calls are this machine's. docs/devices.md says what such a run shows.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from edgeeff.devices.kinds import Settings
from edgeeff.errors import DeviceError

SUMMARY = "an aarch64 board under emulation (qemu-user): whether bundles work there, not how fast"
ADDRESS = "emulate:aarch64[,cpu=NAME]"

#: Names the folder that ``scripts/arm --install`` prepared.
FOLDER = "EDGEEFF_EMULATION"
#: Names another qemu-aarch64 than that of the folder.
QEMU = "EDGEEFF_QEMU"
#: As of Jetson Orin's Cortex-A78AE: with dot products and half precision, without SVE.
CPU = "cortex-a76"

# What -cpu of qemu takes: a name, and features such as sve=off.
_CPU = re.compile(r"[a-z0-9][a-z0-9-]{0,40}(?:,[a-z0-9-]{1,40}=[a-z0-9]{1,10}){0,8}")
_PREPARE = "prepare the folder that {name} names: scripts/arm --install FOLDER in a checkout of edgeeff"
_LINES = 3


@dataclass(frozen=True)
class Emulated:
    """A :class:`edgeeff.devices.transport.Transport` into the emulator.

    Args:
        folder: What ``scripts/arm`` prepared.
        cpu: What qemu is to be.
        python: Which of the folder's Pythons: ``python3.11`` or ``python3.9``.
        site: Which of its sets of wheels: ``site``; ``older``, with tflite_runtime.
    """

    folder: Path
    cpu: str = CPU
    python: str = "python3.11"
    site: str = "site"

    #: Why nothing may be measured here.
    timeless = "an emulator's times say nothing of a board"

    def command(self, argv: Sequence[str]) -> list[str]:
        """``env`` and the emulated program: nothing of this machine's environment reaches it."""
        root = self.folder / self.python
        program = str(root / "usr/bin" / argv[0])
        variables = {
            "HOME": str(Path.home()),
            "PATH": f"{root}/usr/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(root / self.site),
            "PYTHONDONTWRITEBYTECODE": "1",
            "EDGEEFF_HOME": str(self.folder / "store"),
            "EDGEEFF_LOCK": str(self.folder / "measuring.lock"),
            "EDGEEFF_EMULATED_CPU": self.cpu,
        }
        given = {name: os.environ[name] for name in (QEMU, "TMPDIR") if os.environ.get(name)}
        pairs = [f"{name}={value}" for name, value in {**variables, **given}.items()]
        return ["env", "-i", *pairs, program, *argv[1:]]

    def explain(self, returncode: int, stderr: str) -> DeviceError:
        """Why the emulator ended."""
        said = "".join(f"\n    {line.strip()[:200]}" for line in stderr.strip().splitlines()[-_LINES:])
        name = f"emulate:aarch64,cpu={self.cpu}"
        if "unable to find CPU model" in stderr or "roperty '" in stderr:
            return DeviceError(
                f"{name}: qemu knows no such processor{said}",
                mend="name one that it lists: qemu-aarch64 -cpu help; cortex-a76 is nearest to Jetson Orin",
            )
        if returncode in (-signal.SIGSEGV, 128 + signal.SIGSEGV, -signal.SIGILL, 128 + signal.SIGILL):
            return DeviceError(
                f"{name}: what ran there crashed{said}",
                mend="try another cpu=, such as cortex-a76; docs/devices.md lists what is known",
            )
        if returncode in (126, 127):
            return DeviceError(f"{name}: Python does not start{said}", mend=_PREPARE.format(name=FOLDER))
        return DeviceError(
            f"{name}: the emulator ended with exit status {returncode}{said}", mend="run the same again"
        )

    def close(self) -> None:
        """Nothing is held."""


def place() -> Path:
    """The folder of the emulated board: that of ``EDGEEFF_EMULATION``, else one of the user's cache."""
    named = os.environ.get(FOLDER)
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("edgeeff"), "emulation")


def connect(rest: str, settings: Settings) -> Emulated:
    """An emulated board of ``emulate:rest``.

    Raises:
        DeviceError: The address makes no sense, or the folder was not prepared.
    """
    architecture, comma, more = rest.partition(",")
    key, _, cpu = more.partition("=")
    if architecture != "aarch64" or (comma and (key != "cpu" or not _CPU.fullmatch(cpu))):
        raise DeviceError(
            f"{f'emulate:{rest}'[:80]!r} is no emulated board",
            mend=f"write it as {ADDRESS}: emulate:aarch64,cpu=cortex-a76",
        )
    if settings.python != "python3":
        raise DeviceError(
            f"python = {settings.python!r} of an emulated board, which has a Python of its own",
            mend="leave python out of its entry in the devices file",
        )
    folder = place()
    if not (folder / ".installed").is_file():
        raise DeviceError(f"{folder}: no emulated aarch64 board is there", mend=_PREPARE.format(name=FOLDER))
    return Emulated(folder.resolve(), cpu or CPU)
