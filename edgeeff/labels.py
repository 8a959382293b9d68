"""Names of classes: from a text, CSV or JSON file, or ImageNet's; and what they must be.

A file is understood in each of these forms; whatever may be two of them is refused, since a label that is
off by one is wrong at every image:

- text, one label a line: ``tench, Tinca tinca``;
- text where every line has its number, before or after the name: ``0 cat``, ``0: cat``, ``cat,0``;
- CSV with one column, or with a name and a number, with or without a header;
- one quoted label a line, or with a comma behind each, as code writes lists;
- JSON: ``["cat", …]``, ``{"0": "cat", …}``, ``{"cat": 0, …}`` (torchvision's ``class_to_idx``), Keras's
  ``{"0": ["n01440764", "tench"], …}``, or one of them under a usual key (``id2label``); and the same as a
  literal of Python, ``{0: 'tench, Tinca tinca', …}``.
"""

from __future__ import annotations

import ast
import csv
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from edgeeff import regular, text
from edgeeff.errors import LabelsError, MissingFileError

#: What ``--labels`` takes instead of a file for ImageNet's 1000 names.
IMAGENET = "imagenet"
#: And for COCO's 80, at their places among the 90 numbers that COCO has.
COCO = "coco"

_ONE_A_LINE = "write one label a line, in the order of the network's outputs"
_BY_NUMBER = "number the labels 0, 1, … in the order of the network's outputs; or write them as a JSON list"
#: Keys under which training code keeps its labels.
_KEYS = ("id2label", "class_to_idx", "label2id", "classes", "class_names", "label_names", "labels", "names")
#: ``0 cat``, ``0: cat``, ``0. cat``, and ``cat, 0`` and the like.
_NUMBER_FIRST = re.compile(r"\s*(\d+)(?:\s*[,:;=|\t]\s*|\.\s+|\)\s*|\s+-\s+|\s+)(\S.*)", re.ASCII)
_NUMBER_LAST = re.compile(r"(.*?\S)(?:\s*[,:;=|\t]\s*|\s+-\s+|\s+)(\d+)\s*", re.ASCII)
_HEADER = re.compile(
    r"(index|idx|id|number|class|label|name|target|category|code)"
    r"([ _-]?(index|idx|id|number|name|code))?s?",
    re.IGNORECASE,
)


def given(
    labels: Path | str | Sequence[str] | Mapping[Any, Any] | None, classes: int = 0
) -> tuple[str, ...] | None:
    """The labels that a user gave: a file, ``imagenet``, ``coco``, a sequence, or a mapping to or from
    numbers.

    Args:
        labels: What was given.
        classes: The network's, where known: of ``coco`` 80 are without gaps.

    Raises:
        MissingFileError: There is no such file.
        LabelsError: It is not understood or names no class; a label is empty, stands twice or holds a
            line's end.
    """
    if labels is None:
        return None
    if isinstance(labels, (str, Path)):
        if str(labels) == COCO:
            return coco(gaps=classes != len(_coco()))
        found = imagenet() if str(labels) == IMAGENET else read(Path(labels))
    else:
        found = checked(
            tuple(_of_mapping(labels, "labels") if isinstance(labels, Mapping) else labels), "labels"
        )
    if not found:  # Else the checkpoint's would stand in for it without a word.
        origin = labels if isinstance(labels, (str, Path)) else "labels"
        raise LabelsError(
            f"{origin} names no class", mend=f"{_ONE_A_LINE}; without --labels they are the checkpoint's"
        )
    return found


