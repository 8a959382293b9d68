"""COCO's JSON: images, annotations and categories in one file (``instances_val2017.json``).

https://cocodataset.org/#format-data: boxes are x, y, width and height in pixels; categories have ids of any
kind. A missing ``iscrowd`` is 0, a missing ``area`` the box's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeeff import text
from edgeeff.errors import LabelsError, MissingFileError
from edgeeff.images.annotations import photos
from edgeeff.images.annotations.annotated import Annotated
from edgeeff.images.annotations.truth import Oddities, Rows, number, numbers
from edgeeff.images.picture import Picture
from edgeeff.images.tables import exists

SUFFIXES = (".json",)
_MEND = (
    "pass COCO's instances JSON: images (id, file_name), annotations (image_id, category_id, bbox: x, y, "
    "width, height) and categories (id, name)"
)
#: A width or height of a photo: Pillow reads none larger.
_LARGEST_SIDE = 1 << 24


@dataclass
class _Image:
    """An entry of ``images``."""

    id: int
    name: str
    size: tuple[int, int] | None
    rows: Rows = field(default_factory=Rows)


def read(path: Path, root: Path | None = None) -> Annotated:
    """The photos of a COCO file, with their boxes.

    Args:
        path: The JSON.
        root: The folder that file names are below; None: where such files usually have them.

    Raises:
        MissingFileError: It is no such file, or none of its photos is there.
        LabelsError: It contradicts itself: an id stands for two things, or for none.
    """
    said = text.read_json(path, MissingFileError)
    if not isinstance(said, dict) or not isinstance(said.get("images"), list):
        raise MissingFileError(f"{path} is no COCO file: it has no list of images", mend=_MEND)
    odd = Oddities()
    images = _images(said["images"], path, odd)
    if not images:
        raise MissingFileError(f"{path} names no image", mend=_MEND)
    categories = _categories(said.get("categories"), path)
    notes = _annotations(_list(said, "annotations", path), images, categories, path, odd)
    _refuse_shares(images.values(), path)
    folder = photos.folder_of([one.name for one in images.values()], root, path)
    pictures, absent = [], []
    for one in images.values():
        name = photos.plain(one.name)
        if exists(name, folder):
            pictures.append(Picture(folder / name, boxes=one.rows.truth(one.size)))
        else:
            absent.append(one.name)
    warnings = (*odd.sentences(path), *photos.missing(path, absent, len(images)))
    if not any(one.rows.classes for one in images.values()):
        warnings = (*warnings, f"{path}: no photo has a box")
    names = tuple(name for name in categories.values() if name)
    if len(names) < len(categories):
        names = ()
    return Annotated(pictures, names, tuple(categories), warnings=warnings, notes=notes)


def _refuse_shares(images: Iterable[_Image], path: Path) -> None:
    """Refuse boxes that are shares of their photo, which would be a pixel in its corner.

    Raises:
        LabelsError: There are boxes, and all of them lie within 0…1.
    """
    corners = [box for one in images for box in one.rows.corners]
    if corners and all(0 <= side <= 1 for box in corners for side in box):
        raise LabelsError(
            f"{path}: all boxes lie within 0…1: are these shares of the photo's sides?",
            mend="write pixels (x, y, width, height), as COCO does; YOLO's files are those with shares",
        )


def _list(said: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    found = said.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise MissingFileError(f"{path}: {key} is no list", mend=_MEND)
    return found


def _whole(value: object) -> int | None:
    """An id: a whole number, that some tools write as 3.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62 else None


