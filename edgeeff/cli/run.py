"""edgeeff run: a bundle on photos, or on the frames of a video, a camera, a server or a pipe."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeeff.cli import _streaming, console, interrupts, on_device, options, streams
from edgeeff.cli._answering import Answers, Entry, Kept, Output
from edgeeff.cli._streaming import Streaming
from edgeeff.cli.groups import grouped
from edgeeff.errors import EdgeeffError, MissingFileError, OptionError, StreamError

if TYPE_CHECKING:
    from edgeeff.preprocess import Preprocess


@grouped
def command(
    bundle: Annotated[Path, typer.Argument(help="A bundle that can run here.")],
    source: Annotated[
        list[str],
        typer.Argument(
            help="Photos, patterns, folders, lists, .npz; or one stream: a video, /dev/video0, rtsp://…, "
            "http://…, gst:PIPELINE, - (a pipe, with --raw)."
        ),
    ],
    output: Output,
    streaming: Streaming,
    computing: on_device.Computing,
    threshold: Annotated[
        float | None, typer.Option(help="Of a label's or box's score, instead of the bundle's.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Images or frames to run at most.")] = None,
    white: options.White = None,
    device: on_device.Address = None,
    wait: on_device.Wait = 0.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Classify images, or the frames of a stream, or find what is in them; results come one by one.

    Damaged parts of a stream are skipped, and counted at the end; a camera or server that is lost is
    connected to again. With --json, images are one list, and frames one JSON object a line; the last line
    says what was skipped, dropped and lost, and how long a frame took. Exit status 1: a video ended before
    the frames that it says it has; 2: a stream ended or failed that was to go on.

    A multilabel network names the labels whose sigmoid is at the threshold or over it; a detector tells each
    box, in pixels of the photo. With --save, what was answered until an interruption (Ctrl-C, SIGTERM) or the
    loss of a stream is kept, and no .npz and no video is written where an image cannot be read.

    With --device images are read and prepared here, and the board computes.
    """
    from edgeeff.harness import where

    budget, stream = streaming.seconds(), _stream(source, streaming, white)
    output.check(json=json)
    loaded = computing.loaded(bundle)
    lost: StreamError | None = None
    with interrupts.terminated(), on_device.opened(device, wait) as board, ExitStack() as stack:
        loaded = loaded.on(board)
        warnings = [*loaded.plugin_warnings(), *where.class_warnings([loaded])]
        _warn(warnings)
        predict = stack.enter_context(
            loaded.open(threads=computing.threads, top=output.top, threshold=threshold, white=white)
        )
        answers, kept = Answers(predict, output.top, warnings), Kept(output, predict.meaning, stream)
        stack.enter_context(kept)
        if stream is None:
            entries = islice(_entries(source, predict.preprocess, warnings, whole=kept.draws), limit)
            _photos(_in_runs(entries, loaded.manifest.batch.size), answers, kept, json=json)
            return 0
        frames = stack.enter_context(streaming.opened(stream, turn=predict.preprocess.exif))
        lost = _streaming.run(frames, answers, kept, limit, budget, json=json)
    if lost is not None:  # what was answered until then has been written
        raise lost
    return int(frames.tally.ended_early)


def _stream(sources: Sequence[str], streaming: Streaming, white: float | None) -> str | None:
    """The stream that is to be answered; None: these are photos.

    Raises:
        OptionError: A stream beside other sources, or options of streams for photos, or of photos for it.
    """
    from edgeeff.streams import is_stream, open_source

    found = [source for source in sources if is_stream(source, streaming.raw)]
    if pattern := next((s for s in found if glob.has_magic(s) and not Path(s).exists() and glob.glob(s)), ""):  # noqa: PTH207
        raise OptionError(f"{pattern} is a pattern of videos", mend="run one stream at a time, by its name")
    if found and len(sources) > 1:
        raise OptionError(f"{len(sources)} sources, and a stream among them", mend="run one stream at a time")
    if found and white is not None:
        what = "--white is for photos of more than 8 bits, and a stream's frames have 8"
        raise OptionError(what, mend="leave it out")
    if not found:
        if address := next((source for source in sources if "://" in source), None):
            open_source(address).close()  # it says what streams there are
        said = [f.name for f in fields(streaming) if getattr(streaming, f.name) != f.default]
        if said:
            raise OptionError(
                f"--{said[0]} is for streams, and {sources[0]} is none",
                mend="leave it out; streams are videos, cameras, rtsp://, http://, gst: and pipes",
            )
    return found[0] if found else None


def _photos(runs: Iterator[list[Entry]], answers: Answers, kept: Kept, *, json: bool) -> None:
    """Results of images; as JSON one list, which is closed however the verb ends."""
    shown = 0
    try:
        for run in runs:
            for entry, answer in zip(run, answers.of(run), strict=True):
                shown += 1
                kept.add(entry, answer)
                if json:
                    data = {"image": entry.name, **answer.data, "warnings": answers.warnings}
                    console.json_item(data, first=shown == 1)
                elif not kept.shows:
                    console.plain(f"{entry.name}  {answer.line}")
            if streams.nobody_reads():
                break
    except (EdgeeffError, KeyboardInterrupt):
        if json and shown:
            console.json_end(empty=False)
        raise
    if json:
        console.json_end(empty=shown == 0)


def _in_runs(entries: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    """So many at a time; those before an image that is broken still come."""
    run: list[Entry] = []
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


def _paths(sources: Sequence[str]) -> Iterator[str]:
    """The sources, patterns among them as the paths that they match.

    Raises:
        MissingFileError: A pattern matches nothing.
    """
    for source in sources:
        if not glob.has_magic(source) or Path(source).exists():
            yield source
            continue
        found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207  # a pattern may be absolute
        if not found:
            raise MissingFileError(
                f"nothing matches {source}", mend="check the pattern; ** is for folders below folders"
            )
        yield from found


def _entries(
    sources: Sequence[str], preprocess: Preprocess, warnings: list[str], *, whole: bool
) -> Iterator[Entry]:
    """What is to be answered; a broken image is an error, since it was asked for.

    ``warnings`` is given what holds for all of them before the first; ``whole``: with the photos themselves.
    """
    from edgeeff import images
    from edgeeff.images.survey import survey
    from edgeeff.preprocess import converted

    opened = [images.open_images(path) for path in _paths(sources)]
    pictures = [picture for each in opened for picture in each.pictures]
    looked = survey(pictures, preprocess)
    for line in (*(note for each in opened for note in each.notes), *looked.lines):
        console.note(line)
    found = (*(warning for each in opened for warning in each.warnings), *looked.warnings)
    warnings += found
    _warn(found)
    preprocess = looked.preprocess
    if note := converted(preprocess):
        console.note(note)
    for picture in pictures:
        image = images.decode(picture, preprocess)
        yield Entry(str(picture), *preprocess.fitted(image), picture, image if whole else None)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        console.warn(warning)
