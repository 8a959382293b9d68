"""Every tensor of a checkpoint accounted for: the network's, its head's, of no use to it, or refused by name.

A state_dict says what a module holds, not what it computes. What lies beside a network may be a loss that was
trained with it, or a layer without which its answers are others; a tensor is left out only where it cannot be
the second, or where the user says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from edgeeff.errors import CheckpointError
from edgeeff.zoo import namings
from edgeeff.zoo.accounting import head_layers, headless, ignorable, other_detectors
from edgeeff.zoo.accounting.copies import UNCOUNTED, is_head, network, place_of
from edgeeff.zoo.accounting.head_layers import Place
from edgeeff.zoo.accounting.normalisation import Normalisation, normalisation
from edgeeff.zoo.checkpoint_options import Chosen
from edgeeff.zoo.heads import Head, HeadError, Layer, straighten

_SHOWN = 3  # tensors named in a message
_WAYS = (
    "if the network computes with them, export it to ONNX and pass that, or pass module:callable with "
    "--trust-checkpoint; if it does not, "
)


@dataclass(frozen=True)
class Accounted:
    """A checkpoint's tensors, each in its place.

    Args:
        naming: Whose names they have.
        prefix: What stands before the network's names in the file.
        trunk: The network's without its head: key in the file → key without the prefix.
        head: Hidden layers and classifier; empty where the file holds none.
        layers: The head's tensors, by their names in the file.
        strays: Tensors that nothing is known of, by name, with their shapes.
        preprocess: Mean and standard deviation that the file holds as tensors.
        notes: What was chosen, read or left out; a phrase each.
        assumed: What was assumed; a sentence each.
        warnings: What of that may well be wrong.
    """

    naming: str
    prefix: str
    trunk: dict[str, str]
    head: Head
    layers: tuple[str, ...] = ()
    strays: dict[str, str] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def account(
    tensors: Mapping[str, Tensor],
    path: object,
    chosen: Chosen | None = None,
    head: Sequence[Layer] | None = None,
    ordered: bool = True,
) -> Accounted:
    """Put every tensor of a file in its place.

    Args:
        tensors: By the names they have in the file, in its order.
        path: Of the file, for messages.
        chosen: Which part of it the user means.
        head: The head's layers, where the file says them itself; their tensors are not among ``tensors``.
        ordered: Whether the file's order is that in which the network's layers were made.

    Raises:
        CheckpointError: No network in a known naming, or several; a head that its names do not say; a state
            of other than plain weights; a detector.
    """
    chosen = chosen or Chosen()
    notes: list[str] = []
    tensors, left = _chosen(tensors, chosen.prefix, path)
    if not chosen.taps:  # a detector's backbone has features as any other
        other_detectors.refuse(tensors, path)
    if left:
        notes.append(f"left out, as --prefix says: {_some(left)}")
    naming, prefix, trunk, aside = network(tensors, path, detectors=not chosen.taps)
    notes += aside.lines
    composed = namings.naming(naming).composed
    rest = _outside(tensors, naming, prefix, {*trunk, *aside.keys}, [*trunk])
    places, strays, found, lines = _sorted(tensors, rest, naming, path)
    notes += lines
    if chosen.taps:
        built, strays = headless.left_out(trunk, prefix, places, strays, head)
        places = []
    elif composed:
        strays |= {k: _dimensions(tensors[k]) for place in places for k in place.keys}
        built, places = Head({}), []
    else:
        built = _head(places, chosen, head, ordered, path, namings.naming(naming).classifier_at)
    return Accounted(
        naming,
        prefix,
        trunk,
        built,
        tuple(key for place in places for key in place.keys),
        strays,
        found.preprocess if found else {},
        (*notes, *(found.lines if found else ()), *built.notes),
        built.assumed,
        built.warnings,
    )


def _outside(
    tensors: Mapping[str, Tensor], naming: str, prefix: str, placed: Collection[str], trunk: Sequence[str]
) -> dict[str, str | None]:
    """The tensors that have no place yet: key → our name, if it is of the library's own head."""
    composed = namings.naming(naming).composed
    rest: dict[str, str | None] = {}
    seen = {place_of(tensors[key]) for key in trunk}
    for key in sorted(tensors, key=lambda key: not key.startswith(prefix)):  # the network's own names first
        if key in placed or place_of(tensors[key]) in seen:
            continue
        seen.add(place_of(tensors[key]))
        ours = namings.ours_of(naming, key[len(prefix) :]) if key.startswith(prefix) else None
        if composed and namings.unneeded(naming, key):
            continue
        if ours != "" and not key.endswith(UNCOUNTED):
            rest[key] = ours if is_head(ours) else None
    return rest


