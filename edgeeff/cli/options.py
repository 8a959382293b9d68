"""Options that several verbs share, made from their declarations in :mod:`edgeeff.pipeline.request.parts`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from edgeeff.cli import console
from edgeeff.errors import OptionError
from edgeeff.pipeline.request.declaring import Option, declared
from edgeeff.pipeline.request.parts import Run, options

_HELP = {one.name: one.help for one in (*options(), *declared(Run))}
#: Of verbs that build nothing.
White = Annotated[float | None, typer.Option(help=_HELP["white"])]
Strict = Annotated[bool, typer.Option("--strict", help=_HELP["strict"])]
Board = Annotated[str | None, typer.Option(help=_HELP["board"])]

#: The group of what is no part of a request.
RUN = declared(Run)[0].group

Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        help="File that says what the command line does not. Default: edgeeff.toml of this folder, if there "
        "is one; none: no file. --no-softmax and the like switch off what it switches on.",
        rich_help_panel=RUN,
    ),
]

Command = Callable[..., int]


def at_least(least: int) -> Callable[[int | None], int | None]:
    """A callback that refuses smaller numbers.

    Where a verb has many options, typer's own ``min=`` makes the column of types so wide that at 80 columns
    the options' names are cut.
    """

    def check(value: int | None) -> int | None:
        if value is not None and value < least:
            raise typer.BadParameter(f"{value} is less than {least}.")
        return value

    return check


def with_config(said: dict[str, Any], config: str | None, verb: str) -> dict[str, Any]:
    """What the command line says, and for the rest ``edgeeff.toml``, which is named to the user.

    Raises:
        OptionError: The file cannot be understood, or is not trusted in what it says.
    """
    from edgeeff.pipeline.request.config import merged

    found = merged(said, config, verb)
    if found.line is not None:
        console.note(found.line)
    return found.values


def of_verb(verb: str) -> Callable[[Command], Command]:
    """Give a verb the options that are declared for it, before those of its own signature.

    The verb's first parameter is ``said``: of those options, the ones that stand on the command line, by
    their names, as they were written.
    """
    return with_options(lambda: [*options(verb), *declared(Run, verb)])


def with_options(of: Callable[[], Sequence[Option]]) -> Callable[[Command], Command]:
    """The same with options that are declared elsewhere."""

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True)
        hints = get_type_hints(command, include_extras=True)
        kept = [p.replace(annotation=hints[p.name]) for p in list(own.parameters.values())[1:]]
        shared = {one.name: one for one in of()}
        made = [parameter for one in shared.values() for parameter in _parameters(one)]

        @wraps(command)
        def called(context: typer.Context, **values: Any) -> int:
            def stands(name: str) -> bool:
                source = context.get_parameter_source(name)
                return source is not None and source.name == "COMMANDLINE"

            given = {name: values.pop(name) for name in shared}
            said = {name: value for name, value in given.items() if stands(name)}
            for name, one in shared.items():
                if values.pop(_OFF + name, False):
                    if name in said:
                        raise OptionError(f"both {one.flag} and {one.off}", mend="pass one of them")
                    said[name] = False
            return command(said, **values)

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        signature = own.replace(parameters=[context, *made, *_keyword_only(kept)])
        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        del called.__wrapped__  # its signature is not this one's
        return called

    return decorate


#: Before the name of an option, for the hidden parameter that switches it off.
_OFF = "_off_"


def _keyword_only(parameters: Sequence[inspect.Parameter]) -> list[inspect.Parameter]:
    return [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]


def _parameters(one: Option) -> list[inspect.Parameter]:
    """An option as Typer's parameters: one; and a hidden one that switches it off."""
    flags = [one.flag, *([one.declared.short] if one.declared.short else [])]
    shown_off = one.switch and one.default is None
    if shown_off:
        flags[0] = f"{one.flag}/{one.off}"
    said = typer.Option(
        *flags,
        help=one.help,
        metavar=one.declared.shown,
        rich_help_panel=one.group,
        show_default=one.default not in (None, False, ()),
    )
    made = [_parameter(one.name, one.kind.cli, one.default, said)]
    if one.switch and not shown_off:
        off = typer.Option(one.off, hidden=True)
        made.append(_parameter(_OFF + one.name, bool, False, off))
    return made


def _parameter(name: str, kind: Any, default: Any, said: Any) -> inspect.Parameter:
    if kind == list[str]:
        default = list(default)
    elif default is None or isinstance(default, tuple):
        kind, default = kind | None, None
    annotation = Annotated[kind, said]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
