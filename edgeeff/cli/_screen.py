"""A picture in a terminal of 24-bit colours: each character is two pixels, one above the other."""

from __future__ import annotations

import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

from edgeeff.cli import streams
from edgeeff.errors import OptionError
from edgeeff.text import clean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

_UPPER_HALF = "▀"
_RESET = "\x1b[0m"
#: Seconds from one picture to the next at least: a terminal takes no more, and an eye sees no more.
_PACE = 1 / 15
#: Lines that are left to what is said of the picture.
_TEXT = 3


class Screen:
    """Where pictures are shown, one in the place of another.

    Raises:
        OptionError: Standard output is no terminal, or one that shows no colours.
    """

    def __init__(self) -> None:
        if not sys.stdout.isatty() or os.environ.get("TERM", "") in ("", "dumb"):
            raise OptionError(
                "--show draws in a terminal, and standard output is none",
                mend="leave --show out; --save FOLDER writes what is seen to files",
            )
        if not streams.is_unicode(sys.stdout):
            raise OptionError(
                f"--show draws in characters that {sys.stdout.encoding} does not have",
                mend="use a UTF-8 locale",
            )
        self._last = 0.0
        self._lines = 0

    def show(self, picture: Image, text: str, *, still: bool = False) -> None:
        """Draw a picture and what is said of it.

        Args:
            picture: Of any size; RGB or grey.
            text: Perhaps of several lines.
            still: No other follows in its place; else those that come too soon are left out.
        """
        now = time.monotonic()
        if not still and now - self._last < _PACE:
            return
        self._last = now
        size = shutil.get_terminal_size()
        rows = max(size.lines - 1, 4)
        said = [clean(line)[: size.columns - 1] for line in text.splitlines()][: max(rows // 3, _TEXT)]
        pixels = fitted(picture, size.columns - 1, 2 * (rows - len(said)))
        lines = [*blocks(pixels), *said]
        # Back to the first line of the picture before, and each line cleared behind what is written.
        back = f"\x1b[{self._lines}F" if self._lines and not still else ""
        sys.stdout.write(back + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        sys.stdout.flush()
        self._lines = len(lines)


def fitted(picture: Image, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A picture's pixels uint8 [H, W, 3], H even, within a width and a height."""
    import numpy as np

    scale = min(width / picture.width, height / picture.height)
    across, down = max(1, round(picture.width * scale)), max(2, round(picture.height * scale) // 2 * 2)
    reduced = picture.convert("RGB") if picture.mode != "RGB" else picture
    return np.asarray(reduced.resize((across, down), reducing_gap=2.0))


def blocks(pixels: npt.NDArray[np.uint8]) -> list[str]:
    """Lines of text that look like pixels uint8 [H, W, 3], H even."""
    lines = []
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        line, last = [], None
        for pair in zip(upper, lower, strict=True):
            if pair != last:
                (r, g, b), (red, green, blue) = last = pair
                line.append(f"\x1b[38;2;{r};{g};{b};48;2;{red};{green};{blue}m")
            line.append(_UPPER_HALF)
        lines.append("".join(line) + _RESET)
    return lines
