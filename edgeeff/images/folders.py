"""Images of a folder; subfolders of a folder without images of its own are classes.

Links are followed, and each real file is counted once. Whatever is passed over is said: a photo that silently
does not count makes a figure wrong. Documents are a note, all else is a warning.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from edgeeff.images import suffixes
from edgeeff.images.picture import Picture

#: What file managers, notebooks and archives leave behind, besides names that begin with a dot.
_LITTER = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
        *("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"),
    }
)


@dataclass
class Found:
    """What a folder holds.

    Args:
        pictures: Its images, in the order of their names.
        class_names: The subfolders that hold some, where they are classes.
        empty: The subfolders that hold none.
        warnings: What was passed over and may be a photo, or counts otherwise than it seems, a sentence each.
        notes: What was passed over and is none, a sentence each.
        clips: Its videos, where they were asked for.
    """

    pictures: list[Picture]
    class_names: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    clips: tuple[Path, ...] = ()


def read(folder: Path, clips: Collection[str] = ()) -> Found:
    """The images below a folder, and the subfolders that label them.

    Args:
        folder: Where they lie.
        clips: Suffixes of videos that are wanted too; others are passed over.
    """
    walk = _Walk(folder, frozenset(clips))
    walk.run()
    found = _found(folder, walk)
    found.clips = tuple(folder / file for file in sorted(walk.clips))
    return found


def _found(folder: Path, walk: _Walk) -> Found:
    files = sorted(walk.files)
    flat = [file for file in files if len(file.parts) == 1]
    classes = sorted({file.parts[0] for file in files if len(file.parts) > 1})
    empty = tuple(sorted(walk.subfolders - set(classes)))
    warnings, notes = walk.warnings(), tuple(walk.notes())
    if flat or not classes:
        if classes:
            warnings.append(
                f"{folder}: {_count(len(flat), 'image')} beside {_count(len(classes), 'subfolder')} with "
                f"images ({_some(flat)}): so no subfolder is a class, and no image has a label"
            )
        return Found([Picture(folder / file) for file in files], (), (), tuple(warnings), notes)
    if empty:
        warnings.append(f"{folder}: no image in {_count(len(empty), 'subfolder')}: {_some(empty)}")
    numbers = {name: i for i, name in enumerate(classes)}
    pictures = [
        Picture(folder / file, label=numbers[file.parts[0]], class_name=file.parts[0]) for file in files
    ]
    return Found(pictures, tuple(classes), empty, tuple(warnings), notes)


@dataclass
class _Walk:
    """One walk through a folder: first what really lies there, then what links lead to."""

    root: Path
    wanted: frozenset[str] = frozenset()
    clips: list[PurePath] = field(default_factory=list)
    files: list[PurePath] = field(default_factory=list)
    subfolders: set[str] = field(default_factory=set)
    hidden: list[PurePath] = field(default_factory=list)
    documents: list[PurePath] = field(default_factory=list)
    others: list[PurePath] = field(default_factory=list)
    broken: list[PurePath] = field(default_factory=list)
    closed: list[PurePath] = field(default_factory=list)
    twice: list[tuple[PurePath, PurePath]] = field(default_factory=list)
    _seen: dict[str, PurePath] = field(default_factory=dict)
    _links: list[PurePath] = field(default_factory=list)

    def run(self) -> None:
        self._enter(PurePath())
        # A link must not take a photo from the class where the file itself lies. So links come last, and
        # those that lie in what a link leads to after those.
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                self._follow(link)

    def _enter(self, start: PurePath) -> None:
        waiting = [start]
        while waiting:
            place = waiting.pop()
            if self._is_new(os.path.realpath(self.root / place), place):
                waiting += self._list(place)

    def _list(self, place: PurePath) -> list[PurePath]:
        """Sort a folder's content; returns its folders."""
        real = os.path.realpath(self.root / place)
        try:
            with os.scandir(self.root / place) as entries:
                content = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.closed.append(place)
            return []
        below = []
        for entry in content:
            name = place / entry.name
            if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                self.hidden.append(name)
            elif entry.is_symlink():
                self._links.append(name)
            elif entry.is_dir():
                below.append(name)
                self._note_subfolder(name)
            elif entry.is_file() and self._is_taken(name):
                self._take(name, os.path.join(real, entry.name))  # noqa: PTH118 - a Path a file is slow
            else:
                self._pass_over(name)
        return below

    def _follow(self, link: PurePath) -> None:
        path = self.root / link
        try:
            is_dir, is_file = path.is_dir(), path.is_file()
        except OSError:  # a link to itself
            is_dir = is_file = False
        if is_dir:
            self._note_subfolder(link)
            self._enter(link)
        elif not is_file:
            self.broken.append(link)
        elif self._is_taken(link):
            self._take(link, os.path.realpath(path))
        else:
            self._pass_over(link)

    def _is_taken(self, name: PurePath) -> bool:
        return name.suffix.lower() in self.wanted or suffixes.is_readable(name)

    def _pass_over(self, name: PurePath) -> None:
        (self.documents if suffixes.is_document(name) else self.others).append(name)

    def _note_subfolder(self, name: PurePath) -> None:
        if len(name.parts) == 1:
            self.subfolders.add(name.name)

    def _take(self, name: PurePath, real: str) -> None:
        if self._is_new(real, name):
            (self.clips if name.suffix.lower() in self.wanted else self.files).append(name)

    def _is_new(self, real: str, name: PurePath) -> bool:
        first = self._seen.setdefault(real, name)
        if first is not name:
            self.twice.append((name, first))
        return first is name

    def notes(self) -> list[str]:
        """What was passed over and is no photo."""
        if not self.documents:
            return []
        return [f"{self.root}: skipped {_count(len(self.documents), 'document')} ({_some(self.documents)})"]

    def warnings(self) -> list[str]:
        """What was passed over and may be a photo."""
        found = []
        if self.hidden:
            found.append(
                f"skipped {_count(len(self.hidden), 'hidden file', 'folder')} ({_some(self.hidden)})"
            )
        if self.others:
            found.append(_other_files(self.others))
        if self.broken:
            found.append(f"{_count(len(self.broken), 'broken link')}: {_some(self.broken)}")
        if self.closed:
            found.append(f"{_count(len(self.closed), 'folder')} not readable: {_some(self.closed)}")
        # A second link to a folder leads to it once more, so classes are looked at.
        across = [(name, first) for name, first in self.twice if name.parts[:1] != first.parts[:1]]
        within = [name for name, first in self.twice if name.parts[:1] == first.parts[:1]]
        if across:
            pairs = [f"{name} is {first if first.parts else 'the folder itself'}" for name, first in across]
            found.append(
                f"{_count(len(across), 'file', 'folder')} in two places by links, counted in the second of "
                f"each pair alone: {_some(pairs)}"
            )
        if within:
            found.append(f"{_count(len(within), 'link')} to what is counted already: {_some(within)}")
        return [f"{self.root}: {sentence}" for sentence in found]


def _other_files(files: Sequence[PurePath]) -> str:
    counts = Counter(file.suffix.lower() or "without suffix" for file in files)
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(5))
    sentence = f"skipped {_count(len(files), 'file')} that this Pillow reads no images from: {kinds}"
    more = sum(counts.values()) - sum(count for _, count in counts.most_common(5))
    sentence += f", {more} others ({_some(files)})" if more else f" ({_some(files)})"
    if any(suffixes.is_image(file) for file in files):
        sentence += "; convert photos among them to .jpg or .png"
    if any(suffixes.is_video(file) for file in files):
        sentence += "; videos are for edgeeff run, one at a time"
    return sentence


def _count(number: int, *nouns: str) -> str:
    return f"{number} " + " or ".join(f"{noun}{'' if number == 1 else 's'}" for noun in nouns)


def _some(names: Iterable[object]) -> str:
    shown = [str(name) for name in names]
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")
