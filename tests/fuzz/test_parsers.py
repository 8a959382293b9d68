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

from edgeeff import labels, planned, report, streams, text
from edgeeff.backends.tensorrt import results
from edgeeff.board import load_board
from edgeeff.bundle import Bundle
from edgeeff.detection import Detection, Geometry, Nms
from edgeeff.devices import file as devices_file
from edgeeff.errors import BundleError, ReportError
from edgeeff.gate import baseline, explain, suite
from edgeeff.gate.baseline import Baseline, Correct, Run
from edgeeff.gate.formats import github, gitlab, junit, markdown
from edgeeff.gate.verdict import GateReport, Settle, Verdict
from edgeeff.history import importing
from edgeeff.images import decode, open_images
from edgeeff.images.annotations.classes import placed
from edgeeff.images.decoding import sizes
from edgeeff.matrix import file as matrix_file
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
DETECTOR = {
    **MANIFEST,
    "schema_version": 2,
    **{"task": "detection", "threshold": 0.3, "negative": "", "batch": "dynamic:4", "thresholded": False},
    "plugins": {"runtime": "x 1.0"},
    "outputs": [
        {"name": "class_logits", "shape": [1, 9, 2], "meaning": "scores"},
        {"name": "box_codes", "shape": [1, 9, 4], "meaning": "scores"},
    ],
    "detection": Detection(Geometry((8, 8), (3, 3), 3), Nms(0.05), "host").to_json(),
}
VERIFICATION = {
    **{"check": "ok", "warnings": ["w"], "not_run": "", "validation": "v"},
    "artifact": {"images": 4, "agreement": {"value": 0.5, "interval": [0.1, 0.9]}, "sqnr_db": 20.0},
    "hub": {"images": 4, "agreement": None, "sqnr_db": "inf"},
    "golden": {"status": "ok", "summary": "s"},
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
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 20}, {"id": 2, "file_name": "b.png"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3.5, 4], "area": 14.0, "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 9, "bbox": [0, 0, 50, 4], "area": 14, "iscrowd": 1},
    ],
    "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
}
VOC = (
    b"<annotation><filename>a.png</filename><size><width>40</width><height>20</height></size><object>"
    b"<name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax>"
    b"</bndbox></object></annotation>"
)
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


SUITE = """schema = 1
name = "cameras"
threads = 2
targets = ["cpu-int8"]
images = "photos"
[limits]
latency = "3 %"
top_1 = "0.5 points"
[[case]]
bundles = ["b*", "b0"]
reference = "b0"
[case.limits]
size = "off"
"""
DEVICES = """schema = 1
coordinator = "lab:20408"
[device.orin1]
address = "ssh://nvidia@10.0.0.5:2222"
tags = ["orin", "jp6"]
python = "/usr/bin/python3.10"
cool = "50C"
cool_limit = 60
[device.phone]
address = "adb:R58M"
benchmark_model = "~/tools/benchmark_model"
"""
MATRIX = """schema = 1
targets = ["cpu-fp32", "cpu-int8"]
calibration = "photos"
images = "photos"
reference = "cpu-fp32"
devices = ["local", "ssh://pi@10.0.0.7"]
[bench]
runs = 3
[[model]]
name = "doors"
checkpoint = "doors.pt"
keep-float = ["stem*"]
[[exclude]]
device = "ssh:*"
measure = "eval"
"""
RECORD = {
    "schema_version": 1,
    "run_id": "0" * 32,
    "utc": "2026-11-26T10:00:00Z",
    "bundles": {"b0": "0" * 64},
    "environment": {"cpu": "x", "cores": 2, "versions": {"openvino": "1"}},
    "about": {"b0": {"name": "b0", "target": "cpu-int8", "batch": 1, "artifact_bytes": 9}},
    "commit": None,
}
SHARE = {"value": 0.5, "interval": [0.4, 0.6], "successes": 2, "total": 4}
TIMING = {
    **{"wall_ms": TIMES, "wall_ms_per_image": TIMES, "cpu_ms": 1.0, "cpu_ms_per_image": 1.0, "images": 1},
    **{"wall_launches_ms": [1.0, 1.1], "cpu_launches_ms": [1.0, 1.1], "inferences": 100},
}
LATENCY = {
    "entries": [{"name": "b0", "status": "ok", "timing": TIMING, "cpu_ratio": SHARE, "wall_ratio": None}],
    **{"baseline": "b0", "launches": 2, "seconds": 0.5, "threads": 1, "seed": 0, "warnings": ["w"]},
    "record": {**RECORD, "kind": "latency"},
}
ACCURACY = {
    **{"bundle": "b0", "status": "ok", "images": 4, "labelled": 4, "metric": "top_1", "warnings": []},
    "scores": {"top_1": SHARE, "classes": 2, "confusion": [[1, 1], [0, 2]]},
    "reference": {
        **{"name": "f", "agreement": SHARE, "sqnr_db": 30.0, "sqnr_centred_db": 29.0},
        "lost": {"points": 0.1, "interval": [0.0, 0.2]},
    },
    "drop_points": 0.1,
    "record": {**RECORD, "kind": "accuracy"},
}