def read(path: Path) -> tuple[str, ...]:
    """The labels of a file.

    Raises:
        MissingFileError: There is no such file.
        LabelsError: It is not understood; a label is empty, stands twice or holds a line's end.
    """
    if not regular.is_file(path):
        raise MissingFileError(
            f"no labels file {path}", mend=f"pass a text file with one label a line, {IMAGENET} or {COCO}"
        )
    suffix = path.suffix.lower()
    lines = text.lines(path, LabelsError)
    whole = "\n".join(lines)
    if suffix == ".json" or _is_json(whole):
        found: Sequence[Any] = _of_json(text.parse_json(whole, path, LabelsError), path)
    elif (literal := _literal(whole, path)) is not None:
        found = _of_json(literal, path)
    elif suffix in (".csv", ".tsv"):
        found = _of_table(lines, path)
    else:
        found = _of_lines(lines, path)
    return checked(found, path)


def checked(labels: Sequence[Any], origin: object) -> tuple[str, ...]:
    """Labels, stripped, each a line of its own and different from all others.

    Raises:
        LabelsError: One is no text, empty, stands twice or holds a line's end.
    """
    stripped = [label.strip() if isinstance(label, str) else label for label in labels]
    for number, label in enumerate(stripped):
        if not isinstance(label, str):
            raise LabelsError(f"{origin}: label {number} is {label!r:.80}, no text", mend=_ONE_A_LINE)
        if not label:
            raise LabelsError(
                f"{origin}: label {number} is empty", mend="give every class a name, or drop the empty line"
            )
        if any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in label):
            raise LabelsError(
                f"{origin}: label {number} holds a control character or a line's end: {label!r:.80}",
                mend="a label is one line of text",
            )
    if twice := duplicates(stripped):
        raise LabelsError(
            f"{origin}: {_named(twice)} stand{'s' if len(twice) == 1 else ''} for more than one class",
            mend=f"ImageNet's labels, no two of them alike, are --labels {IMAGENET}"
            if are_imagenet(stripped)
            else "give every class a name of its own: results of the two could not be told apart",
        )
    return tuple(stripped)


def duplicates(labels: Sequence[str]) -> list[str]:
    """Labels that stand more than once, though they be written in another Unicode form."""
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for label in labels:
        composed = unicodedata.normalize("NFC", label)
        if composed in seen:
            twice[label] = None
        seen.add(composed)
    return list(twice)


def placeholders(classes: int) -> tuple[str, ...]:
    """What stands for labels where nobody knows any; of one class, whether it is there."""
    return ("positive",) if classes == 1 else tuple(f"class {i}" for i in range(classes))


def without_background(names: Sequence[str], classes: int) -> tuple[str, ...]:
    """Labels of a detector's classes, without a first one that is called background and has no output.

    Object Detection API's and torchvision's lists have one, since their classes are counted from 1.
    """
    extra = len(names) == classes + 1 and is_background(names[0])
    return tuple(names[1:] if extra else names)


def is_background(name: str) -> bool:
    """Whether a label says that there is no object."""
    return name.strip().strip("_").lower() in ("background", "bg", "no object", "no_object")


def are_known(labels: Sequence[str]) -> bool:
    """Whether these are names, not :func:`placeholders`."""
    return tuple(labels) != placeholders(len(labels))


@lru_cache(maxsize=1)
def synsets() -> Mapping[str, str]:
    """ImageNet's 1000 classes in the order of all published networks: WordNet's ID and our label.

    The label is the synset's first lemma; where two classes share it, what they are stands after it.
    """
    path = Path(__file__).with_name("imagenet.tsv")
    return dict(line.split("\t") for line in text.lines(path, LabelsError))


def coco(*, gaps: bool = True) -> tuple[str, ...]:
    """COCO's 80 names; with ``gaps`` 90, at the places of COCO's numbers less 1, the others named as such.

    Detectors of 90 classes number them so: COCO dropped ten categories and kept the numbers of the rest.
    """
    if not gaps:
        return tuple(_coco().values())
    return tuple(_coco().get(number, f"(no class {number})") for number in range(1, max(_coco()) + 1))


@lru_cache
def _coco() -> dict[int, str]:
    """COCO's names by their numbers."""
    lines = Path(__file__).with_name("coco.tsv").read_text(encoding="utf-8").splitlines()
    return {int(number): name for number, _, name in (line.partition("\t") for line in lines)}


