"""What a program holds and passes instead of a path: a network, images, or a way to get images."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Held:
    """A value of a running program, compared by its content.

    Args:
        value: A torch module; or an array, a list, an iterable or a callable of images.
    """

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and _same(self.value, other.value)

    def __hash__(self) -> int:
        return hash(type(self.value))


def is_network(value: Any) -> bool:
    """Whether it is a torch module; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def are_images(value: Any) -> bool:
    """Whether images may come of it, as far as is seen without taking any."""
    if is_network(value) or isinstance(value, (str, bytes, Mapping, Set)):
        return False
    if isinstance(value, Iterable) or callable(value):
        return True
    return hasattr(value, "__getitem__") or hasattr(value, "getbands")  # torch's datasets, Pillow's images


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if is_network(one):
        own, others = one.state_dict(), other.state_dict()
        equal = sys.modules["torch"].equal
        return own.keys() == others.keys() and all(equal(own[name], others[name]) for name in own)
    if isinstance(one, Sequence) and not isinstance(one, str):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "dtype"):
        numpy = sys.modules["numpy"]
        return one.dtype == other.dtype and bool(numpy.array_equal(one, other))
    return bool(one == other)
