"""The gate's formats, read back by their readers; names that try to break them stay names."""

import html
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped

from edgeeff.gate.formats import github, gitlab, junit, markdown
from edgeeff.gate.verdict import GateReport, Settle, Verdict
from edgeeff.harness.record import Record

#: One that ends a workflow command, a cell, an element, a line; steers a terminal; is no character; calls.
HOSTILE = (
    "b0::error file=x,line=1::no\n::stop-commands::x\r\n| a | b |\n<script>alert(1)</script>&amp;]]>`*_x_*`"
    "\0\x1b[31m\u202e\ud800\ufffe @everyone #1 www.evil.example https://evil.example [x](y) %0A"
)
VERDICTS = (
    Verdict("b0-cpu-int8", "latency", "pass", 0.4, "%", -0.2, 1.1, 3.0, why="slower by 1.1 % at most"),
    Verdict("b0-cpu-int8", "size", "fail", 5.2, "%", limit=1.0, why="larger by 5.2 %", seconds=0.2),
    Verdict("lite0", "latency", "inconclusive", 1.5, "%", -1.0, 4.0, 3.0, settle=Settle(40, None, 90.0)),
    Verdict("lite0", "memory", "error", why="the process crashed\nSegmentation fault"),
)
RECORD = Record("gate", {"b0": "0" * 64}, {"cpu": "Xeon <1>"})
REPORT = GateReport(VERDICTS, RECORD, ("a warning",))
NASTY = GateReport(
    tuple(
        Verdict(HOSTILE, HOSTILE, status, why=HOSTILE) for status in ("fail", "error", "inconclusive", "pass")
    ),
    RECORD,
    (HOSTILE,),
)


def test_junit_is_read_by_its_parser():
    xml = JUnitXml.fromstring(junit.text(REPORT, "camera").encode())
    (suite,) = xml
    assert (suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) == ("camera", 4, 1, 1, 1)
    passed, failed, skipped, error = suite
    assert passed.is_passed and passed.name == "b0-cpu-int8: latency" and passed.classname == "camera"
    assert isinstance(failed.result[0], Failure) and failed.result[0].message == "larger by 5.2 %"
    assert isinstance(skipped.result[0], Skipped)
    assert "40 launches (--launches 40) would settle it, about 90 s" in skipped.result[0].message
    assert isinstance(error.result[0], Error) and "Segmentation fault" in error.result[0].message


def test_hostile_names_are_text_in_junit():
    content = junit.text(NASTY, HOSTILE)
    root = ElementTree.fromstring(content)  # an XML parser refuses what XML has no character for
    assert len(list(root.iter("testcase"))) == 4
    assert root.find(".//script") is None
    (suite,) = JUnitXml.fromstring(content.encode())
    assert [case.is_passed for case in suite] == [False, False, False, True]


def test_markdown_has_one_row_for_each_verdict():
    for report in (REPORT, NASTY):
        lines = markdown.text(report, HOSTILE).split("\n")
        rows = [line for line in lines if line.startswith("|")]
        assert len(rows) == 2 + 4
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {8}
        whole = "\n".join(lines)
        assert "<script" not in whole and "@everyone" not in whole and "www.evil" not in whole
        assert "https://" not in whole and "\\[x\\]" in whole


def test_markdown_says_what_was_decided():
    content = markdown.text(REPORT, "camera")
    assert "1 pass, 1 FAIL, 1 inconclusive, 1 NOT MEASURED." in content
    assert "| ✅ pass | b0-cpu-int8 | latency | +0.40 % | -0.20…+1.10 % | 3 % | slower by" in content
    lost = Verdict("lite0", "top_1", "pass", 0.2, "points", None, 0.93, 1.0)  # the end that decides, alone
    assert "| +0.20 points | ≤ +0.93 points | 1 point |" in markdown.text(GateReport((lost,)), "camera")


def _unescaped(text):
    for code, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def test_annotations_are_one_command_a_line():
    lines = github.text(REPORT, "camera").splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::warning", "::error", "::warning"]
    assert lines[0] == "::error title=FAIL%3A b0-cpu-int8%3A size::larger by 5.2 %25"


def test_hostile_names_are_text_in_annotations():
    lines = github.text(NASTY, HOSTILE).split("\n")
    assert lines.pop() == "" and len(lines) == 4
    for line in lines:
        # As GitHub's runner reads it: command, properties up to the next ::, message.
        command, properties, message = re.fullmatch(r"::(\w+) title=((?:(?!::)[^,:])*)::(.*)", line).groups()
        assert command in ("error", "warning") and "everyone" in _unescaped(properties)
        assert "%0A" in _unescaped(message)  # what was %0A in the name is so still


def test_gitlab_has_the_documented_fields():
    issues = json.loads(gitlab.text(REPORT, "camera", "gate.toml"))
    assert [issue["severity"] for issue in issues] == ["critical", "minor", "major"]
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["location"] == {"path": "gate.toml", "lines": {"begin": 1}}
        assert re.fullmatch("[0-9a-f]{64}", issue["fingerprint"])
    assert len({issue["fingerprint"] for issue in issues}) == 3
    assert len(json.loads(gitlab.text(NASTY, HOSTILE, "gate.toml"))) == 3


def test_a_fingerprint_does_not_change_with_the_figures():
    other = GateReport((Verdict("b0-cpu-int8", "size", "fail", 7.0, "%", why="larger by 7 %"),), RECORD)
    before, after = (json.loads(gitlab.text(r, "camera", "gate.toml"))[0] for r in (REPORT, other))
    assert before["fingerprint"] == after["fingerprint"] and before["description"] != after["description"]


@pytest.mark.parametrize("write", [junit.text, markdown.text, github.text])
def test_a_report_without_verdicts_is_written(write):
    assert "pass" not in html.unescape(write(GateReport(()), "camera"))
