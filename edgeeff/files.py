"""Writing that is whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from edgeeff import regular
from edgeeff.errors import OutputError

#: Files and folders that are not yet what they will be bear this prefix.
TEMPORARY = ".edgeeff-"
#: No file takes an hour to write; a temporary one older than that is nobody's.
ABANDONED_NS = 3600 * 10**9


def write_file(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it in, so that a reader sees the old or the new one.

    Raises:
        OutputError: The disk is full or cannot be written.
    """
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes the place of ``path`` once it is whole, and is gone otherwise.

    Its permissions are those of any new file, 0666 less the umask: other users may be meant to read it.

    Raises:
        OutputError: The disk is full or cannot be written; or a device, a pipe or a folder is there.
    """
    refuse_special(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        opened = staged.open("x+b")  # x: never a file, or a link, that somebody put there
        try:
            with opened as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            staged.replace(path)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise


def sweep_files(parent: Path) -> None:
    """Remove the files of writers that were killed within :func:`replacing` an hour ago or earlier."""
    for path in parent.glob(f"{TEMPORARY}*"):
        with contextlib.suppress(OSError):
            if path.is_file() and time.time_ns() - path.lstat().st_mtime_ns > ABANDONED_NS:
                path.unlink()


def refuse_special(path: Path) -> None:
    """Refuse to put a file in the place of what is no regular one: root could replace ``/dev/stdout`` by it.

    Raises:
        OutputError: A device, a pipe or a folder is there, or no file can have such a name.
    """
    try:
        if regular.is_folder(path):
            raise OutputError(f"{path} is a folder", mend="name a file")
        special = regular.exists(path) and not regular.is_file(path)
        os.lstat(path)
    except ValueError:
        raise OutputError("no file can have a name with a NUL byte in it", mend="name another file") from None
    except OSError:  # nothing is there, or what writing will tell of
        special = False
    # Links such as /dev/stdout lead to regular files, too.
    system = os.path.realpath(path.parent)  # Path's own raises where links go in a circle
    if special or system == "/dev" or system.startswith("/proc/"):
        raise OutputError(f"{path} is no regular file, and is not replaced", mend="name a regular file")


def refuse_within(place: Path, bundle: Path) -> None:
    """Refuse to write into the folder of a bundle, whose files it could replace.

    Args:
        place: The folder that is to be written into; it need not be there.
        bundle: The bundle's.

    Raises:
        OutputError: The one is the other, or inside it.
    """
    inner, outer = os.path.realpath(place), os.path.realpath(bundle)
    if os.path.commonpath([inner, outer]) == outer:
        raise OutputError(
            f"{place} is in the bundle {bundle}, which is left as it is", mend="name another place"
        )


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals into an error that says how to mend them."""
    try:
        yield
    except OSError as error:
        reason = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EROFS: "the disk is read-only",
            errno.EACCES: "permission is denied",
            errno.EPERM: "permission is denied",
        }.get(error.errno or 0, error.strerror or str(error))
        mend = "free some space, or choose another folder"
        raise OutputError(f"cannot write {path}: {reason}", mend=mend) from None


def refuse_unwritable(folder: Path) -> None:
    """Try whether a folder can be written, or made where it is to be, and leave no trace of it.

    Raises:
        OutputError: The disk is read-only, or permission is denied, or something there is no folder.
    """
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    with writing(folder), tempfile.TemporaryFile(dir=nearest):
        pass


def refuse_links(folder: Path, *names: str) -> None:
    """Refuse to write below a folder by way of a symbolic link that lies in it: it may lead anywhere.

    Args:
        folder: It may be a link itself: the user named it.
        names: Of folders, each within the one before.

    Raises:
        OutputError: One of them is a link.
    """
    for name in names:
        folder = folder / name
        if folder.is_symlink():
            raise OutputError(
                f"{folder} is a symbolic link, and is not written to",
                mend="put a folder in its place, or write to another place",
            )


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder beside the final one, gone at the end unless it was renamed away.

    Its owner holds a lock on it, which the system releases however the owner dies, so that
    :func:`sweep` can tell a folder in use from one that a killed process left behind.

    Raises:
        OutputError: The disk is full or cannot be written.
    """
    folder = parent / f"{TEMPORARY}{secrets.token_hex(6)}"
    lock = FileLock(_lock_of(folder))
    with writing(parent):
        parent.mkdir(parents=True, exist_ok=True)
        # Where no file can be made this is an error; FileLock alone would try for ever.
        _lock_of(folder).touch()
    try:
        with writing(parent):
            lock.acquire()  # before the folder is there: a sweeper never sees it without its lock
            folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        _lock_of(folder).unlink(missing_ok=True)


def sweep(parent: Path) -> None:
    """Remove what killed processes left in a folder: scratch folders, and their locks, that nobody holds."""
    for path in parent.glob(f"{TEMPORARY}*"):
        folder = path.with_name(path.name.removesuffix(".lock"))
        if path.name == folder.name and not folder.is_dir():
            continue
        lock = FileLock(_lock_of(folder))
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        # Before the release: whoever waits for this lock then sees that its file is gone, and makes another.
        _lock_of(folder).unlink(missing_ok=True)
        lock.release()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder; names may hold slashes.

    Raises:
        OutputError: The disk is full or cannot be written.
    """
    with writing(folder):
        for name, content in sorted(files.items()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
