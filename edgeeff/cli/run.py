"""edgeeff run: a bundle on an image, a folder, a video or a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from edgeeff.cli import console, options, streams
from edgeeff.errors import EdgeeffError

if TYPE_CHECKING:
    from edgeeff.preprocess import Preprocess
    from edgeeff.video import Tally

#: From an image, with its name, to its line and its JSON.
_Answer: TypeAlias = Callable[[str, Any], tuple[str, dict[str, Any]]]
#: The same of several images' names and their pixels [N, H, W, C].
_Answers: TypeAlias = Callable[[list[str], Any], list[tuple[str, dict[str, Any]]]]


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
    save: Annotated[
        Path | None,
        typer.Option(help="An .npz for the outputs: each by its name [N, …], and the images' names."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Classify images, or the frames of a video or camera; results are printed as they come.

    Damaged parts of a video are skipped, and counted at the end. With --json, images are one list, and
    frames one JSON object a line; the last line says what was skipped. Exit status 1: the video ended early.

    A multilabel network names the labels whose sigmoid is at the threshold or over it. With --save, what was
    answered until an interruption is kept, and nothing where an image cannot be read.
    """
    from edgeeff import video
    from edgeeff.bundle import Bundle
    from edgeeff.saved import Saved

    loaded = Bundle.load(bundle)
    warnings = loaded.plugin_warnings()
    for warning in warnings:
        console.warn(warning)
    with (
        loaded.open(threads=threads, top=top, threshold=threshold, white=white) as predict,
        nullcontext() if save is None else Saved(save) as saved,
    ):
        preprocess = predict.preprocess

        def answers(names: list[str], pixels: Any) -> list[tuple[str, dict[str, Any]]]:
            found = predict.of_pixels(pixels)
            if saved is not None:
                for name, one in zip(names, found, strict=True):
                    saved.add(name, one.outputs)
            return [(one.line(top), predict.meaning.to_json(one)) for one in found]

        if video.is_video(source):
            # A frame is answered when it comes, however many images a run of the bundle takes.
            def answer(name: str, image: Any) -> tuple[str, dict[str, Any]]:
                return answers([name], preprocess.fit(image)[None])[0]

            return _stream(source, answer, limit, turn=preprocess.exif, json=json)
        entries = islice(_pixels(source, preprocess, warnings), limit)
        _photos(_in_runs(entries, loaded.manifest.batch.size), answers, warnings, json=json)
        return 0


def _photos(
    runs: Iterator[list[tuple[str, Any]]], answers: _Answers, warnings: list[str], *, json: bool
) -> None:
    """Results of images; as JSON one list, which is closed however the verb ends."""
    import numpy as np

    shown = 0
    answered = (
        (name, *answer)
        for run in runs
        for (name, _), answer in zip(
            run, answers([name for name, _ in run], np.stack([pixels for _, pixels in run])), strict=True
        )
    )
    try:
        for name, line, data in answered:
            shown += 1
            if json:
                console.json_item({"image": name, **data, "warnings": warnings}, first=shown == 1)
            else:
                console.plain(f"{name}  {line}")
            if streams.nobody_reads():
                break
    except (EdgeeffError, KeyboardInterrupt):
        if json and shown:
            console.json_end(empty=False)
        raise
    if json:
        console.json_end(empty=shown == 0)


def _in_runs(entries: Iterator[tuple[str, Any]], size: int) -> Iterator[list[tuple[str, Any]]]:
    """So many at a time; those before an image that is broken still come."""
    run: list[tuple[str, Any]] = []
    try:
        for entry in entries:
            run.append(entry)
            if len(run) == size:
                yield run
                run = []
    except EdgeeffError:
        if run:
            yield run
        raise
    if run:
        yield run


def _stream(source: str, answer: _Answer, limit: int | None, *, turn: bool, json: bool) -> int:
    """Results of a video's or camera's frames; as JSON one line for each, and one that ends them.

    Returns:
        1 where the source ended before the frames that it says it has, else 0.
    """
    from edgeeff import video

    tally = video.Tally()
    interrupted = False
    try:
        for frame in islice(video.frames(source, tally, turn=turn), limit):
            name = f"{source} frame {frame.number}"
            line, data = answer(name, frame.image)
            if json:
                place = {"image": name, "frame": frame.number, "seconds": frame.seconds}
                console.json_line({**place, "missing": frame.missing, "damaged": frame.damaged, **data})
            else:
                console.plain(f"{name}  {line}")
            if streams.nobody_reads():
                break
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        warnings = tally.warnings(source)
        for warning in warnings:
            console.warn(warning)
        if json and tally.frames:
            console.json_line(_end(source, tally, warnings, interrupted))
    return int(tally.ended_early)


def _end(source: str, tally: Tally, warnings: list[str], interrupted: bool) -> dict[str, Any]:
    """The last line of a stream's JSON."""
    return {
        "source": source,
        "frames": tally.frames,
        "missing_frames": tally.missing,
        "skipped_packets": tally.skipped,
        "damaged_frames": tally.damaged,
        "ended_early": tally.ended_early,
        "interrupted": interrupted,
        "warnings": warnings,
    }


def _pixels(source: str, preprocess: Preprocess, warnings: list[str]) -> Iterator[tuple[str, Any]]:
    """Names and pixels of what is to be classified; a broken image is an error, since it was asked for.

    ``warnings`` is given what holds for all of them before the first.
    """
    from edgeeff import images
    from edgeeff.images.survey import survey

    opened = images.open_images(source)
    looked = survey(opened.pictures, preprocess)
    for line in (*opened.notes, *looked.lines):
        console.note(line)
    found = (*opened.warnings, *looked.warnings)
    warnings += found
    for warning in found:
        console.warn(warning)
    preprocess = looked.preprocess
    for picture in opened.pictures:
        yield str(picture), preprocess.fit(images.decode(picture, preprocess))
