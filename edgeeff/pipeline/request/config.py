"""``edgeeff.toml``: what a build's user keeps in a file, read and written.

Each key is an option of the command line, which overrides it key by key. Relative paths are relative to the
file. The file of the folder where somebody stands may come from anybody: it may not let code run.
"""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from edgeeff import regular, text
from edgeeff.errors import OptionError, OutputError
from edgeeff.files import write_file
from edgeeff.pipeline.request.declaring import Option, declared, nearest
from edgeeff.pipeline.request.parts import INSTEAD, ONLY_WITH, Run, options

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What is looked for in the current folder.
FILE = "edgeeff.toml"
#: What stands for no file.
NONE = "none"
#: Bytes of the largest file that is read.
LARGEST = 1 << 20
_WIDTH = 80
#: Lines that are looked at for a key.
_CANDIDATES = 50


class Places:
    """Where a file gives its keys their values."""

    def __init__(self, path: Path, content: str) -> None:
        self._path, self._content = path, content
        self.keys: dict[str, str] = {}  # by the options' names, as the file spells them

    def __getitem__(self, name: str) -> str:
        return place(self._path, self._content, self.keys.get(name, name))

    def number(self, name: str) -> str:
        """The line alone: ``line 3``."""
        return self[name].removeprefix(f"{self._path} ")


@dataclass(frozen=True)
class Config:
    """A file's content.

    Args:
        path: The file.
        named: Whether the user named it, so that it was not just there.
        values: By the options' names, as the command line would have them.
        places: Where each stands: file and line.
    """

    path: Path
    named: bool
    values: Mapping[str, Any]
    places: Places


@dataclass(frozen=True)
class Merged:
    """What the command line and a file say together; ``line`` says what is whose, for the user."""

    values: dict[str, Any]
    config: Config | None
    line: str | None


def every() -> dict[str, Option]:
    """The options that a file may hold, by name."""
    return {one.name: one for one in (*options(), *declared(Run))}


def merged(said: Mapping[str, Any], named: str | None, verb: str) -> Merged:
    """What the command line says, and for the rest the file.

    Args:
        said: What stands on the command line, by the options' names.
        named: The file, or ``none``; None: ``edgeeff.toml``, if it is in the current folder.
        verb: What of the file is used: the options of this verb.

    Raises:
        OptionError: The file cannot be understood, or is not trusted in what it says.
    """
    if named == NONE or (named is None and not os.path.lexists(FILE)):
        return Merged(dict(said), None, None)
    config = read(regular.path_of(named or FILE), named=named is not None)
    refuse_untrusted(config, said)
    hidden = {other for pair in INSTEAD for one, other in (pair, pair[::-1]) if one in said}
    hidden |= {one for one, other, value in ONLY_WITH if said.get(other, value) != value}
    used = {name: value for name, value in config.values.items() if verb in every()[name].declared.verbs}
    overridden = [name for name in used if name in said or name in hidden]
    taken = {name: value for name, value in used.items() if name not in overridden}
    line = f"config   {config.path}: {', '.join(taken) or 'nothing'}"
    if overridden:
        line += f"; overridden by the command line: {', '.join(overridden)}"
    return Merged({**taken, **said}, config, line)


def refuse_untrusted(config: Config, said: Mapping[str, Any]) -> None:
    """Refuse a file that nobody named, and that would let a checkpoint's code run.

    Raises:
        OptionError: The command line does not say so too.
    """
    name = "trust_checkpoint"
    if config.values.get(name) and not config.named and name not in said:
        raise OptionError(
            f"{config.places[name]}: {name} = true, in a file that was not named: nothing of "
            "the checkpoint was run",
            mend="pass --trust-checkpoint too, if you trust where the checkpoint comes from",
        )


