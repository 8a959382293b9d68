"""The steps of a build, one file each, each with its own version, and each kept by what it was made from.

torch is imported by the steps that need it, when they have something to do: a build that finds their results
in the cache never loads it.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module


def versions() -> dict[str, int]:
    """The version of each stage, by the name of its file: part of what a bundle is known by."""
    names = [found.name for found in pkgutil.iter_modules(__path__)]
    modules = {name: import_module(f"{__name__}.{name}") for name in names}
    return {name: module.VERSION for name, module in modules.items() if hasattr(module, "VERSION")}
