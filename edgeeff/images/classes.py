"""Which class of the network a subfolder's or a list's name is.

The one place that decides it: by the network's labels first, then by number, then by ImageNet's synsets.
What fits none of them is refused with the nearest label. The sorted order of names, which is torchvision's
``ImageFolder``, is taken only where the network has no labels at all, and said.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgeeff import labels as naming
from edgeeff.errors import LabelsError

#: Folders that part a set into images to train on and images to judge by.
_SPLITS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "eval", "dev", "holdout"}
)


@dataclass(frozen=True)
class Labelling:
    """How images got their classes, where names gave them.

    Args:
        names: The names of classes that some image has, sorted.
        empty: Subfolders without images: they count in ``ImageFolder``'s order.
        listed: Whether a list gave the names, not subfolders.
        undecided: Whether a list gave numbers without saying that they are no names.
        order: All classes of the data set by their numbers, where a file says them.
        columns: The label of each column of the images' rows; none where these are in the network's order.
        boxes: The classes of the images' boxes, by their places, where these have names.
        box_numbers: The file's own numbers of them, where it has numbers.
    """

    names: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    listed: bool = False
    undecided: bool = False
    order: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    boxes: tuple[str, ...] = ()
    box_numbers: tuple[int, ...] = ()

    def with_other(self, other: Labelling) -> Labelling:
        """That of the images of both."""
        return Labelling(
            tuple(sorted({*self.names, *other.names})),
            tuple(sorted({*self.empty, *other.empty})),
            self.listed or other.listed,
            self.undecided or other.undecided,
        )


@dataclass(frozen=True)
class Found:
    """The class of each name, and what may be wrong with that, a sentence each."""

    numbers: Mapping[str, int]
    warnings: tuple[str, ...] = ()


def find(given: Labelling, labels: Sequence[str], first: Mapping[str, str]) -> Found:
    """The class of each name.

    Args:
        given: The names, and who gave them.
        labels: The network's, or what stands for them (:func:`edgeeff.labels.placeholders`).
        first: Where a name stands first, for the message.

    Raises:
        LabelsError: A name is no class of the network, or more than one.
    """
    names = given.names
    places = {label: i for i, label in enumerate(labels)}
    if all(name in places for name in names):
        _refuse_shared(names, labels)
        return Found({name: places[name] for name in names})
    if not given.listed and all(_is_number(name) for name in names):
        return _by_number(names, labels)
    found = _by_synset(names, labels)
    if found is not None:
        return found
    if given.order and not naming.are_known(labels):
        return _by_order(given, labels)
    if not given.listed:
        refuse_splits(names)
    every = sorted({*names, *given.empty})
    if not given.listed and not naming.are_known(labels) and len(every) == len(labels):
        order = {name: i for i, name in enumerate(every)}
        return Found(
            {name: order[name] for name in names},
            (
                f"the network has no labels: its classes are taken to be the {len(every)} subfolders in "
                f"sorted order ({every[0]} is 0, {every[-1]} is {len(every) - 1}), as torchvision's "
                "ImageFolder numbers them. Build with --labels to be certain",
            ),
        )
    raise _unknown(given, labels, first)


def refuse_splits(names: Sequence[str]) -> None:
    """Refuse subfolders that part a set into images to train on and images to judge by.

    Raises:
        LabelsError: They are called so.
    """
    if all(_plain(name) in _SPLITS for name in names):
        raise LabelsError(
            f"subfolders are called {_shown(names)}: these are splits of the images, no classes",
            mend="pass the folder of one split, whose subfolders are the classes",
        )


def _refuse_shared(names: Sequence[str], labels: Sequence[str]) -> None:
    shared = set(naming.duplicates(labels)) & set(names)
    if shared:
        raise LabelsError(
            f"the network has more than one class called {sorted(shared)[0]!r}",
            mend="give the classes' numbers instead, or build with --labels that differ",
        )


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _by_number(names: Sequence[str], labels: Sequence[str]) -> Found:
    """Subfolders called 0, 1, … or 0000, 0001, …: a class each, whether or not all are there."""
    numbers = {name: int(name) for name in names}
    last = len(labels) - 1
    beyond = [name for name in names if numbers[name] > last]
    if beyond:
        raise LabelsError(
            f"{_of(beyond, names)} subfolders are no class of the network, whose classes are 0…{last}: "
            f"{_shown(beyond)}",
            mend="number the classes from 0, or name each subfolder after its label",
        )
    if len(set(numbers.values())) < len(names):
        seen: dict[int, str] = {}
        pair = next((seen[n], name) for name, n in numbers.items() if seen.setdefault(n, name) != name)
        raise LabelsError(
            f"subfolders {pair[0]} and {pair[1]} are the same number", mend="let a class have one subfolder"
        )
    refuse_numbers(numbers.values(), labels, "a subfolder called")
    warnings = []
    if not naming.are_known(labels):
        order = sorted(names)
        if len(names) == len(labels) and any(numbers[name] != i for i, name in enumerate(order)):
            moved = next(name for i, name in enumerate(order) if numbers[name] != i)
            warnings.append(
                f"the network has no labels: subfolders are taken as the classes' numbers, {moved} as "
                f"{numbers[moved]}. torchvision's ImageFolder would have numbered it {order.index(moved)}: "
                "if the network was trained so, build with --labels"
            )
    warnings += from_one(numbers.values(), labels, "subfolders are")
    return Found(numbers, tuple(warnings))


def from_one(numbers: Iterable[int], labels: Sequence[str], what: str) -> list[str]:
    """A warning where classes' numbers may count from 1: none is 0, and most others are there."""
    found = sorted(set(numbers))
    if not found or found[0] == 0 or 2 * len(found) <= len(labels):
        return []
    return [
        f"{what} taken as the classes' numbers from 0, and none is 0 ({_shown([str(n) for n in found])}): if "
        "they count from 1, every image has a wrong class"
    ]


