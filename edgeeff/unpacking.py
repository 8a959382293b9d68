"""What a file that is not trusted may become in memory or on disk: looked at before it becomes that.

Photos, weights and arrays hardly shrink when they are packed; a file that grows a hundredfold was made to.
"""

from __future__ import annotations

import math
import os
import tokenize
import warnings
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from edgeeff import regular
from edgeeff.errors import EdgeeffError

#: Times its size on disk that a file may become.
RATIO = 100
#: Bytes that any file may become: a small picture in one colour shrinks more than a hundredfold.
SMALL = 64 << 20
#: Bytes of memory that one entry of a list of images takes.
ENTRY = 256


def absurd(becomes: int, held: int, small: int = SMALL) -> bool:
    """Whether what ``held`` bytes claim to become is more than a file of that size may."""
    return becomes > small and becomes > RATIO * held


def npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic], bool]:
    """Shape, type and whether in Fortran's order of an .npy, of which only the header is read.

    Raises:
        ValueError: It is no .npy, or holds objects, or a shape that no array has.
    """
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the .npy format is not read")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns of headers that Python 2 wrote, and reads them
            shape, fortran, dtype = read(file)
    except (TypeError, SyntaxError, tokenize.TokenError, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(f"its header is damaged: {error}") from None
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if any(isinstance(n, bool) or not 0 <= n < 1 << 48 for n in shape):
        raise ValueError(f"it claims a shape of {list(shape)}")
    return shape, dtype, fortran


def npy_body(file: IO[bytes], size: int, packed: int | None = None) -> npt.NDArray[np.generic]:
    """A whole .npy of ``size`` bytes, ``packed`` of which are on disk; the header must claim just these.

    Raises:
        ValueError: As in :func:`npy_header`; or the header claims another size.
    """
    shape, dtype, fortran = npy_header(file)
    claimed = math.prod(shape) * dtype.itemsize
    if file.tell() + claimed != size:
        raise ValueError(f"its header claims {claimed} bytes, and {max(size - file.tell(), 0)} follow")
    if absurd(claimed + ENTRY * math.prod(shape[:1]), size if packed is None else packed):
        raise ValueError(f"it would unpack to {claimed} bytes from {packed}")
    data = bytearray(file.read(claimed))  # an array over bytes could not be written to
    if len(data) != claimed:
        raise EOFError("it is cut off")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def npy(path: Path, kind: type[EdgeeffError], mend: str) -> npt.NDArray[np.generic]:
    """The array of a regular .npy file.

    Raises:
        EdgeeffError: Of that kind: the file cannot be read, or is no .npy, or its header lies.
    """
    try:
        with regular.opened(path) as file:
            return npy_body(file, os.fstat(file.fileno()).st_size)
    except (OSError, ValueError, EOFError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise kind(f"{path} cannot be read: {reason}", mend=mend) from None
