"""Options that several verbs share, made from their declarations in :mod:`edgeeff.pipeline.request.parts`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from edgeeff.pipeline.request.declaring import Option

White = Annotated[
    float | None,
    typer.Option(help="Value that is white in 16-bit, 32-bit or float images: 4095, 65535, 1."),
]
Labels = Annotated[
    Path | None,
    typer.Option(help="Names of the classes: a text (one a line), CSV or JSON file, or imagenet."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with status 1 if there was a warning.")]
Board = Annotated[
    str | None,
    typer.Option(help="An NVIDIA board: orin-nano, agx-orin, thor …, or a TOML file of your own."),
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


def declared(*shared: Option) -> Callable[[Command], Command]:
    """Give a verb options that are declared elsewhere, before those of its own signature.

    The verb's first parameter is ``said``: of those options, the ones that stand on the command line, by
    their names, as they were written.
    """

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True)
        hints = get_type_hints(command, include_extras=True)
        kept = [p.replace(annotation=hints[p.name]) for p in list(own.parameters.values())[1:]]
        made = [parameter for one in shared for parameter in _parameters(one)]
        names = {one.name: one for one in shared}

        @wraps(command)
        def called(context: typer.Context, **values: Any) -> int:
            said: dict[str, Any] = {}
            for name in [*names, *(_switched_off(name) for name in names)]:
                value = values.pop(name, None)
                source = context.get_parameter_source(name)
                if source is not None and source.name == "COMMANDLINE":
                    said[name.removeprefix(_OFF)] = value != name.startswith(_OFF) if value is True else value
            return command(said, **values)

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        signature = own.replace(parameters=[context, *made, *_keyword_only(kept)])
        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        del called.__wrapped__  # its signature is not this one's
        return called

    return decorate


_OFF = "_off_"


def _switched_off(name: str) -> str:
    return f"{_OFF}{name}"


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
        made.append(_parameter(_switched_off(one.name), bool, False, off))
    return made


def _parameter(name: str, kind: Any, default: Any, said: Any) -> inspect.Parameter:
    if kind == list[str]:
        default = list(default)
    elif default is None or isinstance(default, tuple):
        kind, default = kind | None, None
    annotation = Annotated[kind, said]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
