"""The command line: one module for each verb, found by name.

A verb's module holds one function, ``command``, whose signature is the verb's options and whose docstring
is its help. A package holds a module for each verb below its own (``edgeeff history list``); its docstring is
the help of them all. Heavy libraries are imported inside a command, and of the verbs only the one that runs
is imported: ``edgeeff --help`` answers at once.
"""

from __future__ import annotations

import os
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeeff import __version__, shortage
from edgeeff.cli import console, interrupts, streams
from edgeeff.errors import EdgeeffError
from edgeeff.installing import missing_module

_HELPERS = frozenset(
    {
        "console",
        "groups",
        "interrupts",
        "gating",
        "judgements",
        "on_device",
        "options",
        "recording",
        "streams",
        "tables",
        "timings",
    }
)
#: A verb's help, in the text of its module.
_DOCUMENTED = re.compile(r'^def command\(.*?^    """(.*?)"""', re.DOTALL | re.MULTILINE)
#: Set by a shell that completes a command line: the arguments are in other variables then.
_COMPLETING = "_EDGEEFF_COMPLETE"
BAD_INPUT = 2
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 well, 1 a check failed, 2 bad input, 130 interrupted."""
    arguments = sys.argv[1:] if arguments is None else arguments
    streams.prepare()
    status = 0
    try:
        # Where nothing could be said of the result, nothing is begun.
        with interrupts.kept():
            status = 0 if streams.refusal() else _run(arguments)
    except KeyboardInterrupt:  # while the verbs were still being imported
        status = INTERRUPTED
    if refusal := streams.refusal():
        status = status or BAD_INPUT
        if "--json" in arguments:
            console.fail_as_json("OutputError", *refusal, status, ())
        else:
            console.fail(*refusal)
    sys.exit(status)


def _run(arguments: list[str]) -> int:
    """Run a verb, or say what is wrong with the arguments, and return the exit status."""
    try:
        asked = None if _COMPLETING in os.environ else arguments
        return int(application(asked)(args=arguments, prog_name="edgeeff", standalone_mode=False) or 0)
    except Exception as error:  # Typer brings its own copy of Click in some versions
        if type(error).__name__ == "Abort":  # what Click makes of Ctrl-C, where no verb is at work
            return INTERRUPTED
        if not hasattr(error, "format_message"):
            raise
        return _misused(error, json="--json" in arguments)


def _misused(error: Any, *, json: bool) -> int:
    """Say what is wrong with the arguments: they are as foreign as any text."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "edgeeff"
    what, mend = error.format_message(), f"`{path} --help` lists what it takes"
    if not what:  # no arguments at all: the help was printed
        return int(error.exit_code)
    if json:
        console.fail_as_json("UsageError", what, mend, error.exit_code, ())
    else:
        console.fail(what, mend)
    return int(error.exit_code)


def application(asked: Sequence[str] | None = None) -> typer.Typer:
    """The Typer application with all verbs.

    Args:
        asked: The arguments it is made for: only the verb that they name is imported, and of the others
            their help alone is read. None: all verbs can be run.
    """
    help_too = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(
        context_settings=help_too,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        help="Trained EfficientNet in, verified INT8 artifacts out, from one calibration.",
    )
    app.callback(invoke_without_command=True)(_options)
    words = None if asked is None else [word for word in asked if not word.startswith("-")]
    _add_verbs(app, __name__, Path(__file__).parent, words)
    return app


def _add_verbs(app: typer.Typer, package: str, folder: Path, words: Sequence[str] | None) -> None:
    """Give an application the verbs that are modules of a package, found by name.

    Args:
        app: The application.
        package: The package.
        folder: Its folder.
        words: The verb that is to be run, and the one below it; None: any.
    """
    help_too = {"help_option_names": ["-h", "--help"]}
    for found in pkgutil.iter_modules([str(folder)]):
        if found.name in _HELPERS or found.name.startswith("_"):
            continue
        module, name = f"{package}.{found.name}", found.name.strip("_").replace("_", "-")  # as import_
        wanted = words is None or name in words[:1]
        if found.ispkg:
            group = typer.Typer(
                context_settings=help_too, no_args_is_help=True, help=import_module(module).__doc__
            )
            if wanted:
                _add_verbs(group, module, folder / found.name, None if words is None else words[1:])
            app.add_typer(group, name=name)
        elif wanted or (help := _help_of(folder / f"{found.name}.py")) is None:
            app.command(name, context_settings=help_too)(_guarded(import_module(module).command))
        else:
            app.command(name, context_settings=help_too, help=help)(_not_imported)


def _help_of(file: Path) -> str | None:
    """A verb's help, read without importing it; None where that cannot be."""
    try:
        found = _DOCUMENTED.search(file.read_text(encoding="utf-8"))
    except OSError:  # installed without its source
        return None
    return cleandoc(found[1]) if found else None


def _not_imported() -> None:
    """In place of a verb that the command line does not name."""
    raise AssertionError("the verb that runs is imported")


def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"edgeeff {__version__}")
        raise typer.Exit


def _guarded(command: Callable[..., int | None]) -> Callable[..., None]:
    """A verb whose errors become one message and an exit status, without a traceback."""
    verb = command.__module__.removeprefix(f"{__name__}.").strip("_").replace(".", " ").replace("_", "-")

    @wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        json = bool(options.get("json"))
        raise typer.Exit(
            _status(verb, lambda: _installed(verb, lambda: command(*args, **options)), json=json)
        )

    return guarded


def _installed(verb: str, command: Callable[[], int | None]) -> int | None:
    """Run a verb; a library that is not installed is an error that names the extra which brings it."""
    try:
        return command()
    except ModuleNotFoundError as error:
        missing = missing_module(error, f"edgeeff {verb}")
        if missing is None:
            raise
        raise missing from None


def _status(verb: str, command: Callable[[], int | None], *, json: bool) -> int:
    try:
        with shortage.told(f"edgeeff {verb} was at work", shortage.RUNNING):
            return command() or 0
    except EdgeeffError as error:
        kind, what, mend, status = type(error).__name__, error.what, error.mend, error.exit_status
        warnings = error.warnings
    except KeyboardInterrupt:
        kind, what, mend, status = "Interrupted", "interrupted", "nothing half-made was left", INTERRUPTED
        warnings = ()
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        kind, what, status = type(error).__name__, f"{where}{error.strerror or error}", 2
        mend, warnings = "check the path, its permissions and the free space", ()
    if json:
        console.fail_as_json(kind, what, mend, status, warnings)
    else:
        console.fail(what, mend)
    return status
