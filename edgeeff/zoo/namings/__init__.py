"""How other libraries name the tensors of the same networks: one file for each naming, found by listing.

A naming is a module with two functions. ``origin(spec, said)`` is what :func:`edgeeff.zoo.origin.of` tells of
the library. ``translate(key, architecture) -> str | None`` is

- our name of the tensor that the library calls ``key``; an empty string if the library has it and we need
  it not (a count of training steps, preprocessing); None if the library has no tensor of such a name;
- whether it is None never depends on the architecture, which is at hand for libraries that count blocks by
  stage. It need not hold the tensor: a key of block 99 translates to a name that no network has, so that
  a checkpoint of another variant can be told by what does not fit;
- a head that replaced the classifier is ``classifier.<layer>.<part>``, with any number of Linear and
  batch normalisation layers.
"""

from __future__ import annotations

import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import cast

from edgeeff.zoo.architecture import Architecture

_ANY = Architecture(stem=0, blocks=(), head=0)  # whether a naming knows a key depends on no architecture
_MOVING_AVERAGE = re.compile("ema|averag|swa")
_HEAD = re.compile(r"classifier\.(?P<layer>.+)\.(?P<part>\w+)")
#: How people who keep a network without its classifier as a part of theirs call what comes after it.
_BESIDE = re.compile(
    r"_?(?:fc|head|classifier|linear|last_linear|dense|cls|out|output|logits|mlp)\d*"
    r"(?:\.\w+)*\.(?:weight|bias|running_mean|running_var)"
)


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


@dataclass(frozen=True)
class _Network:
    """Which of a file's keys are the network's.

    Args:
        keys: Key → what follows the prefix.
        head: Of a head beside it: key → ours.
        unexpected: The rest within the prefix.
    """

    keys: dict[str, str]
    head: dict[str, str]
    unexpected: tuple[str, ...]


def names() -> list[str]:
    """The namings, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")


def detect(keys: Collection[str]) -> str | None:
    """The naming that knows most of a checkpoint's keys; None if none knows any."""
    counts = {name: len(_network(name, tuple(keys)).keys) for name in names()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def translate(naming: str, keys: Collection[str], architecture: Architecture) -> Translation:
    """Translate a checkpoint's keys by a naming.

    Keys may carry a prefix (``module.``, ``model.``, …): the commonest one is taken for the network's,
    and keys without it (a loss, a second copy) are not part of the network.
    """
    network, translate_one = _network(naming, tuple(keys)), _translator(naming)
    ours = {key: translate_one(tail, architecture) for key, tail in network.keys.items()}
    named = {key: name for key, name in ours.items() if name} | network.head
    return Translation(naming=naming, ours=_numbered(named), unexpected=list(network.unexpected))


def _translator(naming: str) -> Callable[[str, Architecture], str | None]:
    module = import_module(f"{__name__}.{naming}")
    return cast(Callable[[str, Architecture], str | None], module.translate)


@lru_cache(maxsize=16)  # the same file is held against every network of the zoo
def _network(naming: str, keys: tuple[str, ...]) -> _Network:
    translate_one = _translator(naming)
    found: dict[str, tuple[str, str]] = {}  # key → its prefix, the rest
    for key in keys:
        start = 0
        while start >= 0:
            if translate_one(key[start:], _ANY) is not None:
                found[key] = key[:start], key[start:]
                break
            start = key.find(".", start) + 1 or -1
    prefixes = Counter(prefix for prefix, _ in found.values())
    # Of two whole copies the moving average is the one that trainers evaluate and publish.
    prefix = max(sorted(prefixes), key=lambda p: (prefixes[p], bool(_MOVING_AVERAGE.search(p))), default="")
    within = {key: rest for key, (at, rest) in found.items() if at == prefix}
    rest = [key for key in keys if key.startswith(prefix) and key not in within]
    return _Network(within, _head_beside(prefix, within, keys), tuple(rest))


def _head_beside(prefix: str, within: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    """A head that is the network's neighbour, as in ``backbone.…`` and ``fc.weight``: key → ours."""
    if not prefix or any(rest.startswith(("classifier", "_fc")) for rest in within.values()):
        return {}
    outer = prefix[:-1].rpartition(".")[0]
    outer = f"{outer}." if outer else ""
    found: dict[str, tuple[str, str]] = {}  # key → layer, part
    for key in keys:
        if key.startswith(outer) and not key.startswith(prefix) and _BESIDE.fullmatch(key[len(outer) :]):
            layer, _, part = key[len(outer) :].rpartition(".")
            found[key] = layer, part
    # A layer without a bias is no Linear but the centres of a metric loss.
    whole = {layer for layer, part in found.values() if part == "bias"}
    return {key: f"classifier.{layer}.{part}" for key, (layer, part) in found.items() if layer in whole}


def _numbered(ours: dict[str, str]) -> dict[str, str]:
    """A head's layers that have names, numbered in the file's order, and by twos: between may be anything."""
    heads = {key: match for key, name in ours.items() if (match := _HEAD.fullmatch(name))}
    layers = list(dict.fromkeys(match["layer"] for match in heads.values()))
    if all(re.fullmatch(r"\d+(?:\.\d+)*", layer) for layer in layers):
        return ours
    renamed = {
        key: f"classifier.{2 * layers.index(match['layer'])}.{match['part']}" for key, match in heads.items()
    }
    return ours | renamed
