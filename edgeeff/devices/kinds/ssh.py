"""Boards reached by the system's OpenSSH, with the user's own configuration.

Aliases, jump hosts, keys, agent and known hosts are what ``ssh`` itself would use, and host keys are checked
as the user has it. What is added on the command line: no questions (``BatchMode``), a cut that is noticed
within seconds (``ServerAliveInterval``), and one connection for all commands (``ControlMaster``) through a
socket in a folder of our own, unless the user has such a connection open already.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgeeff.devices.kinds import Settings, _ssh_errors
from edgeeff.errors import DeviceError, EdgeeffError

SUMMARY = "boards reached by OpenSSH, with your own configuration, keys and jump hosts"
ADDRESS = "ssh://[user@]host[:port]"

#: Names a file to read in place of the user's and the system's configuration (``ssh -F``).
CONFIGURATION = "EDGEEFF_SSH_CONFIG"

# What may stand in an address. ssh hands user and host to ProxyCommand and Match exec, which are shells.
_ADDRESS = re.compile(
    r"//(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,99})@)?"
    r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,32})?)\]|(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}))"
    r"(?::(?P<port>[0-9]{1,5}))?/?"
)
_CONNECT = 10  # seconds to reach a board
_ALIVE = 2  # seconds between two signs of life, and how many may be missed
_PERSIST = 20  # seconds that the shared connection outlives the last command
_LOCALLY = 20  # seconds for what ssh does on this machine alone
_PREFIX, _DAY = "edgeeff-ssh-", 86400.0
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./ ()\[\]{}<>|&;*?~^#-]")


@dataclass(frozen=True)
class Place:
    """Where an address leads; what it leaves out is up to the user's configuration.

    Args:
        host: Name, alias or number.
        user: None: as configured.
        port: None: as configured.
    """

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{user}{host}{f':{self.port}' if self.port else ''}"

    def arguments(self) -> list[str]:
        """Of ``ssh``; the host comes last, after ``--``."""
        user = ["-l", self.user] if self.user else []
        return [*user, *(["-p", str(self.port)] if self.port else []), "--", self.host]


def place(rest: str) -> Place:
    """Read ``//[user@]host[:port]``.

    Raises:
        DeviceError: It is none.
    """
    found = _ADDRESS.fullmatch(rest)
    port = int(found["port"]) if found and found["port"] else None
    if not found or port == 0 or (port or 0) > 65535:
        shown = f"ssh:{rest}" if len(rest) <= 80 else f"ssh:{rest[:80]}…"
        raise DeviceError(
            f"{shown!r} is no address of a board",
            mend=f"write it as {ADDRESS}; a host's other options belong in your ~/.ssh/config",
        )
    return Place(found["six"] or found["host"], found["user"], port)


def check(rest: str) -> None:
    """Refuse what is no address, as :func:`place` does."""
    place(rest)


class Ssh:
    """A board behind OpenSSH: a :class:`edgeeff.devices.transport.Transport`.

    Args:
        place: Where it is.
        configuration: File for ``ssh -F``; None: the user's own and the system's.
    """

    def __init__(self, place: Place, configuration: str | None = None) -> None:
        self.place = place
        self._base = ["ssh", *(["-F", configuration] if configuration else [])]
        self.resolved = self._resolve()
        self._folder: str | None = None
        shared = [] if self._is_shared() else self._share()
        self._options = [*shared, *_options(self.resolved)]

    def command(self, argv: Sequence[str]) -> list[str]:
        """The ``ssh`` that runs ``argv`` there, whatever the login shell is."""
        return [*self._base, *self._options, *self.place.arguments(), portable(argv)]

    def explain(self, returncode: int, stderr: str) -> EdgeeffError:
        """Why a command failed: what ssh said, in the order of what it can be blamed for."""
        error = _ssh_errors.explain(str(self.place), self.resolved, returncode, stderr)
        if returncode == _ssh_errors.OWN and self._behind():
            # Behind a shared connection ssh throws away what a jump host said: once more, without sharing.
            alone = [*self._base, *_options(self.resolved), "-o", "ControlPath=none", *self.place.arguments()]
            with suppress(subprocess.TimeoutExpired):
                done = _done([*alone, "exit"], _LOCALLY)
                if done.returncode == _ssh_errors.OWN:
                    said = done.stderr.decode(errors="replace")
                    return _ssh_errors.explain(str(self.place), self.resolved, done.returncode, said)
        return error

    def _behind(self) -> bool:
        """Whether the way leads over another host or through another program."""
        return any(self.resolved.get(key, "none") != "none" for key in ("proxyjump", "proxycommand"))

    def close(self) -> None:
        """End the shared connection, where it is ours."""
        if self._folder is not None:
            self._finalizer()
            self._folder = None

    def _resolve(self) -> dict[str, str]:
        """What the configuration makes of the place; keys in small letters, the first of each."""
        try:
            done = _done([*self._base, "-G", *self.place.arguments()], _LOCALLY)
        except FileNotFoundError:
            raise DeviceError(
                f"{self.place}: there is no ssh on this machine",
                mend="install OpenSSH's client (openssh-client)",
            ) from None
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"{self.place}: ssh did not read its configuration within {_LOCALLY} s",
                mend=f"try ssh -G {self.place.host}: a Match exec may wait for something",
            ) from None
        if done.returncode:
            said = done.stderr.decode(errors="replace")
            raise _ssh_errors.explain(str(self.place), {}, done.returncode, said)
        found: dict[str, str] = {}
        for line in done.stdout.decode(errors="replace").splitlines():
            key, _, value = line.partition(" ")
            found.setdefault(key, value)
        return found

    def _is_shared(self) -> bool:
        """Whether the user has a connection open that commands share; it may have taken a second factor."""
        if self.resolved.get("controlpath", "none") == "none":
            return False
        with suppress(subprocess.TimeoutExpired):
            return not _done([*self._base, "-O", "check", *self.place.arguments()], 5).returncode
        return False

    def _share(self) -> list[str]:
        """Options of a connection that our commands share, in a folder that is gone with this object."""
        # A socket's path is 107 bytes at most, and ssh adds 17 to it while it is made.
        base = os.environ.get("XDG_RUNTIME_DIR", "")
        short = base if 0 < len(base) <= 40 and os.access(base, os.W_OK) else "/tmp"
        _sweep(Path(short))
        self._folder = tempfile.mkdtemp(prefix=_PREFIX, dir=short)
        socket = f"{self._folder}/s"
        leave = [*self._base, "-o", f"ControlPath={socket}", "-O", "exit", *self.place.arguments()]
        self._finalizer = weakref.finalize(self, _leave, leave, self._folder)
        options = ("ControlMaster=auto", f"ControlPath={socket}", f"ControlPersist={_PERSIST}")
        return [part for option in options for part in ("-o", option)]


def _options(resolved: Mapping[str, str]) -> list[str]:
    """What a pipe of frames needs, whatever the configuration says for a person at a terminal."""
    options = [
        "BatchMode=yes",
        "LogLevel=ERROR",  # banners are none of our business
        f"ServerAliveInterval={_ALIVE}",
        f"ServerAliveCountMax={_ALIVE}",
        "RemoteCommand=none",
        "PermitLocalCommand=no",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
    ]
    if resolved.get("connecttimeout", "none") == "none":
        options.append(f"ConnectTimeout={_CONNECT}")
    # Of newer versions alone, which name them in what they resolve.
    newer = {"stdinnull": "StdinNull=no", "sessiontype": "SessionType=default"}
    newer["forkafterauthentication"] = "ForkAfterAuthentication=no"
    options += [option for key, option in newer.items() if key in resolved]
    return ["-T", *(part for option in options for part in ("-o", option))]


def portable(argv: Sequence[str]) -> str:
    """A command line that a POSIX shell, csh and fish read alike; ``sh`` then runs ``argv`` in its place.

    A login shell gets the line before ``sh`` does. What shells quote differently (quotes, backslashes, ``!``,
    ``$``, line feeds, what is not ASCII) is written as octal numbers, which ``printf`` of ``sh`` reads.
    """
    line = "exec " + shlex.join(argv)
    coded = "".join(chr(b) if _PLAIN.fullmatch(chr(b)) else f"\\0{b:03o}" for b in line.encode())
    return f'exec sh -c \'eval "$(printf %b "{coded}")"\''


def connect(rest: str, settings: Settings) -> Ssh:
    """A board of ``ssh:rest``; it is not contacted before a command is run.

    Raises:
        DeviceError: The address or the configuration makes no sense, or there is no ssh here.
    """
    where = place(rest)
    configuration = os.environ.get(CONFIGURATION) or None
    if configuration and not Path(configuration).expanduser().is_file():
        raise DeviceError(
            f"{where}: the configuration of ssh {configuration} is no file",
            mend=f"correct {CONFIGURATION}",
        )
    return Ssh(where, str(Path(configuration).expanduser()) if configuration else None)


def _done(command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
    )


def _sweep(base: Path) -> None:
    """Remove the folders that processes left which were killed: empty ones, a day old."""
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if folder.lstat().st_mtime < time.time() - _DAY:
                folder.rmdir()  # nothing where a socket is in it, or it is another user's


def _leave(command: Sequence[str], folder: str) -> None:
    if Path(folder, "s").exists():
        with suppress(subprocess.TimeoutExpired, OSError):
            _done(command, 5)
    shutil.rmtree(folder, ignore_errors=True)