def _images(entries: Sequence[Any], path: Path, odd: Oddities) -> dict[int, _Image]:
    """The entries of ``images`` by their ids."""
    found: dict[int, _Image] = {}
    by_name: dict[str, int] = {}
    for place, entry in enumerate(entries):
        where = f"image {place}"
        identity = _whole(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if identity is None or not isinstance(name, str) or not name or "\0" in name:
            raise MissingFileError(f"{path}: {where} has no whole id or no file_name", mend=_MEND)
        sides = [_whole(entry.get(side)) for side in ("width", "height")]
        width, height = (s if s is not None and 0 < s < _LARGEST_SIDE else None for s in sides)
        size = (width, height) if width is not None and height is not None else None
        earlier = found.get(identity)
        if earlier is not None and earlier.name != name:
            raise LabelsError(
                f"{path}: two images have the id {identity}: {earlier.name:.60} and {name:.60}",
                mend="give each image an id of its own: which of them a box belongs to cannot be told",
            )
        if earlier is not None:
            odd.note("images stand twice with the same id, and count once", where)
            continue
        if name in by_name:
            raise LabelsError(
                f"{path}: the images {by_name[name]} and {identity} are the same file, {name:.60}",
                mend="let a photo stand once, with all of its boxes",
            )
        by_name[name] = identity
        found[identity] = _Image(identity, name, size)
    return found


def _categories(entries: object, path: Path) -> dict[int, str | None]:
    """The names of the categories by their ids; of ids alone where the file has none."""
    if entries is None:
        return {}
    if not isinstance(entries, list):
        raise MissingFileError(f"{path}: categories is no list", mend=_MEND)
    found: dict[int, str | None] = {}
    for place, entry in enumerate(entries):
        identity = _whole(entry.get("id")) if isinstance(entry, dict) else None
        name = entry.get("name") if isinstance(entry, dict) else None
        if identity is None or not isinstance(name, str | None):
            raise LabelsError(
                f"{path}: category {place} has no whole id, or a name that is no text", mend=_MEND
            )
        named = name.strip() if name else None
        if identity in found and found[identity] != named:
            raise LabelsError(
                f"{path}: two categories have the id {identity}: {found[identity]!r:.60} and {named!r:.60}",
                mend="give each category an id of its own",
            )
        found[identity] = named
    return found


def _annotations(
    entries: Sequence[Any],
    images: Mapping[int, _Image],
    categories: dict[int, str | None],
    path: Path,
    odd: Oddities,
) -> tuple[str, ...]:
    """Give each image its boxes; what is usual to be missing, as notes.

    Raises:
        LabelsError: A box of no image or no category, or one that is no box.
    """
    declared = bool(categories)
    places = {identity: i for i, identity in enumerate(categories)}
    ids: dict[int, Any] = {}
    without = {"iscrowd": 0, "area": 0}
    for place, entry in enumerate(entries):
        where = f"annotation {place}"
        image, category = _owners(entry, images, path, where)
        if category not in places:
            if declared:
                raise LabelsError(
                    f"{path}: {where} is of category {category}, which is none of its categories",
                    mend="complete the list of categories",
                )
            places[category] = len(places)
            categories[category] = None
        identity = _whole(entry.get("id"))
        if identity is not None and identity in ids:
            if ids[identity] == entry:
                odd.note("annotations stand twice, and count once", where)
                continue
            odd.note("annotations have the id of another one, and count all the same", where)
        ids[identity if identity is not None else -1 - (1 << 62) - place] = entry
        _add(entry, image.rows, places[category], without, path, where, odd)
    return tuple(
        f"{path}: {count} of {len(entries)} annotations have no {key}, which is taken to be {meant}"
        for key, count, meant in (
            ("iscrowd", without["iscrowd"], "0"),
            ("area", without["area"], "the box's"),
        )
        if count
    )


def _owners(entry: object, images: Mapping[int, _Image], path: Path, where: str) -> tuple[_Image, int]:
    """The image and the category of an annotation."""
    if not isinstance(entry, dict):
        raise LabelsError(f"{path}: {where} is no object", mend=_MEND)
    image, category = _whole(entry.get("image_id")), _whole(entry.get("category_id"))
    if image is None or category is None:
        raise LabelsError(f"{path}: {where} has no image_id or no category_id", mend=_MEND)
    if image not in images:
        raise LabelsError(
            f"{path}: {where} is of image {image}, which is none of its {len(images)} images",
            mend="take out the annotations of images that are not listed, or list them",
        )
    return images[image], category


def _add(
    entry: Mapping[str, Any],
    rows: Rows,
    cls: int,
    without: dict[str, int],
    path: Path,
    where: str,
    odd: Oddities,
) -> None:
    box = numbers(entry.get("bbox"), 4)
    if box is None:
        raise LabelsError(
            f"{path}: the bbox of {where} is {entry.get('bbox')!r:.60}, and no four finite numbers",
            mend=_MEND,
        )
    x, y, width, height = box
    if width <= 0 or height <= 0:
        odd.note("boxes without an area are left out", where)
        return
    crowd, area = entry.get("iscrowd"), entry.get("area")
    without["iscrowd"] += crowd is None
    if crowd not in (None, 0, 1):
        raise LabelsError(f"{path}: iscrowd of {where} is {crowd!r:.40}", mend="write 0 or 1")
    own = None if area is None else number(area)
    if area is not None and (own is None or own < 0):
        raise LabelsError(f"{path}: the area of {where} is {area!r:.40}", mend="write a number of pixels")
    without["area"] += area is None
    rows.add((x, y, x + width, y + height), cls, crowd=bool(crowd), area=own)
