"""What reading a set with boxes gave."""

from __future__ import annotations

from dataclasses import dataclass

from edgeeff.images.picture import Picture


@dataclass
class Annotated:
    """What was read.

    Args:
        pictures: The photos that are there, each with its boxes, in the order of the file.
        names: Of the classes, by their places; empty where the file has none.
        numbers: The file's own number of each class, where it has numbers.
        warnings: What may be wrong, a sentence each.
        notes: What is taken for granted and is usual, a sentence each.
    """

    pictures: list[Picture]
    names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
