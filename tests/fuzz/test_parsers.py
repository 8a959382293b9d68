"""Mutations of the files that users bring: each is read, or refused by an error of ours, and soon.

``EDGEEFF_FUZZ=20000`` (or ``make fuzz``) tries that many of each kind instead of a few.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from edgeeff import labels, planned, video
from edgeeff.backends.tensorrt import results
from edgeeff.board import load_board
from edgeeff.bundle import Bundle
from edgeeff.errors import BundleError
from edgeeff.images import decode, open_images
from edgeeff.pipeline import variants
from edgeeff.pipeline.request import config
from edgeeff.preprocess import Preprocess
from edgeeff.quantization import foreign, recipe
from edgeeff.recipes import open_source
from edgeeff.target import load_target
from edgeeff.unpacking import npy

MANIFEST = {
    "schema_version": 1,
    "name": "x",
    "model": "b0",
    "target": "cpu-int8",
    "runtime": "openvino",
    "precision": "int8",
    "input": "float32",
    "softmax": False,
    "cpu_class": "",
    "preprocess": Preprocess((8, 8), (1.0,) * 3, (2.0,) * 3).to_json(),
    "labels": ["a", "b"],
    "classes": 2,
    "runtime_properties": {},
    "digests": {},
    "tools": {},
    "files": {"model.xml": "00"},
}
PLAN = {
    "scheme": "s",
    "activations": {"a": {"scale": 0.5, "zero_point": 3, "type": "uint8"}},
    "layers": {"c": {"precision": "int8", "scale": [0.1], "codes_sha256": "00"}},
}
RECIPE = """summary = "s"
count = 4
seed = 1
crops = true
[[source]]
path = "."
pattern = ["*.png", "**/*.jpg"]
label = '^(\\d+)'
"""
ROOT = Path(__file__).parents[2]
TARGET = (ROOT / "targets" / "cpu-int8.toml").read_bytes()
TUNING = {
    "schema_version": 1,
    "model": "b0",
    "machine": {},
    "targets": {
        "cpu-int8": {
            "chosen": "default",
            "measured": [{"variant": "default", "cpu_ms": 1.0, "ratio": 1.0, "interval": [0.9, 1.1]}],
        }
    },
}
CONFIG = """model = "b0"
targets = ["cpu-int8"]
calibration = "photos"
size = [64, 64]
golden = 4
"""
AIMET = {
    "version": "0.6.1",
    "activation_encodings": {
        "a": [
            {
                "min": -1.0,
                "max": 1.0,
                "scale": 0.00784,
                "offset": -128,
                "bitwidth": 8,
                "is_symmetric": "False",
            }
        ]
    },
    "param_encodings": {},
}
CACHE = b"TRT-8603-EntropyCalibration2\ninput: 3c010a14\nstem: 3d810a14\n"
IDENTITY = {"tensorrt": "10.3.0", "compute_capability": "8.7", "l4t": "36.4.3"}
GOLDEN = {
    "images": 4, "sqnr_hub_db": 31.5, "agreement_hub": 1.0, "sqnr_float_db": 27.0, "agreement_float": 0.75,
    "tolerance_db": 19.0, "passed": True,
}  # fmt: skip
TIMES = {"p50": 1.2, "p90": 1.3, "p99": 1.9}
MOMENT = {"gpu_hz": None, "emc_hz": 2e9, "temperatures_c": {"gpu-thermal": 48.5}}
ENGINE = {"precision": "int8", "onnx": "model.qdq.onnx", "onnx_sha256": "0" * 64, "strongly_typed": False}
RESULT = {
    "schema_version": 1,
    "bundle": "x",
    "manifest_sha256": "0" * 64,
    "measured_at": "2026-11-22T08:00:00Z",
    "board": "NVIDIA Jetson Orin Nano",
    **IDENTITY,
    "engines": {"int8": {**IDENTITY, **ENGINE, "engine_sha256": "0" * 64}},
    "golden": {"int8": GOLDEN},
    "passed": True,
    "latency": {
        "runs": 500,
        "rounds": 25,
        "int8": {"host_ms": TIMES, "gpu_ms": TIMES},
        "fp16": None,
        "ratio": None,
        "spin_wait": True,
        "no_cuda_graph": {"int8": ""},
    },
    "power": None,
    "clocks": {"power_mode": "15W", "pinned": True, "before": MOMENT, "after": MOMENT},
}


def _npz() -> bytes:
    held = io.BytesIO()
    np.savez(held, images=np.zeros((3, 4, 4, 3), np.uint8), labels=np.arange(3))
    return held.getvalue()


def _npy() -> bytes:
    held = io.BytesIO()
    np.save(held, np.zeros((3, 4), np.float32))
    return held.getvalue()


def _picture(form: str) -> bytes:
    held = io.BytesIO()
    shades = np.arange(24 * 20 * 3, dtype=np.uint8).reshape(24, 20, 3)
    Image.fromarray(shades).save(held, form)
    return held.getvalue()


def _clip() -> bytes:
    held = io.BytesIO()
    with av.open(held, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for number in range(4):
            image = np.full((32, 32, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    return held.getvalue()


def _decoded(path: Path) -> object:
    opened = open_images(path)
    return [decode(picture, FIT) for picture in opened.pictures]


def _frames(path: Path) -> object:
    tally = video.Tally()
    return [frame.number for frame in video.frames(str(path), tally)], tally.warnings(str(path))


def _manifest(path: Path) -> object:
    bundle = Bundle.load(path.parent)
    return bundle.altered(), bundle.manifest.meaning, bundle.manifest.to_json()


FIT = Preprocess((8, 8), (1.0,) * 3, (2.0,) * 3)
#: The file's name, what is right, and what reads it.
KINDS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "manifest": ("manifest.json", json.dumps(MANIFEST).encode(), _manifest),
    "plan": ("plan.json", json.dumps(PLAN).encode(), lambda path: planned.read(path.parent)),
    "list": ("l.txt", b"a.png,0\nb.png,1\n# c\nc d.png\t2\n", open_images),
    "table": ("l.csv", b'path,class\n"a.png",cat\nb.png,dog\n', open_images),
    "npz": ("a.npz", _npz(), open_images),
    "npy": ("a.npy", _npy(), lambda path: npy(path, BundleError, "-")),
    "labels": ("l.txt", b"cat\ndog\n", labels.read),
    "labels.json": ("l.json", b'{"0": "cat", "1": "dog"}', labels.read),
    "labels.csv": ("l.csv", b"index,label\n0,cat\n1,dog\n", labels.read),
    "recipe": ("r.toml", RECIPE.encode(), open_source),
    "target": ("t.toml", TARGET, lambda path: load_target(str(path))),
    "board": ("b.toml", (ROOT / "boards" / "thor.toml").read_bytes(), lambda path: load_board(str(path))),
    "steps": (
        "r.toml",
        (ROOT / "edgeeff" / "quantization" / "recipes" / "max.toml").read_bytes(),
        lambda path: recipe.load(str(path)),
    ),
    "configuration": ("edgeeff.toml", CONFIG.encode(), config.read),
    "tuning": ("tuning.json", json.dumps(TUNING).encode(), variants.read),
    "result": ("verify.json", json.dumps(RESULT).encode(), results.read),
    "encodings": ("e.json", json.dumps(AIMET).encode(), foreign.read),
    "calibration cache": ("calib.cache", CACHE, foreign.read),
    "png": ("p.png", _picture("PNG"), _decoded),
    "jpeg": ("a.jpg", _picture("JPEG"), _decoded),
    "tiff": ("a.tif", _picture("TIFF"), _decoded),
    "gif": ("a.gif", _picture("GIF"), _decoded),
    "webp": ("a.webp", _picture("WEBP"), _decoded),
    "bmp": ("a.bmp", _picture("BMP"), _decoded),
    "video": ("a.avi", _clip(), _frames),
}


#: What was found, and is refused since.
FOUND = {
    "a name that no file can have": ("list", b"a.png" + b"9" * 5000 + b",0\n"),
    "a path that no file can have": ("table", b"path,class\n" + b"9" * 5000 + b",cat\n"),
    "a home that nobody has": ("table", b"path,class\n~nobody/x.png,cat\n"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_right_is_read(kind, tmp_path):
    name, content, read = KINDS[kind]
    (tmp_path / name).write_bytes(content)
    for photo in ("a.png", "b.png", "0.png"):
        (tmp_path / photo).write_bytes(b"-")
    read(tmp_path / name)


@pytest.mark.parametrize("kind", KINDS)
def test_changed_bytes(kind, fuzz, bytes_changed, tmp_path):
    name, content, read = KINDS[kind]
    fuzz(bytes_changed, read, tmp_path / name, content)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind][0].endswith(".json")])
def test_other_types(kind, fuzz, types_changed, tmp_path):
    name, content, read = KINDS[kind]
    fuzz(types_changed, read, tmp_path / name, content)


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found(found, tried, tmp_path):
    kind, content = FOUND[found]
    name, _, read = KINDS[kind]
    tried(read, tmp_path / name, content)