def refuse_numbers(numbers: Iterable[int], labels: Sequence[str], what: str) -> None:
    """Refuse a number that is another class's label: nobody can tell which of the two is meant.

    Labels ``0, 1, 10, 11, …`` are what torchvision makes of numbered folders.
    """
    places = {label: i for i, label in enumerate(labels)}
    for number in sorted(set(numbers)):
        place = places.get(str(number), number)
        if place != number:
            raise LabelsError(
                f"{what} {number} may be class number {number}, labelled {labels[number]!r}, or the class "
                f"labelled {str(number)!r}, which is number {place}"
                if number < len(labels)
                else f"{what} {number} is no number of a class, and the label of class {place}",
                mend="name every class by its label; in a list, call the column 'index' or 'name'",
            )


def _by_order(given: Labelling, labels: Sequence[str]) -> Found:
    """The numbers that the data set's own file gives the classes, for a network without labels."""
    if len(given.order) != len(labels):
        raise LabelsError(
            f"the data set has {len(given.order)} classes, and the network {len(labels)}",
            mend="judge the network by the data set that it was trained on",
        )
    places = {name: i for i, name in enumerate(given.order)}
    return Found({name: places[name] for name in given.names})


def _by_synset(names: Sequence[str], labels: Sequence[str]) -> Found | None:
    """Subfolders called n01440764, …, as ImageNet comes; None: they are not."""
    if not all(re.fullmatch(r"n\d{8}", name, re.ASCII) for name in names):
        return None
    synsets = naming.synsets()
    if not all(name in synsets for name in names):
        return None
    order = {synset: i for i, synset in enumerate(synsets)}
    if naming.are_imagenet(labels):
        return Found({name: order[name] for name in names})
    places = {label: i for i, label in enumerate(labels)}
    if all(synsets[name] in places for name in names):
        return Found({name: places[synsets[name]] for name in names})
    if not naming.are_known(labels) and len(labels) == len(synsets):
        return Found(
            {name: order[name] for name in names},
            (
                "the network has no labels: its 1000 classes are taken to be ImageNet's in their usual "
                "order, since the images' classes are ImageNet's synsets. Build with --labels imagenet "
                "to be certain",
            ),
        )
    return None


def _unknown(given: Labelling, labels: Sequence[str], first: Mapping[str, str]) -> LabelsError:
    what = "classes of the list" if given.listed else "subfolders"
    # What is a number may stand beside names by mistake; the other way round is the likelier mistake.
    known = {*labels, *naming.synsets()} if naming.are_imagenet(labels) else {*labels}
    unknown = sorted((name for name in given.names if name not in known), key=lambda n: (_is_number(n), n))
    unknown = unknown or sorted(name for name in given.names if name not in labels)
    if not naming.are_known(labels):
        return LabelsError(
            f"the network's {len(labels)} classes have no labels, so nothing says which of them "
            f"{len(unknown)} {what} are: {_shown(unknown)}",
            mend=f"build with --labels, or call classes by their numbers, 0 to {len(labels) - 1}",
        )
    odd = [name for name in unknown if not _is_number(name)]
    if given.listed and odd and 10 * len(odd) <= len(given.names) == len(unknown):
        return LabelsError(
            f"{first[odd[0]]}: {odd[0]!r} is no class's number, which {len(unknown) - len(odd)} other "
            "classes of the list are",
            mend="give every class by its number from 0, or every class by its label",
        )
    told = []
    for name in unknown[:3]:
        place = f", {first[name]}" if first.get(name) else ""
        told.append(f"{name!r}{place} ({_nearest(name, labels)})")
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    return LabelsError(
        f"{_of(unknown, given.names)} {what} are no class of the network: {', '.join(told)}{more}",
        mend="name every class exactly as its label or, all of them, by their numbers from 0",
    )


def _nearest(name: str, labels: Sequence[str]) -> str:
    """The label that was probably meant, and what differs if it is hard to see."""
    # ImageNet has a crane that is a bird, and one that is a machine.
    same = [label for label in labels if _plain(re.split(r"[,(]", label)[0]) == _plain(name) != _plain(label)]
    if same:
        return f"labels like it: {', '.join(map(repr, same[:4]))}"
    plain: dict[str, str] = {}
    for label in labels:
        plain.setdefault(_plain(label), label)
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.5)
    if not close:
        return "no label is like it"
    label = plain[close[0]]
    if unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", label):
        why = ", the same in another Unicode form"
    elif name.casefold() == label.casefold():
        why = ", which differs in upper and lower case"
    elif _plain(name) == _plain(label):
        why = ", which differs in case, spaces, hyphens or underscores"
    else:
        why = ""
    return f"nearest label: {label!r}{why}"


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFC", name)).strip().casefold()


def _of(some: Sequence[str], whole: Sequence[str]) -> str:
    return f"{len(some)} of {len(whole)}"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
