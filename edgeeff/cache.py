"""Content-addressed store of stage results.

A key is a digest of all that a result depends on: the inputs' digests, the step's version, and the versions
of the libraries it calls. An entry is one file, renamed into place whole, that carries checksums of its own:
a killed writer leaves no entry, and a damaged one reads as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs

from edgeeff import digests, regular
from edgeeff.errors import OptionError, OutputError
from edgeeff.files import ABANDONED_NS, TEMPORARY, replacing
from edgeeff.watched import Watched

DEFAULT_LIMIT = 4 << 30
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Cache:
    """A folder of results, the least recently used of which go when it grows over ``limit`` bytes.

    What the folder cannot hold is held in memory. Nothing is put while a file of ``watched`` has changed: it
    would be kept under the digest of what the file was.
    """

    folder: Path
    limit: int = DEFAULT_LIMIT
    watched: Watched = field(default_factory=Watched, repr=False, compare=False)
    _homeless: dict[Path, dict[str, bytes]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def default(cls) -> Cache:
        """The user's cache: ``EDGEEFF_CACHE_DIR`` if set, with ``EDGEEFF_CACHE_LIMIT`` in bytes."""
        folder = os.environ.get("EDGEEFF_CACHE_DIR") or platformdirs.user_cache_dir("edgeeff")
        limit = os.environ.get("EDGEEFF_CACHE_LIMIT", str(DEFAULT_LIMIT))
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 20):
            raise OptionError(f"EDGEEFF_CACHE_LIMIT is {limit!r}", mend="give a number of bytes")
        return cls(Path(folder), int(limit))

    def get(self, stage: str, key: str) -> dict[str, bytes] | None:
        """The parts of a result, or None if it is not there or damaged."""
        path = self._path(stage, key)
        if path in self._homeless:
            return self._homeless[path]
        try:
            with zipfile.ZipFile(path) as entry:
                parts = {name: entry.read(name) for name in entry.namelist()}
                whole = entry.comment == _seal(parts)
            os.utime(path)
        except Exception:  # over damaged bytes zipfile raises a dozen kinds
            return None
        return parts if whole else None

    def put(self, stage: str, key: str, parts: Mapping[str, bytes]) -> None:
        """Store the parts of a result. A folder that cannot be written is no error: they stay in memory.

        Raises:
            ChangedFileError: A file changed that a build is reading.
        """
        self.watched.refuse_changed()
        path = self._path(stage, key)
        with suppress(OutputError):
            with replacing(path) as file, zipfile.ZipFile(file, "w") as entry:
                for name, content in sorted(parts.items()):
                    entry.writestr(zipfile.ZipInfo(name, _EPOCH), content)
                entry.comment = _seal(parts)
            self._shrink()
        if not regular.exists(path):
            self._homeless[path] = dict(parts)

    def drop(self, stage: str, key: str) -> None:
        """Remove a result that nobody will ask for again."""
        path = self._path(stage, key)
        self._homeless.pop(path, None)
        with suppress(OSError):
            path.unlink()

    def entries(self) -> list[tuple[str, str, int]]:
        """Stage, key and size in bytes of each entry, the least recently used first."""
        return [(path.parent.name, path.stem, size) for _, path, size in self._files()]

    def clear(self) -> int:
        """Remove all entries, and what killed writers left; returns how many bytes were freed."""
        freed = 0
        self._homeless.clear()
        for _, path, size in self._files("*.zip", "*.blob", "*.cl_cache", f"{TEMPORARY}*"):
            freed += size
            path.unlink(missing_ok=True)
        return freed

    def _shrink(self) -> None:
        for used, path, _ in self._files(f"{TEMPORARY}*"):
            if time.time_ns() - used > ABANDONED_NS:  # its writer was killed
                path.unlink(missing_ok=True)
        files = self._files()
        total = sum(size for _, _, size in files)
        for _, oldest, size in files:
            if total <= self.limit:
                break
            total -= size
            with suppress(OSError):
                oldest.unlink()

    def _files(self, *patterns: str) -> list[tuple[int, Path, int]]:
        """When each file was used, the file and its size, the least recently used first.

        Another process may be clearing the same cache: what it removed meanwhile is left out.
        """
        found = []
        for pattern in patterns or ("*.zip",):
            for path in self.folder.glob(f"*/{pattern}"):
                with suppress(OSError):
                    status = path.stat()
                    found.append((status.st_mtime_ns, path, status.st_size))
        return sorted(found)

    def _path(self, stage: str, key: str) -> Path:
        return self.folder / stage / f"{key}.zip"


@dataclass(frozen=True)
class Bookmark:
    """Where unfinished work keeps how far it came: one entry of a cache."""

    cache: Cache
    stage: str
    key: str

    def read(self) -> dict[str, bytes] | None:
        """What was kept last, if anything."""
        return self.cache.get(self.stage, self.key)

    def keep(self, parts: Mapping[str, bytes]) -> None:
        """In place of what was kept before."""
        self.cache.put(self.stage, self.key, parts)

    def drop(self) -> None:
        """The work is done."""
        self.cache.drop(self.stage, self.key)


def key_of(**parts: Any) -> str:
    """The digest of what a result depends on: plain data, sorted by name."""
    return digests.of_bytes(json.dumps(parts, sort_keys=True).encode())


def versions(*distributions: str) -> dict[str, str]:
    """The installed versions of some distributions, without importing them; absent ones are left out."""
    found = {}
    for name in distributions:
        try:
            found[name] = _version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@lru_cache
def _version(distribution: str) -> str:
    """Read once: a build asks for the same dozen at every stage."""
    return metadata.version(distribution)


def _seal(parts: Mapping[str, bytes]) -> bytes:
    """SHA-256 over the parts: zip's own checksums do not notice a part that the directory lost."""
    whole = hashlib.sha256()
    for name, content in sorted(parts.items()):
        whole.update(f"{len(name)} {name} {len(content)} ".encode())
        whole.update(content)
    return whole.hexdigest().encode()
