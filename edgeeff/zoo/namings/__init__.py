"""How other libraries name the tensors of the same networks: one file for each naming, found by listing.

A naming is a module of this folder, or one that an entry point ``edgeeff.namings`` of another distribution
names, with two functions. ``origin(spec, said)`` is what :func:`edgeeff.zoo.origin.of` tells of
the library. ``translate(key, architecture) -> str | None`` is

- our name of the tensor that the library calls ``key``; an empty string if the library has it and we need
  it not (a count of training steps, preprocessing); None if the library has no tensor of such a name;
- whether it is None never depends on the architecture, which is at hand for libraries that count blocks by
  stage. It need not hold the tensor: a key of block 99 translates to a name that no network has, so that
  a checkpoint of another variant can be told by what does not fit;
- a head that replaced the classifier is ``classifier.<layer>.<part>``, with any number of layers.

With ``DETECTOR = True`` the naming is of detectors: ``translate`` gets a
:class:`~edgeeff.zoo.detection.architecture.DetectorArchitecture`, whose names it gives, and ``origin`` a
``DetectorSpec``; ``origin`` gives a :class:`~edgeeff.zoo.detection.origin.DetectorOrigin`. With ``SEGMENTER =
True`` it is of segmenters: ``translate`` gets the encoder's architecture and gives names of ``backbone.`` and
``decoder.``, and ``origin`` a ``SegmenterSpec`` for a
:class:`~edgeeff.zoo.segmentation.origin.SegmenterOrigin`.

Beside them it may hold ``CLASSIFIER_AT``, the place of the Linear in the library's own classifier where that
is no Linear alone (``"1"``), and ``WRITTEN``, the fields of preprocessing that the library itself writes into
its files: one that has them, and says its variant, leaves no doubt of how it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

from edgeeff.plugins import Finder, function
from edgeeff.zoo.architecture import Architecture
from edgeeff.zoo.detection.architecture import DetectorArchitecture

AnyArchitecture: TypeAlias = Architecture | DetectorArchitecture

# Whether a naming knows a key depends on no architecture.
_ANY = Architecture(stem=0, blocks=(), head=0)
_ANY_DETECTOR = DetectorArchitecture(_ANY, channels=0, cells=0, repeats=0)
#: The part of a detector or segmenter that a classifier has too.
_BACKBONE = "backbone."


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
class Naming:
    """What a naming's module holds; ``origin`` gives an :class:`edgeeff.zoo.origin.Origin`, or that of a
    detector or segmenter."""

    translate: Callable[[str, Any], str | None]
    origin: Callable[[Any, str | None], Any]
    classifier_at: str = ""
    written: frozenset[str] = frozenset()
    detector: bool = False
    segmenter: bool = False

    @property
    def composed(self) -> bool:
        """Whether it is of networks that have a classifier's trunk and no classifier."""
        return self.detector or self.segmenter


def _naming(module: Any, name: str) -> Naming:
    if absent := [n for n in ("translate", "origin") if not callable(getattr(module, n, None))]:
        raise ValueError(f"{module.__name__} has no function {' and no '.join(absent)}")
    at, written = getattr(module, "CLASSIFIER_AT", ""), getattr(module, "WRITTEN", ())
    detector, segmenter = (getattr(module, kind, False) for kind in ("DETECTOR", "SEGMENTER"))
    if not isinstance(detector, bool) or not isinstance(segmenter, bool) or (detector and segmenter):
        raise ValueError(f"DETECTOR or SEGMENTER of {module.__name__} is neither True nor False, or both are")
    if not isinstance(at, str) or isinstance(written, str) or not all(isinstance(w, str) for w in written):
        raise ValueError(f"CLASSIFIER_AT of {module.__name__} is no text, or WRITTEN no names of fields")
    return Naming(module.translate, module.origin, at, frozenset(written), detector, segmenter)


#: Where namings are found.
NAMINGS = Finder("namings", __name__, _naming)


