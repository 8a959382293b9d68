"""The command line: one module for each verb, found by name.

A verb's module holds one function, ``command``, whose signature is the verb's options and whose docstring
is its help. A package holds a module for each verb below its own (``edgeeff history list``); its docstring is
the help of them all. Heavy libraries are imported inside a command: ``edgeeff --help`` answers at once.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
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
        return int(application()(args=arguments, prog_name="edgeeff", standalone_mode=False) or 0)
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


def application() -> typer.Typer:
    """The Typer application with all verbs."""
    help_too = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(
        context_settings=help_too,
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        help="Trained EfficientNet in, verified INT8 artifacts out, from one calibration.",
    )
    app.callback(invoke_without_command=True)(_options)
    _add_verbs(app, __name__, Path(__file__).parent)
    return app


def _add_verbs(app: typer.Typer, package: str, folder: Path) -> None:
    """Give an application the verbs that are modules of a package, found by name."""
    help_too = {"help_option_names": ["-h", "--help"]}
    for found in pkgutil.iter_modules([str(folder)]):
        if found.name in _HELPERS or found.name.startswith("_"):
            continue
        module = import_module(f"{package}.{found.name}")
        name = found.name.strip("_").replace("_", "-")  # Python keeps some names for itself: import_
        if found.ispkg:
            group = typer.Typer(context_settings=help_too, no_args_is_help=True, help=module.__doc__)
            _add_verbs(group, module.__name__, folder / found.name)
            app.add_typer(group, name=name)
        else:
            app.command(name, context_settings=help_too)(_guarded(module.command))


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
