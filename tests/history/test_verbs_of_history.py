"""edgeeff history plot, changes, show, export, import, prune, migrate: in the terminal and as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import xml.etree.ElementTree as ET

import pytest

from edgeeff import cli
from edgeeff.gate.baseline import Baseline


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main(["history", *map(str, arguments)])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def data(*arguments: object):
    status, out, err = run(*arguments, "--json")
    assert status == 0, err
    return json.loads(out)


def test_the_verbs(make_report, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "history.sqlite"))
    for verb in ("plot", "changes", "export", "migrate", ("prune", "--keep=1d")):
        assert run(*([verb] if isinstance(verb, str) else verb))[0] == 0  # nothing is stored yet
    reports = [
        make_report(5.0 if i < 6 else 5.5, utc=f"2026-03-{i + 1:02d}T00:00:00Z", commit=f"c{i}")
        for i in range(12)
    ]
    reports[0]["record"]["about"]["b0-cpu-int8"]["model"] = "+b0"
    later = make_report(utc="2090-03-01T00:00:00Z", digest="b" * 64)
    (tmp_path / "r.json").write_text(json.dumps([*reports, later]))
    status, _, err = run("import", tmp_path / "r.json")
    assert status == 0 and "WARNING the run" in err and "still to come" in err
    assert data("import", tmp_path / "r.json")["new"] == 0
    assert run("import", "--commit", "c0\n", tmp_path / "r.json")[0] == 2
    assert run("list", "--kind", "latncy")[0] == 2 and len(data("list", "--kind", "latency")["runs"]) == 13
    assert run("prune", "--run", later["record"]["run_id"][:8])[0] == 0

    (change,) = data("changes", "--target=cpu-int8")["changes"]
    assert change["commit_range"] == ["c5", "c6"] and change["metric"] == "cpu_ms"
    assert "c5, by c6" in run("changes")[1] and "no step" in run("changes", "--since=2026-03-08")[1]
    (track,) = data("plot", "--svg", tmp_path / "p.svg")["tracks"]
    assert len(track["points"]) == 12 and len(track["changes"]) == 1
    ET.parse(tmp_path / "p.svg")
    shown = run("plot")[1].splitlines()
    assert max(map(len, shown[:-1])) <= 80 and "step +10.0%" in shown[-1]

    uid = reports[3]["record"]["run_id"]
    assert uid in run("show", uid[:8])[1] and data("show", uid)["commit"] == "c3"
    for wrong in ("zz", "00000000000000000000000000000000"):
        assert run("show", wrong)[0] == 2
    status, _, err = run("export", "-o", tmp_path / "x.csv", "--metric=cpu_ms")
    assert status == 0 and "12 cells that a spreadsheet would take for formulas" in err
    assert (tmp_path / "x.csv").read_text().count("\n") == 13
    assert data("export", "-o", tmp_path / "x.parquet")["rows"] == len(data("export"))
    assert run("export", "-o", tmp_path / "x.xls")[0] == 2
    (tmp_path / "baselines").mkdir()
    assert run("prune", "--keep=1d", f"--baselines={tmp_path / 'baselines'}")[0] == 2  # none is there
    one = Baseline("b0", "b0", "cpu-int8", "a" * 64, "c" * 64, {"cpu": "x"}, 1, "cpu")
    (tmp_path / "baselines" / "b0.toml").write_text(one.text())
    kept = data("prune", "--keep=2026-03-10", f"--baselines={tmp_path / 'baselines'}")
    assert (kept["left"], kept["kept_for_baselines"]) == (12, 9)
    assert data("prune", "--keep=2026-03-10", "--dry-run")["left"] == 5
    assert data("prune", "--keep=2026-03-10")["left"] == 5
    assert len(data("list")["runs"]) == 5 and run("prune")[0] == 2
    assert data("migrate")["before"] == data("migrate")["now"]


def test_rows_that_are_too_noisy_for_the_promise_are_told(make_report, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "history.sqlite"))
    quiet, noisy = ([5 + size * (i * 7 % 5 - 2) for i in range(12)] for size in (0.005, 0.05))
    for values, told in ((quiet, 0), (noisy, 1)):
        reports = [make_report(v, utc=f"2026-03-{i + 1:02d}T00:00:00Z") for i, v in enumerate(values)]
        (tmp_path / "r.json").write_text(json.dumps(reports))
        assert run("import", tmp_path / "r.json")[0] == 0
        status, _, err = run("changes", "--metric=cpu_ms")
        assert (status, err.count("WARNING runs differ by more than 0.7%")) == (0, told), err
        assert len(data("changes", "--metric=cpu_ms")["warnings"]) == told
    assert data("changes", "--metric=artifact_bytes")["warnings"] == []


def test_a_bundle_that_did_not_run_is_named(make_report, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "history.sqlite"))
    report = make_report()
    report["record"]["bundles"]["lite"] = "b" * 64
    report["record"]["about"]["lite"] = {"name": "lite", "artifact_bytes": 7}
    report["entries"].append({"name": "lite", "timing": None})
    (tmp_path / "r.json").write_text(json.dumps(report))
    assert run("import", tmp_path / "r.json")[0] == 0
    listed = run("list")[1].splitlines()
    assert len(listed) == 3 and listed[2].split() == ["lite", "NOT", "RUN"]
    assert "NOT RUN: lite" in run("show", report["record"]["run_id"])[1]


def test_plots_that_are_left_out_are_told(make_report, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "history.sqlite"))
    others = [make_report(environment={"cpu": f"board {i}"}) for i in range(9)]
    (tmp_path / "r.json").write_text(json.dumps(others))
    assert run("import", tmp_path / "r.json")[0] == 0
    warning = "1 of 9 plots are left out: say which with --bundle or --series"
    status, _, err = run("plot", "--svg", tmp_path / "p.svg")
    assert status == 0 and f"WARNING {warning}" in " ".join(err.split())
    shown = data("plot", "--svg", tmp_path / "p.svg")
    assert len(shown["tracks"]) == 9 and shown["warnings"] == [warning]
    assert (tmp_path / "p.svg").read_text().count("<g ") == 8
    assert data("plot")["warnings"] == []  # JSON has all of them
