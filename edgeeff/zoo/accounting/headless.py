"""What of a checkpoint is not of use where features are put out: the head, and all that stands behind it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from edgeeff.zoo.accounting.head_layers import Place, some
from edgeeff.zoo.heads import Head, Layer

_SHOWN = 6  # tensors named in a message


def left_out(
    trunk: Mapping[str, str],
    prefix: str,
    places: Sequence[Place],
    strays: Mapping[str, str],
    head: Sequence[Layer] | None,
) -> tuple[Head, dict[str, str]]:
    """An empty head that says what was left out, and the tensors that cannot be left out.

    Dense layers beside the network are a head, which comes behind the features. Other tensors may come before
    them, and are warned of; those that lie within one of the network's own parts are within what it computes.

    Args:
        trunk: The network's keys, each with what follows the prefix.
        prefix: What stands before the network's names.
        places: Layers beside the trunk.
        strays: Tensors beside it that are of no layer of a head, with their shapes.
        head: The head, where the file says it itself.
    """
    parts = {_first(tail) for tail in trunk.values()}

    def inside(key: str) -> bool:
        return key.startswith(prefix) and _first(key[len(prefix) :]) in parts

    within = {key: shape for key, shape in strays.items() if inside(key)}
    for place in places:
        if place.own is None and any(inside(key) for key in place.keys):
            within |= dict.fromkeys(place.keys, "of no part that is known")
    dense = [place for place in places if not any(key in within for key in place.keys)]
    notes = [f"its head is left out, as features are built: {some(dense)}"] if dense else []
    if head and not dense:
        notes = [f"its head of {len(head)} layers is left out, as features are built"]
    other = [f"{key} {shape}" for key, shape in strays.items() if key not in within]
    warnings = []
    if other:
        warnings.append(
            f"left out, as features are built: {_some(other)}; if the network computes with them before its "
            "features, these are others"
        )
    return Head({}, notes=tuple(notes), warnings=tuple(warnings)), within


def unused(names: Collection[str]) -> str:
    """What is said of the network's own tensors behind the last tap."""
    parts = dict.fromkeys(".".join(n.split(".")[: 2 if n.startswith("blocks.") else 1]) for n in names)
    return f"left out, behind the last tap: {_some(list(parts))}"


def _first(tail: str) -> str:
    """The outermost part of a name."""
    return re.split(r"[./]", tail, maxsplit=1)[0]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
