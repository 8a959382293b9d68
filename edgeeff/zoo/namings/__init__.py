"""How other libraries name the tensors of the same networks: one file for each naming, found by listing.

A naming is a module with one function, ``translate(key, architecture) -> str | None``: our name of the
tensor that the library calls ``key``, or None if the library has no tensor of such a name. The
architecture is at hand for libraries that count blocks by stage. It need not hold the tensor: a key of
block 99 translates, so that a checkpoint of another variant can be told by what does not fit.
"""

from __future__ import annotations

import pkgutil
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module

from edgeeff.zoo.architecture import Architecture


@dataclass(frozen=True)
class Translation:
    """A checkpoint's keys in our naming.

    Args:
        naming: The name of the naming.
        ours: The checkpoint's key → our key.
        unexpected: Keys beside these that the naming does not know.
    """

    naming: str
    ours: dict[str, str]
    unexpected: list[str]


def names() -> list[str]:
    """The namings, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def translate(keys: Collection[str], architecture: Architecture) -> Translation | None:
    """Translate a checkpoint's keys by the naming that knows most of them; None if none knows any.

    Keys may carry a prefix (``module.``, ``model.``, …): the commonest one is taken for the network's,
    and keys without it (a loss, a second copy) are not part of the network.
    """
    candidates = [_translate(name, keys, architecture) for name in names()]
    best = max(candidates, key=lambda candidate: len(candidate.ours))
    return best if best.ours else None


def _translate(naming: str, keys: Collection[str], architecture: Architecture) -> Translation:
    translate_one = import_module(f"{__name__}.{naming}").translate
    found: dict[str, tuple[str, str]] = {}  # key → its prefix, our key
    for key in keys:
        parts = key.split(".")
        for start in range(len(parts)):
            ours = translate_one(".".join(parts[start:]), architecture)
            if ours is not None:
                found[key] = ".".join(parts[:start]), ours
                break
    prefixes = Counter(prefix for prefix, _ in found.values())
    # Of two whole copies the moving average is the one that trainers evaluate and publish.
    prefix = max(sorted(prefixes), key=lambda p: (prefixes[p], "ema" in p), default="")
    within = f"{prefix}." if prefix else ""
    return Translation(
        naming=naming,
        ours={key: ours for key, (at, ours) in found.items() if at == prefix},
        unexpected=[
            key for key in keys if key.startswith(within) and (key not in found or found[key][0] != prefix)
        ],
    )
