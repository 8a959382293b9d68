"""VOC's XML: a file for each photo, in ``Annotations`` beside ``JPEGImages``, or beside the photos.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc: pixels count from 1, and the last is within the box.
Many tools write corners from 0; a set that has a 0 anywhere is taken so. Objects that are ``difficult`` are
neither to be seen nor wrong to see. A document type, which could define entities, is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from edgeeff import regular, text
from edgeeff.errors import LabelsError, MissingFileError
from edgeeff.images.annotations import photos
from edgeeff.images.annotations.annotated import Annotated
from edgeeff.images.annotations.truth import Oddities, Rows, number, some
from edgeeff.images.picture import Picture
from edgeeff.images.suffixes import is_readable
from edgeeff.images.tables import exists

#: The folders of a whole set.
ANNOTATIONS, PHOTOS, SPLITS = "Annotations", "JPEGImages", ("ImageSets", "Main")
#: Bytes of the largest file: one of ten thousand objects is smaller.
_LARGEST = 8 << 20
_MEND = "pass a folder whose .xml files are VOC's: annotation, object, name, bndbox (xmin, ymin, xmax, ymax)"
#: What opens a document type; entities are defined in one.
_DOCTYPE = "<!DOCTYPE"


@dataclass(frozen=True)
class _Object:
    """An object of a file."""

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool


@dataclass(frozen=True)
class _File:
    """What an XML file says."""

    path: Path
    photo: str
    size: tuple[int, int] | None
    objects: tuple[_Object, ...]


def files(folder: Path) -> list[Path]:
    """The XML files of a folder of annotations: those in ``Annotations``, else those in it."""
    below = folder / ANNOTATIONS
    place = below if regular.is_folder(below) else folder
    return sorted(p for p in place.iterdir() if p.suffix.lower() == ".xml" and not p.name.startswith("."))


def is_one(folder: Path) -> bool:
    """Whether a folder is a set of VOC's: the first XML file in it that can be read is an annotation.

    One that cannot be read hides no boxes: the set is still one, and reading it refuses that file. So it
    is where no file of a folder ``Annotations`` can be read.
    """
    if not regular.is_folder(folder):
        return False
    try:
        found = files(folder)
    except OSError:
        return False
    for path in found:
        try:
            return _root(path).tag == "annotation"
        except (OSError, MissingFileError):
            continue
    return bool(found) and found[0].parent != folder


def is_split(path: Path) -> bool:
    """Whether a list is one of a set's splits, ``ImageSets/Main/val.txt``: photos without a suffix."""
    return (
        path.suffix.lower() == ".txt"
        and path.parent.parts[-2:] == SPLITS
        and regular.is_folder(path.parents[2] / ANNOTATIONS)
    )


def read_split(path: Path, root: Path | None = None) -> Annotated:
    """The photos of a split.

    Raises:
        MissingFileError, LabelsError: As of :func:`read`; or a photo has no annotation.
    """
    names = [line.split()[0] for line in text.lines(path, MissingFileError) if line.strip()]
    folder = path.parents[2]
    wanted = [folder / ANNOTATIONS / f"{name}.xml" for name in dict.fromkeys(names)]
    absent = [one.name for one in wanted if not exists(one.name, one.parent)]
    if absent:
        raise MissingFileError(
            f"{path}: {len(absent)} of its photos have no file in {ANNOTATIONS} ({some(absent)})",
            mend="list the photos that are annotated",
        )
    return _annotated(folder, wanted, root, ())


def read(folder: Path, root: Path | None = None) -> Annotated:
    """The photos of a folder, with their boxes.

    Args:
        folder: That of the whole set, or that of the XML files.
        root: The photos' folder; None: ``JPEGImages`` beside ``Annotations``, else that of the XML files.

    Raises:
        MissingFileError: A file is no such XML, or none of the photos is there.
        LabelsError: An object has no box.
    """
    parted = folder.joinpath(*SPLITS) if regular.is_folder(folder / ANNOTATIONS) else None
    warnings: tuple[str, ...] = ()
    if parted is not None and any(exists(f"{name}.txt", parted) for name in ("train", "trainval")):
        warnings = (
            f"{folder} has splits, and the photos of all of them are taken, those of train too; "
            f"pass {Path(*SPLITS) / 'val.txt'} for one of them",
        )
    return _annotated(folder, files(folder), root, warnings)


