"""What installed distributions add: their entry points, and what these name."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edgeeff import digests
from edgeeff.errors import EdgeeffError, PluginError, PluginFailedError

if TYPE_CHECKING:
    from importlib import metadata

Kind = Literal["runtimes", "targets", "boards", "schemes", "steps", "tasks", "namings", "devices"]
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
        found = loaded(self)
        if isinstance(found, Failure):
            raise self.error(found.why)
        return found

    def error(self, why: str) -> PluginError:
        """The error of it: what it is, what brought it, and why it cannot be used."""
        return PluginError(
            f"the {self.kind[:-1]} {self.name!r} of {self.origin} is disabled: {why}",
            mend=f"correct or update {self.distribution}, or remove it: pip uninstall {self.distribution}",
        )

    def failed(self, why: str) -> PluginFailedError:
        """The error of its code at work."""
        return PluginFailedError(
            f"the {self.kind[:-1]} {self.name!r} of {self.origin}: {why}",
            mend=f"report it to those who wrote {self.distribution}, or update it",
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
class Failure:
    """Why an entry point cannot be loaded."""

    why: str


def entry_points(kind: Kind) -> list[Plugin]:
    """What installed distributions add of a kind, sorted by name."""
    return [plugin for plugin in all_entry_points(places()) if plugin.kind == kind]


def places() -> tuple[str, ...]:
    """Where distributions may stand: a folder that somebody works in never adds one by lying there."""
    here = str(Path.cwd())
    return tuple(place for place in sys.path if place and place != here)


@lru_cache(maxsize=4)
def all_entry_points(places: tuple[str, ...]) -> tuple[Plugin, ...]:
    """What the distributions in these folders add, of all kinds, sorted."""
    from importlib import metadata  # late: it takes the package for e-mail with it

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
def loaded(plugin: Plugin) -> Any:
    """What an entry point names, imported once; or a :class:`Failure`."""
    module, _, attribute = plugin.value.partition(":")
    try:
        found: Any = import_module(module.strip())
        for part in filter(None, attribute.strip().split(".")):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        return Failure(f"it fails to import: {type(error).__name__}: {error}")
    return found


def refused_for_names(plugins: Collection[Plugin], ours: Collection[str]) -> list[Trouble]:
    """Those that are disabled for their names alone, of plug-ins of one kind."""
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
