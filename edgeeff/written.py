"""TOML files with a schema (suites, baselines, devices): what is wrong in one is named with its line."""

from __future__ import annotations

import difflib
import sys
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from edgeeff import text
from edgeeff.errors import EdgeeffError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Bytes of the largest file that is read.
LARGEST = 4 << 20
#: Lines among which the line of a key is looked for.
_LINES = 2000

Shape = TypeVar("Shape", bound=BaseModel)


def read(
    path: Path,
    shape: type[Shape],
    kind: type[EdgeeffError],
    schema: int,
    document: str = "docs/gate.md",
) -> Shape:
    """A file's content.

    Args:
        path: The file.
        shape: What it holds, its ``schema`` among it.
        kind: Of the error that is raised.
        schema: The newest that this version reads.
        document: What shows how such a file is written.

    Raises:
        EdgeeffError: Of that kind: the file cannot be read, is not TOML, is of a newer schema, or has a key
            or a value that does not belong there.
    """
    content = text.read(path, kind, LARGEST)
    try:
        data = tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise kind(f"{path} is not TOML: {error}", mend="correct the file's syntax") from None
    version = data.get("schema")
    if type(version) is not int or version < 1:
        raise kind(
            f"{_place(path, content, ['schema'])}: the file does not say which schema it is of",
            mend=f"write schema = {schema} at its top",
        )
    if version > schema:
        raise kind(
            f"{_place(path, content, ['schema'])}: schema {version}, and this version of edgeeff reads up to "
            f"{schema}",
            mend="update edgeeff",
        )
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        raise _refusal(path, content, shape, error, kind, document) from None


def line(content: str, where: Sequence[str | int]) -> int | None:
    """The line on which a key, or the table around it, is given its value; 1 is the first.

    That is the line after the longest text which is whole TOML without the key: a value may take several
    lines, and a name may also stand within a text.
    """
    lines = content.split("\n")
    if len(lines) > _LINES:
        return None
    before = 0
    wanted = list(where[: _depth(tomllib.loads(content), where)])
    if not wanted:
        return None
    for number in range(1, len(lines) + 1):
        try:
            data = tomllib.loads("\n".join(lines[:number]))
        except (ValueError, RecursionError):
            continue
        if _depth(data, wanted) == len(wanted):
            return before + 1
        before = number
    return None


def _depth(data: Any, where: Sequence[str | int]) -> int:
    """How many steps of a path there are in the data."""
    for depth, step in enumerate(where):
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return depth
    return len(where)


def _place(path: Path, content: str, where: Sequence[str | int]) -> str:
    number = line(content, where)
    return str(path) if number is None else f"{path} line {number}"


def _refusal(
    path: Path,
    content: str,
    shape: type[BaseModel],
    error: ValidationError,
    kind: type[EdgeeffError],
    document: str,
) -> EdgeeffError:
    """What a model found wrong first, with its line and what may stand there."""
    errors = error.errors()
    # A key that is written wrongly is unknown, and perhaps missing too: the first says more.
    found = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    where = list(found["loc"])
    keys = _keys(shape, where[:-1])
    place = named(where)
    if found["type"] == "extra_forbidden":
        what = f"there is no key {str(where[-1])!r:.80}{f' in {named(where[:-1])}' if where[:-1] else ''}"
        near = difflib.get_close_matches(str(where[-1]), keys, 1)
        mend = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(keys)}"
    elif found["type"] == "missing":
        what, mend = f"{place} is missing", f"the keys are {', '.join(keys)}"
    else:
        said = found["msg"].removeprefix("Value error, ")
        what, mend = f"{place}: {said}", f"correct the value; {document} has an example"
    return kind(f"{_place(path, content, where)}: {what}", mend=mend)


def named(where: Sequence[str | int]) -> str:
    """A place as people count: ``case 2: limits.latency``."""
    name = ""
    for step in where:
        if isinstance(step, int):
            name = f"{name.removesuffix('.')} {step + 1}: "
        else:
            name += f"{step}."
    return name.rstrip(".: ")


def _keys(shape: Any, where: Sequence[str | int]) -> list[str]:
    """The keys that a table at a place may have, as its model names them."""
    for step in where:
        model = _model(shape)
        if model is not None and shape is model:
            fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
            shape = fields.get(str(step))
        else:  # a step into a list, or into a table of models
            shape = model
    model = _model(shape)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _model(shape: Any) -> type[BaseModel] | None:
    """The model that an annotation is, or is a list or a table of, or that it may be."""
    models = [one for one in (shape, *typing.get_args(shape)) if isinstance(one, type)]
    return next((one for one in models if issubclass(one, BaseModel)), None)
