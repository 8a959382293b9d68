"""Options of a verb as one value: a frozen dataclass, each field of it an option.

A field is declared as a parameter of a Typer command is: ``seconds: Annotated[float, typer.Option()] = 0.6``.
A command with the parameter ``length: Length`` and :func:`grouped` above it has the options of ``Length``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

Made = TypeVar("Made", int, None)


def grouped(command: Callable[..., Made]) -> Callable[..., Made]:
    """Give a verb the options of the dataclasses among its parameters; it gets one value of each."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for own in inspect.signature(command).parameters.values():
        if own.name in groups:
            parameters += _options(groups[own.name])
        else:
            parameters.append(own.replace(annotation=hints[own.name], kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def called(**values: Any) -> Made:
        made = {
            name: kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            for name, kind in groups.items()
        }
        return command(**values, **made)

    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    called.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": hints.get("return")}
    del called.__wrapped__  # type: ignore[attr-defined]  # its signature is not this one's
    return called


def _options(kind: Any) -> list[inspect.Parameter]:
    """The fields of a dataclass as Typer's parameters."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]
