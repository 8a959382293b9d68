"""docs/performance.md says what benchmarks/results/*.json hold, and scripts write such files."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import decoding, results
from benchmarks.results import Measure


def test_the_page_is_what_the_results_say():
    """``python -m benchmarks.results`` writes it."""
    text = results.PAGE.read_text(encoding="utf-8")
    assert text == results.page(text)


def test_a_section_has_its_figures_with_their_intervals_and_what_they_hold_for(tmp_path):
    rows = [
        {"bundle": "NNCF", "ratio": None, "ms": 5.0},
        {"bundle": "ours*", "ratio": 0.9304, "low": 0.9216, "high": 0.95, "ms": 4.666},
    ]
    columns = [Measure("ratio", digits=3, low="low", high="high"), Measure("ms", "ms", 2, "CPU time")]
    results.write(
        tmp_path / "1.json", "Latency of Lite0", "One\n  image.", rows, columns, ["Board: NOT RUN."]
    )
    results.write(tmp_path / "0.json", "First", "Nothing.", rows[:1], columns)
    text = results.page(f"before {results.BEGIN} old {results.END} after", tmp_path)
    assert text.startswith(f"before {results.BEGIN}\n\n## First\n") and text.endswith(f"{results.END} after")
    assert "old" not in text
    latency = text.partition("## Latency of Lite0\n\n")[2]
    assert latency.startswith(
        "One image.\n\n| | ratio | CPU time |\n|---|---|---|\n| NNCF |  | 5.00 ms |\n"
        "| ours\\* | 0.930 (0.922…0.950) | 4.67 ms |\n\nBoard: NOT RUN.\n\n"
    )
    assert f"numpy {results.versions()['numpy']}" in latency and results.facts()["system"] in latency


def test_a_document_without_marks_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="has no"):
        results.page("no marks", tmp_path)


def test_a_script_writes_its_figures_without_the_paths_of_its_machine(tmp_path, monkeypatch, capsys):
    path = tmp_path / "decoding.json"
    monkeypatch.setattr(sys, "argv", ["decoding", "--side", "64", "--rounds", "2", "--json", str(path)])
    decoding.main()
    assert "the plain way" in capsys.readouterr().out
    taken = json.loads(path.read_text(encoding="utf-8"))
    assert [row["name"] for row in taken["rows"]] == ["8 objects", "all over the floor", "all of one class"]
    for row in taken["rows"]:
        ratio = row["figures"][0]
        assert ratio["name"] == "ratio" and ratio["interval"][0] <= ratio["value"] <= ratio["interval"][1]
    assert taken["command"].endswith("--side 64 --rounds 2") and str(tmp_path) not in taken["command"]
    given = ["x", "--calibration", str(tmp_path / "a b.npz"), f"--checkpoint={tmp_path}/b0.pt"]
    monkeypatch.setattr(sys, "argv", given)
    assert results.command().endswith("--calibration 'a b.npz' --checkpoint=b0.pt")