def names() -> list[str]:
    """The namings that can be used, sorted: the files of this folder, and those of plug-ins."""
    return NAMINGS.usable()


def naming(name: str) -> Naming:
    """A naming by its name, of :func:`names`; where a plug-in's functions fail, the error names it."""
    found, plugin = NAMINGS.get(name), NAMINGS.plugin(name)
    if plugin is None:
        return found
    translate, origin = (
        function(plugin, "translate", found.translate),
        function(plugin, "origin", found.origin),
    )
    return replace(found, translate=translate, origin=origin)


#: The same, where a parameter has its name.
_named = naming


def of_detectors() -> list[str]:
    """Those of :func:`names` that are other people's, of detectors: whose conventions a file may follow."""
    return [name for name in names() if _named(name).detector and not name.startswith("ours")]


def facts() -> list[list[str]]:
    """What reading a checkpoint depends on beside our code: namings of plug-ins, disabled ones too."""
    return [*NAMINGS.facts(NAMINGS.names()), *([text] for text in warnings())]


def warnings() -> list[str]:
    """A sentence for each naming of a plug-in that is disabled: a checkpoint may be in it."""
    return [trouble.text for trouble in NAMINGS.troubles()]


def detect(keys: Collection[str], *, detectors: bool = True) -> str | None:
    """The naming that knows most of a checkpoint's keys; None if none knows any.

    A naming of detectors or segmenters counts only where there is more than a backbone; not at all without
    ``detectors``.
    """
    counts = {name: _known(name, tuple(keys), detectors) for name in names()}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def _known(name: str, keys: tuple[str, ...], detectors: bool) -> int:
    """How many keys of one network a naming knows."""
    found = networks(name, keys)
    if _named(name).composed:
        if not detectors:
            return 0
        found = {
            prefix: tails
            for prefix, tails in found.items()
            if any(not (ours_of(name, tail) or _BACKBONE).startswith(_BACKBONE) for tail in tails.values())
        }
    return max(map(len, found.values()), default=0)


def translate(naming: str, keys: Collection[str], architecture: AnyArchitecture) -> Translation:
    """Translate the keys of one network by a naming.

    Keys may carry a prefix (``module.``, ``model.``, …): the commonest one is taken for the network's,
    and keys without it are not part of the network.
    """
    found = networks(naming, tuple(keys))
    prefix = max(sorted(found), key=lambda p: len(found[p]), default="")
    tails = found.get(prefix, {})
    ours = {key: ours_of(naming, tail, architecture) for key, tail in tails.items()}
    return Translation(
        naming=naming,
        ours={key: name for key, name in ours.items() if name},
        unexpected=[key for key in keys if key.startswith(prefix) and key not in tails],
    )


def ours_of(naming: str, tail: str, architecture: AnyArchitecture | None = None) -> str | None:
    """Our name of one key without its prefix, as the naming's ``translate`` gives it."""
    found = _named(naming)
    return found.translate(tail, architecture or _any(found))


def _any(found: Naming) -> AnyArchitecture:
    return _ANY_DETECTOR if found.detector else _ANY


def unneeded(naming: str, key: str) -> bool:
    """Whether a key, with or without a prefix, is one that the library has and we need not."""
    found = _named(naming)
    starts = [0, *(place + 1 for place, letter in enumerate(key) if letter == ".")]
    return any(found.translate(key[start:], _any(found)) == "" for start in starts)


@lru_cache(maxsize=16)  # the same file is held against every network of the zoo
def networks(naming: str, keys: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """The keys that a naming knows, by their prefix: prefix → key → what follows it."""
    own = _named(naming)
    translate_one, architecture = own.translate, _any(own)
    found: dict[str, dict[str, str]] = {}
    for key in keys:
        start = 0
        while start >= 0:
            if translate_one(key[start:], architecture) is not None:
                found.setdefault(key[:start], {})[key] = key[start:]
                break
            start = key.find(".", start) + 1 or -1
    return found
