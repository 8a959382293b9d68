"""What is found by its name: modules of a folder of ours, and what other distributions add to them.

A distribution adds things through entry points of the groups ``edgeeff.<kind>``. Ours and theirs come through
one finder, so that nothing else knows which is which. Nothing of a plug-in is imported before it is needed.
What cannot be used (its import fails, it is not what the kind asks for, its name is taken) is disabled with
its reason: see :class:`Trouble`; the program and everything else go on.
"""

from __future__ import annotations

import pkgutil
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from edgeeff import digests
from edgeeff.errors import EdgeeffError, PluginError

Kind = Literal["runtimes", "targets", "boards", "schemes", "steps", "tasks", "namings"]
Thing = TypeVar("Thing")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+!-]{0,99}")


@dataclass(frozen=True)
class Plugin:
    """One entry point of an installed distribution.

    Args:
        kind: Its group, without ``edgeeff.``.
        name: What it is called; for files (targets, boards, schemes) of no consequence.
        value: ``module`` or ``module:attribute``.
        distribution: What brought it.
        version: Of that distribution.
    """

    kind: Kind
    name: str
    value: str
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """Distribution and version."""
        return f"{self.distribution} {self.version}"

    @property
    def module(self) -> str:
        """The module that it names."""
        return self.value.partition(":")[0].strip()

    def load(self) -> Any:
        """Import what it names.

        Raises:
            PluginError: That fails, for whatever reason.
        """
        found = _loaded(self)
        if isinstance(found, _Failure):
            raise self.error(found.why)
        return found

    def error(self, why: str) -> PluginError:
        """The error of it: what it is, what brought it, and why it cannot be used."""
        return PluginError(
            f"the {self.kind[:-1]} {self.name!r} of {self.origin} is disabled: {why}",
            mend=f"correct or update {self.distribution}, or remove it: pip uninstall {self.distribution}",
        )

    def sources(self) -> str:
        """SHA-256 of the Python files of its package: an edited plug-in is another one.

        The plug-in is imported.
        """
        top = sys.modules[self.module.partition(".")[0]]
        roots = [Path(p) for p in getattr(top, "__path__", ())]
        files = [f for root in roots for f in sorted(root.rglob("*.py"))] or [Path(str(top.__file__))]
        return digests.of_files(files)


@dataclass(frozen=True)
class Trouble:
    """Something that an installed distribution adds and that cannot be used."""

    plugin: Plugin
    why: str

    @property
    def text(self) -> str:
        """One sentence."""
        return self.plugin.error(self.why).what


@contextmanager
def blamed(plugin: Plugin | None) -> Iterator[None]:
    """Errors inside are those of a plug-in; of none they pass through.

    Raises:
        PluginError: Instead of any other error of ours.
    """
    try:
        yield
    except EdgeeffError as error:
        if plugin is None or isinstance(error, PluginError):
            raise
        raise plugin.error(error.what) from None


def not_installed(place: Path, what: str, name: str, origin: str) -> PluginError:
    """The error of a file whose runtime or task is of a plug-in that is not here.

    Args:
        place: The file or folder.
        what: ``runtime`` or ``task``.
        name: Of it.
        origin: Distribution and version, as the file says.
    """
    return PluginError(
        f"{place}: its {what} {name!r} is of {origin}, which is not installed",
        mend=f"install {origin.partition(' ')[0]} from where you have it, if you trust it: pip install …",
    )


@dataclass(frozen=True)
class _Failure:
    why: str


def entry_points(kind: Kind) -> list[Plugin]:
    """What installed distributions add of a kind, sorted by name."""
    return [plugin for plugin in _entry_points(_places()) if plugin.kind == kind]


def _places() -> tuple[str, ...]:
    """Where distributions may stand: a folder that somebody works in never adds one by lying there."""
    here = str(Path.cwd())
    return tuple(place for place in sys.path if place and place != here)


@lru_cache(maxsize=4)
def _entry_points(places: tuple[str, ...]) -> tuple[Plugin, ...]:
    found: dict[str, list[Plugin]] = {}
    for distribution in metadata.distributions(path=list(places)):
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except (OSError, ValueError):  # a damaged one is the installer's to repair, and says nothing of us
            continue
        if "edgeeff." not in text:
            continue
        name, version = _called(distribution)
        key = re.sub(r"[-_.]+", "-", name).lower()
        found.setdefault(key, _read(text, name, version))  # the first on the path counts
    every = [plugin for plugins in found.values() for plugin in plugins]
    return tuple(sorted(every, key=lambda p: (p.kind, p.name, p.distribution)))


