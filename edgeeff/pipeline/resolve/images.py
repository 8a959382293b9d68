"""The images of a request: those that the program holds become files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgeeff.calibration.selection import DEFAULT_COUNT
from edgeeff.files import TEMPORARY
from edgeeff.images.spooling import spool
from edgeeff.pipeline.request import BuildRequest
from edgeeff.pipeline.request.held import Held
from edgeeff.progress import Progress


@contextmanager
def in_files(request: BuildRequest, progress: Progress) -> Iterator[BuildRequest]:
    """The same request with paths in place of images that the program holds; they are gone afterwards.

    Of what calibrates no more is written than a build uses. Keys are of the files' content, so that the same
    images are found again in the cache.

    Raises:
        ImageError: Something is no image.
        LabelsError: Labels are neither all numbers nor all names.
        OutputError: The disk is full.
    """
    said = request.images
    parts = {
        "calibration": said.calibration,
        "validation": said.validation,
        "train": request.training.train,
    }
    if not any(isinstance(value, Held) for value in parts.values()):
        yield request
        return
    with TemporaryDirectory(prefix=TEMPORARY, ignore_cleanup_errors=True) as folder:
        changed: dict[str, Any] = {}
        for name, value in parts.items():
            if not isinstance(value, Held):
                continue
            calibrates = name == "calibration"
            count = (said.count or DEFAULT_COUNT) if calibrates else None
            progress.stage(
                f"reading the images of {name}" if name != "train" else "reading the images to train on"
            )
            found = spool(value.value, Path(folder) / name, count=count, seed=said.seed or 0)
            if found.left:
                progress.tell(f"images   {name} is the first {found.count} of an iterable: count takes more")
            changed[name] = found.path
        yield request.changed(**changed)


def paths(request: BuildRequest) -> tuple[Path | None, Path | None]:
    """Where the images are that calibrate, and those that are judged by: :func:`in_files` has seen to it."""
    calibration, validation = request.images.calibration, request.images.validation
    if isinstance(calibration, Held) or isinstance(validation, Held):
        raise TypeError("images that the program holds are written to files first")
    return calibration, validation


def photos_line(count: int) -> str:
    """What a float build says that no images were passed to."""
    return (
        f"verify   on {count} photos of installed packages, since no images were passed (--validation FILES)"
    )
