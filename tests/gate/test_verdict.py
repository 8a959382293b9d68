"""A gate's report: what it is of several verdicts, and its way through JSON."""

from __future__ import annotations

import json
import math

import pytest

from edgeeff.errors import ReportError
from edgeeff.gate.verdict import GateReport, Settle, Verdict
from edgeeff.harness.record import Record

RECORD = Record("gate", {"new": "a" * 64, "old": "b" * 64}, {"cpu": "none"})


@pytest.mark.parametrize(
    ("statuses", "status", "exit_status"),
    [
        (["pass", "pass"], "pass", 0),
        (["pass", "inconclusive"], "inconclusive", 3),
        (["inconclusive", "error", "pass"], "error", 2),
        (["error", "fail", "inconclusive"], "fail", 1),
        ([], "error", 2),  # what measured nothing has not passed
    ],
)
def test_the_gravest_verdict_decides(statuses, status, exit_status):
    report = GateReport(tuple(Verdict("case", "latency", status) for status in statuses), RECORD)
    assert (report.status, report.exit_status) == (status, exit_status)


def test_a_report_survives_json():
    verdicts = (
        Verdict("a", "latency", "inconclusive", 1.2, "%", -math.inf, 4.0, 3.0, settle=Settle(launches=40)),
        Verdict("a", "agreement", "pass", 99.0, "%", limit=98.0, better="higher", measured={"images": 500}),
        Verdict("b", "top_1", "error", why="the bundle crashed"),
    )
    report = GateReport(verdicts, RECORD, ("only 12 images",))
    text = json.dumps(report.to_json(), allow_nan=False)
    assert GateReport.from_json(json.loads(text)) == report


def test_what_is_no_report_of_a_gate_is_refused():
    good = GateReport((Verdict("a", "size", "pass"),), RECORD).to_json()
    newer = {**good, "record": {**good["record"], "schema_version": 99}}
    with pytest.raises(ReportError, match="schema 99"):
        GateReport.from_json(newer, "old.json")
    for bad in (
        [],
        {},
        {**good, "verdicts": [{"case": "a", "metric": "size", "status": "fine"}]},
        {**good, "record": {**good["record"], "kind": "latency"}},
    ):
        with pytest.raises(ReportError, match=r"old\.json is no report of a gate"):
            GateReport.from_json(bad, "old.json")
