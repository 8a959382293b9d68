"""One file of the Hugging Face hub in huggingface_hub's cache: resumed, bounded, verified.

The library's own download (2.4) discards what had come before a connection was cut. This one keeps it, and
lays files out as the library documents: ``blobs/<etag>``, ``snapshots/<commit>/<file>``, ``refs/<revision>``,
``.no_exist/<commit>/<file>``, so that all that use the library find them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

from edgeeff.errors import CheckpointError, OutputError
from edgeeff.files import write_file, writing
from edgeeff.zoo.hub_client import ETAG, CutError, HubError, RemoteFile, opened, patiently

#: Seconds. Another process may be downloading the same file; a lock held longer is taken for a dead one's.
LONGEST_WAIT = 3600.0


def download(file: RemoteFile, advance: Callable[[int], None] = lambda count: None) -> Path:
    """The file in the library's cache, downloaded if it is not there, its checksum verified.

    Args:
        file: As :func:`look_up` gives it.
        advance: Told of every further bytes that are there, also of those an earlier call had brought.

    Raises:
        HubError: The connection broke, and broke again; the next call continues.
        CheckpointError: The hub sent another file than it announced, or the cached one is damaged.
        OutputError: The cache cannot be written.
    """
    storage = _storage(file.repository)
    blob = storage / "blobs" / file.etag
    pointer = storage / "snapshots" / file.commit / file.name
    lock = storage.parent / ".locks" / storage.name / f"{file.etag}.lock"
    with _writing(storage):
        for path in (blob, pointer, lock):
            path.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # where no file can be made this is an error; a FileLock would try for ever
        try:
            with WeakFileLock(lock, timeout=LONGEST_WAIT):
                kept = next((path for path in (pointer, blob) if path.is_file()), None)
                if kept is None:
                    _transfer(file, blob, advance)
                else:
                    check_cached(kept, file.etag)
                    advance(file.size)
                if not pointer.is_file():
                    _point(pointer, blob)
        except Timeout:
            what = f"another process has held {lock} for {LONGEST_WAIT:.0f} s"
            raise HubError(file.repository, what, "end that process, or delete the file") from None
    return pointer


def note(file: RemoteFile, revision: str | None, absent: list[str]) -> None:
    """Tell the cache which commit the revision is, and which files are known not to be in it.

    Raises:
        OutputError: The cache cannot be written.
    """
    storage = _storage(file.repository)
    with _writing(storage):
        for name in absent:
            write_file(storage / ".no_exist" / file.commit / name, b"")
        if revision != file.commit:
            write_file(storage / "refs" / (revision or constants.DEFAULT_REVISION), file.commit.encode())


def check_cached(path: Path, etag: str | None = None) -> None:
    """Compare a cached file with its etag: the name of the blob it points to, where it is a symlink.

    Raises:
        CheckpointError: It is damaged or cannot be read.
    """
    if etag is None and path.is_symlink():
        etag = path.readlink().name
    try:
        whole = etag is None or _agrees(path, etag)
    except OSError as error:
        raise CheckpointError(
            f"the cached file {path} cannot be read: {error.strerror}", mend="mend the file's permissions"
        ) from None
    if not whole:
        damaged = path.resolve()
        raise CheckpointError(
            f"the cached file {damaged} is damaged: it has not the checksum of the hub's {path.name}",
            mend=f"delete {damaged}; the next call downloads it again",
        )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """As :func:`edgeeff.files.writing`, with what helps with this folder."""
    try:
        with writing(path):
            yield
    except OutputError as error:
        mend = "free some space, or set HF_HUB_CACHE to a folder that can be written"
        raise OutputError(error.what, mend=mend) from None


def _storage(repository: str) -> Path:
    folder = repo_folder_name(repo_id=repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE).expanduser().absolute() / folder


def _transfer(file: RemoteFile, blob: Path, advance: Callable[[int], None]) -> None:
    """Bring a blob. What an earlier call had brought of it is kept; the lock is held."""
    part = blob.with_name(f"{blob.name}.incomplete")
    part.touch()
    if part.stat().st_size > file.size:
        part.write_bytes(b"")
    told = part.stat().st_size
    advance(told)

    def go_on() -> None:
        nonlocal told
        have = part.stat().st_size
        if have == file.size:
            return
        with opened(file, have) as (start, chunks):
            have = start
            with part.open("ab" if start else "wb") as target:
                for chunk in chunks:
                    have += len(chunk)
                    if have > file.size:
                        break
                    target.write(chunk)
                    if have > told:
                        advance(have - told)
                        told = have
        if have < file.size:
            raise CutError(f"the connection broke after {have} of {file.size} bytes")

    patiently(file.repository, file.commit, go_on)
    if not _agrees(part, file.etag):
        part.unlink()
        raise CheckpointError(
            f"{file.name} of {file.repository}, as {constants.ENDPOINT} sent it, has not the checksum "
            f"that was announced, {file.etag}",
            mend="try again; if it happens again, something between alters files: pass --checkpoint FILE",
        )
    part.replace(blob)


def _point(pointer: Path, blob: Path) -> None:
    """The snapshot's name for a blob: a relative symlink, or where there are none the file itself."""
    pointer.unlink(missing_ok=True)
    try:
        if constants.HF_HUB_DISABLE_SYMLINKS:
            raise OSError
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:
        blob.replace(pointer)


def _agrees(path: Path, etag: str) -> bool:
    """Whether the content has that etag; one that is no checksum says nothing, and is agreed with."""
    if not ETAG.fullmatch(etag):
        return True
    if len(etag) == 64:
        digest = hashlib.sha256()
    else:  # git's object name of a blob
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == etag
