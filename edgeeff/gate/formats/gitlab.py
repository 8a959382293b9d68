"""GitLab's code quality report: what a merge request shows beside its changes.

https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import hashlib
import json

from edgeeff.gate.formats import words
from edgeeff.gate.verdict import GateReport, Status

#: GitLab's severities are info, minor, major, critical and blocker.
_SEVERITIES: dict[Status, str] = {"fail": "critical", "error": "major", "inconclusive": "minor"}


def text(report: GateReport, suite: str, path: str) -> str:
    """The file's content.

    Args:
        report: All verdicts; those that pass have no issue.
        suite: The suite's name.
        path: A file of the repository, relative to it, that the issues are shown at: the suite's.
    """
    issues = []
    for verdict in report.verdicts:
        if verdict.status in _SEVERITIES:
            # The same issue of two commits has to have the same fingerprint: no figure is in it.
            named = "\0".join((suite, verdict.place, verdict.metric, verdict.status))
            head = f"{words.CALLED[verdict.status]}: {words.title(verdict)}: {words.summary(verdict)}"
            issues.append(
                {
                    "description": words.one_line(head),
                    "check_name": f"edgeeff-gate-{words.one_line(verdict.metric, 60)}",
                    "fingerprint": hashlib.sha256(named.encode("utf-8", "replace")).hexdigest(),
                    "severity": _SEVERITIES[verdict.status],
                    "location": {"path": path, "lines": {"begin": 1}},
                }
            )
    return json.dumps(issues, indent=2) + "\n"