def refuse_strays(accounted: Accounted, path: object) -> None:
    """Refuse a file with tensors that nothing is known of.

    Raises:
        CheckpointError: It has some.
    """
    if not accounted.strays:
        return
    shown = [f"{key} {shape}" for key, shape in accounted.strays.items()]
    common = accounted.prefix
    while not all(key.startswith(common) for key in accounted.layers):
        common = common[: common[:-1].rfind(".") + 1]
    leave = (
        f'--prefix "{common}" takes what lies under that name alone'
        if common and not any(key.startswith(common) for key in accounted.strays)
        else "save the state_dict again without them"
    )
    raise CheckpointError(
        f"{path} holds tensors that are not of the network, and without which its answers may be others: "
        f"{_some(shown, 6)}",
        mend=_WAYS + leave,
    )


def _chosen(
    tensors: Mapping[str, Tensor], prefix: str | None, path: object
) -> tuple[Mapping[str, Tensor], list[str]]:
    """The tensors that the user means, and the names of the others."""
    if prefix is None:
        return tensors, []
    dotted = f"{prefix.rstrip('.')}."
    start = dotted if any(key.startswith(dotted) for key in tensors) else prefix
    kept = {key: value for key, value in tensors.items() if key.startswith(start)}
    if not kept:
        firsts = dict.fromkeys(f"{key.partition('.')[0]}." for key in tensors)
        raise CheckpointError(
            f"{path} has no tensors whose names begin with {prefix!r}",
            mend=f"its names begin with {_some(list(firsts), 8)}",
        )
    left = [k for k in tensors if k not in kept and not k.endswith(UNCOUNTED)]
    return kept, left


def _sorted(
    tensors: Mapping[str, Tensor], rest: Mapping[str, str | None], naming: str, path: object
) -> tuple[list[Place], dict[str, str], Normalisation | None, list[str]]:
    """What is not of the trunk: layers, strays, the input's normalisation, and what is of no use."""
    aside: dict[str, list[str]] = {}
    layers: dict[str, dict[str, str]] = {}  # a layer's name in the file → part → key
    for key, ours in rest.items():
        what = None if ours else ignorable.kind(key, tensors[key])
        if what is not None:
            aside.setdefault(what, []).append(key)
            continue
        separator = "/" if "/" in key and "." not in key else "."
        layer = key.rpartition(separator)[0]
        part = (ours or key).rpartition("." if ours else separator)[2]
        layers.setdefault(layer, {})[part] = key
    found = normalisation({name: {p: tensors[k] for p, k in ps.items()} for name, ps in layers.items()}, path)
    places: list[Place] = []
    strays: dict[str, str] = {}
    for name, parts in layers.items():
        if found is not None and name == found.layer:
            parts = {part: key for part, key in parts.items() if part not in found.parts}
            if not parts:
                continue
        ours = rest[next(iter(parts.values()))]
        own = ours.rpartition(".")[0].partition(".")[2] if ours else None
        if ours and ours.startswith("hidden."):
            own = ours.rpartition(".")[0]
        place = Place(name, {part: tensors[key] for part, key in parts.items()}, own, tuple(parts.values()))
        if place.kind is None:
            strays |= {key: _dimensions(tensors[key]) for key in parts.values()}
        else:
            places.append(place)
    lines = [f"left out as {what}: {_some(keys)}" for what, keys in aside.items() if what != "a counter"]
    return places, strays, found, lines


def _head(
    places: list[Place],
    chosen: Chosen,
    head: Sequence[Layer] | None,
    ordered: bool,
    path: object,
    usual: str,
) -> Head:
    """The head, by whoever says it: the user, the file, or the names of its layers."""
    if head is not None:
        if chosen.head is not None or places:
            raise CheckpointError(
                f"{path} says itself what its head computes"
                + (f", and {head_layers.some(places)} is not of it" if places else ""),
                mend="leave --head out" if chosen.head else "export the network to ONNX and pass that",
            )
        try:
            return straighten(head)
        except HeadError as error:
            raise CheckpointError(
                f"{path}: {error}", mend="export the network to ONNX and pass that"
            ) from None
    if not ordered:
        places = sorted(places, key=lambda place: _natural(place.name))
        parents = {place.name.rpartition(".")[0] for place in places}
        ordered = len(parents) == 1 and all(p.name.rpartition(".")[2].isdigit() for p in places)
    if chosen.head is None:
        return head_layers.decided(places, str(path), usual) if places else Head({})
    found, left = head_layers.given(places, chosen.head, str(path), ordered)
    if not left:
        return found
    text = f"left out, as --head names {chosen.head.under} alone: {head_layers.some(left)}"
    if all(place.own is not None for place in left):
        return replace(found, notes=(*found.notes, text))
    return replace(found, warnings=(f"{text}; if the network computes with them, its answers are others",))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts ``layer.10`` behind ``layer.9``."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in re.split(r"(\d+)", name)]


def _some(names: Sequence[str], count: int = _SHOWN) -> str:
    shown = ", ".join(names[:count])
    return f"{shown} and {len(names) - count} more" if len(names) > count else shown


def _dimensions(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "scalar"
