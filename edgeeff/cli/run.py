"""edgeeff run: a bundle on an image, a folder, a video or a camera."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edgeeff.cli import console, options


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle that can run here.")],
    source: Annotated[str, typer.Argument(help="Image, folder, list file, .npz, video, or /dev/video0.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show.")] = 3,
    limit: Annotated[int | None, typer.Option(min=1, help="Images or frames to run at most.")] = None,
    white: options.White = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Classify images, or the frames of a video or camera; results are printed as they come."""
    from edgeeff.bundle import Bundle

    loaded = Bundle.load(bundle)
    session = loaded.session(threads)
    labels = loaded.manifest.labels
    shown = 0
    warnings: list[str] = []
    entries = _pixels(source, loaded.manifest.preprocess.with_white(white), warnings)
    for name, pixels in islice(entries, limit):
        scores = session.infer(pixels[None])[0]
        best = np.argsort(-scores, kind="stable")[:top]
        probabilities = scores if loaded.manifest.softmax else _softmax(scores)
        if json:
            console.json_item(
                {
                    "image": name,
                    "classes": [
                        {
                            "index": int(i),
                            "label": labels[i],
                            "probability": round(float(probabilities[i]), 6),
                        }
                        for i in best
                    ],
                    "warnings": warnings,
                },
                first=shown == 0,
            )
        else:
            console.plain(f"{name}  {', '.join(f'{labels[i]} {probabilities[i]:.1%}' for i in best)}")
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
    pictures = images.open_images(source).pictures
    looked = survey(pictures, preprocess)
    for line in looked.lines:
        console.note(line)
    warnings += looked.warnings
    for warning in warnings:
        console.warn(warning)
    preprocess = looked.preprocess
    for picture in pictures:
        yield str(picture), preprocess.fit(images.decode(picture, preprocess))


def _softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
