"""The kinds of value that an option may have, and the forms in which each is written.

A value comes from Python, from the command line as text, or from ``edgeeff.toml``. ``read`` takes all three
and gives the one form that a request holds. To add a kind: one more ``Kind(...)`` below.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeeff import regular
from edgeeff.batch import Batch
from edgeeff.errors import OptionError
from edgeeff.pipeline.request.held import Held, are_images, is_network


def as_it_is(value: Any, flag: str) -> Any:
    """Take a value unchanged."""
    del flag
    return value


def nowhere(value: Any, folder: Path) -> Any:
    """A value that is no path, seen from another folder."""
    del folder
    return value


@dataclass(frozen=True)
class Kind:
    """How a value is written.

    Args:
        keyword: Type of the Python keyword, as source text.
        cli: What Typer parses: str, int, float, bool, Path or list[str].
        toml: The type in ``edgeeff.toml``, as pydantic understands it.
        wants: How to write the value, for error messages.
        read: ``read(value, flag)``: the form that a request holds; raises OptionError.
        beside: ``beside(value, folder)``: a relative path in a value, taken from ``folder``.
    """

    keyword: str
    cli: Any
    toml: Any
    wants: str
    read: Callable[[Any, str], Any] = as_it_is
    beside: Callable[[Any, Path], Any] = nowhere


def refuse(value: Any, flag: str, wants: str) -> OptionError:
    """The error for a value that an option cannot have."""
    return OptionError(f"{flag} {value!r:.80}", mend=f"pass {wants}")


def _word(value: Any, flag: str) -> str:
    if not isinstance(value, str):
        wants = "it as checkpoint=" if is_network(value) else "a word"
        raise refuse(value, flag, wants)
    return value


def _flag(value: Any, flag: str) -> bool:
    if not isinstance(value, bool) and type(value).__name__ not in ("bool", "bool_"):  # numpy's
        raise refuse(value, flag, "true or false")
    return bool(value)


def _whole(value: Any, flag: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise refuse(value, flag, "a whole number") from None


def _number(value: Any, flag: str) -> float:
    try:
        if isinstance(value, (bool, str)):
            raise TypeError
        found = float(value)
        if not math.isfinite(found):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise refuse(value, flag, "a number") from None
    return found


def _measure(value: Any, flag: str) -> float | str:
    """A number, or text with its unit, which the budget reads."""
    return value if isinstance(value, str) else _number(value, flag)


def _path(value: Any, flag: str) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise refuse(value, flag, "a path")
    return Path(value)


def _place(value: Any, flag: str) -> str:
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise refuse(value, flag, "a path")
    return str(value)


def _network(value: Any, flag: str) -> str | Held:
    """A path, or a torch module that the program holds."""
    if isinstance(value, Held) or is_network(value):
        return value if isinstance(value, Held) else Held(value)
    return _place(value, flag)


def _images(value: Any, flag: str) -> Path | Held:
    """A path, or images that the program holds."""
    if isinstance(value, Held) or (not isinstance(value, os.PathLike) and are_images(value)):
        return value if isinstance(value, Held) else Held(value)
    return _path(value, flag)


def _names(value: Any, flag: str) -> tuple[str, ...]:
    """Names, or one text with commas between them: ``stem*,blocks.0``."""
    if not isinstance(value, Iterable):
        raise refuse(value, flag, "names")
    found = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else tuple(value)
    if not all(isinstance(part, str) for part in found):
        raise refuse(value, flag, "names")
    if not all(found):
        raise OptionError(f"{value!r} names nothing between two commas", mend="write stem*,blocks.0")
    return found


def _size(value: Any, flag: str) -> tuple[int, int]:
    """Height and width: ``224``, ``"192x256"``, ``(192, 256)``."""
    wants = "224, or 192x256 for height x width"
    if isinstance(value, str):
        parts = value.lower().replace("×", "x").split("x")
        if len(parts) > 2 or not all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts):
            raise OptionError(f"{flag} {value!r:.80}", mend=f"write {wants}")
        value = [int(part) for part in parts]
    sides = list(value) if isinstance(value, Iterable) else [value]
    if len(sides) not in (1, 2):
        raise refuse(value, flag, wants)
    try:
        height, width = (sides * 2)[:2] if len(sides) == 1 else sides
        height, width = operator.index(height), operator.index(width)
    except TypeError:
        raise refuse(value, flag, wants) from None
    if min(height, width) < 32 or max(height, width) > 4096:
        raise OptionError(f"size {height}×{width}", mend="choose 32 to 4096 pixels")
    return height, width


def _frame(value: Any, flag: str) -> tuple[int, int]:
    """Width and height, as cameras say them: ``"1280x720"``, ``(1280, 720)``."""
    wants = "1280x720 for width x height"
    if isinstance(value, str):
        value = value.lower().replace("×", "x").split("x")
        if not all(part.isascii() and part.isdigit() and len(part) < 9 for part in value):
            raise OptionError(f"{flag} {'x'.join(value)!r:.80}", mend=f"write {wants}")
        value = [int(part) for part in value]
    try:
        width, height = map(operator.index, value)
    except (TypeError, ValueError):
        raise refuse(value, flag, wants) from None
    if min(height, width) < 32 or max(height, width) > 4096:
        raise OptionError(f"{flag} {width}×{height}", mend="choose 32 to 4096 pixels")
    return width, height


def _channels(value: Any, flag: str) -> tuple[float, ...]:
    """One value for all channels, or one for each: ``127``, ``"123.7,116.3,103.5"``, ``(127, 127, 127)``."""
    try:
        if isinstance(value, str):
            value = value.split(",")
        found = tuple(map(float, value)) if isinstance(value, Iterable) else (float(value),)
        if not all(map(math.isfinite, found)):
            found = ()
    except (TypeError, ValueError, OverflowError):
        found = ()
    if not found:
        raise OptionError(
            f"{flag}: {value!r:.80} is not one value, or one for each channel",
            mend="write 127 or 123.7,116.3,103.5",
        )
    if len(found) not in (1, 3, 4):
        raise OptionError(
            f"{flag} has {len(found)} values", mend="give one for all channels, or one for each"
        )
    return found


def _letterbox(value: Any, flag: str) -> tuple[float, ...]:
    """A colour, one value for all channels or one for each; ``none`` is no value: no letterbox."""
    if isinstance(value, str) and value.strip().lower() == "none":
        return ()
    if not isinstance(value, str) and isinstance(value, Sequence) and not value:
        return ()
    found = _channels(value, flag)
    if not all(0 <= one <= 255 for one in found):
        raise OptionError(f"{flag} {value!r:.80}", mend="give values of 0…255, or none")
    return found


def _ratios(value: Any, flag: str) -> tuple[tuple[float, float], ...]:
    """Width and height of each shape of anchor: ``1:1,1.4:0.7,0.7:1.4``, or pairs of numbers."""
    wants = "width:height of each shape, as 1:1,1.4:0.7,0.7:1.4"
    parts = [part.split(":") for part in value.split(",")] if isinstance(value, str) else value
    try:
        found = tuple((float(wide), float(high)) for wide, high in parts)
    except (TypeError, ValueError):
        raise refuse(value, flag, wants) from None
    if not found or not all(0.01 <= side <= 100 for pair in found for side in pair):
        raise refuse(value, flag, wants)
    return found


def _labels(value: Any, flag: str) -> Any:
    """A file, ``imagenet``, names, or a mapping: :func:`edgeeff.labels.given` reads it."""
    if isinstance(value, (str, os.PathLike, Mapping)):
        return value
    if not isinstance(value, Iterable):
        raise refuse(value, flag, "a file, names, or a mapping to or from numbers")
    return tuple(value)


def _targets(value: Any, flag: str) -> tuple[Any, ...]:
    alone = isinstance(value, (str, os.PathLike)) or not isinstance(value, Iterable)
    found = (value,) if alone else tuple(value)
    from edgeeff.target import Target

    if not all(isinstance(one, (Target, str, os.PathLike)) and str(one) for one in found):
        raise refuse(value, flag, "names of targets, or paths of TOML files")
    return tuple(one if isinstance(one, Target) else str(one) for one in found)


def _taps(value: Any, flag: str) -> tuple[str, ...]:
    """``8,16,embedding``, or a list: :func:`edgeeff.zoo.taps.read` reads it."""
    from edgeeff.zoo import taps

    one = value if isinstance(value, str) or not isinstance(value, int) else str(value)
    if not isinstance(one, (str, Sequence)) or not all(isinstance(tap, (str, int)) for tap in one):
        raise refuse(value, flag, "strides, embedding, or names of tensors: 8,16,32")
    return taps.read(one)


def _batch(value: Any, flag: str) -> int | str:
    """``4``, ``"dynamic"``, ``"dynamic:16"``."""
    del flag  # the error of a batch names it
    return Batch.read(value).to_json()


def _join(value: Any, folder: Path) -> Any:
    return str(folder / regular.path_of(value))


def _file_or_name(value: Any, folder: Path) -> Any:
    """``camera.toml`` is a file; ``cpu-int8`` is a name."""
    return _join(value, folder) if str(value).endswith(".toml") else value


def _code_or_file(value: Any, folder: Path) -> Any:
    """``best.pt`` and ``train.py:network`` are files; ``package.module:network`` is found by Python."""
    place, _, name = value.rpartition(":")
    if place and name.isidentifier() and not place.endswith(".py") and "/" not in place:
        return value
    return _join(value, folder)


WORD = Kind("str | None", str, str, "a word", _word)
FLAG = Kind("bool", bool, bool, "true or false", _flag)
MAYBE = Kind("bool | None", bool, bool, "true or false", _flag)
WHOLE = Kind("int | None", int, int, "a whole number", _whole)
NUMBER = Kind("float | None", float, float, "a number", _number)
MEASURE = Kind("float | str | None", str, float | str, 'a number, or text with its unit: "3%"', _measure)
PATH = Kind("Path | str | None", Path, str, "a path", _path, _join)
NAMES = Kind("Sequence[str]", str, str | list[str], 'text, or a list: ["stem*", "blocks.0"]', _names)
TAPS = Kind(
    "int | str | Sequence[int | str] | None",
    str,
    int | str | list[int | str],
    "strides, embedding, or names of tensors: 8,16,32",
    _taps,
)
SIZE = Kind(
    "int | tuple[int, int] | str | None",
    str,
    int | str | list[int],
    '224, or "192x256" for height x width',
    _size,
)
FRAME = Kind(
    "tuple[int, int] | str | None",
    str,
    str | list[int],
    '"1280x720" for width x height',
    _frame,
)
CHANNELS = Kind(
    "float | Sequence[float] | None",
    str,
    float | str | list[float],
    "127, or a value for each channel: [123.7, 116.3, 103.5]",
    _channels,
)
LETTERBOX = Kind(
    "float | str | Sequence[float] | None",
    str,
    float | str | list[float],
    "a colour of 0…255: 127, or a value for each channel; or none",
    _letterbox,
)
RATIOS = Kind(
    "str | Sequence[tuple[float, float]] | None",
    str,
    str | list[list[float]],
    "width:height of each shape of anchor: 1:1,1.4:0.7,0.7:1.4",
    _ratios,
)
BATCH = Kind("int | str | None", str, int | str, "a number of images, or dynamic", _batch)
FILE_OR_NAME = Kind("Path | str", str, str, "a name, or the path of a TOML file", _place, _file_or_name)
CHECKPOINT = Kind(
    "Path | str | nn.Module | None", str, str, 'a path, or "module:callable"', _network, _code_or_file
)
IMAGES = Kind(
    "Path | str | Iterable[Any] | Callable[[], Iterable[Any]] | None", Path, str, "a path", _images, _join
)
LABELS = Kind(
    "Path | str | Sequence[str] | Mapping[Any, Any] | None",
    Path,
    str | list[str],
    'a path, "imagenet", "coco", or a list of names',
    _labels,
    lambda value, folder: (
        _join(value, folder) if isinstance(value, str) and value not in ("imagenet", "coco") else value
    ),
)
TARGETS = Kind(
    "Sequence[str | Target]",
    list[str],
    str | list[str],
    'a list of targets: ["cpu-int8", "jetson-int8"]',
    _targets,
    lambda value, folder: [
        _file_or_name(one, folder) for one in ([value] if isinstance(value, str) else value)
    ],
)
