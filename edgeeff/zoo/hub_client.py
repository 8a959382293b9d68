"""Asking the Hugging Face hub what a file is, and what its refusals mean.

Finding, authentication, proxies and errors are huggingface_hub's. Its waiting is not: it waits as long as a
server's Retry-After wants, and a build must not hang.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import TypeVar

import httpx2
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from edgeeff.errors import CheckpointError, EdgeeffError

#: Seconds before each further try. What answers 429 for longer is better asked another time.
PAUSES = (0.5, 1.0, 2.0)
#: Bytes. L2, the largest network, has 1.9 GB of weights; an index names some thousand tensors.
LARGEST_WEIGHTS, LARGEST_JSON = 8 << 30, 16 << 20
#: What the hub gives as etag: SHA-256 of a large file (LFS), git's SHA-1 of a blob for others.
ETAG = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PASSING = (408, 429, 500, 502, 503, 504)
_Answer = TypeVar("_Answer")


class HubError(Exception):
    """The hub did not give what was asked for. Never leaves the zoo: the caller knows what to do instead.

    Args:
        repository: ``owner/name``.
        what: What was wrong.
        mend: What may help, without the way round the hub.
    """

    def __init__(self, repository: str, what: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend
        self.page = f"{constants.ENDPOINT}/{repository}"


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub announces it.

    Args:
        repository: ``owner/name``.
        name: Of the file, in the repository's root.
        commit: The repository's, 40 hexadecimal digits.
        etag: SHA-256 of the content, or git's SHA-1 of it as a blob.
        size: Bytes.
    """

    repository: str
    name: str
    commit: str
    etag: str
    size: int


def look_up(repository: str, revision: str | None, name: str) -> RemoteFile | None:
    """What the hub says of a file, or None if the repository has none of that name.

    Raises:
        HubError: It cannot be asked, refuses, or is no hub.
        CheckpointError: The file is absurdly large.
    """
    url = hf_hub_url(repository, name, revision=revision, endpoint=constants.ENDPOINT)

    def ask() -> RemoteFile | None:
        try:
            found = get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT, headers=_headers())
        except HfHubHTTPError as error:
            if isinstance(error, RemoteEntryNotFoundError) or _plain_404(error):
                return None
            raise
        commit, etag, size = found.commit_hash or "", found.etag or "", found.size
        if not _COMMIT.fullmatch(commit) or not ETAG.fullmatch(etag) or size is None or size < 0:
            raise HubError(
                repository,
                f"what answers at {constants.ENDPOINT} is no Hugging Face hub: it gives no commit, checksum "
                f"or size of {name}",
                "check HF_ENDPOINT, and whether a proxy or a login page stands between",
            )
        return RemoteFile(repository, name, commit, etag, size)

    file = patiently(repository, revision, ask)
    limit = LARGEST_JSON if name.endswith(".json") else LARGEST_WEIGHTS
    if file is not None and file.size > limit:
        raise CheckpointError(
            f"{name} of {repository} has {file.size} bytes, and no EfficientNet's has more than {limit}",
            mend="name another repository, or pass --checkpoint FILE",
        )
    return file


def patiently(repository: str, revision: str | None, ask: Callable[[], _Answer]) -> _Answer:
    """Ask again where a pause may help.

    Raises:
        HubError: It did not help. Stands for whatever the library raised.
    """
    for pause in (*PAUSES, None):
        try:
            return ask()
        except (EdgeeffError, HubError):
            raise
        except Exception as raised:  # over an odd answer the library raises a dozen kinds
            error = _cause(raised)
            if _is_local(error):
                raise
            if pause is None or not _may_pass(error):
                raise _hub_error(repository, revision, error) from None
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _headers() -> dict[str, str]:
    return build_hf_headers(library_name="edgeeff", library_version=metadata.version("edgeeff"))


def _cause(error: Exception) -> Exception:
    """What stood between the library and the hub: it says "not in the cache" of whatever that was."""
    cause = error.__cause__
    return cause if isinstance(error, LocalEntryNotFoundError) and isinstance(cause, Exception) else error


def _is_local(error: Exception) -> bool:
    """Whether this machine's files are at fault: a full disk, a folder that cannot be written."""
    net = (HfHubHTTPError, ConnectionError, TimeoutError, socket.gaierror)
    return isinstance(error, OSError) and error.errno is not None and not isinstance(error, net)


def _is_cut(error: Exception) -> bool:
    """Whether a connection ended before the file did; the library raises a bare OSError over a short one."""
    short = type(error) is OSError and error.errno is None
    return short or isinstance(error, httpx2.ReadError | httpx2.RemoteProtocolError)


def _may_pass(error: Exception) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _PASSING
    return _is_cut(error) or isinstance(error, httpx2.ReadTimeout)


def _plain_404(error: HfHubHTTPError) -> bool:
    """A 404 that does not say of what: mirrors send it for a file."""
    named = (RepositoryNotFoundError, RevisionNotFoundError, DisabledRepoError)
    return error.response.status_code == 404 and not isinstance(error, named)


def _hub_error(repository: str, revision: str | None, error: Exception) -> HubError:
    hub = constants.ENDPOINT
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if isinstance(error, OfflineModeIsEnabled):
        what, mend = "HF_HUB_OFFLINE is set and they are not cached", "unset it"
    elif isinstance(error, GatedRepoError):
        what = "the repository is gated, and its owner has not let this user in"
        mend = f"ask for access at {hub}/{repository} and set HF_TOKEN"
    elif isinstance(error, DisabledRepoError):
        what, mend = "the repository has been disabled", "name another one"
    elif isinstance(error, RevisionNotFoundError):
        what, mend = f"the repository has no revision {revision}", "name a branch, a tag or a commit of it"
    elif isinstance(error, RepositoryNotFoundError) or status == 401:
        what = f"{hub} has no such repository, or it is private and HF_TOKEN does not open it"
        mend = "correct the name, or set HF_TOKEN"
    elif status is not None:
        what, mend = f"{hub} answered with status {status}", "try again later, or set HF_TOKEN"
    elif isinstance(error, httpx2.TimeoutException):
        what, mend = f"{hub} did not answer in time", "try again later"
    elif _is_cut(error):
        what, mend = f"{hub}: the connection broke before the file was whole", "try again later"
    else:
        reason = " ".join(str(error).split()) or type(error).__name__
        what, mend = f"{hub} cannot be reached: {reason}", "check the network, the proxy and HF_ENDPOINT"
    return HubError(repository, what, mend)
