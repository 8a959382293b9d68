"""Exact rewrites of the float graph, one file each, found by name.

A pass states the facts it ``REQUIRES`` and those it ``ENSURES``; its ``rewrite(model)`` changes the graph in
place and says whether it did. The order follows from the facts alone (ties by name), so adding a pass edits
no table. Each can be skipped by name, unless another needs what it ensures.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import onnx_ir as ir

from edgeeff.errors import OptionError


class Rewrite(Protocol):
    """Changes a graph in place; True if it changed anything."""

    def __call__(self, model: ir.Model, /) -> bool:
        """Rewrite the graph."""


@dataclass(frozen=True)
class Pass:
    """A rewrite with the facts about the graph that it needs and those that hold after it."""

    name: str
    requires: frozenset[str]
    ensures: frozenset[str]
    rewrite: Rewrite


def discover() -> list[Pass]:
    """All passes of this folder, in no particular order."""
    found = []
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        room = import_module(f"{__name__}.{module.name}")
        found.append(Pass(module.name, room.REQUIRES, room.ENSURES, cast(Rewrite, room.rewrite)))
    return found


def order(passes: Iterable[Pass]) -> list[Pass]:
    """Sort passes so that what each requires is ensured before it; ties by name.

    Raises:
        OptionError: A fact that a pass requires is ensured by none, or two passes wait for each other.
    """
    by_name = {p.name: p for p in passes}
    needs: dict[str, set[str]] = {}
    for p in by_name.values():
        needs[p.name] = set()
        for fact in p.requires:
            makers = {q.name for q in by_name.values() if fact in q.ensures}
            if not makers:
                raise OptionError(
                    f"pass {p.name!r} requires {fact!r}, which no pass ensures",
                    mend="do not skip the pass that ensures it",
                )
            needs[p.name] |= makers
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise OptionError(f"passes wait for each other: {error.args[1]}", mend="break the circle") from None
    ordered: list[Pass] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered += [by_name[name] for name in ready]
        sorter.done(*ready)
    return ordered


def run(model: ir.Model, skip: Collection[str] = ()) -> list[str]:
    """Apply all passes in order, in place; returns the names of those that changed the graph.

    Raises:
        OptionError: A skipped pass does not exist, or another pass needs what it ensures.
    """
    passes = discover()
    unknown = set(skip) - {p.name for p in passes}
    if unknown:
        raise OptionError(
            f"no pass named {', '.join(sorted(unknown))}",
            mend=f"the passes are {', '.join(p.name for p in order(passes))}",
        )
    changed = []
    for p in order(p for p in passes if p.name not in skip):
        if p.rewrite(model):
            changed.append(p.name)
    return changed
