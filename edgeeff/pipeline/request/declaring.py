"""How an option is declared: once, as a field of one of the parts of a request.

From the declaration come the Python keyword, the option of the command line, the key of ``edgeeff.toml``,
its check, its help text and its row in docs/options.md.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Protocol, TypeVar

from edgeeff.errors import OptionError
from edgeeff.pipeline.request.kinds import Kind


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Request = TypeVar("Request", bound=_Dataclass)

_KEY = "option"


@dataclass(frozen=True)
class Declared:
    """What is said of an option where it is declared; :func:`option` has the meaning of each."""

    kind: Kind
    help: str
    example: Any
    flag: str | None
    short: str | None
    off: str | None
    shown: str | None
    least: int | None
    verbs: tuple[str, ...]
    python: bool


@dataclass(frozen=True)
class Option:
    """An option, with what its place adds: its name, its default, and the part that it belongs to."""

    name: str
    default: Any
    group: str
    declared: Declared

    @property
    def kind(self) -> Kind:
        """How its value is written."""
        return self.declared.kind

    @property
    def help(self) -> str:
        """What it does, one or two sentences."""
        return self.declared.help

    @property
    def flag(self) -> str:
        """As the command line has it: ``--keep-float``."""
        return self.declared.flag or f"--{self.name.replace('_', '-')}"

    @property
    def switch(self) -> bool:
        """Whether it is on or off, so that the command line takes no value."""
        return self.kind.cli is bool

    @property
    def off(self) -> str:
        """What switches it off on the command line."""
        return self.declared.off or f"--no-{self.name.replace('_', '-')}"

    @property
    def example(self) -> Any:
        """A value as ``edgeeff.toml`` has it: the default, where there is one."""
        return self.default if self.declared.example is None else self.declared.example

    def read(self, value: Any) -> Any:
        """The form that a request holds, of a value from Python, the command line or ``edgeeff.toml``.

        Raises:
            OptionError: It is no value that the option can have.
        """
        if value is None:
            return self.default
        found = self.kind.read(value, self.flag)
        least = self.declared.least
        if least is not None and found < least:
            raise OptionError(f"{self.flag} {found}", mend=f"pass {least} or more")
        return found


def option(
    kind: Kind,
    help: str,
    *,
    default: Any = None,
    example: Any = None,
    flag: str | None = None,
    short: str | None = None,
    off: str | None = None,
    shown: str | None = None,
    least: int | None = None,
    verbs: tuple[str, ...] = ("build", "diagnose"),
    python: bool = True,
) -> Any:
    """Declare an option: the value of a field of a part of the request.

    Args:
        kind: How its value is written.
        help: What it does and what holds without it, in one or two sentences.
        default: Where nobody says anything.
        example: A value as ``edgeeff.toml`` has it, for the file that ``--write-config`` writes.
        flag: On the command line, if not ``--`` and the field's name.
        short: Its short form, ``-m``.
        off: What switches it off on the command line, if not ``--no-…``; shown in the help.
        shown: Its type in the help, if not that of ``kind``.
        least: The smallest number it may be.
        verbs: Those that have it.
        python: Whether it is a keyword in Python too.
    """
    declared = Declared(kind, help, example, flag, short, off, shown, least, verbs, python)
    return field(default=default, metadata={_KEY: declared})


def declared(part: type, verb: str | None = None) -> list[Option]:
    """The options of a part of the request, those of one verb if it is named."""
    group = (part.__doc__ or part.__name__).partition(":")[0]
    found = [
        Option(one.name, one.default, group, one.metadata[_KEY])
        for one in fields(part)
        if _KEY in one.metadata
    ]
    return [one for one in found if verb is None or verb in one.declared.verbs]


class Part:
    """A part of a request: a frozen dataclass whose values are in the form that :meth:`Option.read` gives."""

    def __post_init__(self) -> None:
        for one in declared(type(self)):
            object.__setattr__(self, one.name, one.read(getattr(self, one.name)))


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant: ``, did you mean 'calibration'?``; nothing where no name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def changed(request: Request, values: Mapping[str, Any], known: Iterable[Option], what: str) -> Request:
    """A request with other values for some keywords, each in the part that has it.

    Args:
        request: A dataclass whose fields are parts.
        values: By keyword.
        known: The options that the request holds.
        what: Whose they are, for a message.

    Raises:
        OptionError: A value that its option cannot have.
        TypeError: No option of that name.
    """
    given, parts = dict(values), dict[str, Any]()
    for part in fields(request):
        own = getattr(request, part.name)
        named = {one.name: given.pop(one.name) for one in fields(own) if one.name in given}
        parts[part.name] = replace(own, **named)
    for name in given:
        meant = nearest(name, [one.name for one in known])
        raise TypeError(" ".join(filter(None, (f"no option of {what} is called {name!r}", meant))))
    return replace(request, **parts)
