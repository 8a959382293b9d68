"""``devices.toml``: names of boards, with their addresses and how each is to be treated.

The file is the one that the user names, that of the folder where he stands, or his own in his folder of
settings; the first that is there. The file of a folder may come from anybody: it can name addresses, but no
command and no option of ssh.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edgeeff import regular, written
from edgeeff.errors import DeviceError, MissingFileError
from edgeeff.harness.cooling import Cooling, degrees

SCHEMA = 1
FILE = "devices.toml"
#: Names a file as ``--devices-file`` does.
VARIABLE = "EDGEEFF_DEVICES"
#: What stands for no device, or for this machine.
RESERVED = ("local", "all", "none")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PYTHON = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]{0,255}")
_MOST = 10_000
#: Seconds that a board may take to start after a power cycle.
BOOT = 180.0


def _a_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(
            f"{value!r:.70} is no name of a device: it has letters, digits, _ . and -, 64 at most"
        )
    if value in RESERVED:
        raise ValueError(f"{value!r} means something else: choose another name")
    return value


def _an_address(value: str) -> str:
    if not value.isprintable() or " " in value or ":" not in value:
        raise ValueError(f"{value!r:.80} is no address: write ssh://user@board, labgrid:PLACE or adb:SERIAL")
    return value


def _a_command(value: str) -> str:
    if not _PYTHON.fullmatch(value):
        raise ValueError("write the path of a program on the board alone, such as /usr/bin/python3.10")
    return value


def _a_coordinator(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:\[\]-]{1,255}", value) or value.startswith("-"):
        raise ValueError("write HOST:PORT, such as lab:20408")
    return value


def _a_temperature(value: str) -> str:
    degrees(value)
    return value


Name = Annotated[str, AfterValidator(_a_name)]
Address = Annotated[str, Field(max_length=500), AfterValidator(_an_address)]
Coordinator = Annotated[str, AfterValidator(_a_coordinator)]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.=-]{0,63}$")]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]


class _DeviceFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    address: Address
    summary: str = Field("", max_length=200)
    tags: list[Tag] = Field([], max_length=100)
    python: Annotated[str, AfterValidator(_a_command)] = "python3"
    coordinator: Coordinator | None = None
    service: str | None = Field(None, min_length=1, max_length=200)
    power_cycle: bool = False
    boot: Seconds = BOOT
    cool: Annotated[str, AfterValidator(_a_temperature)] | None = None
    cool_limit: Seconds | None = None
    benchmark_model: str | None = Field(None, min_length=1, max_length=4096)


class _DevicesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    schema_: int = Field(alias="schema")
    coordinator: Coordinator | None = None
    device: dict[Name, _DeviceFile] = Field(min_length=1, max_length=_MOST)


@dataclass(frozen=True)
class Named:
    """A device that the file names.

    Args:
        name: Its name.
        address: Where it is.
        file: What names it.
        summary: A line about it.
        tags: What may be chosen by.
        python: The command that starts Python there.
        coordinator: Of ``labgrid:`` addresses.
        service: Which NetworkService of its place, where there are several.
        power_cycle: Whether its power is taken away before it is used.
        boot: Seconds that it may take to start then.
        cool: Wait before measurements until it is cool; None: only where somebody asks for it.
        benchmark_model: LiteRT's own program, on this machine, for Android devices without Python.
    """

    name: str
    address: str
    file: Path
    summary: str = ""
    tags: tuple[str, ...] = ()
    python: str = "python3"
    coordinator: str | None = None
    service: str | None = None
    power_cycle: bool = False
    boot: float = BOOT
    cool: Cooling | None = None
    benchmark_model: Path | None = None


def read(path: Path) -> dict[str, Named]:
    """The devices of a file, in its order.

    Raises:
        DeviceError: It cannot be understood; the message names line and key.
    """
    content = written.read(path, _DevicesFile, DeviceError, SCHEMA, document="docs/devices.md")
    found: dict[str, Named] = {}
    for name, said in content.device.items():
        if twin := next((other for other in found if other.lower() == name.lower()), None):
            raise DeviceError(
                f"{path}: the devices {twin} and {name} differ in capital letters alone",
                mend="give one of them another name",
            )
        if said.cool_limit is not None and said.cool is None:
            raise DeviceError(
                f"{path}: device.{name}.cool_limit without cool", mend='add cool = "50C", or take it out'
            )
        wait = {} if said.cool_limit is None else {"limit": said.cool_limit}
        _refuse_idle(path, name, said)
        found[name] = Named(
            name=name,
            address=said.address,
            file=path,
            summary=said.summary,
            tags=tuple(said.tags),
            python=said.python,
            coordinator=said.coordinator or content.coordinator,
            service=said.service,
            power_cycle=said.power_cycle,
            boot=said.boot,
            cool=None if said.cool is None else Cooling(degrees(said.cool), **wait),
            benchmark_model=None
            if said.benchmark_model is None
            else path.parent / regular.path_of(said.benchmark_model),
        )
    return found


def _refuse_idle(path: Path, name: str, said: _DeviceFile) -> None:
    """Refuse what would do nothing for a device of this kind: somebody expects something of it."""
    kind = said.address.partition(":")[0]
    only = {"labgrid": ("coordinator", "service", "power_cycle", "boot"), "adb": ("benchmark_model",)}
    for wanted, keys in only.items():
        idle = [key for key in keys if key in said.model_fields_set]
        if idle and kind != wanted:
            raise DeviceError(
                f"{path}: device.{name}.{idle[0]} is for addresses {wanted}:…, and this one is {kind}:",
                mend=f"take {idle[0]} out, or correct the address",
            )


def place(named: Path | None = None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file that holds; None: there is none.

    Args:
        named: What ``--devices-file`` says.
        environment: Variables.

    Raises:
        MissingFileError: The one that is named is not there.
    """
    said = named or (Path(environment[VARIABLE]) if environment.get(VARIABLE) else None)
    if said is not None:
        if not said.is_file():
            by = "--devices-file" if named else VARIABLE
            raise MissingFileError(f"there is no devices file {said}", mend=f"correct {by}")
        return said
    own = Path(platformdirs.user_config_dir("edgeeff", appauthor=False)) / FILE
    return next((path for path in (Path(FILE), own) if path.is_file()), None)


def look_up(name: str, named: Path | None = None) -> Named:
    """The device of that name.

    Raises:
        DeviceError: No file names it, or the file cannot be understood.
        MissingFileError: As for :func:`place`.
    """
    path = place(named)
    known = read(path) if path else {}
    if name in known:
        return known[name]
    if path is None:
        raise DeviceError(
            f"no device is called {name[:80]!r}: there is no {FILE}",
            mend=f"pass an address such as ssh://user@board, or write {FILE} as docs/devices.md shows",
        )
    near = get_close_matches(name, known, 1)
    raise DeviceError(
        f"{path} names no device {name[:80]!r}",
        mend=f"did you mean {near[0]}?" if near else f"it names {', '.join(list(known)[:10])}",
    )
