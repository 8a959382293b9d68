"""The sample's page as a browser gets it from a server, with LiteRT.js and bundles of a tiny network."""

from __future__ import annotations

import importlib.util
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import edgeeff
from edgeeff.cache import Cache
from tests.tiny import SIZE, smooth_photos, tiny_graph

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "samples" / "browser"
#: A label must stay text, whatever it holds.
LABELS = ("<img src=x onerror=document.title=1>", "bolt & nut", "washer", "Schraube ü", "five", "six")
_SECONDS = 60_000


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Bundles of ``mobile-int8`` by their input's type."""
    folder = tmp_path_factory.mktemp("tiny")
    onnx.save(tiny_graph(len(LABELS)), folder / "tiny.onnx")
    asked: dict[str, Any] = {
        **{"checkpoint": folder / "tiny.onnx", "targets": ["mobile-int8"], "size": SIZE, "labels": LABELS},
        **{
            "calibration": smooth_photos(24),
            "mean": (123.675, 116.28, 103.53),
            "std": (58.395, 57.12, 57.375),
        },
        **{"cache": Cache(folder / "cache"), "name": "tiny"},
    }
    return {
        io: edgeeff.build(io=io, output=folder / io, **asked)[0].bundle.folder for io in ("float32", "uint8")
    }


@pytest.fixture(scope="session")
def packages() -> Path:
    """The sample's ``node_modules``."""
    spec = importlib.util.spec_from_file_location("fetch_npm", ROOT / "scripts" / "npm.py")
    assert spec is not None and spec.loader is not None
    npm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(npm)
    try:
        npm.install(SAMPLE)
    except OSError as error:
        pytest.skip(f"LiteRT.js cannot be had from {npm.registry(SAMPLE)}: {error}")
    return SAMPLE / "node_modules"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Standard error is the tests' own."""


@pytest.fixture(scope="session")
def serve(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """``serve(bundle=…, other=…)``: the address of the sample's folder with these bundles beside the page."""
    servers = []

    def start(**bundles: Path) -> str:
        site = tmp_path_factory.mktemp("site")
        for path in SAMPLE.iterdir():
            (site / path.name).symlink_to(path)
        for name, bundle in bundles.items():
            shutil.copytree(bundle, site / name)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://localhost:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory, photo: Path) -> Path:
    """Two equal frames of the photo, as Chromium's camera of a file takes them: Y4M, 4:2:0."""
    planes = [np.asarray(part) for part in Image.open(photo).convert("YCbCr").split()]
    height, width = planes[0].shape
    frame = b"".join(each.tobytes() for each in (planes[0], planes[1][::2, ::2], planes[2][::2, ::2]))
    path = tmp_path_factory.mktemp("film") / "film.y4m"
    path.write_bytes(b"YUV4MPEG2 W%d H%d F10:1 C420jpeg\n" % (width, height) + (b"FRAME\n" + frame) * 2)
    return path


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of 160 × 120 pixels."""
    values = np.random.default_rng(5).integers(0, 256, (6, 8, 3), np.uint8)
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(values).resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="session")
def sample() -> Path:
    """Its folder."""
    return SAMPLE


@pytest.fixture(scope="session")
def chromium(start_chromium: Callable[..., Any], film: Path) -> Iterator[Any]:
    """With a camera that shows the film."""
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    opened = start_chromium(*camera)
    yield opened
    opened.close()


def opened(chromium: Any, address: str, permissions: tuple[str, ...] = (), **options: Any) -> Any:
    """A page whose bundle is loaded or refused; ``page.errors`` holds what a script threw."""
    page = chromium.new_context(permissions=list(permissions), **options).new_page()
    page.set_default_timeout(_SECONDS)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address)
    if address.startswith("http"):
        page.locator("#files:enabled").wait_for(state="attached")
    return page


@pytest.fixture
def show(chromium: Any) -> Iterator[Callable[..., Any]]:
    """``show(address, permissions=(), **context)``: a page of its own, see :func:`opened`."""
    pages = []

    def open_page(address: str, *permissions: str, **options: Any) -> Any:
        pages.append(opened(chromium, address, permissions, **options))
        return pages[-1]

    yield open_page
    for page in pages:
        page.context.close()


@pytest.fixture(scope="session")
def site(serve: Callable[..., str], tiny: Mapping[str, Path]) -> str:
    """The page, with both bundles; that of float32 is where the page looks too."""
    return serve(bundle=tiny["float32"], **tiny)


@pytest.fixture(scope="session")
def page(chromium: Any, site: str) -> Iterator[Any]:
    """One page for all that changes nothing of it but the photo."""
    with_camera = opened(chromium, site, ("camera",))
    yield with_camera
    with_camera.context.close()
