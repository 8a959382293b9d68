"""The things of a kind that is code: modules of a package of ours, and what plug-ins add."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Generic, TypeVar

from edgeeff.errors import PluginError
from edgeeff.plugins.installed import (
    Failure,
    Kind,
    Plugin,
    Trouble,
    all_entry_points,
    entry_points,
    loaded,
    places,
    refused_for_names,
)

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Finder(Generic[Thing]):
    """All things of a kind that is code, ours and those of plug-ins.

    Args:
        kind: What they are.
        package: Ours are the modules of this package.
        folders: Whether each of ours is a folder; else a file.
        read: What a module, or whatever an entry point names, holds under that name; raises ``ValueError``
            with the reason where it is not what the kind asks for.
    """

    kind: Kind
    package: str
    read: Callable[[Any, str], Thing]
    folders: bool = False

    def ours(self) -> list[str]:
        """The names of ours, sorted."""
        return list(_modules(self.package, self.folders))

    def names(self) -> list[str]:
        """All names, sorted; what a plug-in adds is not imported, and may turn out to be of no use."""
        return sorted([*self.ours(), *self._theirs()])

    def usable(self) -> list[str]:
        """The names of all that can be used, sorted; what plug-ins add is imported."""
        theirs = self._theirs()
        return sorted([*self.ours(), *(name for name in theirs if not self._why_not(theirs[name]))])

    def knows(self, name: str) -> bool:
        """Whether there is one of that name; a plug-in's may turn out to be of no use."""
        return name in self.ours() or name in self._theirs()

    def plugin(self, name: str) -> Plugin | None:
        """What adds it; None where it is ours, or there is none."""
        return self._theirs().get(name)

    def get(self, name: str) -> Thing:
        """The thing of that name.

        Raises:
            KeyError: There is none.
            PluginError: It cannot be used.
        """
        plugin = self.plugin(name)
        if plugin is None:
            if name not in self.ours():
                raise self.refusal(name) or KeyError(name)
            return self.read(import_module(f"{self.package}.{name}"), name)
        if why := self._why_not(plugin):
            raise plugin.error(why)
        return self.read(plugin.load(), name)

    def refused(self, names: Iterable[str] | None = None) -> list[Trouble]:
        """What is disabled for its name alone: it is one of ours, of two plug-ins, or none at all.

        Args:
            names: Only these; None: all.
        """
        wanted = None if names is None else set(names)
        found = refused_for_names(entry_points(self.kind), self.ours())
        return [trouble for trouble in found if wanted is None or trouble.plugin.name in wanted]

    def refusal(self, name: str) -> PluginError | None:
        """Why a name that is nobody's is disabled; None: nothing bears it."""
        return next((t.plugin.error(t.why) for t in self.refused([name])), None)

    def troubles(self) -> list[Trouble]:
        """All that is disabled, and why; what plug-ins add is imported."""
        broken = [Trouble(p, why) for p in self._theirs().values() if (why := self._why_not(p))]
        return [*self.refused(), *broken]

    def facts(self, names: Iterable[str]) -> list[list[str]]:
        """What results depend on where these of them make bytes: plug-ins, their versions and their sources.

        Empty for ours.
        """
        plugins = [p for name in sorted(set(names)) if (p := self.plugin(name)) and not self._why_not(p)]
        return [[p.name, p.distribution, p.version, p.sources()] for p in plugins]

    def everything(self) -> list[tuple[Plugin, str | None]]:
        """All that plug-ins add, each with the reason why it is disabled, or None; it is imported."""
        disabled = [(trouble.plugin, trouble.why) for trouble in self.troubles()]
        return [*disabled, *((p, None) for p in self._theirs().values() if not self._why_not(p))]

    def _theirs(self) -> Mapping[str, Plugin]:
        return _accepted(self.kind, _modules(self.package, self.folders), places())

    def _why_not(self, plugin: Plugin) -> str | None:
        found = loaded(plugin)
        if isinstance(found, Failure):
            return found.why
        try:
            self.read(found, plugin.name)
        except ValueError as error:
            return str(error)
        return None


@lru_cache(maxsize=16)
def _modules(package: str, folders: bool) -> tuple[str, ...]:
    modules = pkgutil.iter_modules(import_module(package).__path__)
    return tuple(sorted(m.name for m in modules if m.name[0] != "_" and (m.ispkg or not folders)))


@lru_cache(maxsize=64)
def _accepted(kind: Kind, ours: tuple[str, ...], places: tuple[str, ...]) -> Mapping[str, Plugin]:
    """Those whose names are their own."""
    plugins = [plugin for plugin in all_entry_points(places) if plugin.kind == kind]
    refused = [trouble.plugin for trouble in refused_for_names(plugins, ours)]
    return {plugin.name: plugin for plugin in plugins if plugin not in refused}
