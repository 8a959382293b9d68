"""What gives frames: a server of http, and one of RTSP where GStreamer has one."""

from __future__ import annotations

import base64
import io
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = (64, 48)
_PROBE = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


def jpeg(shade: int, size: tuple[int, int] = SIZE) -> bytes:
    """A photo of one grey."""
    content = io.BytesIO()
    Image.new("RGB", size, (shade,) * 3).save(content, "JPEG")
    return content.getvalue()


def part(content: bytes, *, length: bool = True, end: bytes = b"\r\n") -> bytes:
    """A part of a multipart answer with the boundary ``frame``."""
    said = [b"--frame", b"Content-Type: image/jpeg", *([b"Content-Length: %d" % len(content)] * length)]
    return end.join(said) + 2 * end + content + end


def varying(path: Path, steps: list[int]) -> Path:
    """A clip that declares 50 frames a second; one comes after each of these steps, in milliseconds."""
    av = pytest.importorskip("av")
    base = Fraction(1, 1000)
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", rate=50)
        stream.width = stream.height = 48
        stream.pix_fmt = "yuvj420p"
        stream.codec_context.time_base = base if path.suffix == ".mkv" else Fraction(1, 50)
        for at in [0, *accumulate(steps)]:
            frame = av.VideoFrame(48, 48, "rgb24")
            frame.pts, frame.time_base = (at, base) if path.suffix == ".mkv" else (at // 20, Fraction(1, 50))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class Server(ThreadingHTTPServer):
    """Answers paths with what was put there: a type and pieces of content; a lost connection after them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, tuple[str, list[bytes]]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.password: str | None = None
        #: Answers after so many bytes break off, each once.
        self.breaks: list[int] = []
        self.waits = threading.Event()

    def url(self, path: str, user: str = "") -> str:
        """The address of a path."""
        return f"http://{user}127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        wanted = self.server.password
        if (
            wanted
            and self.headers.get("Authorization") != "Basic " + base64.b64encode(wanted.encode()).decode()
        ):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="camera"')
            self.end_headers()
            return
        if self.path not in self.server.pages:
            self.send_error(404)
            return
        kind, pieces = self.server.pages[self.path]
        content = b"".join(pieces)
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(found[1]) if found else 0
        self.send_response(206 if found else 200)
        self.send_header("Content-Type", kind)
        if not kind.startswith("multipart"):
            self.send_header("Accept-Ranges", "none" if self.path == "/whole.mp4" else "bytes")
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.server.breaks:
            content = content[: start + self.server.breaks.pop(0)]
        self.wfile.write(content[start:])
        if self.path == "/stalls":
            self.server.waits.wait(30)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of http on loopback."""
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.waits.set()
        made.shutdown()
        thread.join()


@pytest.fixture
def raw(tmp_path) -> Callable[[bytes], Path]:
    """A file of raw frames."""

    def made(content: bytes) -> Path:
        path = tmp_path / "frames.raw"
        path.write_bytes(content)
        return path

    return made


@pytest.fixture
def port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def rtsp() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """``rtsp(port, *arguments)``: a server of RTSP that listens."""
    python = "/usr/bin/python3"
    if not shutil.which(python) or subprocess.run([python, "-c", _PROBE], capture_output=True).returncode:
        pytest.skip("no gst-rtsp-server (gir1.2-gst-rtsp-server-1.0) with Python's bindings")
    servers = []

    def start(port: int, *arguments: str) -> subprocess.Popen[str]:
        command = [python, str(Path(__file__).parent / "rtsp_server.py"), str(port), "160", "120", "15"]
        server = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        servers.append(server)
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        return server

    yield start
    for server in servers:
        with server:
            server.kill()


def shades(images: list[Image.Image]) -> list[int]:
    """The grey of each."""
    return [round(float(np.asarray(image.convert("L")).mean())) for image in images]
