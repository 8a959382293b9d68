"""The families of networks, one file each, found by listing: its table of stages, and its ``MEMBERS``."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from edgeeff.zoo.scaling import Family
from edgeeff.zoo.spec import ModelSpec


def names() -> list[str]:
    """The families, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def members() -> list[ModelSpec]:
    """All networks, family by family, each from small to large."""
    return [spec for name in names() for spec in import_module(f"{__name__}.{name}").MEMBERS]


def family(name: str) -> tuple[Family, ModelSpec]:
    """What a family's networks are scaled from, and the smallest of them.

    Raises:
        KeyError: No such family.
    """
    if name not in names():
        raise KeyError(name)
    base: ModelSpec = import_module(f"{__name__}.{name}").MEMBERS[0]
    return base.family, base
