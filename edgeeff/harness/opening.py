"""What an evaluation runs, opened: bundles, images as each reads them, and what is known of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeeff import tasks
from edgeeff.bundle import Bundle
from edgeeff.errors import MissingRuntimeError, OptionError
from edgeeff.harness import judging, truth
from edgeeff.harness.judging import Group, How, Lane, Reference
from edgeeff.images import ImageSet
from edgeeff.images.survey import Survey, survey
from edgeeff.preprocess import Preprocess


@dataclass(frozen=True)
class Asked:
    """A bundle, with the images and their classes as its network numbers them, and what is known of each."""

    bundle: Bundle
    images: ImageSet
    known: tasks.Truth | None
    looked: Survey


def as_bundle(bundle: Bundle | Path | str) -> Bundle:
    """A bundle, read if only its folder is named."""
    return bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)


def known(bundles: Sequence[Bundle], images: ImageSet, labels: Any) -> list[truth.Known]:
    """What is known of images, for each bundle; ``labels`` as :func:`edgeeff.harness.truth.read` takes them.

    Raises:
        LabelsError: The labels are not those of a network, or not of these images.
    """
    return [truth.read(images, labels, bundle.manifest) for bundle in bundles]


def ask(
    bundles: Sequence[Bundle], floating: Bundle | None, found: Sequence[truth.Known], white: float | None
) -> list[Asked]:
    """The bundles with the images as each of them reads these.

    Args:
        bundles: Those that are judged.
        floating: The float bundle that they are held against, if any.
        found: The images of each, and what is :func:`known` of them.
        white: The value that is white in images of more than 8 bits, instead of a bundle's.

    Raises:
        OptionError: There is nothing to judge by.
    """
    if floating is None and any(facts is None for _, facts in found):
        raise _nothing_to_judge_by({tasks.room(b.manifest.task).TRUTH for b in bundles})
    surveys = _surveys(found[0][0], [bundle.manifest.preprocess.with_white(white) for bundle in bundles])
    return [Asked(b, *facts, looked) for b, facts, looked in zip(bundles, found, surveys, strict=True)]


def lanes_of(asked: Sequence[Asked], floating: Bundle | None, how: How) -> list[Lane | MissingRuntimeError]:
    """A lane for each bundle, or why it cannot run where it is.

    Raises:
        MissingRuntimeError: Not one of them can, or the reference cannot.
    """
    reference = None if floating is None else _reference(asked, floating, how.threads)
    lanes: list[Lane | MissingRuntimeError] = []
    for one in asked:
        try:
            lanes.append(judging.lane(one.bundle, one.known, len(one.images), how, reference))
        except MissingRuntimeError as error:
            lanes.append(error)
    absent = [lane for lane in lanes if isinstance(lane, MissingRuntimeError)]
    if len(absent) == len(lanes):
        raise absent[0]
    return lanes


def _reference(asked: Sequence[Asked], floating: Bundle, threads: int) -> Reference:
    """The float bundle, which runs where it is, so that bundles on all boards are held against the same.

    Where this machine lacks its runtime, it runs on the board of the first bundle that is on one.
    """
    try:
        return Reference(floating, floating.session(threads=threads))
    except MissingRuntimeError:
        boards = [one.bundle.device for one in asked if one.bundle.device is not None]
        if floating.device is not None or not boards:
            raise
    there = floating.on(boards[0])
    return Reference(there, there.session(threads=threads))


def grouped(asked: Sequence[Asked], lanes: Sequence[Lane | MissingRuntimeError]) -> list[Group]:
    """The bundles that see the same pixels, together."""
    groups: dict[Preprocess, Group] = {}
    for one, lane in zip(asked, lanes, strict=True):
        if not isinstance(lane, MissingRuntimeError):
            sees = one.looked.preprocess.unnormalised()
            groups.setdefault(sees, Group(sees, lane.reference)).add(lane)
    return [*groups.values()]


def _surveys(images: ImageSet, preprocesses: Sequence[Preprocess]) -> list[Survey]:
    """How files are read for each preprocessing; they are looked at once for those that read them alike."""
    looked: dict[tuple[object, ...], Survey] = {}
    found = []
    for one in preprocesses:
        key = (one.exif, one.channels, one.white)
        if key not in looked:
            looked[key] = survey(images.pictures, one)
        found.append(replace(looked[key], preprocess=replace(one, white=looked[key].preprocess.white)))
    return found


def _nothing_to_judge_by(truths: set[str]) -> OptionError:
    if truths == {"mask"}:
        return OptionError(
            "there is nothing to judge by: the images have no masks, and no reference is named",
            mend="name the folder of their masks (--masks), put it beside (images/, masks/), list image,mask "
            "in a .csv; or name a float bundle (--reference)",
        )
    if truths == {"boxes"}:
        return OptionError(
            "there is nothing to judge by: the images have no boxes, and no reference is named",
            mend="pass their boxes (COCO's JSON, VOC folder, YOLO .yaml), or a float bundle (--reference)",
        )
    return OptionError(
        "there is nothing to judge by: the images bear no labels, and no reference is named",
        mend="label the images (a folder for each class, a list file, an .npz; boxes as COCO's JSON, VOC's "
        "XML or a YOLO .yaml), or name a float bundle",
    )
