"""Outputs of many images as one .npz: collected on disk, so that memory does not grow with their number."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from edgeeff.errors import OptionError
from edgeeff.files import refuse_unwritable, replacing, writing
from edgeeff.tasks import Outputs

_NAMES = "names"


class Saved:
    """An .npz that grows image by image: each output [N, …] by its name, and ``names`` of the images.

    It is written, whole, when the block is left without an error; being interrupted is none.

    Args:
        path: Ends in ``.npz``; a file there is replaced.

    Raises:
        OptionError: It has another suffix.
        OutputError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".npz":
            raise OptionError(f"--save {path}", mend=f"end its name in .npz: {path.stem}.npz")
        refuse_unwritable(path.parent)
        self._path = path
        self._names: list[str] = []
        self._files = ExitStack()
        self._values: dict[str, IO[bytes]] = {}
        self._kinds: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}

    def __enter__(self) -> Saved:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._files:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._write()

    def add(self, name: str, outputs: Outputs) -> None:
        """Of one image: each output without the batch."""
        with writing(self._path):
            for key, values in outputs.items():
                if key not in self._values:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    file = tempfile.TemporaryFile(dir=self._path.parent)  # noqa: SIM115  # the stack closes it
                    self._values[key] = self._files.enter_context(file)
                    self._kinds[key] = values.shape, values.dtype
                self._values[key].write(np.ascontiguousarray(values).tobytes())
        self._names.append(name)

    def _write(self) -> None:
        with replacing(self._path) as file, zipfile.ZipFile(file, "w") as archive:
            for key, values in self._values.items():
                shape, kind = self._kinds[key]
                values.seek(0)
                with _member(archive, key) as member:
                    _header(member, (len(self._names), *shape), kind)
                    shutil.copyfileobj(values, member)
            names = np.array(self._names, dtype=str)
            key = next(n for n in (_NAMES, f"{_NAMES}_", f"{_NAMES}__") if n not in self._values)
            with _member(archive, key) as member:
                _header(member, names.shape, names.dtype)
                member.write(names.tobytes())


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """A member of any size, with no time in it."""
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _header(file: IO[bytes], shape: tuple[int, ...], kind: npt.DTypeLike) -> None:
    kept = np.lib.format.dtype_to_descr(np.dtype(kind))
    np.lib.format.write_array_header_2_0(file, {"shape": shape, "fortran_order": False, "descr": kept})
