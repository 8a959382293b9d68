"""One folder for each runtime, found by name.

A runtime's folder holds ``emit.py`` (hub graph to artifact; build wing), ``run.py`` (a session over an
artifact; device wing) and ``check.py`` (what the runtime really made of it; device wing). Its
``__init__.py`` holds its facts: ``REQUIRES``, the modules it needs (any one of those in a tuple will do);
``INSTALL``, the line that brings them; ``NORMALISES_INPUT``, ``INPUTS``, ``ARTIFACT`` and ``RUN``. No table
lists the runtimes: a new folder is a new runtime.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edgeeff.errors import MissingRuntimeError, UnknownTargetError
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.target import Target

Logits = npt.NDArray[np.float32]
Room = Literal["emit", "run", "check"]


@dataclass(frozen=True)
class Emission:
    """What an ``emit`` is given besides the graph: everything the artifact's metadata is written from."""

    name: str
    target: Target
    preprocess: Preprocess
    labels: Sequence[str]
    softmax: bool = False


class Session(Protocol):
    """A loaded artifact."""

    def infer(self, pixels: Pixels) -> Logits:
        """Raw pixels uint8 [N, H, W, 3], whatever input type the artifact has, to float32 [N, classes]."""

    def prepare(self, pixels: Pixels) -> Any:
        """The native input of one image uint8 [1, H, W, 3]."""

    def execute(self, prepared: Any) -> Any:
        """The inference alone, for benchmarks."""


@dataclass(frozen=True)
class Layer:
    """One executed layer: its name, operator, the precision it ran in, and the kernel that ran it."""

    name: str
    operator: str
    precision: str
    kernel: str


@dataclass(frozen=True)
class CheckReport:
    """What a runtime made of an artifact.

    Args:
        status: ``ok``, ``fallback`` (some layer meant for INT8 runs in something else) or ``NOT RUN``.
        summary: One line for a person.
        counts: Figures a test can hold on to, such as INT8 kernels or delegated operators.
        fallbacks: The layers that were meant to run in INT8 and do not.
        layers: All layers, where the runtime tells them.
    """

    status: Literal["ok", "fallback", "NOT RUN"]
    summary: str
    counts: Mapping[str, int] = field(default_factory=dict)
    fallbacks: Sequence[str] = ()
    layers: Sequence[Layer] = ()


def runtime_names() -> list[str]:
    """The folders of this package, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.ispkg)


def runtime(name: str) -> ModuleType:
    """The runtime's package (its REQUIRES and INSTALL), without importing the runtime itself.

    Raises:
        UnknownTargetError: There is no such runtime.
    """
    if name not in runtime_names():
        raise UnknownTargetError(
            f"no runtime named {name!r}", mend=f"the runtimes are {', '.join(runtime_names())}"
        )
    return import_module(f"edgeeff.backends.{name}")


def missing(name: str) -> list[str]:
    """The modules that the runtime needs and this machine has not."""
    absent = []
    for need in runtime(name).REQUIRES:
        choices = (need,) if isinstance(need, str) else need
        if all(find_spec(module) is None for module in choices):
            absent.append(" or ".join(choices))
    return absent


def require(name: str, part: Room) -> None:
    """Refuse a room that is not there or whose runtime is not installed, without importing either.

    Raises:
        UnknownTargetError: There is no such runtime, or it has no such room.
        MissingRuntimeError: A module that the runtime needs is not installed.
    """
    package = runtime(name)
    if find_spec(f"{package.__name__}.{part}") is None:
        raise UnknownTargetError(
            f"the {name} runtime has no {part}: no target can name it",
            mend=f"the runtimes are {', '.join(runtime_names())}",
        )
    absent = missing(name)
    if absent:
        raise MissingRuntimeError(
            f"the {name} runtime needs {', '.join(absent)}, which is not installed",
            mend=f"install it: {package.INSTALL}",
        )


def room(name: str, part: Room) -> Any:
    """The runtime's ``emit``, ``run`` or ``check`` module.

    Raises:
        UnknownTargetError: There is no such runtime, or it has no such room.
        MissingRuntimeError: A module that the runtime needs is not installed.
    """
    require(name, part)
    try:
        return import_module(f"edgeeff.backends.{name}.{part}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("edgeeff"):
            raise
        raise MissingRuntimeError(
            f"to {part} for {name} needs {error.name}, which is not installed",
            mend=f"install it: {runtime(name).INSTALL}",
        ) from None
