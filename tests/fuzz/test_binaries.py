"""Mutations of compiled networks and of databases: what libraries read that crash, hang or say anything."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from flatbuffers import flexbuffers

from edgeeff.backends.tflite import flatbuffer
from edgeeff.backends.tflite.boxes import NAMES, POSTPROCESS
from edgeeff.backends.tflite.model import Model, Operator
from edgeeff.foreign import tflite_file
from edgeeff.graph.lowering import Options, Tensor
from edgeeff.history import changes, database, drawing, exporting, finding, importing, place, storing

OPTIONS = {
    **{"max_detections": 4, "max_classes_per_detection": 1, "use_regular_nms": True, "num_classes": 3},
    **{"detections_per_class": 4, "nms_score_threshold": 0.1, "nms_iou_threshold": 0.5},
    **dict.fromkeys(("y_scale", "x_scale", "h_scale", "w_scale"), 1.0),
}


def _tflite() -> bytes:
    """An input whose pixels are the scores of four anchors, and boxes made of them."""
    constants = {
        "to": np.array([1, 16, 3], np.int32),
        "codes": np.zeros((1, 16, 4), np.float32),
        "anchors": np.full((16, 4), 0.5, np.float32),
    }
    shapes = {
        "input": (1, 4, 4, 3),
        "scores": (1, 16, 3),
        **dict(zip(NAMES, ((1, 4, 4), (1, 4), (1, 4), (1,)), strict=True)),
    }
    tensors = {name: Tensor(name, shape, "float32") for name, shape in shapes.items()}
    tensors |= {name: Tensor(name, v.shape, v.dtype.name, None, v) for name, v in constants.items()}  # type: ignore[arg-type]
    operators = [
        Operator(
            "RESHAPE", ("input", "to"), ("scores",), Options("ReshapeOptions", {"newShape": [1, 16, 3]}), 1
        ),
        Operator(
            POSTPROCESS, ("codes", "scores", "anchors"), NAMES, None, 1, bytes(flexbuffers.Dumps(OPTIONS))
        ),
    ]
    return flatbuffer.write(Model("net", tensors, operators, {"input": "input"}, {n: n for n in NAMES}), {})


@pytest.fixture
def impatient(monkeypatch):
    """A second of the processor is enough for these."""
    monkeypatch.setattr(tflite_file, "_PATIENCE", 2)


def test_a_detector_of_somebody_elses(fuzz, bytes_overwritten, impatient, tmp_path):
    """Each is read in a copy of this process first, which is what takes the time."""
    content = _tflite()
    (tmp_path / "whole.tflite").write_bytes(content)
    assert tflite_file._read(tmp_path / "whole.tflite").columns == 3
    fuzz(bytes_overwritten, tflite_file._read, tmp_path / "net.tflite", content, 4)


TIMES = {"p50": 1.2, "p90": 1.3, "p99": 1.9}
REPORT = {
    "entries": [
        {
            **{"name": "b0", "status": "ok", "cpu_ratio": None, "wall_ratio": None},
            "timing": {
                **{"wall_ms": TIMES, "wall_ms_per_image": TIMES, "cpu_ms": 1.0, "cpu_ms_per_image": 1.0},
                **{
                    "wall_launches_ms": [1.0, 1.1],
                    "cpu_launches_ms": [1.0, 1.1],
                    "images": 1,
                    "inferences": 9,
                },
            },
        }
    ],
    **{"baseline": "b0", "launches": 2, "seconds": 0.5, "threads": 1, "seed": 0, "warnings": ["w"]},
    "record": {
        **{"schema_version": 1, "kind": "latency", "run_id": "0" * 32, "utc": "2026-11-26T10:00:00Z"},
        **{
            "bundles": {"b0": "0" * 64},
            "environment": {"cpu": "x", "cores": 2, "versions": {"openvino": "1"}},
        },
        **{"about": {"b0": {"name": "b0", "target": "cpu-int8", "batch": 1}}, "commit": "c"},
    },
}
#: What SQLite takes for any column.
ODD = (None, -1, 1 << 62, 1e308, float("inf"), "", "x", "\x1b[2J", "{", b"\0\xff", "9" * 5000, "2026-13-40")


@pytest.fixture
def history(tmp_path) -> bytes:
    """A database of two runs, as bytes."""
    report, where = tmp_path / "r.json", place.named(str(tmp_path / "whole.sqlite"))
    for run in "01":
        report.write_text(json.dumps({**REPORT, "record": {**REPORT["record"], "run_id": run * 32}}))
        storing.store(where, importing.read([report]), live=False)
    with closing(sqlite3.connect(tmp_path / "whole.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return (tmp_path / "whole.sqlite").read_bytes()


def _asked(path: Path) -> object:
    """Whatever a verb asks of a database."""
    for beside in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    where = place.named(str(path))
    with database.reading(where) as connection:
        assert connection is not None
        runs = finding.runs(connection, finding.Filter(), limit=None)
        tracks = finding.tracks(connection, finding.Filter())
        table = exporting.as_csv(exporting.rows(connection, finding.Filter()))
    found = [(track, changes.changes(track)) for track in tracks]
    return runs, table, drawing.svg(found), [drawing.text(*one) for one in found]


def test_a_database_that_is_damaged(history, fuzz, bytes_overwritten, tmp_path):
    fuzz(bytes_overwritten, _asked, tmp_path / "h.sqlite", history, 2)


def test_a_database_that_holds_other_values(history, fuzz, tmp_path):
    def read(path: Path) -> object:
        rng = random.Random(int(path.read_bytes()))
        held = tmp_path / "h.sqlite"
        held.write_bytes(history)
        with closing(sqlite3.connect(held)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            tables = [
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            table = rng.choice([name for name in tables if not name.startswith("sqlite_")])
            column = rng.choice([row[1] for row in connection.execute(f"PRAGMA table_info({table})")])
            try:
                connection.execute(f'UPDATE "{table}" SET "{column}" = ?', (rng.choice(ODD),))
            except sqlite3.IntegrityError:
                return None
            connection.commit()
        return _asked(held)

    fuzz(lambda _, number: str(number).encode(), read, tmp_path / "number", b"", 2)
