"""The store of a board: the agents and bundles that were sent there, each whole or absent, within a bound.

A bundle lies under the SHA-256 of its manifest. It is written into a folder of its own beside the others and
renamed in. Several agents may use one store: a bundle in use is held by a shared lock on the file beside it,
an agent's folder by a lock of its own, and what the dead left is removed by whoever comes next.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

from edgeeff.onboard.receiving import Incoming
from edgeeff.onboard.refusal import Refused
from edgeeff.onboard.seals import whole

#: Names the store's folder, and the bytes that its bundles may have together.
HOME, LIMIT = "EDGEEFF_HOME", "EDGEEFF_STORE_LIMIT"
_BOUND = 2000000000
#: Bytes that stay free on the disk beside what is sent.
_SPARE = 1 << 20
#: Tries to hold a bundle that somebody else holds to remove it, and seconds between two.
_TRIES, _PAUSE = 200, 0.05
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
        if whole(place, digest):
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
        self._place(digest)
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
            return Incoming(self._scratch() / f"in-{secrets.token_hex(4)}", digest, self)
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
            own = work / secrets.token_hex(6)
            lock = _lock(_beside(own), fcntl.LOCK_EX)
            if lock is None:
                raise OSError(errno.EBUSY, "no folder can be locked there")
            own.mkdir()
            self._own = own, lock
        return self._own[0]

    def sweep(self) -> None:
        """Remove what agents left that were killed."""
        work = self._folder / "work"
        for path in sorted(work.iterdir()) if work.is_dir() else ():
            own = path.with_name(path.name[: -len(".lock")]) if path.name.endswith(".lock") else path
            lock = _lock(_beside(own), fcntl.LOCK_EX)
            if lock is not None:
                shutil.rmtree(str(own), ignore_errors=True)
                with suppress(OSError):
                    _beside(own).unlink()
                os.close(lock)

    def _make_space(self, size: int) -> None:
        """Remove the bundles that were not used for longest, until so many bytes fit.

        Raises:
            Refused: Those that are in use take the space.
            OSError: The disk is full.
        """
        for attempt in range(3):
            if attempt:
                time.sleep(_PAUSE)  # others came and went meanwhile: look again
            entries = self._entries()
            sizes = {path: _size(path) for path in entries}
            for path in [*entries, None]:
                full = shutil.disk_usage(str(self._folder)).free < size + _SPARE
                if not full and sum(sizes.values()) + size <= self._limit:
                    return
                if path is not None and self._remove(path):
                    del sizes[path]
        if full:
            raise OSError(errno.ENOSPC, "the disk is full")
        raise Refused(
            "DeviceError",
            f"the bundles in use fill the board's store of {_megabytes(self._limit)}",
            f"set {LIMIT} on the board to more bytes, or run fewer bundles together",
        )

    def _entries(self) -> list[Path]:
        """The bundles that are there, the one that was not used for longest first."""
        places = [path for path in (self._folder / "bundles").iterdir() if path.is_dir()]
        return sorted(places, key=lambda path: (_mtime(path), path))

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

    def take_in(self, staged: Path, digest: str) -> None:
        """Rename a whole bundle to its place, held before it is there: nobody removes it then.

        Another agent may have sent the same one meanwhile.
        """
        place, lock = self._place(digest), None
        for _ in range(_TRIES):
            lock = _lock(_beside(place), fcntl.LOCK_SH)
            if lock is not None:
                break
            time.sleep(_PAUSE)  # somebody removes an older one there
        if lock is None:
            raise OSError(errno.EBUSY, f"{_beside(place).name} stays locked, or cannot be made")
        self.release(digest)
        self._held[digest] = lock
        try:
            staged.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                self.release(digest)
                raise
            shutil.rmtree(str(staged), ignore_errors=True)


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
    """Bytes of its files; what another agent removes meanwhile is passed over, as ``os.walk`` does."""
    size = 0
    for place, _, names in os.walk(str(folder)):
        for name in names:
            with suppress(OSError):
                size += Path(place, name).lstat().st_size
    return size


def _free(folder: Path) -> str:
    nearest = next((place for place in (folder, *folder.parents) if place.exists()), Path("/"))
    return f"{_megabytes(shutil.disk_usage(str(nearest)).free)} are free"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