PROFILE = {
    "entries": [
        {
            **{"name": "b0", "status": "ok", "runtime": "openvino", "precision": "int8", "inference_us": 5.0},
            **{"layers_us": 4.0, "inferences": 3, "images": 1, "gmacs_per_s": 6.8, "int8_peak_fraction": 0.4},
            "kinds": [
                {"kind": "conv", "precision": "int8", "microseconds": 4.0, "fraction": 1.0, "layers": 1}
            ],
            "layers": [
                {"name": "c", "kind": "conv", "operator": "Conv", "microseconds": 4.0, "fused": ["r"]}
            ],
        }
    ],
    **{"peaks": {}, "launches": 2, "seconds": 0.5, "threads": 1, "record": {**RECORD, "kind": "profile"}},
}
DIAGNOSIS = {
    **{"model": "b0", "target": "cpu-int8", "effort": "fast", "notes": ["n"], "images": 4, "agreeing": 4},
    "findings": [
        {
            **{
                "kind": "tensor",
                "name": "c",
                "what": "an activation",
                "share": 0.3,
                "doubt": 0.01,
                "alone": 0.2,
            },
            **{"codes": [-1.0, 1.0], "seen": [-2.0, 2.0], "outside": 0.01, "kernel": None, "advice": "a"},
            "histogram": {"low": -2.0, "high": 2.0, "counts": [1, 5, 2]},
        }
    ],
    "groups": [{"name": "weights", "members": 5, "share": 0.5, "doubt": 0.1, "alone": 0.2}],
    **{"reliefs": [], "advice": ["x"], "warnings": [], "definitions": {"share": "d"}, "sqnr_db": 23.5},
}
POINT = {"uid": "0" * 32, "placed": "2026-11-26T10:00:00Z", "commit": "c", "digest": "0" * 64, "value": 1.0}
TREND = {
    "tracks": [
        {
            **{"bundle": "b0", "metric": "cpu_ms", "conditions": "", "series": "0" * 64, "device": "x"},
            **{"unit": "ms", "points": [{**POINT, "low": 0.9, "high": None}] * 3},
            "changes": [{"place": 1, "before": 1.0, "after": 1.1, "step": 0.1, "commit_range": ["c", "d"]}],
        }
    ]
}


def _verdicts() -> bytes:
    alone = {"against": "baseline", "clock": "cpu", "new_ms": [1.0, 1.1], "threads": 1, "printed": "x"}
    unsure = Verdict(
        *("b0", "latency", "inconclusive", 1.0, "%", -1.0, 3.5, 3.0),
        **{"why": "w", "settle": Settle(28, None, 156.0), "measured": alone},
    )
    found = GateReport((unsure, Verdict("b0", "top_1", "error", why="w"))).to_json()
    return json.dumps({**found, "record": {**RECORD, "kind": "gate"}}).encode()


def _baseline() -> bytes:
    run = Run("0" * 64, (1.0, 1.1), "2026-11-26T10:00:00Z")
    facts = {"cpu": "x", "cores": 2, "runtimes": {"openvino": "1"}}
    text = Baseline(
        *("b0", "b0", "cpu-int8", "0" * 64, "1" * 64, facts, 1, "cpu"),
        **{"metrics": {"size": (9.0, "bytes")}, "runs": (run,)},
        correct=Correct("2" * 64, np.array([True, False, True])),
    ).text()
    return text.encode()


def _suite(path: Path) -> object:
    (path.parent / "b0").mkdir(exist_ok=True)
    (path.parent / "photos").mkdir(exist_ok=True)
    (path.parent / "b0" / "manifest.json").write_text(json.dumps(MANIFEST))
    return suite.load(path)


def _matrix(path: Path) -> object:
    (path.parent / "photos").mkdir(exist_ok=True)
    (path.parent / "doors.pt").touch()
    return matrix_file.load(path)


def _gated(path: Path) -> object:
    """Read, and written in every format."""
    read = GateReport.from_json(text.read_json(path, ReportError), path.name)
    written = [form.text(read, "s") for form in (github, junit, markdown)]
    return [*written, gitlab.text(read, "s", "p"), explain.text(read), json.dumps(read.to_json())]


def _kept_and_shown(path: Path) -> object:
    """Read for the history, and for a page; one may refuse what the other takes."""
    page, _ = report.of_paths([path])
    return importing.read([path]), page


def _shown(path: Path) -> object:
    """Read for a page alone: the history does not keep it."""
    return report.of_paths([path])


def _verified(path: Path) -> object:
    """What lies in ``measured`` of a bundle, as `inspect`, tables and reports show it."""
    bundle = path.parent / "b0"
    (bundle / "measured").mkdir(parents=True, exist_ok=True)
    (bundle / "manifest.json").write_text(json.dumps(MANIFEST))
    path.replace(bundle / "measured" / "verification.json")
    return report.of_paths([bundle]), Bundle.load(bundle).verification()


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