def imagenet() -> tuple[str, ...]:
    """ImageNet's 1000 labels, in the order of all published networks."""
    return tuple(synsets().values())


def are_imagenet(labels: Sequence[str]) -> bool:
    """Whether labels are ImageNet's 1000 in the usual order, in any of the wordings that go round.

    Wordings agree in three of four names and more; lists in another order agree in none but by chance.
    """
    own = imagenet()
    if len(labels) != len(own):
        return False
    same = sum(_first_word(a) == _first_word(b) for a, b in zip(labels, own, strict=True))
    return 2 * same > len(own)


def _first_word(label: str) -> str:
    return re.split(r"[,(]", re.sub(r"^n\d{8}\s+", "", label))[0].replace("_", " ").strip().casefold()


def _is_json(content: str) -> bool:
    """Whether text is JSON under another name; a first label may well begin with a bracket."""
    if content.lstrip()[:1] not in ("[", "{") or content.rstrip()[-1:] not in ("]", "}"):
        return False
    try:
        text.parse_json(content, "", LabelsError)
    except LabelsError as error:
        return "stands twice" in error.what
    return True


def _literal(content: str, path: Path) -> Any:
    """The list or dict of a text that is a Python literal (nothing of it is run); None: it is not one.

    Raises:
        LabelsError: A key stands twice: Python would take the last.
    """
    if content.lstrip()[:1] not in ("[", "{") or content.rstrip()[-1:] not in ("]", "}"):
        return None
    try:
        value = ast.literal_eval(content.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if isinstance(value, dict):
        body = ast.parse(content.strip(), mode="eval").body
        if isinstance(body, ast.Dict) and len(body.keys) != len(value):
            raise LabelsError(f"{path}: a key stands twice", mend=_BY_NUMBER)
    return value if isinstance(value, dict | list) else None


def _of_json(content: Any, path: Path) -> Sequence[Any]:
    if isinstance(content, Mapping):
        inside = next((content[key] for key in _KEYS if isinstance(content.get(key), list | dict)), None)
        if inside is not None:
            return _of_json(inside, path)
        return _of_mapping(content, path)
    if isinstance(content, list):
        return content
    raise LabelsError(
        f"{path} holds no list of labels", mend='write ["cat", …], {"0": "cat", …} or {"cat": 0, …}'
    )


def _of_mapping(content: Mapping[Any, Any], origin: object) -> Sequence[Any]:
    """Labels by number, or numbers by label: numbers are JSON's where they are values."""
    if content and all(type(value) is int for value in content.values()):
        return _in_order([(number, name) for name, number in content.items()], origin)
    pairs = []
    for key, value in content.items():
        if not (type(key) is int or (isinstance(key, str) and key.isascii() and key.isdigit())):
            raise LabelsError(f"{origin}: {key!r:.80} is no class's number", mend=_BY_NUMBER)
        if isinstance(value, list) and len(value) == 2:  # Keras's [WordNet ID, name]
            value = value[1]
        pairs.append((_whole(key) if isinstance(key, str) else int(key), value))
    return _in_order(pairs, origin)


def _of_lines(lines: Sequence[str], path: Path) -> Sequence[str]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise LabelsError(
                f"{path}, line {number} is empty: is it a class without a name?",
                mend="give every class a name, or drop the empty line",
            )
    bare = _unquoted(lines)
    if bare is not None:
        return bare
    for start, end, what in (("- ", "", "a list of YAML"), ("{", "}", "an object")):
        if lines and all(line.strip().startswith(start) and line.strip().endswith(end) for line in lines):
            raise LabelsError(f"{path}: every line is {lines[0]!r:.60} or the like, {what}", mend=_ONE_A_LINE)
    return _numbered(lines, path) or lines


def _unquoted(lines: Sequence[str]) -> Sequence[str] | None:
    """The labels of lines that code wrote, quoted or with a comma behind each; None: they are not so."""
    commas = len(lines) > 1 and all(line.rstrip().endswith(",") for line in lines[:-1])
    bare = [line.strip().removesuffix(",").rstrip() if commas else line.strip() for line in lines]
    for quote in "\"'":
        if lines and all(len(line) > 2 and line[0] == line[-1] == quote for line in bare):
            return [line[1:-1].replace(2 * quote, quote) for line in bare]
    return bare if commas else None


def _numbered(lines: Sequence[str], path: Path) -> Sequence[str] | None:
    """The labels of lines that all have a number; None: they have not."""
    first = [_NUMBER_FIRST.fullmatch(line) for line in lines]
    if lines and all(first):
        return _in_order([(_whole(m[1]), m[2]) for m in first if m], path)
    last = [_NUMBER_LAST.fullmatch(line) for line in lines]
    if lines and all(last):
        pairs = [(_whole(m[2]), m[1]) for m in last if m]
        # "gate 0", "gate 1" are names; "cat 0", "dog 1" are numbered.
        if not duplicates([name for _, name in pairs]) and _is_complete(n for n, _ in pairs):
            return _in_order(pairs, path)
        if any(re.search(r"[,:;=|\t]\s*\d+\s*$", line) for line in lines):
            return _in_order(pairs, path)
    return None


def _of_table(lines: Sequence[str], path: Path) -> Sequence[str]:
    """The labels of a CSV: its only column, or its names in the order of its numbers."""
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in "".join(lines[:1]) else ","
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error as error:
        raise LabelsError(f"{path} is not CSV: {error}", mend=_ONE_A_LINE) from None
    for number, row in enumerate(rows, 1):
        if not any(row):
            raise LabelsError(f"{path}, row {number} is empty", mend="give every class a name")
    width = len(rows[0]) if rows else 1
    if width > 2 or any(len(row) != width for row in rows):
        raise LabelsError(
            f"{path} does not have one or two columns in every row",
            mend="write one label a row, or number,label; quote a label that holds a comma",
        )
    body = rows[1:] if rows and all(_HEADER.fullmatch(cell) for cell in rows[0]) else rows
    if width == 1:
        return [row[0] for row in body]
    for part in (body, rows[1:]):  # any other first row without a number is a header too
        for column in (0, 1):
            if part and all(row[column].isascii() and row[column].isdigit() for row in part):
                return _in_order([(_whole(row[column]), row[1 - column]) for row in part], path)
    raise LabelsError(
        f"{path} has two columns, and neither is a class's number in every row",
        mend="write number,label; quote a label that holds a comma",
    )


def _whole(digits: str) -> int:
    """A number; of thousands of digits, which Python does not read, the first: no class has such a number."""
    sign, digits = ("-", digits[1:]) if digits[:1] == "-" else ("", digits.removeprefix("+"))
    return int(sign + (digits.lstrip("0")[:18] or "0"))


def _in_order(pairs: Sequence[tuple[int, Any]], origin: object) -> Sequence[Any]:
    """Labels in the order of their numbers.

    Raises:
        LabelsError: The numbers are not each of 0…n − 1, once.
    """
    numbers = {number for number, _ in pairs}
    missing = next((i for i in range(len(pairs)) if i not in numbers), None)
    if missing is not None:
        raise LabelsError(
            f"{origin}: {len(pairs)} labels are numbered {min(numbers)}…{max(numbers)}, "
            f"and {missing} is not among the numbers",
            mend=_BY_NUMBER,
        )
    return [name for _, name in sorted(pairs, key=lambda pair: pair[0])]


def _is_complete(numbers: Iterable[int]) -> bool:
    return all(i == number for i, number in enumerate(sorted(numbers)))


def _named(labels: Sequence[str]) -> str:
    return ", ".join(repr(label) for label in labels[:3]) + (
        f" and {len(labels) - 3} more" if len(labels) > 3 else ""
    )
