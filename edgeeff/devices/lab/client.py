"""``labgrid-client`` as a program: how it is called, and what it says when something is wrong.

A user of labgrid is ``HOST/USER`` (``LG_HOSTNAME``, ``LG_USERNAME``), and whoever bears that name owns its
places: two runs of one person would release each other's. So each run has a name of its own.
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeeff.errors import DeviceError, MissingRuntimeError, OptionError
from edgeeff.installing import install_line

#: The variable that labgrid itself reads the coordinator's address from.
COORDINATOR = "LG_COORDINATOR"
PROGRAM = "labgrid-client"
#: Seconds that a command may take: each one connects anew and reads all places first.
_PATIENCE = 30.0
#: What would make labgrid take another place than the one that is named.
_MISLEADING = ("LG_ENV", "LG_PLACE", "LG_STATE", "LG_INITIAL_STATE", "LG_TOKEN")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Identity:
    """Who a run is to labgrid.

    Args:
        host: The machine that it runs on.
        user: The person's name, and what no other run has.
    """

    host: str
    user: str

    @classmethod
    def new(cls) -> Identity:
        """One that no other run has; people see in it who they have to ask."""
        try:
            person = os.environ.get("LG_USERNAME") or getpass.getuser()
        except (KeyError, OSError, ImportError):  # no such user in a container
            person = "unknown"
        host = os.environ.get("LG_HOSTNAME") or socket.gethostname()
        run = f"edgeeff-{os.getpid()}-{secrets.token_hex(4)}"
        return cls(host.replace("/", "-"), f"{person.replace('/', '-')}-{run}")

    def __str__(self) -> str:
        return f"{self.host}/{self.user}"


@dataclass(frozen=True)
class Client:
    """The program, with the coordinator and the name that it is called with.

    Args:
        program: Where it lies.
        coordinator: ``HOST:PORT``.
        identity: Who calls.
    """

    program: str
    coordinator: str
    identity: Identity

    def environment(self) -> dict[str, str]:
        """The variables of a command."""
        kept = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
        return kept | {
            COORDINATOR: self.coordinator,
            "LG_HOSTNAME": self.identity.host,
            "LG_USERNAME": self.identity.user,
        }

    def try_(self, *arguments: str, seconds: float = _PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command, and give back its status and what it printed.

        Raises:
            DeviceError: It does not end in time, or the coordinator cannot be reached.
        """
        try:
            done = subprocess.run(
                [self.program, *arguments],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
                encoding="utf-8",
                errors="replace",
            )
        except subprocess.TimeoutExpired:
            raise self._unreachable(f"no answer within {seconds:.0f} s") from None
        except OSError as error:
            raise DeviceError(
                f"{self.program} cannot be started: {error.strerror or error}",
                mend=f"correct or remove it: {PIP}",
            ) from None
        if done.returncode and re.search(
            "coordinator is unavailable|Could not connect to coord", done.stderr
        ):
            raise self._unreachable(reason(done.stderr))
        return done

    def run(self, *arguments: str, seconds: float = _PATIENCE) -> str:
        """What a command printed.

        Raises:
            DeviceError: As for :meth:`try_`, or the command failed.
        """
        done = self.try_(*arguments, seconds=seconds)
        if done.returncode:
            raise DeviceError(
                f"labgrid ({self.coordinator}) refuses `{PROGRAM} {' '.join(arguments)}`: "
                f"{reason(done.stderr)}",
                mend=f"look at it with `{COORDINATOR}={self.coordinator} {PROGRAM} places`",
            )
        return done.stdout

    def _unreachable(self, why: str) -> DeviceError:
        return DeviceError(
            f"the labgrid coordinator {self.coordinator} cannot be reached: {why}",
            mend=f"see that labgrid-coordinator runs there, or correct {COORDINATOR} (in devices.toml: "
            "coordinator)",
        )


#: How labgrid is installed.
PIP = f"{install_line('lab')}, or `pipx install labgrid`"


def find(coordinator: str | None, environment: Mapping[str, str] = os.environ) -> Client:
    """The installed program, and a new name for this run.

    Args:
        coordinator: As an address or ``devices.toml`` says; None: ``LG_COORDINATOR`` does.
        environment: Variables.

    Raises:
        MissingRuntimeError: It is not installed.
        OptionError: Nobody says where the coordinator is: labgrid's own guess is this machine.
    """
    beside = Path(sys.executable).with_name(PROGRAM)  # of an environment that is not activated
    program = shutil.which(PROGRAM) or (str(beside) if os.access(beside, os.X_OK) else None)
    if program is None:
        raise MissingRuntimeError(f"labgrid: devices need {PROGRAM}, which is not installed", mend=PIP)
    where = coordinator or environment.get(COORDINATOR)
    if not where:
        raise OptionError(
            "a labgrid: device without a coordinator",
            mend=f'set {COORDINATOR}=HOST:PORT, or write coordinator = "HOST:PORT" in devices.toml, or '
            "labgrid:PLACE?coordinator=HOST:PORT",
        )
    if (
        where.startswith("-")
        or not where.isprintable()
        or " " in where
        or where.startswith(("ws://", "wss://"))
    ):
        raise OptionError(
            f"{where!r:.80} is no labgrid coordinator", mend="give HOST:PORT, such as lab:20408"
        )
    return Client(program, where, Identity.new())


def reason(stderr: str) -> str:
    """The last line that says something, without the program's name and colours."""
    lines = [_COLOURS.sub("", line).strip() for line in stderr.splitlines()]
    said = [line for line in lines if line] or ["it printed no reason"]
    return re.sub(r"^(labgrid-client: |Server error: )?(Error: )?", "", said[-1])[:400]
