"""What ``edgeeff run`` does with images: answers, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeeff.cli import _boxes, console
from edgeeff.cli._screen import Screen
from edgeeff.errors import OptionError

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgeeff.images import Picture
    from edgeeff.predictor import Predictor
    from edgeeff.preprocess import Fit
    from edgeeff.streams import Frame
    from edgeeff.tasks import Meaning, Prediction


@dataclass(frozen=True)
class Output:
    """Options of what is shown and kept."""

    top: Annotated[
        int | None,
        typer.Option(min=1, help="Classes to show. Default: 3; all labels, or boxes, that are there."),
    ] = None
    save: Annotated[
        Path | None,
        typer.Option(
            help="An .npz for the outputs: each by its name [N, …], and the images' names. A folder for "
            "photos, or the video, with names, boxes or masks drawn, and for masks; of a stream also an .mp4."
        ),
    ] = None
    show: Annotated[
        bool, typer.Option("--show", help="Draw what is seen in the terminal, in 24-bit colours.")
    ] = False

    def check(self, *, json: bool) -> None:
        """Refuse what contradicts itself.

        Raises:
            OptionError: Pictures and JSON are both to go to standard output.
        """
        if self.show and json:
            raise OptionError("both --show and --json", mend="pass one of them: each wants standard output")


@dataclass(frozen=True)
class Entry:
    """An image to be answered.

    Args:
        name: For messages.
        pixels: As the bundle takes them: uint8 [H, W, C]; of a frame alone, also planes of NV12.
        fit: Where the photo lies in them.
        picture: Its file; None: a frame of a stream.
        photo: The photo, where it is drawn on or shown.
        frame: Where it is one of a stream.
    """

    name: str
    pixels: Any
    fit: Fit
    picture: Picture | None = None
    photo: Image | None = None
    frame: Frame | None = None

    @property
    def image(self) -> Image | None:
        """The photo or frame itself."""
        return self.photo if self.frame is None else self.frame.image


@dataclass(frozen=True)
class Answer:
    """What is said of an image: as the network says it, for a person, and as JSON."""

    prediction: Prediction
    line: str
    data: dict[str, Any]


class Answers:
    """From images to what is said of them.

    Args:
        predict: The bundle, opened.
        top: Names or boxes to show at most.
        warnings: Of the bundle, up to now; new ones are printed and added.
    """

    def __init__(self, predict: Predictor, top: int | None, warnings: list[str]) -> None:
        self.predict, self._top, self.warnings = predict, top, warnings

    def of(self, entries: Sequence[Entry]) -> list[Answer]:
        """Of some images, as many as a run of the bundle takes."""
        import numpy as np

        from edgeeff.predictor import doubts

        pixels = entries[0].pixels
        if isinstance(pixels, np.ndarray):
            pixels = np.stack([entry.pixels for entry in entries]) if len(entries) > 1 else pixels[None]
        found = self.predict.of_pixels(pixels, [entry.fit for entry in entries])
        for text in doubts("the bundle", found, self.predict.meaning):
            if text not in self.warnings:
                console.warn(text)
                self.warnings.append(text)
        return [Answer(one, self._line(one), self.predict.meaning.to_json(one)) for one in found]

    def _line(self, found: Prediction) -> str:
        return found.line(self._top) if found.boxes is None else _boxes.shown(found)


class Kept(ExitStack):
    """Where answers go beside the lines: an .npz of outputs, drawn photos or a drawn video, the terminal.

    Args:
        output: Where to.
        meaning: What the outputs mean.
        stream: The name of the stream that is answered; None: photos are.

    Raises:
        OptionError: What is to be saved or shown cannot be.
        OutputError: It cannot be written.
    """

    def __init__(self, output: Output, meaning: Meaning, stream: str | None) -> None:
        from edgeeff.saved import Saved

        super().__init__()
        self._saved = self._drawings = self._film = None
        self._stream, save = stream is not None, output.save
        self._screen = Screen() if output.show else None
        if save is not None and save.suffix == ".npz":
            self._saved = self.enter_context(Saved(save))
        elif save is not None:
            if not meaning.decides:
                raise OptionError(
                    f"--save {save}: features have no names or boxes that can be drawn",
                    mend=f"keep the outputs: end its name in .npz: {save.stem}.npz",
                )
            from edgeeff.drawings import Drawings, Film

            if stream is not None and save.suffix.lower() == ".mp4":
                if save.resolve() == Path(stream).resolve():
                    raise OptionError(f"--save {save} would replace the source", mend="choose another name")
                self._film = self.enter_context(Film(save))
                return
            drawn = "overlay" if meaning.by_pixel else "labels" if meaning.detection is None else "boxes"
            self._drawings = Drawings(save, drawn)
            if stream is not None:
                self._film = self.enter_context(self._drawings.video(stream))

    @property
    def shows(self) -> bool:
        """Whether answers are shown with their pictures, in the terminal."""
        return self._screen is not None

    @property
    def draws(self) -> bool:
        """Whether the photos themselves are needed."""
        return any(each is not None for each in (self._drawings, self._film, self._screen))

    def add(self, entry: Entry, answer: Answer) -> None:
        """Of one image."""
        from edgeeff.images.drawing import drawn
        from edgeeff.images.mask_picture import png

        found, image = answer.prediction, entry.image if self.draws else None
        if self._saved is not None:
            self._saved.add(entry.name, found.outputs)
        if image is None:
            return
        if self._film is not None:
            self._film.add(drawn(image, found), None if entry.frame is None else entry.frame.seconds)
        elif self._drawings is not None and entry.picture is not None:
            mask = None if found.mask is None else png(found.mask)
            self._drawings.photo(entry.picture, drawn(image, found), mask)
        if self._screen is not None:
            name = entry.name if entry.frame is None else f"frame {entry.frame.number}"
            text = f"{name}  {answer.line}"
            self._screen.show(drawn(image, found), text, still=not self._stream)
