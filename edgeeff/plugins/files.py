"""The things of a kind that is TOML files: a folder of ours, and the folders that plug-ins name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from edgeeff.errors import EdgeeffError, PluginError
from edgeeff.plugins.installed import (
    Failure,
    Kind,
    Plugin,
    Trouble,
    entry_points,
    loaded,
    places,
    refused_for_names,
)


@dataclass(frozen=True)
class Files:
    """All TOML files of a kind, ours and those of plug-ins; each is called by its name without ``.toml``.

    Args:
        kind: What they are.
        folder: Where ours lie.
    """

    kind: Kind
    folder: Callable[[], Path]

    def ours(self) -> dict[str, Path]:
        """Our files by name."""
        return _files(self.folder())

    def paths(self) -> dict[str, Path]:
        """All files by name, sorted."""
        return dict(sorted({**{n: f for n, (f, _) in self._theirs().items()}, **self.ours()}.items()))

    def plugin(self, name: str) -> Plugin | None:
        """What adds the file of that name; None where it is ours, or there is none."""
        found = self._theirs().get(name)
        return found[1] if found else None

    def troubles(self) -> list[Trouble]:
        """The folders that are not there, and the files whose names are taken."""
        found = []
        for plugin in entry_points(self.kind):
            folder = _folder(plugin)
            if isinstance(folder, Failure):
                found.append(Trouble(plugin, folder.why))
            elif not _files(folder):
                found.append(Trouble(plugin, f"there is no TOML file in {folder}"))
        return [*found, *self.refused()]

    def everything(self, load: Callable[[str], object]) -> list[tuple[Plugin, str | None]]:
        """All that plug-ins add, each with the reason why it is disabled, or None; each file is read."""
        found: list[tuple[Plugin, str | None]] = [(t.plugin, t.why) for t in self.troubles()]
        for name, (_, plugin) in self._theirs().items():
            try:
                load(name)
            except EdgeeffError as error:
                found.append((plugin, error.what.removeprefix(plugin.error("").what)))
            else:
                found.append((plugin, None))
        return found

    def refused(self, names: Iterable[str] | None = None) -> list[Trouble]:
        """The files that are disabled because their names are taken, of these names (None: all)."""
        wanted = None if names is None else set(names)
        found = refused_for_names([p for p, _ in self._offered()], self.ours())
        return [trouble for trouble in found if wanted is None or trouble.plugin.name in wanted]

    def refusal(self, name: str) -> PluginError | None:
        """Why a name that is nobody's is disabled; None: nothing bears it."""
        return next((t.plugin.error(t.why) for t in self.refused([name])), None)

    def _offered(self) -> list[tuple[Plugin, Path]]:
        """Every file of a plug-in, as a plug-in of the file's name."""
        found = []
        for plugin in entry_points(self.kind):
            folder = _folder(plugin)
            files = {} if isinstance(folder, Failure) else _files(folder)
            for name, path in files.items():
                one = Plugin(self.kind, name, plugin.value, plugin.distribution, plugin.version)
                found.append((one, path))
        return found

    def _theirs(self) -> dict[str, tuple[Path, Plugin]]:
        offered = self._offered()
        refused = {id(trouble.plugin) for trouble in refused_for_names([p for p, _ in offered], self.ours())}
        return {plugin.name: (path, plugin) for plugin, path in offered if id(plugin) not in refused}


def _files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


@lru_cache(maxsize=64)
def _folder(plugin: Plugin) -> Path | Failure:
    """The folder of TOML files that an entry point names: a package's, or what an attribute says.

    Nothing of the package is imported: its top is found by Python's path finder, the rest by its folders.
    """
    if ":" in plugin.value:
        found = loaded(plugin)
        if isinstance(found, Failure):
            return found
        return Path(found) if isinstance(found, str | Path) else Failure("its attribute is no path")
    top, *below = plugin.module.split(".")
    spec = PathFinder.find_spec(top, list(places()))
    if spec is None:  # an editable install may have a finder of its own, which imports nothing either
        try:
            spec = find_spec(top)
        except (Exception, SystemExit) as error:
            return Failure(f"it fails to import: {type(error).__name__}: {error}")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (folder := Path(location, *below)).is_dir():
            return folder
    return Failure(f"there is no package {plugin.module}")
