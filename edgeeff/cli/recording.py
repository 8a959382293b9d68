"""Reports of a verb, stored in the history: the one place that verbs store by."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from edgeeff.cli import console
from edgeeff.errors import EdgeeffError, OptionError

if TYPE_CHECKING:
    from edgeeff.history.storing import Stored

Made = TypeVar("Made", int, None)


def stores(panel: str | None = None) -> Callable[[Callable[..., Made]], Callable[..., Made]]:
    """Give a verb whose reports are stored ``--commit`` and ``--no-history``, in a panel of its help.

    A database that was named and cannot be used for want of a library, and an ``EDGEEFF_COMMIT`` that names
    none, are refused before any work is done.
    """

    def decorate(command: Callable[..., Made]) -> Callable[..., Made]:
        own = inspect.signature(command, eval_str=True)
        hints = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = [
            p.replace(annotation=hints[p.name]) for p in own.parameters.values()
        ]

        @wraps(command)
        def called(*args: Any, commit: str | None = None, no_history: bool = False, **options: Any) -> Made:
            with _said(commit, no_history):
                from edgeeff.harness.commit import current
                from edgeeff.history import place

                current()
                place.to_store()
                return command(*args, **options)

        shown = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*parameters, *_options(panel))]
        called.__signature__ = own.replace(parameters=shown)  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in shown} | {"return": hints.get("return")}
        return called

    return decorate


def _options(panel: str | None) -> tuple[inspect.Parameter, inspect.Parameter]:
    commit = typer.Option(
        help="The commit to store the result under. Default: that of CI, or of this folder.",
        rich_help_panel=panel,
    )
    off = typer.Option(
        "--no-history", help="Store nothing in the history (EDGEEFF_HISTORY).", rich_help_panel=panel
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    return (
        inspect.Parameter("commit", keyword, default=None, annotation=Annotated[str | None, commit]),
        inspect.Parameter("no_history", keyword, default=False, annotation=Annotated[bool, off]),
    )


@contextmanager
def _said(commit: str | None, no_history: bool) -> Iterator[None]:
    """What the options say, where the record of a report and the history look for it."""
    from edgeeff.harness.commit import PATTERN, VARIABLES
    from edgeeff.history.place import OFF, VARIABLE

    if commit is not None and not re.fullmatch(PATTERN, commit):
        raise OptionError(
            f"--commit {commit[:60]!r} names no commit", mend="give its hash, or a name without spaces"
        )
    changed = {VARIABLES[0]: commit, VARIABLE: OFF[0] if no_history else None}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update({name: text for name, text in changed.items() if text is not None})
    try:
        yield
    finally:
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


def keep(reports: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Store the reports of a verb, and say so.

    A database that refuses them takes nothing away from the result: that is printed, and the refusal is a
    warning.

    Args:
        reports: As plain data, each with its record.

    Returns:
        The reports as they are printed for programs, each with what became of it under ``history``; and what
        ``--strict`` counts.
    """
    some = [dict(report) for report in reports]
    recorded = [
        report for report in some if report.get("record")
    ]  # a gate that could read no bundle has none
    if not recorded:
        return some, []
    stored, refusal = _stored(recorded)
    if refusal is not None:
        console.warn(f"not stored in the history: {refusal}")
        became: dict[str, Any] = {"stored": False, "reason": refusal}
        return [{**report, "history": became} for report in some], [refusal]
    if stored is None:
        return some, []
    for warning in stored.warnings:
        console.warn(warning)
    console.note(
        f"stored in {stored.place}: {', '.join(run[:8] for run in stored.runs)}"
        f"{'' if stored.new else ' (it was there already)'}"
    )
    became = {"stored": True, "database": stored.place}
    return [{**r, "history": became} if r in recorded else r for r in some], list(stored.warnings)


def _stored(reports: Sequence[Mapping[str, Any]]) -> tuple[Stored | None, str | None]:
    """What became of reports, or why they were not stored: the result is still to be printed."""
    from edgeeff import history

    try:
        return history.remember(*reports), None
    except EdgeeffError as error:
        return None, f"{error.what}; {error.mend}"
    except ImportError as error:  # a library is there in part
        return None, f"a library of the history cannot be loaded: {error}"
    except KeyboardInterrupt:
        return None, "interrupted while the database was waited for"
