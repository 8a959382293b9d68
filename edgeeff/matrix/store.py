"""The folder of results: each under its unit's key, whole or absent, and never made twice at once.

results/matrix.json          whose folder it is
results/units/KEY/           result.json beside what the unit made: a bundle, a shard's state
results/bundles/NAME-TARGET  links to the bundles of the last run, for suites and people
results/reports/             reports of the last run, as `edgeeff eval --json` and `bench --json` print them
results/claims/              locks of units at work, which the system takes back from the dead
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeeff import regular, text
from edgeeff.errors import MatrixError, OutputError
from edgeeff.files import refuse_links, refuse_unwritable, scratch_folder, sweep, write_file, writing

SCHEMA = 1
RESULT = "result.json"
_MARK = "matrix.json"
_RECORDED = "recorded"
_FOLDERS = ("units", "claims", "failures", "logs")
_RUN = "run.lock"


class _Figures(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
    __pydantic_extra__: dict[str, float | str | None] = Field(init=False)
    score: float | None = None
    agreement: float | None = None
    p50_ms: float | None = None


class _Result(BaseModel):
    """What is read of ``result.json``, which may be damaged or somebody else's."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    key: str
    kind: str = ""
    files: dict[str, int]
    warnings: list[str] = []
    figures: _Figures = _Figures()
    report: dict[str, Any] | None = None
    seconds: float | None = None
    bundle: Annotated[str, Field(pattern=r"^bundle/[^/.\x00][^/\x00]*$")] | None = None
    digest: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> _Result:
        if self.kind == "build" and (self.bundle is None or self.digest is None):
            raise ValueError("a build without its bundle")
        return self


@dataclass(frozen=True)
class Store:
    """A folder of results."""

    folder: Path

    @property
    def units(self) -> Path:
        """Where results lie."""
        return self.folder / "units"

    def prepare(self) -> None:
        """Make the folder, or take one that is there.

        Raises:
            MatrixError: It is something else's, or of a newer schema.
            OutputError: It cannot be written, or leads elsewhere.
        """
        mark = self.folder / _MARK
        if regular.exists(self.folder) and not regular.is_folder(self.folder):
            raise MatrixError(f"{self.folder} is no folder", mend="name another one for the results")
        if regular.is_file(mark):
            said = text.read_json(mark, MatrixError)
            schema = said.get("schema") if isinstance(said, dict) else None
            if schema != SCHEMA:
                raise MatrixError(
                    f"{self.folder} holds results of schema {schema!r:.40}, and this version of edgeeff "
                    f"reads {SCHEMA}",
                    mend="update edgeeff, or name another folder with --results",
                )
        elif regular.is_folder(self.folder) and any(self.folder.iterdir()):
            raise MatrixError(
                f"{self.folder} holds something else than a matrix's results",
                mend="name an empty folder, or one that is not there yet, with --results",
            )
        refuse_unwritable(self.folder)
        for name in (*_FOLDERS, "bundles", "reports"):
            refuse_links(self.folder, name)
        with writing(self.folder):
            for name in _FOLDERS:
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not regular.is_file(mark):
            write_file(mark, json.dumps({"schema": SCHEMA}).encode())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against another run; what dead ones left half-made is swept.

        Raises:
            MatrixError: Another run is at work there.
        """
        refuse_links(self.folder / "claims", _RUN)  # older versions of filelock empty what it leads to
        lock = FileLock(self.folder / "claims" / _RUN)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise MatrixError(
                f"another run of a matrix is at work in {self.folder}",
                mend="wait until it ends, or name another folder with --results",
            ) from None
        try:
            sweep(self.units)
            yield
        finally:
            lock.release()

    @contextmanager
    def claimed(self, key: str) -> Iterator[None]:
        """Keep other processes from doing the same unit at once; they wait, and find its result.

        A worker whose client died goes on with what it was at.
        """
        name = f"{key}.lock"
        refuse_links(self.folder / "claims", name)
        with FileLock(self.folder / "claims" / name):
            yield

    def place(self, key: str) -> Path:
        """Where the result of a unit lies."""
        return self.units / key

    def read(self, key: str) -> dict[str, Any] | None:
        """What ``result.json`` of a unit says; None where there is no result, or a damaged one."""
        path = self.place(key) / RESULT
        if not regular.is_file(path):
            return None
        try:
            said = text.read_json(path, MatrixError)
        except MatrixError:
            return None
        try:
            found = _Result.model_validate(said)
        except (ValueError, RecursionError):  # pydantic's errors are ValueErrors
            return None
        if found.key != key:
            return None
        for name, size in found.files.items():
            with suppress(OSError, ValueError):
                if (self.place(key) / name).stat().st_size == size:
                    continue
            return None
        return dict(said)

    @contextmanager
    def making(self, key: str) -> Iterator[Path]:
        """A folder to make a result in; :meth:`put` moves it to its place, else nothing is left of it."""
        with scratch_folder(self.units) as folder:
            yield folder

    def put(self, key: str, made: Path, said: Mapping[str, Any]) -> None:
        """Let a result be there, in one step: its files are on the disk before.

        Args:
            key: The unit's.
            made: The folder of :meth:`making`.
            said: What is known of the result, as plain data.

        Raises:
            OutputError: The disk is full or cannot be written.
        """
        files = {
            str(path.relative_to(made)): path.stat().st_size
            for path in sorted(made.rglob("*"))
            if path.is_file()
        }
        write_file(made / RESULT, json.dumps({**said, "key": key, "files": files}, indent=1).encode())
        place = self.place(key)
        with writing(place):
            if regular.exists(place) and self.read(key) is None:
                shutil.rmtree(place, ignore_errors=True)  # a damaged one
            try:
                made.rename(place)
            except OSError:
                if self.read(key) is None:
                    raise
            _sync(self.units)

    def drop(self, key: str) -> None:
        """Remove a result that nobody will ask for again."""
        shutil.rmtree(self.place(key), ignore_errors=True)

    def fail(self, key: str, said: Mapping[str, Any]) -> None:
        """Write down why a unit failed, for people: a rerun tries it again."""
        with suppress(OutputError, OSError):
            write_file(self.folder / "failures" / f"{key}.json", json.dumps(said, indent=1).encode())

    def mend(self, key: str) -> None:
        """Forget that a unit failed."""
        with suppress(OSError):
            (self.folder / "failures" / f"{key}.json").unlink(missing_ok=True)

    def recorded(self, key: str) -> bool:
        """Whether a result is in the history."""
        return regular.exists(self.place(key) / _RECORDED)

    def record(self, key: str) -> None:
        """Write down that it is."""
        with suppress(OSError):
            (self.place(key) / _RECORDED).touch()

    def link(self, name: str, key: str, below: str) -> None:
        """Let ``bundles/NAME`` lead to a bundle; a file system without links is no error."""
        folder = self.folder / "bundles"
        with suppress(OSError):
            folder.mkdir(exist_ok=True)
            staged = folder / f".{name}.{os.getpid()}"
            staged.unlink(missing_ok=True)
            staged.symlink_to(Path("..") / "units" / key / below, target_is_directory=True)
            staged.replace(folder / name)


def _sync(folder: Path) -> None:
    """Let a rename survive a loss of power, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
