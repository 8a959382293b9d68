"""Storing: whole, once, and refused where the database is not ours to write."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from edgeeff import digests, history
from edgeeff.errors import HistoryError, MissingRuntimeError, OptionError, ReportError
from edgeeff.history import database, finding, place
from edgeeff.history.finding import Filter


def found(where, **wanted):
    with database.reading(place.named(str(where))) as connection:
        return finding.runs(connection, Filter(**wanted), limit=None)


def test_a_report_is_stored_whole_and_once(make_report, tmp_path):
    file = tmp_path / "new" / "history.sqlite"
    report = make_report(0.9, commit="abc123", utc="2026-01-02T03:04:05Z")
    first = history.remember(report, database=str(file))
    assert (first.new, first.runs, first.place) == (1, (report["record"]["run_id"],), str(file))
    printed = {**report, "history": {"stored": True}}  # as --json prints it, and import reads it
    assert history.remember(printed, report, database=f"sqlite:///{file}").new == 0
    (run,) = found(file)
    assert (run.kind, run.utc, run.placed, run.commit) == ("latency", *["2026-01-02T03:04:05Z"] * 2, "abc123")
    figures = {result.metric: (result.value, result.unit, result.n) for result in run.results}
    assert figures["cpu_ms"] == (0.9, "ms", 2) and figures["wall_p99_ms"] == (1.9, "ms", 100)
    assert figures["artifact_bytes"] == (5_000_000, "bytes", None)
    assert {(r.model, r.target, r.digest) for r in run.results} == {("b0", "cpu-int8", "a" * 64)}
    assert found(file, model="b0", device="epyc", metric="cpu_ms")[0].results[0].samples == (0.9, 0.9)
    assert found(file, model="b1") == found(file, device="_") == found(file, since="2026-01-03") == []


def test_another_report_of_the_same_run_is_refused_and_nothing_of_its_company_is_stored(
    make_report, tmp_path
):
    file = str(tmp_path / "history.sqlite")
    report, other = make_report(1.0), make_report(2.0)
    history.remember(report, database=file)
    other["record"]["run_id"] = report["record"]["run_id"]
    with pytest.raises(HistoryError, match="another report of the run"):
        history.remember(make_report(), other, database=file)
    assert len(found(file)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": None}, "no record"),
        ({"record.schema_version": 2}, "schema 2, this version of edgeeff reads up to 1"),
        ({"record.utc": "yesterday"}, "record.utc"),
        ({"record.utc": "2026-02-30T10:00:00Z"}, "record.utc"),
        ({"record.run_id": "../x"}, "record.run_id"),
        ({"record.kind": "gate_"}, "no figures are kept"),
        ({"record.commit": "a b"}, "record.commit"),
        ({"record.bundles": {"b0": "missing"}}, "record.bundles.b0"),
        ({"record.bundles": {"b0\0": "a" * 64}}, "control character"),
        ({"record.environment": {"cpu": float("nan")}}, "not JSON compliant"),
        ({"record.environment": {"cpu": "\ud800"}}, "surrogates not allowed"),
        ({"entries": [{"name": "b0-cpu-int8"}]}, "it has no 'timing'"),
        ({"entries": 7}, "not iterable"),
        ({"baseline": ["x"], "seed": {"a": "b"}}, "a fact of how it was measured"),
    ],
)
def test_what_is_no_report_is_refused(make_report, tmp_path, change, message):
    report = make_report()
    for name, value in change.items():
        *parents, last = name.split(".")
        (report[parents[0]] if parents else report)[last] = value
    with pytest.raises(ReportError, match=message):
        history.remember(report, database=str(tmp_path / "history.sqlite"))
    assert not (tmp_path / "history.sqlite").exists()


def test_figures_that_are_no_numbers(make_report, tmp_path):
    file = tmp_path / "history.sqlite"
    report = make_report()
    report["entries"][0]["timing"]["wall_ms"] |= {"p50": "nan", "p99": "inf"}
    history.remember(report, database=str(file))
    values = {result.metric: result.value for result in found(file)[0].results}
    assert values["wall_p50_ms"] is None and values["wall_p99_ms"] == float("inf")


def test_a_database_of_another_program_is_left_alone(make_report, tmp_path):
    theirs, text, newer = (tmp_path / name for name in ("theirs.sqlite", "text.sqlite", "newer.sqlite"))
    with closing(sqlite3.connect(theirs)) as connection:
        connection.execute("CREATE TABLE photos (id)")
    text.write_text("no database, but long enough to be read as one\n" * 40)
    history.remember(make_report(), database=str(newer))
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE edgeeff_history_version SET version_num = '9999'")
    before = {path: path.read_bytes() for path in (theirs, text, newer)}
    refusals = {theirs: "another program: it has the table photos", text: "no database of SQLite"}
    for path, message in {**refusals, newer: "schema 9999, this version of edgeeff reads up to"}.items():
        for use in (lambda p=path: history.remember(make_report(), database=str(p)), lambda p=path: found(p)):
            with pytest.raises(HistoryError, match=message):
                use()
    assert {path: path.read_bytes() for path in before} == before


def test_a_database_that_cannot_be_used(make_report, tmp_path, monkeypatch):
    file = tmp_path / "history.sqlite"
    history.remember(make_report(), database=str(file))
    monkeypatch.setattr(database, "WAIT_SECONDS", 0.1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="is locked"):
            history.remember(make_report(), database=str(file))
        assert len(found(file)) == 1  # who reads does not wait
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(HistoryError, match="is no regular file"):
            history.remember(make_report(), database=str(tmp_path / name))
    with pytest.raises(HistoryError, match="cannot be written"):
        history.remember(make_report(), database=str(file / "below"))
    with (
        pytest.raises(HistoryError, match="is read-only"),
        database.reading(place.named(str(file))) as connection,
    ):
        connection.exec_driver_sql("DELETE FROM run")
    urls = ("mysql://x/y", "sqlite://", ":memory:", "", "sqlite:///a?mode=ro")
    for url in (*urls, "postgresql://me:hid@den@host/x", "postgresql://me:hid@host:port/x"):
        with pytest.raises(OptionError) as refusal:
            place.named(url)
        assert "hid" not in str(refusal.value)


def test_no_password_is_printed(make_report):
    for url in ("postgresql://me:hid%40den:word@127.0.0.1:1/x", "postgresql://127.0.0.1:1/x?password=hidden"):
        with pytest.raises(HistoryError, match="cannot be reached") as refusal:
            history.remember(make_report(), database=url)
        assert "hid" not in str(refusal.value) and "hid" not in repr(place.named(url))


def test_where_reports_go(make_report, tmp_path, monkeypatch):
    assert history.remember(make_report()) is None  # the tests switch it off
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("EDGEEFF_HISTORY", "")
    assert history.remember(make_report()).place == str(tmp_path / "edgeeff" / "history.sqlite")
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "own.sqlite"))
    assert history.remember(make_report()).place == str(tmp_path / "own.sqlite")
    monkeypatch.setenv("EDGEEFF_HISTORY", "False")
    assert history.remember(make_report()) is None
    monkeypatch.setenv("EDGEEFF_HISTORY", "1")  # no file of that name in the current folder
    with pytest.raises(OptionError, match="EDGEEFF_HISTORY=1 names no database"):
        history.remember(make_report())
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "own.sqlite"))
    monkeypatch.setattr(place, "find_spec", lambda name: None)
    with pytest.raises(MissingRuntimeError, match=r"needs sqlalchemy, alembic") as refusal:
        history.remember(make_report())
    assert "[history]" in refusal.value.mend
    monkeypatch.delenv("EDGEEFF_HISTORY")
    assert history.remember(make_report()) is None


def test_a_clock_that_went_backwards(make_report, tmp_path):
    file = tmp_path / "history.sqlite"
    history.remember(make_report(utc="2026-01-01T00:00:00Z"), database=str(file))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE run SET arrived = '2090-01-01T00:00:01Z', placed = '2090-01-01T00:00:00Z'")
    report = make_report(utc="2026-01-02T00:00:00Z")
    stored = history.remember(report, database=str(file))
    assert "went backwards" in stored.warnings[0]
    last, first = found(file)
    assert last.uid == report["record"]["run_id"]
    assert (last.utc, last.placed) == ("2026-01-02T00:00:00Z", first.placed)
    other = make_report(environment={"cpu": "another"}, utc="2089-01-01T00:00:00Z")
    assert "still to come" in history.remember(other, database=str(file)).warnings[0]


def test_storing_loads_its_library_late():
    script = "import json, sys, edgeeff.history, edgeeff.history.place as p, edgeeff.cli.recording\n"
    script += "assert p.configured() is None\n"
    script += "print(json.dumps([m for m in ('sqlalchemy', 'alembic', 'ruptures') if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_two_names_of_one_bundle(make_report, tmp_path):
    file = tmp_path / "history.sqlite"
    report = make_report(1.0)
    report["record"]["bundles"]["twin"] = report["record"]["bundles"]["b0-cpu-int8"]
    report["entries"].append({**report["entries"][0], "name": "twin"})
    assert "are the same bundle" in history.remember(report, database=str(file)).warnings[0]
    assert [result.bundle for result in found(file, metric="cpu_ms")[0].results] == ["b0-cpu-int8"]


def test_what_an_older_report_did_not_say_of_a_bundle_is_filled_in(make_report, tmp_path):
    file = tmp_path / "history.sqlite"
    old = make_report(1.0)
    for name in ("about", "commit"):  # as the first schema of reports had none
        del old["record"][name]
    history.remember(old, database=str(file))
    assert found(file, model="b0") == [] and found(file)[0].results[0].bundle == "b0-cpu-int8"
    history.remember(make_report(1.1), database=str(file))
    assert len(found(file, model="b0", target="cpu-int8")) == 2


def test_what_is_of_one_bundle_is_no_fact_of_the_run(make_report, tmp_path):
    file, both = tmp_path / "history.sqlite", []
    for name, via in (("int8", None), ("plan", "onnxruntime")):
        record = {**make_report(run_id="f" * 32)["record"], "kind": "accuracy", "about": {}}
        record["bundles"] = {name: digests.of_bytes(name.encode())}
        about = {"bundle": name, "images": 3, "labelled": 0, "scores": None, "reference": None, "via": via}
        both.append({**about, "record": record})
    history.remember(*both, database=str(file))
    assert {k: v for k, v in found(file)[0].facts.items() if v is not None} == {"images": 3, "labelled": 0}
