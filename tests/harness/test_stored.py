"""What verbs store, and edgeeff history: as JSON and in the terminal."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest

from edgeeff import cli


def run(*arguments: object) -> tuple[int, str, list[str]]:
    """Exit status, standard output, and the lines of standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
        cli.main([str(a) for a in arguments])
    return int(end.value.code or 0), out.getvalue(), err.getvalue().splitlines()


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A database of this test's own."""
    monkeypatch.setenv("EDGEEFF_HISTORY", str(tmp_path / "history.sqlite"))
    monkeypatch.delenv("GITHUB_SHA", raising=False)
    return tmp_path / "history.sqlite"


def test_eval_and_bench_store_what_they_print(own, make_bundle, colours, tmp_path, monkeypatch):
    np.savez(tmp_path / "colours.npz", images=colours[0], labels=colours[1])
    int8, control = (make_bundle(name).folder for name in ("int8", "float"))
    images = f"--images={tmp_path / 'colours.npz'}"
    status, out, err = run("eval", int8, images, f"--reference={control}", "--json", "--commit=v1.2")
    (report,) = json.loads(out)
    assert status == 0 and any(line.startswith("stored in ") for line in err)
    assert report["history"] == {"stored": True, "database": str(own)}
    quick = ("--launches=1", "--seconds=0.05")
    assert run("eval", int8, images, "--no-history")[0] == 0
    timed = json.loads(run("bench", int8, *quick, "--json")[1])
    listed = json.loads(run("history", "list", "--json")[1])["runs"]
    assert [one["uid"] for one in listed] == [r["record"]["run_id"] for r in (timed, report)]
    assert listed[1]["commit"] == "v1.2"
    figures = {r["metric"]: r["value"] for r in listed[1]["results"] if r["bundle"] == "int8"}
    assert figures["top_1"] == report["scores"]["top_1"]["value"]
    assert figures["sqnr_db"] == report["reference"]["sqnr_db"]
    same = {r["conditions"] for r in listed[1]["results"] if r["metric"] == "top_1"}
    assert same == {f"images=60 labelled=60 set={report['images_sha256'][:12]}"}
    table = run("history", "list", "--model=colour", "--metric=top_1")[1]
    assert report["record"]["run_id"][:8] in table and timed["record"]["run_id"][:8] not in table
    # A database that refuses takes no result away; --strict counts it.
    own.write_text("no database " * 100)
    again = ("eval", int8, images)
    status, out, err = run(*again, "--json")
    assert status == 0 and json.loads(out)[0]["history"]["stored"] is False
    (said,) = [line for line in err if "not stored in the history" in line]
    assert said.startswith("WARNING ")
    assert run(*again, "--strict")[0] == 1
    monkeypatch.setenv("EDGEEFF_HISTORY", "mysql://x")
    assert run(*again)[0] == 2
    assert any("'mysql'" in line for line in run("doctor")[2])


def test_list_without_a_database(own):
    status, out, _ = run("history", "list")
    assert status == 0 and out.startswith("no run in ") and not own.exists()
    assert json.loads(run("history", "list", "--json")[1])["runs"] == []
