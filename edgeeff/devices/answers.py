"""What an agent answers, typed: a board is another machine, which may be damaged or lie."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints, ValidationError

from edgeeff.batch import LARGEST
from edgeeff.errors import DeviceError
from edgeeff.onboard.frames import Frame
from edgeeff.target import CpuClass

_Text = Annotated[str, StringConstraints(max_length=1000)]
_Count = Annotated[int, Field(ge=0, lt=1 << 62)]
_Many = Annotated[list[_Text], Field(max_length=1000)]


class Answer(BaseModel):
    """A header; what it says besides is left out."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class Nothing(Answer):
    """What was asked for is done."""


class Held(Answer):
    """Whether a bundle is there."""

    has: bool


class Temperatures(Answer):
    """Of zones and sensors, °C."""

    temperatures_c: Annotated[dict[_Text, float], Field(max_length=1000)]


class Opened(Answer):
    """A session's number, and the images of one run: how many, and whether fewer are taken."""

    session: _Count
    batch: Annotated[tuple[Annotated[int, Field(ge=1, le=LARGEST)], bool], Strict(False)]  # JSON has lists


class Inferred(Answer):
    """Arrays, which :func:`edgeeff.onboard.arrays.unpack` reads."""

    arrays: list[dict[str, Any]]


class Ended(Answer):
    """How a process ended; None: it took too long."""

    returncode: Annotated[int, Field(ge=-(1 << 31), lt=1 << 31)] | None


class Board(Answer):
    """The fields of :class:`edgeeff.harness.machine.Machine`."""

    cpu: _Text | None
    board: _Text | None
    architecture: _Text
    cpu_class: CpuClass
    flags: _Many
    cores: _Count | None
    usable_cores: _Count | None
    governor: _Text | None
    turbo: bool | None
    load_average: Annotated[list[float], Field(min_length=3, max_length=3)] | None
    system: _Text
    python: _Text
    versions: Annotated[dict[_Text, _Text], Field(max_length=1000)]


class Now(Temperatures):
    """What ``edgeeff.onboard.describing.now`` tells."""

    utc: float
    l4t: _Text | None
    power_mode: _Text | None
    memory_bytes: _Count | None
    memory_free_bytes: _Count | None
    disk_bytes: _Count | None
    disk_free_bytes: _Count | None
    uptime_s: float | None
    limit_mhz: float | None


class Facts(Answer):
    """A board, and how it does."""

    machine: Board
    now: Now


Shape = TypeVar("Shape", bound=Answer)


def read(shape: type[Shape], frame: Frame, board: str, payloads: int | None = 0) -> Shape:
    """What a frame says.

    Args:
        shape: Of its header.
        frame: The answer.
        board: Whose, for messages.
        payloads: How many go with it; None: any number.

    Raises:
        DeviceError: It says something else.
    """
    try:
        if payloads is not None and len(frame.payloads) != payloads:
            raise ValueError(f"{len(frame.payloads)} payloads instead of {payloads}")
        return shape.model_validate(frame.header)
    except ValidationError as error:
        first = error.errors()[0]
        raise wrong(board, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise wrong(board, str(error)) from None


def wrong(board: str, what: str) -> DeviceError:
    """That a board's answer cannot be understood."""
    return DeviceError(f"{board} answers wrongly: {what:.200}", mend="try again; if it stays so, report this")