def read(path: Path, *, named: bool = True) -> Config:
    """A file's content, its paths seen from here.

    Raises:
        OptionError: It cannot be read, is not TOML, or holds a key or a value that no option has, or two
            options of which one takes the other's place.
    """
    content = text.read(path, OptionError, LARGEST)
    try:
        found = tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise OptionError(
            f"{path} is not TOML: {error}", mend=f"correct its syntax, or pass --config {NONE}"
        ) from None
    places = Places(path, content)
    values: dict[str, Any] = {}
    for key, value in found.items():
        name = key.replace("-", "_")
        if name not in every():
            raise _unknown(place(path, content, key), key)
        if name in values:
            raise OptionError(
                f"{place(path, content, key)}: {key} stands already in {places.number(name)}",
                mend="keep one of them",
            )
        values[name], places.keys[name] = value, key
    for one, other in INSTEAD:
        if values.get(one) and values.get(other):
            raise OptionError(
                f"{places[one]}: {one}, and {places.number(other)} says {other}, which takes its place",
                mend="keep one of them",
            )
    _check_types(values, places)
    for name, value in values.items():
        option = every()[name]
        try:
            option.read(value)
        except OptionError as error:
            raise OptionError(f"{places[name]}: {error.what}", mend=error.mend) from None
        values[name] = option.kind.beside(value, path.parent)
    return Config(path, named, values, places)


def place(path: Path, content: str, key: str) -> str:
    """Where a top-level key is given its value, for messages: ``edgeeff.toml line 3``.

    That is the line before which the text is whole TOML without the key: its name may also stand within a
    text of several lines.
    """
    lines = content.split("\n")
    begins = re.compile(rf"\s*\[?\s*[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
    candidates = [number for number, line in enumerate(lines) if begins.match(line)]
    for number in candidates[:_CANDIDATES]:
        try:
            if key not in tomllib.loads("\n".join(lines[:number])):
                return f"{path} line {number + 1}"
        except (ValueError, RecursionError):
            continue
    return str(path)


def _unknown(where: str, key: str) -> OptionError:
    known = [*every()]
    if key in ("json", "config", "write_config", "help"):
        return OptionError(f"{where}: {key} is for the command line alone", mend="take it out of the file")
    guess = nearest(key.replace("-", "_"), known)
    return OptionError(
        f"{where}: there is no key {key!r:.80}",
        mend=guess or "the keys are the options of `edgeeff build --help`, as docs/options.md lists them",
    )


def _check_types(values: Mapping[str, Any], places: Places) -> None:
    """Refuse a value of another type than its option's.

    Raises:
        OptionError: It says how the value is written.
    """
    for name, value in values.items():
        kind = every()[name].kind
        try:
            TypeAdapter(kind.toml).validate_python(value, strict=True)
        except ValidationError:
            shown = _toml(value) if isinstance(value, (str, int, float, list)) else "…"
            raise OptionError(f"{places[name]}: {name} = {shown:.80}", mend=f"write {kind.wants}") from None


def write(path: Path, said: Mapping[str, Any]) -> None:
    """Write a file of what the command line says, and of all other options as comments.

    Raises:
        OptionError: A value that its option cannot have.
        OutputError: There is such a file already, or it cannot be written.
    """
    if os.path.lexists(path):
        raise OutputError(
            f"{path} is there already", mend="edit it, or write another file with --config FILE"
        )
    here = Path(os.path.relpath(Path.cwd(), path.parent.resolve()))
    moved = {}
    for name, value in said.items():
        one = every()[name]
        one.read(value)
        moved[name] = one.kind.beside(_plain(value), here)
    write_file(path, content(moved).encode())


def content(said: Mapping[str, Any]) -> str:
    """The text of a file: what is said, and all other options with their defaults or an example."""
    parts = [
        "# What `edgeeff build` builds in this folder. The command line overrides it, key by key.\n"
        "# Relative paths are relative to this file. A key behind # is not in use: its value is\n"
        "# the default, or an example.\n"
    ]
    for group, members in groupby(every().values(), lambda one: one.group):
        parts.append(f"\n# ---- {group} ----\n")
        for one in members:
            comment = textwrap.fill(
                one.help, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
            )
            value = _toml(said[one.name] if one.name in said else _plain(one.example))
            parts.append(f"\n{comment}\n{'' if one.name in said else '#'}{one.name} = {value}\n")
    return "".join(parts)


def _plain(value: Any) -> Any:
    """A value as TOML may hold it."""
    if isinstance(value, os.PathLike):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _toml(value: Any) -> str:
    """A value in TOML's notation; its basic strings are JSON's, but for DEL."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
