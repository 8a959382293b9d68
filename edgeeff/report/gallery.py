"""Small pictures of the images on which bundles disagree with one another or with the labels."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeeff import regular
from edgeeff.errors import ImageError
from edgeeff.images.decoding import decode
from edgeeff.images.picture import Picture
from edgeeff.preprocess import Preprocess
from edgeeff.report import values
from edgeeff.report.material import Gallery, Material, Photo, Report

if TYPE_CHECKING:
    from edgeeff.harness.accuracy_report import AccuracyReport
    from edgeeff.harness.outcomes import Outcomes

#: Images of a page; the longer side of a picture in pixels; bytes of all pictures of a page.
MOST, _SIDE, _BYTES = 60, 176, 20_000_000

#: From an image's name to the image, or None where it is not to be shown.
Find = Callable[[str], Picture | None]


def of_outcomes(
    reports: Sequence[AccuracyReport], names: Sequence[str], pictures: Sequence[Picture]
) -> Gallery | None:
    """Of evaluations in one pass: where bundles differ; of a lone bundle where it differs from the labels.

    Args:
        reports: Those that ran, with what they decided of each image.
        names: What the page calls their bundles, each another name: two builds may have one.
        pictures: The images that they ran.

    Returns:
        None where nothing is decided, or nothing differs.
    """
    named = zip(names, reports, strict=True)
    ran = [(name, one.outcomes) for name, one in named if one.outcomes is not None]
    if not ran:
        return None
    known = {str(picture): picture for picture in pictures}
    places = [{name: place for place, name in enumerate(outcomes.images)} for _, outcomes in ran]
    first, found = ran[0][1], list[tuple[int, Photo]]()
    for name in dict.fromkeys(first.images):
        said = [(bundle, o, at[name]) for (bundle, o), at in zip(ran, places, strict=True) if name in at]
        decided = {bundle: o.named(int(o.decided[place])) for bundle, o, place in said}
        truth = _truth(first, places[0][name])
        wrong = sum(1 for words in decided.values() if truth and words != truth)
        differ = len({*decided.values()}) > 1
        if differ or (len(ran) == 1 and wrong):
            found.append((-wrong, Photo(name, truth, decided)))
    found.sort(key=lambda one: one[0])  # stable: of equally many the first images first
    photos = _pictured([photo for _, photo in found[:MOST]], known.get)
    return Gallery(tuple(photos), len(found), len(first.images)) if found else None


def of_comparisons(material: Material, folder: Path | None) -> list[Gallery]:
    """Of the JSON of evaluations: the images of their comparisons, with pictures from below a folder.

    Args:
        material: Its reports, of any kind.
        folder: A report may name any file: pictures are taken from here alone. None: no pictures.
    """
    if folder is None:
        return []
    made = []
    for against, group in _by_other(material).items():
        found: dict[str, Photo] = {}
        images, left_out = 0, 0
        for report in group:
            # Of two bundles these may be the same images: it is so many more at least.
            left_out = max(left_out, values.whole(report.data, "comparison", "disagreements_left_out") or 0)
            new, listed = material.shown(report, values.text(report.data, "bundle")), _listed(report)
            images = max(images, values.whole(report.data, "images") or len(listed))
            for one in listed:
                name, said = values.text(one, "image"), {new: values.text(one, "new")}
                photo = Photo(name, values.text(one, "truth"), {against: values.text(one, "old")})
                photo = found.get(name, photo)
                found[name] = replace(photo, decided={**photo.decided, **said})
        photos = sorted(found.values(), key=lambda one: one.truth != one.decided[against])
        if photos:
            shown = tuple(_pictured(photos[:MOST], _below(folder)))
            made.append(Gallery(shown, len(found) + left_out, images, against))
    return made


def missed(galleries: Sequence[Gallery], folder: Path) -> list[str]:
    """What to warn of where a folder of images was named and not all that should be shown were read."""
    photos = [one for shown in galleries for one in shown.photos]
    without = sum(1 for one in photos if not one.picture)
    if not photos:
        return [f"{folder}: no report names images that bundles decide otherwise, so none are shown"]
    if without:
        return [f"{folder}: {without} of {len(photos)} images have no picture: not below it, or not readable"]
    return []


def _listed(report: Report) -> list[Any]:
    return [
        one for one in values.rows(report.data, "comparison", "disagreements") if values.text(one, "image")
    ]


def _by_other(material: Material) -> dict[str, list[Report]]:
    """Reports with images on which a bundle differs from another one, by that one's name."""
    found: dict[str, list[Report]] = {}
    for report in material.reports:
        if _listed(report):
            other = material.shown(report, values.text(report.data, "comparison", "against"))
            found.setdefault(other, []).append(report)
    return found


def _truth(outcomes: Outcomes, place: int) -> str:
    number = int(outcomes.truth[place])
    return outcomes.named(number) if number >= 0 else ""


def _below(folder: Path) -> Find:
    """Images by the names that a report has for them, if they lie below the folder."""
    root = folder.resolve()

    def find(name: str) -> Picture | None:
        if "\0" in name:
            return None
        parts = Path(name).parts
        for path in (Path(name), *(root.joinpath(*parts[-count:]) for count in (3, 2, 1))):
            if regular.is_file(path) and path.resolve().is_relative_to(root):
                return Picture(path)
        return None

    return find


def _pictured(photos: Sequence[Photo], find: Find) -> list[Photo]:
    """The same with pictures, as long as they fit the page, and with the ends of their names."""
    made, left = [], _BYTES
    for photo in photos:
        picture = find(photo.name)
        data = b"" if picture is None else thumbnail(picture)
        left -= len(data)
        shown = "/".join(Path(photo.name).parts[-2:])
        made.append(Photo(shown, photo.truth, photo.decided, data if left >= 0 else b""))
    return made


def thumbnail(picture: Picture) -> bytes:
    """A small JPEG without anything of the file beside its pixels; empty where it cannot be read."""
    size = Preprocess((_SIDE, _SIDE), (0.0,) * 3, (1.0,) * 3, exif=True)
    try:
        image = decode(picture, size)
    except ImageError:
        return b""
    image.thumbnail((_SIDE, _SIDE))
    held = io.BytesIO()
    image.convert("RGB").save(held, "JPEG", quality=78)
    return held.getvalue()
