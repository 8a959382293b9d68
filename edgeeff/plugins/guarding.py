"""Code of plug-ins at work: what it raises beside our errors becomes one that names its distribution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from edgeeff.errors import EdgeeffError
from edgeeff.plugins.installed import Plugin


@contextmanager
def guarded(plugin: Plugin | None, doing: str) -> Iterator[None]:
    """Errors inside are those of a plug-in's code; of none they pass through, as our own kinds do.

    Args:
        plugin: Whose code runs; None: ours.
        doing: The function that runs, for the message.

    Raises:
        PluginFailedError: Instead of what is no error of ours; its cause is kept.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if plugin is None or isinstance(error, EdgeeffError):
            raise
        raise plugin.failed(f"{doing} failed: {type(error).__name__}: {error}") from error


class Guarded:
    """A module or an object of a plug-in whose functions are :func:`guarded`; all else is its own.

    Args:
        plugin: Whose it is.
        thing: The module or object.
    """

    def __init__(self, plugin: Plugin, thing: Any) -> None:
        self._thing = thing
        for name in dir(thing):
            if not name.startswith("_"):
                with guarded(plugin, name):
                    value = getattr(thing, name)
                if callable(value) and not isinstance(value, type):
                    vars(self)[name] = function(plugin, name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._thing, name)


def function(plugin: Plugin, name: str, code: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a plug-in, guarded; it is called so in messages."""

    @wraps(code)
    def run(*arguments: Any, **options: Any) -> Any:
        with guarded(plugin, name):
            return code(*arguments, **options)

    return run
