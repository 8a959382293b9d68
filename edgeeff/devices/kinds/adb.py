"""Android devices, reached by Android's own ``adb``: what it says of them, and commands through its shell.

Python is where somebody put it: Termux's (which only Termux itself, or ``run-as`` in its debuggable builds,
may use), or one below ``/data/local/tmp``. ``adb`` answers many faults with exit status 0; what it prints is
read.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence

from edgeeff.devices.kinds import Settings
from edgeeff.errors import DeviceError, EdgeeffError

SUMMARY = "Android devices, by adb; Python there is Termux's, or one that devices.toml names"
ADDRESS = "adb:SERIAL"

#: What stands for the one device that is attached.
ANY = "any"
# A USB serial, an emulator, or host:port of a device in the network; nothing that adb takes for an option.
_SERIAL = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:\[\]-]{0,127}")
_TERMUX = "com.termux"
_PREFIX = f"/data/data/{_TERMUX}/files"
#: The only folder that a shell of adb may write into and run programs from.
FOLDER = "/data/local/tmp/edgeeff"
#: Where Python is looked for, in this order.
_PYTHONS = ("python3", "/data/local/tmp/python/bin/python3", f"{_PREFIX}/usr/bin/python3")
#: Seconds that adb may take for what it does at once.
_SOON = 30.0
_LOST = re.compile(
    r"device '?[^']*'? ?not found|no devices/emulators|device offline|closed|protocol fault|EOF"
)

#: What ``adb devices`` says of one that cannot be used, and what to do.
STATES = {
    "unauthorized": (
        "it has not been allowed to be used from this machine",
        "unlock it and accept the question about USB debugging on its screen",
    ),
    "authorizing": ("it asks on its screen whether this machine may use it", "accept the question there"),
    "offline": (
        "adb knows it, and it does not answer (offline)",
        "plug it in again, or `adb reconnect offline`",
    ),
    "no permissions": (
        "this user may not open its USB device",
        "add a udev rule for it (package android-sdk-platform-tools-common)",
    ),
    "bootloader": ("it is in its bootloader", "start Android there: `fastboot reboot`"),
    "recovery": ("it is in its recovery system", "start Android there: `adb reboot`"),
    "sideload": ("it waits for an update (sideload)", "start Android there: `adb reboot`"),
}


class Adb:
    """A device behind adb: a :class:`edgeeff.devices.transport.Transport`.

    Args:
        serial: As ``adb devices`` shows it.
        python: Where Python is there, in place of ``python3``.
    """

    def __init__(self, serial: str, python: str = "python3") -> None:
        self.serial, self.python = serial, python

    def command(self, argv: Sequence[str]) -> list[str]:
        """The ``adb`` that runs ``argv`` there, its streams as they are (``-T``: no terminal)."""
        there = [self.python if argv[0] == "python3" else argv[0], *argv[1:]]
        return [_adb(), "-s", self.serial, "shell", "-T", line(there)]

    def explain(self, returncode: int, stderr: str) -> EdgeeffError:
        """Why a command failed: what became of the device, else what it printed."""
        name = f"adb:{self.serial}"
        said = _last(stderr)
        if returncode in (126, 127) or "inaccessible or not found" in stderr:
            return no_python(name)
        if "run-as:" in stderr:
            return DeviceError(
                f"{name}: Termux's Python may not be used from adb{said}",
                mend="install Termux's debuggable build (F-Droid, GitHub), or put a Python into "
                f"{FOLDER.rpartition('/')[0]}/python",
            )
        if returncode < 0 or _LOST.search(stderr):
            try:
                require(self.serial)
            except DeviceError as error:
                return error
            return DeviceError(f"{name}: the connection was closed{said}", mend="run the same again")
        return DeviceError(
            f"{name}: what ran there ended with exit status {returncode}{said}",
            mend=f"try it by hand: adb -s {self.serial} shell",
        )

    def close(self) -> None:
        """Nothing is held: the server of adb is the user's."""


def line(argv: Sequence[str]) -> str:
    """What Android's shell runs: in Termux as Termux itself, else with a home that can be written to."""
    if argv[0].startswith(f"{_PREFIX}/"):
        said = {"PREFIX": f"{_PREFIX}/usr", "HOME": f"{_PREFIX}/home", "TMPDIR": f"{_PREFIX}/usr/tmp"}
        said |= {"PATH": f"{_PREFIX}/usr/bin", "LD_LIBRARY_PATH": f"{_PREFIX}/usr/lib"}
        start = ["run-as", _TERMUX, "env"]
    else:
        said = {"HOME": FOLDER, "EDGEEFF_HOME": FOLDER, "TMPDIR": "/data/local/tmp"}
        start = ["env"]
    return shlex.join([*start, *(f"{name}={value}" for name, value in said.items()), *argv])


def connect(rest: str, settings: Settings) -> Adb:
    """A device of ``adb:rest``.

    Raises:
        DeviceError: It is not there, may not be used, or has no Python; adb is not installed.
    """
    found = Adb(reached(rest), settings.python)
    if settings.python == "python3":
        found.python = _python(found)
    return found


