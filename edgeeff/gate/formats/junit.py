"""JUnit XML, as GitLab, GitHub's actions, Jenkins and the like read it.

Each metric of each case is a test case. A fail is a ``<failure>``; an inconclusive verdict is ``<skipped>``,
since nothing was shown; what could not be measured is an ``<error>``, which is no fault of the bundle.
"""

from __future__ import annotations

import io

from edgeeff.gate.formats import words
from edgeeff.gate.verdict import GateReport, Verdict


def text(report: GateReport, suite: str) -> str:
    """The file's content; ``suite`` is the name of the test suite."""
    from junitparser import JUnitXml, TestSuite

    tests = TestSuite(words.one_line(suite, 300))
    if report.record is not None:
        tests.timestamp = report.record.utc.removesuffix("Z")
        tests.add_property("run_id", report.record.run_id)
    for verdict in report.verdicts:
        tests.add_testcase(_case(verdict, suite))
    xml = JUnitXml(words.one_line(suite, 300))
    xml.add_testsuite(tests)
    written = io.BytesIO()
    xml.write(written)
    return written.getvalue().decode("utf-8")


def _case(verdict: Verdict, suite: str) -> object:
    from junitparser import Error, Failure, Skipped, TestCase

    # Readers make a tree of classname's dots, and GitLab knows a test again by classname and name.
    case = TestCase(
        words.title(verdict), words.one_line(suite, 300).replace(".", "_"), round(verdict.seconds, 3)
    )
    said = words.summary(verdict)
    if verdict.status == "fail":
        case.result = [Failure(said, "regression")]
    elif verdict.status == "error":
        error = Error(said, "infrastructure")
        if lines := words.printed(verdict):
            error.text = "\n".join(lines)
        case.result = [error]
    elif verdict.status == "inconclusive":
        case.result = [Skipped(f"inconclusive: {said}", "inconclusive")]
    else:
        case.system_out = said
    return case
