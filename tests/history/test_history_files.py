"""Import, export, prune, and plots: what comes from strangers, and what leaves."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import xml.etree.ElementTree as ET
from contextlib import closing

import numpy as np
import pyarrow.parquet as pq
import pytest

from edgeeff import history
from edgeeff.errors import OptionError, ReportError
from edgeeff.history import changes, database, drawing, exporting, finding, importing, place, pruning, storing
from edgeeff.history.finding import Filter

HOSTILE = '=HYPERLINK("http://x","<script>")'


@pytest.fixture
def stepped(make_report, tmp_path):
    """24 runs, a day apart, the last 12 by 3 % slower; each with a commit of its own. And their database."""
    noise = np.random.default_rng(3).standard_t(4, 24) * 0.004
    values = 5 * (1 + noise) * np.where(np.arange(24) < 12, 1, 1.03)
    values[5] *= 1.4
    reports = [
        make_report(float(value), utc=f"2026-03-{i + 1:02d}T00:00:00Z", commit=f"c{i}", digest=f"{i:064x}")
        for i, value in enumerate(values)
    ]
    (tmp_path / "reports").mkdir()
    for i, report in enumerate(reports[:12]):
        (tmp_path / "reports" / f"{i}.json").write_text(json.dumps(report))
    (tmp_path / "reports" / "rest.json").write_text("\ufeff" + json.dumps(reports[12:]))
    where = place.named(str(tmp_path / "history.sqlite"))
    stored = storing.store(where, importing.read([tmp_path / "reports"]), live=False)
    assert (stored.new, stored.warnings) == (24, ())
    return where


def track_of(where, metric="cpu_ms"):
    with database.reading(where) as connection:
        (track,) = finding.tracks(connection, Filter(model="b0", metric=metric))
    return track


def test_a_step_is_found_between_its_commits(stepped):
    track = track_of(stepped)
    assert [point.commit for point in track.points] == [f"c{i}" for i in range(24)]
    (change,) = changes.changes(track)  # the outlier is none
    assert change.range == ("c11", "c12") and change.place == 12
    assert change.step == pytest.approx(0.03, abs=0.01)
    assert "came after commit c11, by c12" in drawing.said(change)
    assert changes.changes(track_of(stepped, "wall_p50_ms")) == []
    assert changes.noise(track) == pytest.approx(0.004, rel=0.5)  # neither the step nor the outlier is noise


def test_levels():
    rng = np.random.default_rng(1)
    flat = 20 + rng.normal(0, 0.1, 60)
    assert changes.steps(flat) == []
    assert changes.steps(flat[:7]) == changes.steps(np.full(50, 3.0)) == changes.steps(np.zeros(50)) == []
    exact = np.repeat([0.5, 0.6, 0.5], 10)  # no noise at all
    assert changes.steps(exact) == [10, 20]
    assert changes.steps(-exact) == [10, 20]
    assert changes.steps(np.repeat([1.0, 1.005], 20)) == []  # under 1 %


def test_a_figure_that_grew_from_below_zero_grew():
    points = [
        finding.Point(f"{i}", "", None, "", v, None, None) for i, v in enumerate([-0.2] * 6 + [0.4] * 6)
    ]
    (change,) = changes.changes(finding.Track("b", "drop_points", "", "", "", "points", tuple(points)))
    assert change.step == pytest.approx(3.0)


def test_a_figure_that_was_zero_has_no_step_in_per_cent():
    points = [finding.Point(f"{i}", "", None, "", float(i > 5), None, None) for i in range(12)]
    track = finding.Track("b", "drop_points", "", "", "", "points", tuple(points))
    assert "from 0" in drawing.said(changes.changes(track)[0])
    assert "inf" not in drawing.svg([(track, changes.changes(track))])


def test_plots_fit_and_hold_no_markup_of_others(stepped):
    track = track_of(stepped)
    found = changes.changes(track)
    lines = drawing.text(track, found)
    assert max(map(len, lines)) <= 80 and sum("•" in line for line in lines) > 6
    assert lines[0].count("▲") == 1
    assert all(line.isascii() for line in drawing.text(track, found, ascii_alone=True))
    hostile = finding.Track(
        HOSTILE, "cpu_ms", "</svg>\x1b", "s" * 64, '"><script>alert(1)</script>', "ms", track.points
    )
    picture = ET.fromstring(drawing.svg([(track, found), (hostile, [])]))
    tags = {element.tag.rpartition("}")[2] for element in picture.iter()}
    assert tags == {"svg", "style", "rect", "g", "text", "title", "line", "circle"}
    dots = [element for element in picture.iter() if (element.get("class") or "")[:3] == "dot"]
    assert len(dots) == 48
    nothing = finding.Track("b", "m", "", "", "", "", (finding.Point("u", "t", None, "d", None, None, None),))
    assert drawing.text(nothing, []) == ["no figure that can be drawn"]
    ET.fromstring(drawing.svg([(nothing, [])]))


def test_exports(make_report, tmp_path):
    where = place.named(str(tmp_path / "history.sqlite"))
    report = make_report(commit="abc")
    about = report["record"]["about"]["b0-cpu-int8"]
    about |= {"name": HOSTILE, "model": "@b0", "target": "-1"}
    history.remember(report, database=str(where))
    with database.reading(where) as connection:
        rows = [*exporting.rows(connection, Filter(metric="cpu_ms"))]
    content, count, escaped = exporting.as_csv(iter(rows))
    (row,) = csv.DictReader(io.StringIO(content.decode()))
    assert (count, escaped) == (1, 3)
    assert (row["bundle"], row["model"], row["target"]) == (f"'{HOSTILE}", "'@b0", "'-1")
    assert float(row["value"]) == 1.0 and row["commit"] == "abc" and row["low"] == ""
    table = pq.read_table(io.BytesIO(exporting.as_parquet(iter(rows))[0]))
    assert table.column_names == list(exporting.COLUMNS)
    assert table.to_pylist()[0]["bundle"] == HOSTILE and table.to_pylist()[0]["value"] == 1.0


def test_pruning_keeps_what_baselines_and_trends_need(stepped):
    baselines = {f"{1:064x}", f"{2:064x}"}
    with database.writing(stepped) as connection:
        planned = pruning.prune(connection, "2026-03-23T00:00:00Z", baselines, dry_run=True)
        done = pruning.prune(connection, "2026-03-23T00:00:00Z", baselines)
    assert planned == done
    assert (len(done.runs), done.kept_for_baselines, done.kept_for_series, done.left) == (17, 2, 3, 7)
    assert [point.commit for point in track_of(stepped).points] == [
        "c1",
        "c2",
        *(f"c{i}" for i in range(19, 24)),
    ]
    with closing(sqlite3.connect(stepped.file)) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("bundle", "environment")
        ]
    assert counts == [7, 1]


def test_imports_are_whole_and_bounded(make_report, tmp_path):
    good, bad = tmp_path / "a.json", tmp_path / "b.json"
    where = place.named(str(tmp_path / "history.sqlite"))
    good.write_text(json.dumps(make_report()))
    for text, message in (
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"a": 1, "a": 2}', "stands twice"),
        ("[1]", "is no report"),
        (json.dumps({**make_report(), "entries": [None]}), "cannot be understood"),
        (json.dumps([{}] * 10_001), "holds 10001 reports"),
    ):
        bad.write_text(text)
        with pytest.raises(ReportError, match=message):
            storing.store(where, importing.read([good, bad]), live=False)
        assert not where.file.exists()
    bad.unlink()
    (one,) = importing.read([tmp_path], commit="abc")
    assert one.commit == "abc"
    with pytest.raises(ReportError, match="no report in"):
        importing.read([tmp_path / "history"] if (tmp_path / "history").mkdir() is None else [])


@pytest.mark.parametrize("text", ["90d", "4w", "90000w", "99999w", "0999-01-01"])
def test_times(text):
    """They are compared as texts with those of runs."""
    assert "0000" < finding.earliest(text) < "2200" and finding.earliest(text)[4:5] == "-"


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31T00:00", "2026-01-31T00:00:00Z"])
def test_dates(text):
    assert finding.earliest(text) == "2026-01-31T00:00:00Z"


@pytest.mark.parametrize("text", ["", "90", "d", "-3d", "2026-13-01", "9999999d", "2026-01-31T99:00"])
def test_what_is_no_time(text):
    with pytest.raises(OptionError):
        finding.earliest(text)
