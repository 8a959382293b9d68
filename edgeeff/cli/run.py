"""edgeeff run: a bundle on an image, a folder, a video or a camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from edgeeff.cli import _boxes, console, on_device, options, streams
from edgeeff.errors import EdgeeffError

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgeeff.images import Picture
    from edgeeff.predictor import Predictor
    from edgeeff.preprocess import Fit, Preprocess
    from edgeeff.streams import Tally
    from edgeeff.tasks import Meaning, Prediction


@dataclass(frozen=True)
class _Entry:
    """An image to be answered.

    Args:
        name: For messages.
        pixels: uint8 [H, W, C], as the network takes them.
        fit: Where the photo lies in them.
        picture: Its file; None: a frame of a video.
        image: The photo, where boxes are drawn on it.
        seconds: Of a frame, from the video's start.
    """

    name: str
    pixels: Any
    fit: Fit
    picture: Picture | None = None
    image: Image | None = None
    seconds: float | None = None


#: From images to their lines and their JSON.
_Answers: TypeAlias = Callable[[list[_Entry]], list[tuple[str, dict[str, Any]]]]


def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle that can run here.")],
    source: Annotated[str, typer.Argument(help="Image, folder, list file, .npz, video, or /dev/video0.")],
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Classes to show. Default: 3; all labels, or boxes, that are there."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Of a label's or box's score, instead of the bundle's.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Images or frames to run at most.")] = None,
    white: options.White = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    save: Annotated[
        Path | None,
        typer.Option(
            help="An .npz for the outputs: each by its name [N, …], and the images' names. Of a detector "
            "also a folder for photos, or the video, with boxes drawn."
        ),
    ] = None,
    device: on_device.Address = None,
    wait: on_device.Wait = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Classify images, or the frames of a video or camera, or find what is in them; results come one by one.

    Damaged parts of a video are skipped, and counted at the end. With --json, images are one list, and
    frames one JSON object a line; the last line says what was skipped. Exit status 1: the video ended early.

    A multilabel network names the labels whose sigmoid is at the threshold or over it; a detector tells each
    box, in pixels of the photo. With --save, what was answered until an interruption is kept, and no .npz and
    no video is written where an image cannot be read.

    With --device images are read and prepared here, and the board computes.
    """
    from edgeeff import streams as video
    from edgeeff.bundle import Bundle
    from edgeeff.harness import where

    loaded = Bundle.load(bundle)
    with on_device.opened(device, wait) as board, ExitStack() as stack:
        loaded = loaded.on(board)
        warnings = [*loaded.plugin_warnings(), *where.class_warnings([loaded])]
        for warning in warnings:
            console.warn(warning)
        opened = loaded.open(threads=threads, top=top, threshold=threshold, white=white)
        predict = stack.enter_context(opened)
        kept = stack.enter_context(_Kept(save, predict.meaning, source))
        answers = partial(_answers, predict, kept, top, warnings)
        if video.is_video(source):
            return _stream(source, predict.preprocess, answers, limit, warnings, json=json)
        entries = islice(_entries(source, predict.preprocess, warnings, whole=kept.draws), limit)
        _photos(_in_runs(entries, loaded.manifest.batch.size), answers, warnings, json=json)
        return 0


def _answers(
    predict: Predictor, kept: _Kept, top: int | None, warnings: list[str], entries: list[_Entry]
) -> list[tuple[str, dict[str, Any]]]:
    """What the network says of some images; each is kept where that was asked for."""
    import numpy as np

    from edgeeff.predictor import doubts

    pixels = np.stack([entry.pixels for entry in entries])
    found = predict.of_pixels(pixels, [entry.fit for entry in entries])
    for text in doubts("the bundle", found, predict.meaning):
        if text not in warnings:
            console.warn(text)
            warnings.append(text)
    for entry, one in zip(entries, found, strict=True):
        kept.add(entry, one)
    lines = [one.line(top) if one.boxes is None else _boxes.shown(one) for one in found]
    return [(line, predict.meaning.to_json(one)) for line, one in zip(lines, found, strict=True)]


class _Kept(ExitStack):
    """Where answers go beside the terminal: an .npz of outputs, or drawn boxes.

    Args:
        save: An .npz, of a detector also a folder; None: nowhere.
        meaning: What the outputs mean.
        source: What is answered.
    """

    def __init__(self, save: Path | None, meaning: Meaning, source: str) -> None:
        from edgeeff import streams as video
        from edgeeff.saved import Saved

        super().__init__()
        self._saved = self._drawings = self._film = None
        if save is None:
            return
        if meaning.detection is None or save.suffix == ".npz":
            self._saved = self.enter_context(Saved(save))
            return
        from edgeeff.drawings import Drawings

        self._drawings = Drawings(save)
        if video.is_video(source):
            self._film = self.enter_context(self._drawings.video(source))

    @property
    def draws(self) -> bool:
        """Whether photos are drawn on."""
        return self._drawings is not None

    def add(self, entry: _Entry, found: Prediction) -> None:
        """Of one image."""
        if self._saved is not None:
            self._saved.add(entry.name, found.outputs)
        if self._film is not None and entry.image is not None and found.boxes is not None:
            self._film.add(entry.image, found.boxes, entry.seconds)
        elif self._drawings is not None and entry.picture and entry.image and found.boxes is not None:
            self._drawings.photo(entry.picture, entry.image, found.boxes)


def _photos(runs: Iterator[list[_Entry]], answers: _Answers, warnings: list[str], *, json: bool) -> None:
    """Results of images; as JSON one list, which is closed however the verb ends."""
    shown = 0
    answered = (
        (entry.name, *answer) for run in runs for entry, answer in zip(run, answers(run), strict=True)
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


def _in_runs(entries: Iterator[_Entry], size: int) -> Iterator[list[_Entry]]:
    """So many at a time; those before an image that is broken still come."""
    run: list[_Entry] = []
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


def _stream(
    source: str,
    preprocess: Preprocess,
    answers: _Answers,
    limit: int | None,
    said: list[str],
    *,
    json: bool,
) -> int:
    """Results of a video's or camera's frames; as JSON one line for each, and one that ends them.

    A frame is answered when it comes, however many images a run of the bundle takes.

    Returns:
        1 where the source ended before the frames that it says it has, else 0.
    """
    from edgeeff import streams as video

    tally = video.Tally()
    interrupted = False
    try:
        for frame in islice(video.frames(source, tally, turn=preprocess.exif), limit):
            name = f"{source} frame {frame.number}"
            entry = _Entry(name, *preprocess.fitted(frame.image), image=frame.image, seconds=frame.seconds)
            ((line, data),) = answers([entry])
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
            console.json_line(_end(source, tally, [*said, *warnings], interrupted))
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


def _entries(source: str, preprocess: Preprocess, warnings: list[str], *, whole: bool) -> Iterator[_Entry]:
    """What is to be answered; a broken image is an error, since it was asked for.

    ``warnings`` is given what holds for all of them before the first; ``whole``: with the photos themselves.
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
        image = images.decode(picture, preprocess)
        yield _Entry(str(picture), *preprocess.fitted(image), picture, image if whole else None)
