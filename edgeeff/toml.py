"""TOML files that people write, read through models that say what is wrong with them and where."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from edgeeff import text
from edgeeff.errors import EdgeeffError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: Bytes of the largest TOML file that is read.
LARGEST = 16 << 20

Shape = TypeVar("Shape", bound=BaseModel)


def read(path: Path, shape: type[Shape], kind: type[EdgeeffError], *, fields: str | None = None) -> Shape:
    """A file's content.

    Args:
        path: The file.
        shape: What it holds.
        kind: Of the error that is raised.
        fields: How a file that has other fields is mended; None: they are listed.

    Raises:
        EdgeeffError: Of that kind: the file cannot be read, is not TOML, or holds something else.
    """
    try:
        return shape.model_validate(tomllib.loads(text.read(path, kind, LARGEST)))
    except ValidationError as error:
        raise kind(
            f"{path}: {first(error)}", mend=fields or f"the fields are {', '.join(shape.model_fields)}"
        ) from None
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise kind(f"{path} is not TOML: {error}", mend="correct the file's syntax") from None


def first(error: ValidationError) -> str:
    """The first thing that a model found wrong, with its place."""
    found = error.errors()[0]
    where = ".".join(map(str, found["loc"])) or "the file"
    return f"{where}: {found['msg'].removeprefix('Value error, ')}"
