"""edgeeff run: a bundle on an image, a folder, a video or a camera."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from edgeeff.cli import console, options

if TYPE_CHECKING:
    from edgeeff.bundle import Manifest
    from edgeeff.tasks import Meaning


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle that can run here.")],
    source: Annotated[str, typer.Argument(help="Image, folder, list file, .npz, video, or /dev/video0.")],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Classes to show. Default: 3; of a multilabel network all labels there."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of a label's probability, instead of the bundle's; for multilabel.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Images or frames to run at most.")] = None,
    white: options.White = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Classify images, or the frames of a video or camera; results are printed as they come.

    A multilabel network names the labels whose sigmoid is at the threshold or over it.
    """
    from edgeeff.bundle import Bundle

    loaded = Bundle.load(bundle)
    manifest = loaded.manifest
    meaning = manifest.meaning.with_threshold(threshold)
    session = loaded.session(threads)
    shown = 0
    warnings: list[str] = []
    entries = _pixels(source, manifest.preprocess.with_white(white), warnings)
    for name, pixels in islice(entries, limit):
        probabilities = meaning.probabilities(session.infer(pixels[None]))[0]
        if json:
            console.json_item(
                {"image": name, **_json(manifest, meaning, probabilities, top), "warnings": warnings},
                first=shown == 0,
            )
        else:
            console.plain(f"{name}  {_line(manifest, meaning, probabilities, top)}")
        shown += 1
    if json:
        console.json_end(empty=shown == 0)


def _pixels(source: str, preprocess: Any, warnings: list[str]) -> Iterator[tuple[str, Any]]:
    """Names and pixels of what is to be classified; a broken image is an error, since it was asked for.

    ``warnings`` is given what holds for all of them before the first.
    """
    from edgeeff import images, video
    from edgeeff.images.survey import survey

    if video.is_video(source):
        for number, frame in enumerate(video.frames(source)):
            yield f"{source} frame {number}", preprocess.fit(frame)
        return
    opened = images.open_images(source)
    looked = survey(opened.pictures, preprocess)
    for line in (*opened.notes, *looked.lines):
        console.note(line)
    warnings += (*opened.warnings, *looked.warnings)
    for warning in warnings:
        console.warn(warning)
    preprocess = looked.preprocess
    for picture in opened.pictures:
        yield str(picture), preprocess.fit(images.decode(picture, preprocess))


def _line(manifest: Manifest, meaning: Meaning, probabilities: Any, top: int | None) -> str:
    """Such as ``cat 97.3 %``; where no label is there, the likeliest with its probability behind it."""
    answers = meaning.answers(probabilities, top)
    if answers:
        return ", ".join(f"{manifest.labels[i]} {probabilities[i]:.1%}" for i in answers)
    best = int(np.argmax(probabilities))
    return f"{_absent(manifest)} ({manifest.labels[best]} {probabilities[best]:.1%})"


def _absent(manifest: Manifest) -> str:
    """What an image is called that has none of the labels."""
    if len(manifest.labels) > 1:
        return "no label"
    return manifest.negative or f"not {manifest.labels[0]}"


def _json(manifest: Manifest, meaning: Meaning, probabilities: Any, top: int | None) -> dict[str, Any]:
    """The likeliest classes; of a multilabel network also which labels are there, and by which threshold."""

    def shown(i: int) -> dict[str, Any]:
        return {"index": i, "label": manifest.labels[i], "probability": round(float(probabilities[i]), 6)}

    if meaning.exclusive:
        return {"classes": [shown(i) for i in meaning.answers(probabilities, top)]}
    answers = meaning.answers(probabilities)
    best = [int(i) for i in np.argsort(-probabilities, kind="stable")[: top or max(len(answers), 3)]]
    return {
        "task": meaning.task,
        "threshold": meaning.threshold,
        "labels": [manifest.labels[i] for i in answers],
        "absent": "" if answers else _absent(manifest),
        "classes": [shown(i) for i in best],
    }
