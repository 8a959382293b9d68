"""One step of a build, and the one place where results are looked up, made and kept.

A stage's result is kept under the SHA-256 of all that it depends on: the stage's name and version, the
versions of the libraries that it calls, and its facts. What making it warned of is kept with it, and warned
of again whenever the result is taken as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from edgeeff import shortage
from edgeeff.cache import key_of, versions
from edgeeff.memory import TORCH, addresses_left, give_back
from edgeeff.pipeline.context import Context

Result = TypeVar("Result")
_WARNINGS = "warnings.json"


@dataclass(frozen=True)
class Stage(Generic[Result]):
    """A step with its inputs, ready to be run.

    Args:
        name: Of the step, and of its folder in the cache.
        version: Raised when the step computes something else from the same facts.
        tools: Distributions whose installed versions can change the result.
        facts: All else that the result depends on, as plain data.
        make: Computes the result.
        encode: Writes a result as the files of a cache entry; None: the result is held in memory, for this
            build alone.
        decode: The reverse of ``encode``.
        hold: Bytes of these files up to which the result is held in memory too, once it was read: it is asked
            for again and again, and whoever takes it leaves it as it is.
    """

    name: str
    version: int
    tools: tuple[str, ...]
    facts: Mapping[str, Any]
    make: Callable[[], Result]
    encode: Callable[[Result], Mapping[str, bytes]] | None = None
    decode: Callable[[Mapping[str, bytes]], Result] | None = None
    hold: int = 0

    @cached_property
    def key(self) -> str:
        """The SHA-256 of all that the result depends on."""
        return key_of(
            stage=self.name, version=self.version, tools=versions(*self.tools), facts=dict(self.facts)
        )


def run(stage: Stage[Result], context: Context) -> Result:
    """A stage's result, from the cache if it is there, or made and put there."""
    found = lookup(stage, context)
    if found is not None:
        return found
    _refuse_without_room()
    with context.progress.recording() as raised:
        made = stage.make()
    if stage.encode is None:
        context.held[stage.name, stage.key] = (made, tuple(raised))
    else:
        parts = {**stage.encode(made), _WARNINGS: json.dumps(list(raised)).encode()}
        context.cache.put(stage.name, stage.key, parts)
        del parts
    give_back()  # a stage leaves its result and nothing else
    return made


def _refuse_without_room() -> None:
    """Refuse where torch cannot be loaded: there its libraries end the process, with no error to catch.

    Raises:
        OutOfMemoryError: So few addresses are left.
    """
    left = None if "torch" in sys.modules else addresses_left()
    if left is not None and left < TORCH:
        limit = f"the limit of addresses (ulimit -v) leaves {left >> 20} MB, and torch takes {TORCH >> 20}"
        raise shortage.refusal(f"torch was loaded: {limit}", shortage.BUILDING)


def lookup(stage: Stage[Result], context: Context) -> Result | None:
    """A stage's result if it was made before; its warnings are raised again."""
    if (held := context.held.get((stage.name, stage.key))) is not None:
        found, raised = held
        context.warn_all(raised)
        return cast(Result, found)
    entry = None if stage.decode is None else context.cache.get(stage.name, stage.key)
    if entry is None or stage.decode is None:
        return None
    raised = tuple(json.loads(entry[_WARNINGS]))
    context.warn_all(raised)
    read = stage.decode(entry)
    if sum(map(len, entry.values())) <= stage.hold:
        context.held[stage.name, stage.key] = (read, raised)
    return read
