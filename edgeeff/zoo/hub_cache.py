"""One file of the Hugging Face hub, by huggingface_hub's own download and in its own cache, verified.

Downloading, continuing after a cut, locks between processes and the cache's layout are the library's. It does
not compare what came with the checksum that was announced, nor stop where more comes: that is done here.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_download
from huggingface_hub.file_download import repo_folder_name

from edgeeff.errors import CheckpointError, OutputError
from edgeeff.files import write_file, writing
from edgeeff.zoo.hub_client import ETAG, RemoteFile, patiently


def download(file: RemoteFile, advance: Callable[[int], None] = lambda count: None) -> Path:
    """The file in the library's cache, downloaded if it is not there, its checksum verified.

    Args:
        file: As :func:`edgeeff.zoo.hub_client.look_up` gives it.
        advance: Called with the number of each further bytes that have come.

    Raises:
        HubError: The connection broke, and broke again.
        CheckpointError: The hub sent another file than it announced, or the cached one is damaged.
        OutputError: The cache cannot be written.
    """
    counted = 0

    class Count:
        """What the library takes for a progress bar. It draws nothing, and stops a file that does not end."""

        def __init__(self, *_: Any, **__: Any) -> None:
            """Whatever a bar would be drawn with."""

        def update(self, count: float | None = 1) -> None:
            nonlocal counted
            counted += int(count or 0)
            if counted > file.size:
                raise _other(file)
            advance(int(count or 0))

        def __enter__(self) -> Count:
            return self

        def __exit__(self, *_: object) -> None:
            """Nothing was drawn."""

        def close(self) -> None:
            """Nothing was drawn."""

    def fetch() -> Path:
        found = hf_hub_download(
            file.repository,
            file.name,
            revision=file.commit,
            library_name="edgeeff",
            etag_timeout=constants.HF_HUB_ETAG_TIMEOUT,
            endpoint=constants.ENDPOINT,
            tqdm_class=Count,  # type: ignore[call-overload]
        )
        return Path(found)

    with _writing(_storage(file.repository)), _quiet():
        path = patiently(file.repository, file.commit, fetch)
    if counted == 0:
        check_cached(path, file.etag)
        advance(file.size)
    elif not _agrees(path, file.etag):
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise _other(file)
    return path


def note(file: RemoteFile, revision: str | None, absent: list[str]) -> None:
    """Write into the cache which commit the revision is, and which files are known not to be in it.

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
            f"the cached file {path} cannot be read: {error.strerror}", mend="correct the file's permissions"
        ) from None
    if not whole:
        damaged = path.resolve()
        raise CheckpointError(
            f"the cached file {damaged} is damaged: it has not the checksum of the hub's {path.name}",
            mend=f"delete {damaged}; the next call downloads it again",
        )


def _other(file: RemoteFile) -> CheckpointError:
    return CheckpointError(
        f"{file.name} of {file.repository}, as {constants.ENDPOINT} sent it, has not the checksum "
        f"that was announced, {file.etag}",
        mend="try again; if it happens again, something between alters files: pass --checkpoint FILE",
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


@contextmanager
def _quiet() -> Iterator[None]:
    """The library logs each connection that broke, which it then mends or raises."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _storage(repository: str) -> Path:
    folder = repo_folder_name(repo_id=repository, repo_type="model")
    return Path(constants.HF_HUB_CACHE).expanduser().absolute() / folder


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
