"""Files by the names that users give: regular ones, opened without waiting, read whole within a limit.

A pipe would be waited for, a device may have no end, and a name from a list may be one that no file has.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

from edgeeff.errors import EdgeeffError


def path_of(name: str | Path) -> Path:
    """A name as a path, ``~`` put in full where there is such a home."""
    return Path(os.path.expanduser(name))  # noqa: PTH111  Path's own raises where there is no home


def exists(path: Path) -> bool:
    """Whether something is there; of a name that nothing can have, no."""
    return os.path.exists(path)  # noqa: PTH110  Path's own raises for a name that is too long


def is_file(path: Path) -> bool:
    """Whether a regular file is there."""
    return os.path.isfile(path)  # noqa: PTH113  as above


def is_folder(path: Path) -> bool:
    """Whether a folder is there."""
    return os.path.isdir(path)  # noqa: PTH112  as above


def opened(path: Path) -> IO[bytes]:
    """A regular file, to be read.

    Raises:
        OSError: There is none, or something else is there, or it cannot be read.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "no file has such a name") from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        folder = stat.S_ISDIR(os.fstat(number).st_mode)
        os.close(number)
        raise OSError(errno.EINVAL, "it is a folder" if folder else "it is no regular file")
    return os.fdopen(number, "rb")


def read(path: Path, kind: type[EdgeeffError], largest: int, mend: str) -> bytes:
    """A regular file's bytes.

    Args:
        path: The file.
        kind: Of the error that is raised.
        largest: Bytes that it may have.
        mend: How the user brings another.

    Raises:
        EdgeeffError: Of that kind: there is no such file, or it cannot be read, or is larger.
    """
    try:
        with opened(path) as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise kind(f"{path} cannot be read: {error.strerror or error}", mend=mend) from None
    if len(data) > largest:
        raise kind(f"{path} is larger than {largest} bytes", mend=mend)
    return data
