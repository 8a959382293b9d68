"""A table in Markdown for a pull request or a merge request."""

from __future__ import annotations

import html
import re

from edgeeff.gate.formats import words
from edgeeff.gate.verdict import EXIT_STATUS, GateReport, Status, Verdict

_MARKS: dict[Status, str] = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "error": "⚠️"}


def text(report: GateReport, suite: str) -> str:
    """The file's content."""
    counts = {status: sum(v.status == status for v in report.verdicts) for status in EXIT_STATUS}
    told = ", ".join(f"{counts[s]} {words.CALLED[s]}" for s in _MARKS if counts[s]) or "nothing was measured"
    lines = [f"### {_MARKS[report.status]} edgeeff gate: {escaped(suite)}", "", f"{told}.", ""]
    if report.verdicts:
        lines += [
            "| | bundle | metric | worse by | interval | limit | why |",
            "|---|---|---|--:|--:|--:|---|",
        ]
        lines += [_row(verdict) for verdict in report.verdicts]
        lines += [""]
    lines += [f"- ⚠️ {escaped(warning)}" for warning in report.warnings]
    lines += [""] if report.warnings else []
    for record in (report.record, *report.others):
        if record is not None:
            cpu = record.environment.get("cpu") or "an unknown processor"
            cpu = f"{record.device}: {cpu}" if record.device else cpu
            lines += [f"<sub>{escaped(str(cpu))}, {record.utc}, run {record.run_id}</sub>", ""]
    return "\n".join(lines)


def _row(verdict: Verdict) -> str:
    cells = (
        f"{_MARKS[verdict.status]} {words.CALLED[verdict.status]}",
        escaped(verdict.place),
        escaped(verdict.metric),
        escaped(words.figure(verdict.value, verdict.unit)),
        escaped(words.interval(verdict)),
        escaped(words.limit(verdict)),
        escaped(words.summary(verdict)),
    )
    return f"| {' | '.join(cells)} |"


def escaped(foreign: str) -> str:
    """Foreign text in one cell: no column, no markup, no link, no mention of a person comes of it."""
    shown = html.escape(words.one_line(foreign), quote=False)
    shown = re.sub(r"([\\`*_{}\[\]|~$])", r"\\\1", shown)
    # A backslash does not stop what the sites themselves find in the text: people, issues, addresses.
    shown = re.sub(r"([@#])(?=\w)", "\\1\N{ZERO WIDTH SPACE}", shown)
    return re.sub(r"(?i)(www|:/)(?=[./])", "\\1\N{ZERO WIDTH SPACE}", shown)
