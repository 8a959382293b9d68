"""Annotations of GitHub's workflows: workflow commands, lines on standard output that begin with ``::``.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

from edgeeff.gate.formats import words
from edgeeff.gate.verdict import GateReport, Status

#: A fail and what could not be measured are errors; a passed metric needs no annotation.
_COMMANDS: dict[Status, str] = {"fail": "error", "error": "error", "inconclusive": "warning"}


def text(report: GateReport, suite: str) -> str:
    """A line for each verdict that is no pass, and one for each warning."""
    lines = []
    for verdict in report.verdicts:
        if verdict.status in _COMMANDS:
            head = f"{words.CALLED[verdict.status]}: {words.title(verdict)}"
            lines.append(_command(_COMMANDS[verdict.status], head, words.summary(verdict) or head))
    lines += [_command("warning", f"edgeeff gate: {suite}", words.one_line(w)) for w in report.warnings]
    return "".join(f"{line}\n" for line in lines)


def _command(command: str, head: str, message: str) -> str:
    return f"::{command} title={_property(words.one_line(head, 300))}::{_data(message)}"


def _data(text: str) -> str:
    """As GitHub's own toolkit escapes a message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The same of a property, which colons and commas end."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