def _annotated(
    folder: Path, paths: Sequence[Path], root: Path | None, warnings: tuple[str, ...]
) -> Annotated:
    odd = Oddities()
    read_files = [_read(path, odd) for path in paths]
    if not read_files:
        raise MissingFileError(f"{folder} holds no .xml file", mend=_MEND)
    names = sorted({one.name for file in read_files for one in file.objects})
    zero = any(min(one.corners[:2]) < 1 for file in read_files for one in file.objects)
    folders = [root] if root is not None else _folders(folder)
    pictures, absent = [], []
    seen: dict[Path, Path] = {}
    for file in read_files:
        place = _photo(file, folders)
        if place is None:
            absent.append(file.photo or file.path.name)
            continue
        if (earlier := seen.setdefault(place, file.path)) != file.path:
            raise LabelsError(
                f"{earlier.name} and {file.path.name} are of the same photo, {place}",
                mend="let a photo have one file",
            )
        pictures.append(Picture(place, boxes=_rows(file, names, zero).truth(file.size)))
    if not pictures:
        raise MissingFileError(
            f"{folder}: not one of the photos of its {len(read_files)} .xml files is there ({some(absent)}); "
            f"looked in {some(folders)}",
            mend="name the folder of the photos with --root (eval), or put the files beside them",
        )
    found = (*warnings, *odd.sentences(folder), *photos.missing(folder, absent, len(read_files)))
    if not names:
        found = (*found, f"{folder}: no photo has a box")
    notes = tuple(_notes(folder, read_files, zero))
    return Annotated(pictures, tuple(names), (), warnings=found, notes=notes)


def _notes(folder: Path, read_files: Iterable[_File], zero: bool) -> list[str]:
    count = sum(one.difficult for file in read_files for one in file.objects)
    found = [f"{folder}: pixels are counted from {0 if zero else 1}"]
    if count:
        found.append(f"{folder}: {count} objects are difficult: neither to be seen nor wrong to see")
    return found


def _folders(folder: Path) -> list[Path]:
    whole = folder if regular.is_folder(folder / ANNOTATIONS) else folder.parent
    return [whole / PHOTOS, whole / "images", folder, whole, folder.parent]


def _photo(file: _File, folders: Sequence[Path]) -> Path | None:
    """The photo of a file: the one that it names, else one that is called as it is."""
    named = photos.plain(file.photo)
    for folder in folders:
        for name in (named, named.rpartition("/")[2]):
            if name and is_readable(name) and exists(name, folder):
                return folder / name
    for folder in folders:
        for suffix in (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp", ".tif", ".tiff"):
            if exists(file.path.stem + suffix, folder):
                return folder / (file.path.stem + suffix)
    return None


def _rows(file: _File, names: Sequence[str], zero: bool) -> Rows:
    places: Mapping[str, int] = {name: i for i, name in enumerate(names)}
    rows, first = Rows(), 0.0 if zero else 1.0
    for one in file.objects:
        x1, y1, x2, y2 = one.corners
        rows.add((x1 - first, y1 - first, x2, y2), places[one.name], crowd=one.difficult)
    return rows


def _root(path: Path) -> ElementTree.Element:
    """The root of an XML file.

    Raises:
        MissingFileError: It is none, or has a document type.
    """
    content = text.read(path, MissingFileError, _LARGEST)
    if _DOCTYPE in content:
        raise MissingFileError(
            f"{path} has a document type (<!DOCTYPE>), which may define entities without end",
            mend="take it out: VOC's files have none",
        )
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise MissingFileError(f"{path} is no XML: {error}", mend=_MEND) from None


def _read(path: Path, odd: Oddities) -> _File:
    root = _root(path)
    if root.tag != "annotation":
        raise MissingFileError(f"{path} is no annotation of VOC's: its root is {root.tag!r:.40}", mend=_MEND)
    sides = [_value(root.find("size"), side) for side in ("width", "height")]
    size = (
        (int(sides[0]), int(sides[1])) if sides[0] and sides[1] and min(s or 0 for s in sides) >= 1 else None
    )
    objects = []
    for place, element in enumerate(root.findall("object")):
        where = f"{path.name}, object {place}"
        name = (element.findtext("name") or "").strip()
        corners = [_value(element.find("bndbox"), side) for side in ("xmin", "ymin", "xmax", "ymax")]
        x1, y1, x2, y2 = (-1.0 if corner is None else corner for corner in corners)
        if not name or None in corners:
            raise LabelsError(f"{path}: object {place} has no name, or no four finite corners", mend=_MEND)
        if x2 < x1 or y2 < y1:
            odd.note("boxes without an area are left out", where)
            continue
        difficult = (element.findtext("difficult") or "0").strip().lower() not in ("", "0", "false")
        objects.append(_Object(name, (x1, y1, x2, y2), difficult))
    return _File(path, (root.findtext("filename") or "").strip(), size, tuple(objects))


def _value(element: ElementTree.Element | None, tag: str) -> float | None:
    said = (element.findtext(tag) or "").strip() if element is not None else ""
    try:
        return number(float(said)) if len(said) < 40 else None
    except ValueError:
        return None
