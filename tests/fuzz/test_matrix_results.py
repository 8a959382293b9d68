"""Mutations of what a matrix stored: a damaged result is made again, and is no traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edgeeff.cli import _matrix as view
from edgeeff.matrix.file import Matrix
from edgeeff.matrix.planning import Plan
from edgeeff.matrix.results import Results
from edgeeff.matrix.running import Run
from edgeeff.matrix.store import Store
from edgeeff.matrix.units import Unit

UNITS = {"build": Unit("build", "net", "cpu-int8"), "eval": Unit("eval", "net", "cpu-int8")}
SAID: dict[str, dict[str, Any]] = {
    "build": {"bundle": "bundle/net-cpu-int8", "digest": "0" * 64, "figures": {"sqnr": 30.0}, "report": None},
    "eval": {"figures": {"score": 0.5, "agreement": 0.9, "metric": "top_1"}, "report": {"bundle": "net"}},
}


@pytest.fixture
def shown(tmp_path) -> Callable[[str], Callable[[Path], object]]:
    """``shown(kind)(path)``: show a matrix of one unit of that kind, whose result is that file."""

    def of_kind(kind: str) -> Callable[[Path], object]:
        unit, store = UNITS[kind], Store(tmp_path / "results")
        store.prepare()
        store.place(unit.key).mkdir(exist_ok=True)

        def show(path: Path) -> object:
            (store.place(unit.key) / "result.json").write_bytes(path.read_bytes())
            run = Run(Plan((unit,), ()), store, lambda: None)
            found = Results.of(cast(Matrix, SimpleNamespace(name="m")), run)
            found.write()
            view.show(found)
            return json.dumps(found.to_json(), allow_nan=False), list(found.reports()), found.heard

        return show

    return of_kind


@pytest.mark.parametrize("kind", SAID)
def test_a_damaged_result_is_not_there(kind, shown, fuzz, types_changed, bytes_changed, tmp_path, capsys):
    said = {
        **SAID[kind],
        "key": UNITS[kind].key,
        "kind": kind,
        "warnings": ["w"],
        "seconds": 1.5,
        "files": {},
    }
    content = json.dumps(said).encode()
    (tmp_path / "r.json").write_bytes(content)
    shown(kind)(tmp_path / "r.json")
    assert "1 were there" in capsys.readouterr().out
    for change in (types_changed, bytes_changed):
        fuzz(change, shown(kind), tmp_path / "r.json", content, 4)
