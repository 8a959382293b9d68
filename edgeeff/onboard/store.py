"""The store of a board: the agents and bundles that were sent there, each whole or absent, within a bound.

A bundle lies under the SHA-256 of its manifest. It is written into a folder of its own beside the others and
renamed in. Several agents may use one store: a bundle in use is held by a shared lock on the file beside it,
an agent's folder by a lock of its own, and what the dead left is removed by whoever comes next.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from edgeeff.onboard.refusal import Refused
from edgeeff.onboard.seals import digest_of

#: Names the store's folder, and the bytes that its bundles may have together.
HOME, LIMIT = "EDGEEFF_HOME", "EDGEEFF_STORE_LIMIT"
_BOUND = 2000000000
#: Bytes that stay free on the disk beside what is sent.
_SPARE = 1 << 20
MANIFEST = "manifest.json"
DIGEST = re.compile(r"[0-9a-f]{64}")


def home() -> Path:
    """The store's folder: ``~/.cache/edgeeff/boards``, or what ``EDGEEFF_HOME`` says."""
    said = os.environ.get(HOME)
    if said:
        return Path(said)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path(os.path.expanduser("~")) / ".cache") / "edgeeff" / "boards"  # noqa: PTH111


def bound() -> int:
    """The bytes that the bundles may have together.

    Raises:
        Refused: ``EDGEEFF_STORE_LIMIT`` is no number.
    """
    said = os.environ.get(LIMIT) or str(_BOUND)
    if not re.fullmatch(r"\d{1,18}", said):
        raise Refused("DeviceError", f"{LIMIT} is {said!r:.80} on the board", "give it as bytes: 2000000000")
    return int(said)


class Store:
    """The store, used by one agent.

    Args:
        folder: Where it lies.
        limit: The bytes that the bundles may have together.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._held: dict[str, int] = {}
        self._own: tuple[Path, int] | None = None

    def use(self, digest: str) -> Path:
        """The folder of a bundle, which stays while this agent lives.

        Raises:
            Refused: It is not there.
        """
        place = self._place(digest)
        if not self.has(digest):
            raise Refused(
                "DeviceError", f"the board has no bundle {digest[:12]}", "run it again: it is sent anew"
            )
        return place

    def has(self, digest: str) -> bool:
        """Whether a bundle is there and whole; if so it is held from now on. A damaged one is removed."""
        place = self._place(digest)
        if digest in self._held:
            return True
        if not place.is_dir():
            return False
        lock = _lock(_beside(place), fcntl.LOCK_SH)
        if lock is None or not place.is_dir():
            if lock is not None:
                os.close(lock)
            return False
        if _whole(place, digest):
            self._held[digest] = lock
            with suppress(OSError):
                os.utime(str(_beside(place)))
            return True
        os.close(lock)
        self._remove(place)
        return False

    def begin(self, digest: str, size: int) -> Incoming:
        """Make space for a bundle, and begin to receive it.

        Args:
            digest: Of its manifest.
            size: Of its files, bytes.

        Raises:
            Refused: It does not fit, or the disk is full or cannot be written.
        """
        place = self._place(digest)
        if size > self._limit:
            raise Refused(
                "DeviceError",
                f"a bundle of {_megabytes(size)} does not fit into the board's store of "
                f"{_megabytes(self._limit)}",
                f"set {LIMIT} on the board to more bytes",
            )
        try:
            (self._folder / "bundles").mkdir(parents=True, exist_ok=True)
            self._make_space(size)
            return Incoming(self._scratch() / f"in-{secrets.token_hex(4)}", place, digest, self)
        except OSError as error:
            raise self.refusal(error, size) from None

    def refusal(self, error: OSError, size: int | None = None) -> Refused:
        """Why the store cannot be written."""
        of = "" if size is None else f"; {_megabytes(size)} are to be sent"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return Refused(
                "DeviceError",
                f"the board's disk is full at {self._folder}: {_free(self._folder)}{of}",
                f"free some space there, or set {HOME} on the board to a folder on another disk",
            )
        return Refused(
            "DeviceError",
            f"the board's store {self._folder} cannot be written: {error.strerror or error}",
            f"set {HOME} on the board to a folder that its user may write",
        )

    def close(self) -> None:
        """Leave nothing behind but whole bundles."""
        for lock in self._held.values():
            with suppress(OSError):
                os.close(lock)
        self._held = {}
        if self._own is not None:
            own, lock = self._own
            self._own = None
            shutil.rmtree(str(own), ignore_errors=True)
            with suppress(OSError):
                _beside(own).unlink()
            with suppress(OSError):
                os.close(lock)

    def release(self, digest: str) -> None:
        """Let a bundle go, which was held."""
        lock = self._held.pop(digest, None)
        if lock is not None:
            os.close(lock)

    def _place(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise Refused("DeviceError", f"{digest!r:.80} is no digest of a bundle", "report this")
        return self._folder / "bundles" / digest

    def _scratch(self) -> Path:
        """This agent's own folder, locked while it lives; those of the dead go."""
        if self._own is None:
            work = self._folder / "work"
            work.mkdir(parents=True, exist_ok=True)
            self._sweep(work)
            own = work / secrets.token_hex(6)
            lock = _lock(_beside(own), fcntl.LOCK_EX)
            if lock is None:
                raise OSError(errno.EBUSY, "no folder can be locked there")
            own.mkdir()
            self._own = own, lock
        return self._own[0]

    @staticmethod
    def _sweep(work: Path) -> None:
        for path in sorted(work.iterdir()):
            own = path.with_name(path.name[: -len(".lock")]) if path.name.endswith(".lock") else path
            lock = _lock(_beside(own), fcntl.LOCK_EX)
            if lock is not None:
                shutil.rmtree(str(own), ignore_errors=True)
                with suppress(OSError):
                    _beside(own).unlink()
                os.close(lock)

    def _make_space(self, size: int) -> None:
        """Remove the bundles that were not used for longest, until so many bytes fit."""
        entries = sorted(
            (_mtime(path), path) for path in (self._folder / "bundles").iterdir() if path.is_dir()
        )
        sizes = {path: _size(path) for _, path in entries}
        for _, path in entries:
            lacking = shutil.disk_usage(str(self._folder)).free < size + _SPARE
            if not lacking and sum(sizes.values()) + size <= self._limit:
                return
            if self._remove(path):
                del sizes[path]
        if shutil.disk_usage(str(self._folder)).free < size + _SPARE:
            raise OSError(errno.ENOSPC, "the disk is full")
        if sum(sizes.values()) + size > self._limit:
            raise Refused(
                "DeviceError",
                f"the bundles in use fill the board's store of {_megabytes(self._limit)}",
                f"set {LIMIT} on the board to more bytes, or run fewer bundles together",
            )

    def _remove(self, place: Path) -> bool:
        """Remove a bundle that nobody uses; whether it went."""
        lock = _lock(_beside(place), fcntl.LOCK_EX)
        if lock is None:
            return False
        try:
            gone = self._scratch() / f"out-{secrets.token_hex(4)}"
            place.rename(gone)
        except OSError:
            return not place.exists()
        else:
            shutil.rmtree(str(gone), ignore_errors=True)
            with suppress(OSError):
                _beside(place).unlink()
            return True
        finally:
            os.close(lock)

    def _taken_in(self, staged: Path, place: Path) -> None:
        """Rename a whole bundle to its place; another agent may have sent the same one meanwhile."""
        try:
            staged.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(str(staged), ignore_errors=True)


