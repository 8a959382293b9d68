"""Photos to train on and photos to judge by, from whatever holds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeeff import regular
from edgeeff.errors import OptionError
from edgeeff.images import ImageSet, datasets
from edgeeff.pipeline.context import Context
from edgeeff.recipes import CALIBRATING, JUDGING, open_source, open_to_judge


@dataclass(frozen=True)
class Photos:
    """What was opened.

    Args:
        train: To learn from.
        validation: To judge by; None: a part of ``train`` is to be held out.
    """

    train: ImageSet
    validation: ImageSet | None


def open_photos(source: Path, validation: Path | None, context: Context) -> Photos:
    """Open photos with their labels.

    Args:
        source: A folder with a subfolder for each class, or with ``train`` and ``val`` in it; a list (CSV);
            an .npz; a data set's YAML; a recipe; or a set with boxes.
        validation: Likewise, to judge by. None: what ``source`` says itself, if it does.
        context: Hears what was opened, and watches the files.

    Raises:
        MissingFileError: There is nothing there, or no image in it.
        LabelsError: Labels contradict one another.
        OptionError: A data set does not name its splits.
    """
    described = source.suffix.lower() in datasets.SUFFIXES
    train = _split(source, CALIBRATING)
    if validation is None and (described or train != source):
        judging = _split(source, JUDGING)
        if described:
            judged = _described(source)
        else:
            judged = None if judging == source else open_source(judging)
            if judged is not None:
                context.progress.tell(f"photos   {train} to learn from, {judging} to judge by")
    else:
        judged = None if validation is None else open_source(validation, splits=(*JUDGING, *CALIBRATING))
    found = Photos(open_source(train, splits=CALIBRATING) if described else open_source(train), judged)
    for images in filter(None, (found.train, found.validation)):
        context.watched.add(picture.path for picture in images.pictures)
        for line in images.notes:
            context.progress.tell(line)
        context.warn_all(images.warnings)
    return found


def for_build(source: Path, validation: Path | None) -> tuple[Path, Path | None]:
    """What a build calibrates with and is judged by, of a training on the same photos.

    Args:
        source: As :func:`open_photos` takes it.
        validation: Likewise.
    """
    train = _split(source, CALIBRATING)
    if validation is None and train != source:
        validation = _split(source, JUDGING)
    elif validation is None and source.suffix.lower() in datasets.SUFFIXES:
        validation = source
    if validation is not None and validation.suffix.lower() in datasets.SUFFIXES:
        try:
            open_to_judge(validation)
        except OptionError:  # it names no such split
            validation = None
    return train, validation


def _split(source: Path, names: tuple[str, ...]) -> Path:
    """The part of a folder that holds both; the folder itself where it does not."""
    if not regular.is_folder(source) or not any(regular.is_folder(source / name) for name in CALIBRATING):
        return source
    if not any(regular.is_folder(source / name) for name in JUDGING):
        return source
    return next(source / name for name in (*names, ".") if regular.is_folder(source / name))


def _described(source: Path) -> ImageSet | None:
    """The images that a data set's YAML names to judge by; None where it names none."""
    try:
        return open_source(source, splits=JUDGING)
    except OptionError:
        return None
