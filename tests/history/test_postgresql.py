"""The same on a server of PostgreSQL, which the tests start where Debian's package is installed."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import inspect

from edgeeff import history
from edgeeff.errors import HistoryError
from edgeeff.history import changes, database, exporting, finding, migrating, place, pruning, storing
from edgeeff.history.finding import Filter
from edgeeff.history.schema import HEAD, VERSION_TABLE, Table


def statement(url: str, text: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text)


def test_reports_are_stored_listed_and_pruned(make_report, postgresql):
    where = place.named(postgresql)
    with database.reading(where) as connection:
        assert connection is None  # an empty database, and it stays so
    reports = [
        make_report(
            5.0 if i < 6 else 5.5, utc=f"2026-03-{i + 1:02d}T00:00:00Z", commit=f"c{i}", digest=f"{i:064x}"
        )
        for i in range(12)
    ]
    reports[0]["entries"][0]["timing"]["wall_ms"] |= {"p50": "nan", "p99": "inf"}
    assert history.remember(*reports, database=postgresql).new == 12
    assert history.remember(*reports, database=postgresql).new == 0
    with database.reading(where) as connection:
        runs = finding.runs(connection, Filter(device="epyc", model="b0"), limit=None)
        (track,) = finding.tracks(connection, Filter(metric="cpu_ms"))
        rows = [*exporting.rows(connection, Filter(metric="wall_p50_ms"))]
        made = inspect(connection)
        columns = {t: {c["name"] for c in made.get_columns(t)} for t in made.get_table_names()}
    assert {t.name: {c.name for c in t.columns} for t in Table.metadata.sorted_tables} == {
        name: found for name, found in columns.items() if name != VERSION_TABLE
    }
    assert [run.commit for run in runs] == [f"c{i}" for i in reversed(range(12))]
    values = {result.metric: result.value for result in runs[-1].results}
    assert values["wall_p50_ms"] is None and values["wall_p99_ms"] == float("inf")
    (change,) = changes.changes(track)
    assert change.range == ("c5", "c6") and len(rows) == 12
    other = {**make_report(9.0), "record": {**reports[3]["record"], "commit": "other"}}
    with pytest.raises(HistoryError, match="another report of the run"):
        history.remember(make_report(), other, database=postgresql)
    with database.writing(where) as connection:
        done = pruning.prune(connection, "2026-03-10", {f"{2:064x}"})
    assert (len(done.runs), done.left, done.kept_for_baselines) == (6, 6, 1)


def test_schemas(make_report, postgresql):
    where = place.named(postgresql)
    with database._engine(where, write=True).begin() as connection:
        migrating.upgrade(connection, "0001")
    for use in (lambda: history.remember(make_report(), database=postgresql), lambda: read(where)):
        with pytest.raises(HistoryError, match="older schema 0001") as refusal:
            use()
        assert "pg_dump" in refusal.value.mend and "history migrate" in refusal.value.mend
    assert database.migrate(where) == "0001" and database.migrate(where) == HEAD
    assert history.remember(make_report(), database=postgresql).new == 1
    statement(postgresql, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(HistoryError, match="schema 9999, this version of edgeeff reads up to"):
        read(where)


def read(where):
    with database.reading(where) as connection:
        return finding.runs(connection, Filter(), limit=None)


def test_databases_that_cannot_be_used(make_report, postgresql, server, monkeypatch):
    where = place.named(postgresql)
    history.remember(make_report(), database=postgresql)
    name = postgresql.partition("?")[0].rpartition("/")[2]
    with pytest.raises(HistoryError, match=r'cannot be reached.*"nothing" does not exist'):
        history.remember(make_report(), database=postgresql.replace(name, "nothing"))
    monkeypatch.setattr(database, "WAIT_SECONDS", 1)
    with psycopg.connect(postgresql) as other:
        other.execute("LOCK TABLE run IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(HistoryError, match="is locked"):
            history.remember(make_report(), database=postgresql)
    statement(postgresql, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(HistoryError, match="is read-only"):
        history.remember(make_report(), database=postgresql)
    assert len(read(where)) == 1
    theirs = postgresql.replace(f"/{name}", "/postgres")
    statement(theirs, "CREATE TABLE IF NOT EXISTS photos (id integer)")
    with pytest.raises(HistoryError, match="another program: it has the table photos"):
        history.remember(make_report(), database=theirs)
    statement(theirs, "CREATE ROLE guest LOGIN PASSWORD 'unlikely'")
    guest = postgresql.replace("edgeeff@", "guest:unlikely@")
    with pytest.raises(HistoryError, match="refuses this user") as refusal:
        read(place.named(guest))
    assert "unlikely" not in str(refusal.value)


def test_one_report_stored_twice_at_once(make_report, postgresql):
    """The second waits for the first one's transaction, and then finds the run there."""
    from edgeeff.history import reports

    where, report = place.named(postgresql), reports.read(make_report())
    storing.store(where, [reports.read(make_report())])
    with database.writing(where) as first:
        assert storing._one(first, where, report, live=True) == (True, None)
        from threading import Thread

        found = []
        other = Thread(target=lambda: found.append(storing.store(where, [report])))
        other.start()
        other.join(0.3)
    other.join(20)
    assert [stored.new for stored in found] == [0]
