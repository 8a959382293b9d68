"""A hub on 127.0.0.1 that speaks as much of the real one's protocol as a download needs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from huggingface_hub import constants, file_download
from huggingface_hub.utils import close_session

from edgeeff.zoo import hub_client

LARGE = (".safetensors", ".bin")


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Hub:
    """What it serves, how it misbehaves, and what it was asked.

    Args:
        repositories: Files of each, by name.
        cut: Send so many bytes of a large file, then close the connection; for the next answers in turn.
        statuses: Answer so instead, in turn; (status, X-Error-Code).
        refusal: Answer so to everything.
        sent: Bytes sent in place of a file's own.
        size: Announced in place of a large file's own.
        ranges: Whether it grants them.
        is_hub: Whether it sends a hub's headers.
        stall: Announce a large file, and send nothing of it.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    statuses: list[tuple[int, str]] = field(default_factory=list)
    refusal: tuple[int, str] | None = None
    sent: dict[str, bytes] = field(default_factory=dict)
    size: int | None = None
    ranges: bool = True
    is_hub: bool = True
    stall: bool = False
    requests: list[Request] = field(default_factory=list)
    going_down: threading.Event = field(default_factory=threading.Event)
    server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        assert self.server is not None
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def commit(self, repository: str) -> str:
        return hashlib.sha1(repr(sorted(self.repositories[repository].items())).encode()).hexdigest()

    def fetched(self) -> list[str]:
        """The files whose bytes were asked for."""
        return [r.path.rpartition("/")[2] for r in self.requests if r.method == "GET"]

    def ranges_asked(self) -> list[str | None]:
        """The Range header of each request for a large file's bytes."""
        return [r.headers.get("range") for r in self.requests if r.method == "GET" and "/cdn/" in r.path]

    def start(self) -> None:
        handler = type("Bound", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def stop(self) -> None:
        """No connection is accepted any more."""
        if self.server is not None:
            self.going_down.set()
            self.server.shutdown()
            self.server.server_close()
            close_session()  # which would else keep a connection to it


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.hub.requests.append(Request(self.command, self.path, headers))
        if not self.hub.is_hub:
            return self.reply(200, b"<html>Please log in</html>")
        status = self.hub.statuses.pop(0) if self.hub.statuses else self.hub.refusal
        if status is not None:
            return self.reply(status[0], b"", {"X-Error-Code": status[1]})
        parts = unquote(self.path).strip("/").split("/")
        if parts[0] == "cdn":
            return self.send_part("/".join(parts[1:3]), parts[3])
        if len(parts) != 5 or parts[2] != "resolve":
            return self.reply(404, b"")
        return self.resolve("/".join(parts[:2]), parts[3], parts[4])

    def resolve(self, repository: str, revision: str, name: str) -> None:
        files = self.hub.repositories.get(repository)
        if files is None:
            return self.reply(401, b"", {"X-Error-Code": "RepoNotFound"})
        commit = self.hub.commit(repository)
        if revision not in ("main", "v1", commit):
            return self.reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
        headers = {"X-Repo-Commit": commit}
        if name not in files:
            return self.reply(404, b"", {**headers, "X-Error-Code": "EntryNotFound"})
        content = files[name]
        if not name.endswith(LARGE):
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            return self.reply(200, self.hub.sent.get(name, content), {**headers, "ETag": f'"{git}"'})
        size = len(content) if self.hub.size is None else self.hub.size
        headers["X-Linked-Size"] = str(size)
        headers["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        # Another host, as the real one's storage is.
        headers["Location"] = f"http://localhost:{self.hub.port}/cdn/{repository}/{name}"
        return self.reply(302, b"", headers)

    def send_part(self, repository: str, name: str) -> None:
        content = self.hub.sent.get(name, self.hub.repositories[repository][name])
        asked = self.headers.get("Range") if self.hub.ranges else None
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
        end = self.hub.cut.pop(0) if self.hub.cut else None
        self.reply(206 if asked else 200, content[start:], headers, end)

    def reply(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, end: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            if self.hub.stall and "/cdn/" in self.path:
                self.hub.going_down.wait(10)
                end = 0
            self.wfile.write(body[:end])
        if end is not None:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that huggingface_hub asks, an empty cache of the library's and one of ours."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    served = Hub()
    served.start()
    close_session()
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "edgeeff"))
    # The library reads its environment when it is imported; test_hub_environment does that anew.
    monkeypatch.setattr(constants, "ENDPOINT", served.url)
    template = served.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(hub_client, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    yield served
    served.stop()
    close_session()


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.done: list[int] = []
        self.warnings: list[str] = []

    def stage(self, text: str, total: int | None = None, unit: str = "images") -> None:
        assert unit == "bytes"
        self.stages.append((text, total))

    def advance(self, count: int = 1) -> None:
        self.done.append(count)

    def tell(self, text: str) -> None:
        """Not of interest."""

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def told() -> Told:
    """Progress that remembers what it was told."""
    return Told()