def _called(distribution: metadata.Distribution) -> tuple[str, str]:
    """Name and version, as a manifest can have them: a damaged distribution may say anything, or nothing."""
    try:
        told = distribution.metadata
        name, version = (str(told[field]) if field in told else "" for field in ("Name", "Version"))
    except (OSError, ValueError, TypeError, KeyError):
        name = version = ""
    return (
        name if _NAME.fullmatch(name) else "unnamed",
        version if _VERSION.fullmatch(version) else "unknown",
    )


def _read(text: str, distribution: str, version: str) -> list[Plugin]:
    """The lines of an ``entry_points.txt`` that concern us; a line that is none is passed over."""
    group, found = "", []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[]").strip().removeprefix("edgeeff.") if line.startswith("[edgeeff.") else ""
        elif group in Kind.__args__ and "=" in line and not line.startswith("#"):  # type: ignore[attr-defined]
            name, _, value = map(str.strip, line.partition("="))
            found.append(Plugin(group, name, value.partition("[")[0].strip(), distribution, version))  # type: ignore[arg-type]
    return found


@lru_cache(maxsize=256)
def _loaded(plugin: Plugin) -> Any:
    module, _, attribute = plugin.value.partition(":")
    try:
        found: Any = import_module(module.strip())
        for part in filter(None, attribute.strip().split(".")):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        return _Failure(f"it fails to import: {type(error).__name__}: {error}")
    return found


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
        found = _refused(entry_points(self.kind), self.ours())
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
        return _accepted(self.kind, _modules(self.package, self.folders), _places())

    def _why_not(self, plugin: Plugin) -> str | None:
        found = _loaded(plugin)
        if isinstance(found, _Failure):
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
    plugins = [plugin for plugin in _entry_points(places) if plugin.kind == kind]
    refused = [trouble.plugin for trouble in _refused(plugins, ours)]
    return {plugin.name: plugin for plugin in plugins if plugin not in refused}


def _refused(plugins: Collection[Plugin], ours: Collection[str]) -> list[Trouble]:
    found = []
    for plugin in plugins:
        others = [p.origin for p in plugins if p.name == plugin.name and p is not plugin]
        if plugin.name in ours:
            found.append(
                Trouble(plugin, f"edgeeff has a {plugin.kind[:-1]} {plugin.name!r} itself, which stays")
            )
        elif others:
            found.append(Trouble(plugin, f"{' and '.join(others)} has one of the same name"))
        elif not _NAME.fullmatch(plugin.name):
            found.append(Trouble(plugin, "its name is not letters, digits, '-', '_' and '.' alone"))
    return found


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
            if isinstance(folder, _Failure):
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
        found = _refused([p for p, _ in self._offered()], self.ours())
        return [trouble for trouble in found if wanted is None or trouble.plugin.name in wanted]

    def refusal(self, name: str) -> PluginError | None:
        """Why a name that is nobody's is disabled; None: nothing bears it."""
        return next((t.plugin.error(t.why) for t in self.refused([name])), None)

    def _offered(self) -> list[tuple[Plugin, Path]]:
        """Every file of a plug-in, as a plug-in of the file's name."""
        found = []
        for plugin in entry_points(self.kind):
            folder = _folder(plugin)
            files = {} if isinstance(folder, _Failure) else _files(folder)
            for name, path in files.items():
                one = Plugin(self.kind, name, plugin.value, plugin.distribution, plugin.version)
                found.append((one, path))
        return found

    def _theirs(self) -> dict[str, tuple[Path, Plugin]]:
        offered = self._offered()
        refused = {id(trouble.plugin) for trouble in _refused([p for p, _ in offered], self.ours())}
        return {plugin.name: (path, plugin) for plugin, path in offered if id(plugin) not in refused}


def _files(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


@lru_cache(maxsize=64)
def _folder(plugin: Plugin) -> Path | _Failure:
    """The folder of TOML files that an entry point names: a package's, or what an attribute says.

    Nothing of the package is imported: its top is found by Python's path finder, the rest by its folders.
    """
    if ":" in plugin.value:
        found = _loaded(plugin)
        if isinstance(found, _Failure):
            return found
        return Path(found) if isinstance(found, str | Path) else _Failure("its attribute is no path")
    top, *below = plugin.module.split(".")
    spec = PathFinder.find_spec(top, list(_places()))
    if spec is None:  # an editable install may have a finder of its own, which imports nothing either
        try:
            spec = find_spec(top)
        except (Exception, SystemExit) as error:
            return _Failure(f"it fails to import: {type(error).__name__}: {error}")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (folder := Path(location, *below)).is_dir():
            return folder
    return _Failure(f"there is no package {plugin.module}")