class Incoming:
    """A bundle that is being received.

    Args:
        folder: Where it is written.
        place: Where it will stand.
        digest: Of its manifest.
        store: Of which it becomes a part.
    """

    def __init__(self, folder: Path, place: Path, digest: str, store: Store) -> None:
        self._folder, self._place, self._digest, self._store = folder, place, digest, store
        self._file: Any = None
        self._names: set[str] = set()
        folder.mkdir()

    def file(self, name: str) -> None:
        """Begin a file.

        Raises:
            Refused: Its name leads elsewhere, or the disk is full or cannot be written.
        """
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts or name in self._names:
            raise Refused("BundleError", f"the bundle names a file {name!r:.200}", "do not use it")
        self._names.add(name)
        try:
            self._end()
            place = self._folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            self._file = place.open("xb", buffering=0)
        except OSError as error:
            raise self._store.refusal(error) from None

    def data(self, content: Any) -> None:
        """Some bytes of it.

        Raises:
            Refused: The disk is full or cannot be written.
        """
        try:
            view = memoryview(content)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise self._store.refusal(error) from None

    def finish(self) -> None:
        """Check all and move it in.

        Raises:
            Refused: A file is damaged or missing, or the disk is full or cannot be written.
        """
        try:
            self._end()
            if not _whole(self._folder, self._digest):
                raise Refused(
                    "DeviceError",
                    f"the bundle {self._digest[:12]} did not reach the board whole",
                    "run it again: it is sent anew",
                )
            self._store._taken_in(self._folder, self._place)
        except OSError as error:
            raise self._store.refusal(error) from None
        if not self._store.has(self._digest):
            raise Refused(
                "DeviceError", f"the bundle {self._digest[:12]} is gone from the board", "run it again"
            )

    def drop(self) -> None:
        """Leave nothing of it."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        shutil.rmtree(str(self._folder), ignore_errors=True)

    def _end(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                os.fsync(file.fileno())


def _whole(folder: Path, digest: str) -> bool:
    """Whether a folder holds the bundle of this manifest, with each sealed file as it was sealed."""
    try:
        content = (folder / MANIFEST).read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            return False
        return all(digest_of(folder / n) == s for n, s in json.loads(content.decode())["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _lock(path: Path, kind: int) -> int | None:
    """A descriptor that holds a lock on a file; None: somebody else does, or no file can be made there."""
    for _ in range(20):
        try:
            descriptor = os.open(str(path), os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # its file was removed meanwhile: another one is there, or will be
    return None


def _beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _mtime(folder: Path) -> float:
    for path in (_beside(folder), folder):
        with suppress(OSError):
            return path.stat().st_mtime
    return 0.0


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            found = path.lstat()
            size += 0 if stat.S_ISDIR(found.st_mode) else found.st_size
    return size


def _free(folder: Path) -> str:
    nearest = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    return f"{_megabytes(shutil.disk_usage(str(nearest)).free)} are free"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