def _deep(form: str, kind: type) -> bytes:
    """A picture of more than 8 bits."""
    held = io.BytesIO()
    Image.fromarray(
        (np.arange(480.0).reshape(24, 20) * (100 if kind == np.uint16 else 1 / 480)).astype(kind)
    ).save(held, form)
    return held.getvalue()


def _set_of_boxes(path: Path) -> object:
    (path.parent / "images").mkdir(exist_ok=True)
    for name in ("a", "b"):
        Image.new("RGB", (40, 20)).save(path.parent / "images" / f"{name}.png")
    (path.parent / "images" / "a.txt").write_text("0 0.5 0.5 0.2 0.1\n")
    return open_source(path, splits=("val", "test"))


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


def _boxes(path: Path) -> object:
    """Read, and made boxes of a network; a photo is beside, or the reader would stop there."""
    source = path if path.suffix == ".json" else path.parent
    for photo in ("a.png", "b.png"):
        Image.new("RGB", (40, 20)).save(path.parent / photo)
    if path.suffix == ".txt":
        (path.parent / "d.yaml").write_text("val: .\nnames: [cat, dog]\n")
        images = open_source(path.parent / "d.yaml", splits=("val",))
    else:
        images = open_images(source)
    found = placed(images, ("cat", "dog"), FIT, sizes(images.pictures, FIT))
    return [(truth.corners.tolist(), truth.classes.tolist()) for truth in found.truths]


def _frames(path: Path) -> object:
    tally = streams.Tally()
    return [frame.number for frame in streams.frames(str(path), tally)], tally.warnings(str(path))


def _manifest(path: Path) -> object:
    bundle = Bundle.load(path.parent)
    return bundle.altered(), bundle.manifest.meaning, bundle.manifest.to_json()


FIT = Preprocess((8, 8), (1.0,) * 3, (2.0,) * 3)
#: The file's name, what is right, and what reads it.
KINDS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    "manifest": ("manifest.json", json.dumps(MANIFEST).encode(), _manifest),
    "manifest of a detector": ("manifest.json", json.dumps(DETECTOR).encode(), _manifest),
    "verification": ("v.json", json.dumps(VERIFICATION).encode(), _verified),
    "plan": ("plan.json", json.dumps(PLAN).encode(), lambda path: planned.read(path.parent)),
    "list": ("l.txt", b"a.png,0\nb.png,1\n# c\nc d.png\t2\n", open_images),
    "table": ("l.csv", b'path,class\n"a.png",cat\nb.png,dog\n', open_images),
    "npz": ("a.npz", _npz(), open_images),
    "coco": ("c.json", json.dumps(COCO).encode(), _boxes),
    "voc": ("a.xml", VOC, _boxes),
    "yolo": ("a.txt", b"0 0.5 0.5 0.2 0.1\n1 0.1 0.1 0.2 0.1 0.3 0.3\n", _boxes),
    "set of boxes": ("d.yaml", b"path: .\nval: images\nnames: {0: cat, 1: dog}\n", _set_of_boxes),
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
    "devices": ("devices.toml", DEVICES.encode(), devices_file.read),
    "matrix": ("matrix.toml", MATRIX.encode(), _matrix),
    "suite": ("suite.toml", SUITE.encode(), _suite),
    "baseline": ("b.toml", _baseline(), baseline.load),
    "verdicts": ("gate.json", _verdicts(), _gated),
    "verdicts kept": ("gate.json", _verdicts(), _kept_and_shown),
    "latency": ("bench.json", json.dumps(LATENCY).encode(), _kept_and_shown),
    "accuracy": ("eval.json", json.dumps(ACCURACY).encode(), _kept_and_shown),
    "profile": ("profile.json", json.dumps(PROFILE).encode(), _kept_and_shown),
    "diagnosis": ("diagnosis.json", json.dumps(DIAGNOSIS).encode(), _shown),
    "trend": ("trend.json", json.dumps(TREND).encode(), _shown),
    "encodings": ("e.json", json.dumps(AIMET).encode(), foreign.read),
    "calibration cache": ("calib.cache", CACHE, foreign.read),
    "png": ("p.png", _picture("PNG"), _decoded),
    "png of 16 bits": ("p.png", _deep("PNG", np.uint16), _decoded),
    "tiff of floats": ("f.tif", _deep("TIFF", np.float32), _decoded),
    "jpeg": ("a.jpg", _picture("JPEG"), _decoded),
    "tiff": ("a.tif", _picture("TIFF"), _decoded),
    "gif": ("a.gif", _picture("GIF"), _decoded),
    "webp": ("a.webp", _picture("WEBP"), _decoded),
    "bmp": ("a.bmp", _picture("BMP"), _decoded),
    "video": ("a.avi", _clip(), _frames),
}


#: What was found, and is read or refused since.
FOUND = {
    "a name that no file can have": ("list", b"a.png" + b"9" * 5000 + b",0\n"),
    "a path that no file can have": ("table", b"path,class\n" + b"9" * 5000 + b",cat\n"),
    "a home that no device has": ("devices", DEVICES.replace("~/", "~nobody/").encode()),
    "a pattern that Python warns of": ("recipe", RECIPE.replace("(", "[[a](").encode()),
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