def glance(rest: str, settings: Settings) -> str:
    """What is known of a device without Python: its model and Android's version.

    Raises:
        DeviceError: As for :func:`connect`.
    """
    found = Adb(reached(rest))
    names = ("ro.product.manufacturer", "ro.product.model", "ro.build.version.release", "ro.product.cpu.abi")
    ask = "; ".join(f"getprop {name}" for name in names)
    done = _run([_adb(), "-s", found.serial, "shell", "-T", ask])
    maker, model, version, abi = (*done.stdout.decode(errors="replace").splitlines(), "", "", "", "")[:4]
    said = f"{maker} {model}, Android {version}, {abi}" if model else "adb reaches it"
    if settings.named is not None and settings.named.benchmark_model is not None:
        return f"{said}; measured by LiteRT's benchmark_model"
    python = settings.python if settings.python != "python3" else None
    try:
        return f"{said}; Python {python or _python(found)}"
    except DeviceError as error:
        return f"{said}; {error.what.partition(': ')[2]}"


def reached(rest: str) -> str:
    """The serial of the device of ``adb:rest``, which adb connects to first where it is in the network.

    Raises:
        DeviceError: It is not there, or may not be used; adb is not installed.
    """
    serial = _serial(rest)
    if re.search(r":[0-9]+$", serial):
        _join(serial)
    return require(serial)


def require(serial: str) -> str:
    """The serial of a device that can be used.

    Raises:
        DeviceError: It is not attached, may not be used, or is one of several.
    """
    known = attached()
    if serial == ANY:
        if len(known) > 1:
            raise DeviceError(
                f"adb:{ANY}: {len(known)} devices are attached",
                mend=f"name one: {', '.join(f'adb:{name}' for name in known)}",
            )
        serial = next(iter(known), ANY)
    name = f"adb:{serial}"
    if serial not in known:
        if not known:
            raise DeviceError(
                f"{name}: adb sees no device at all",
                mend="plug it in, and switch USB debugging on in its developer options",
            )
        raise DeviceError(
            f"{name}: adb sees no device of that serial",
            mend=f"it sees {', '.join(known)}: correct the serial, or plug it in",
        )
    state = known[serial]
    if state != "device":
        what, mend = STATES.get(state, (f"its state is {state[:80]!r}", "`adb devices -l` says more"))
        raise DeviceError(f"{name}: {what}", mend=mend)
    return serial


def attached() -> dict[str, str]:
    """The devices that adb's server knows, and the state of each.

    Raises:
        DeviceError: adb is not installed, or its server does not start.
    """
    done = _run([_adb(), "devices"])
    if done.returncode:
        raise DeviceError(
            f"adb's server does not start{_last(done.stderr.decode(errors='replace'))}",
            mend="run `adb start-server` by hand; ANDROID_ADB_SERVER_PORT names another port",
        )
    found = {}
    for row in done.stdout.decode(errors="replace").splitlines():
        serial, tab, state = row.partition("\t")
        if tab:
            found[serial] = "no permissions" if state.startswith("no permissions") else state.strip()
    return found


def no_python(name: str) -> DeviceError:
    """What is said of a device without Python."""
    return DeviceError(
        f"{name}: no Python was found there",
        mend="install Termux and in it `pkg install python python-numpy`, or name another in devices.toml "
        "(python = …); without one: benchmark_model = PATH there, LiteRT's own program",
    )


def _python(device: Adb) -> str:
    """The first Python that starts there.

    Raises:
        DeviceError: None does.
    """
    for python in _PYTHONS:
        done = _run([_adb(), "-s", device.serial, "shell", "-T", line([python, "-c", "print('it runs')"])])
        if b"it runs" in done.stdout:
            return python
    raise no_python(f"adb:{device.serial}")


def _join(serial: str) -> None:
    """Have adb connect to a device in the network; a failure is exit status 0 with words.

    Raises:
        DeviceError: It does not answer.
    """
    done = _run([_adb(), "connect", serial])
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    if not re.search(r"^(already )?connected to ", said, re.MULTILINE):
        raise DeviceError(
            f"adb:{serial}: adb cannot connect to it{_last(said)}",
            mend="switch on wireless debugging there (`adb tcpip 5555` by USB), and check address and port",
        )


def _serial(rest: str) -> str:
    if not _SERIAL.fullmatch(rest):
        raise DeviceError(
            f"{rest!r:.80} is no serial of adb",
            mend=f"write {ADDRESS}, as `adb devices` shows it, or adb:{ANY}",
        )
    return rest


def _adb() -> str:
    program = shutil.which("adb")
    if program is None:
        raise DeviceError(
            "adb is not installed on this machine",
            mend="install Android's platform tools (Debian: apt install adb)",
        )
    return program


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SOON,
            check=False,
            env={**os.environ, "ADB_TRACE": ""},
        )
    except subprocess.TimeoutExpired:
        raise DeviceError(
            f"`{shlex.join(['adb', *command[1:]])[:120]}` did not end within {_SOON:g} s",
            mend="plug the device in again, or `adb kill-server`",
        ) from None


def _last(printed: str) -> str:
    """The last lines that were printed, without what a terminal would obey."""
    clean = "".join(c if c.isprintable() or c == "\n" else "?" for c in printed.replace("\r", ""))
    return "".join(f"\n    {row.strip()[:200]}" for row in clean.strip().splitlines()[-3:])
