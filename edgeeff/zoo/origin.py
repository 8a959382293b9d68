"""Where weights come from, and what that decides: padding, epsilon, preprocessing. Imports no torch.

Two networks of the same tensors can differ in all three, and the wrong preprocessing alone costs up to ten
points of accuracy. Each library's habits stand in its file of ``namings/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from edgeeff.preprocess import Interpolation, Preprocess
from edgeeff.zoo import namings
from edgeeff.zoo.conventions import Conventions
from edgeeff.zoo.spec import ModelSpec

#: What a file's mean and std may be, on pixels of 0…255. A Keras model that scales its pixels twice has a std
#: of 65025: it is what its network was trained on, and nothing else gives its outputs.
_LARGEST = 1e8


@dataclass(frozen=True)
class Alternative:
    """One reading of tensors that could be read in several ways, and the options that ask for it.

    Args:
        what: When it is the right one: what follows "if".
        model: The value of ``--model``; None: the option does not matter.
        padding: The value of ``--padding``; None: likewise.
    """

    what: str
    model: str | None = None
    padding: str | None = None

    @property
    def option(self) -> str:
        """As on the command line."""
        return " ".join(f"--{name} {value}" for name, value in self.asks.items())

    @property
    def asks(self) -> dict[str, str]:
        """The options by name."""
        return {
            name: v for name, v in {"model": self.model, "padding": self.padding}.items() if v is not None
        }


@dataclass(frozen=True)
class Doubt:
    """A guess that may well be wrong: neither the tensors nor the file's name tell.

    Args:
        text: What is not known and what was taken, one sentence without its full stop.
        present: What was taken, with the option that ends the doubt.
        alternatives: What else it may be.
    """

    text: str
    present: Alternative
    alternatives: tuple[Alternative, ...]

    @property
    def warning(self) -> str:
        """The sentence, with the options that settle it."""
        ways = [f"{way.option} if {way.what}" for way in (*self.alternatives, self.present)]
        return f"{self.text}: pass {', or '.join(ways)}"


@dataclass(frozen=True)
class Origin:
    """What a checkpoint's source decides.

    Args:
        source: The library and, where it is known, the variant: shown at every build.
        conventions: Padding and batch normalisation's epsilon.
        preprocess: As the source evaluates it, at its own size.
        assumed: What was assumed, since the file does not say; a sentence each.
        warnings: What of that may well be wrong: a sentence each, which the user must not miss.
        said: What of the preprocessing the checkpoint itself says: names of fields.
        notes: What was chosen, read or left out of it; a phrase each.
        doubt: What images may tell, and a warning where they do not.
    """

    source: str
    conventions: Conventions
    preprocess: Preprocess
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    doubt: Doubt | None = None


def of(
    naming: str, spec: ModelSpec, said: str | None, preprocess: Mapping[str, Any], channels: int = 3
) -> Origin:
    """The origin of a checkpoint.

    Args:
        naming: Whose names its tensors have.
        spec: The network that they are of.
        said: The variant's name as the user, the file, its folder or its own name gives it.
        preprocess: What the file says of preprocessing: any of ``size``, ``mean``, ``std``, ``crop``,
            ``interpolation``, ``squash``, ``exif``, ``white`` and ``letterbox``; it goes
            before the library's habits.
        channels: Of the network's input.
    """
    found: Origin = namings.naming(naming).origin(spec, said)
    told, fields, warnings = taken(found.preprocess, preprocess, channels)
    known = {option for option in ("mean", "crop", "size") if option in fields}
    assumed = tuple(text for text in found.assumed if not any(f"--{option}" in text for option in known))
    return replace(
        found, preprocess=told, assumed=assumed, said=fields, warnings=(*found.warnings, *warnings)
    )


def taken(
    own: Preprocess, given: Mapping[str, Any], channels: int
) -> tuple[Preprocess, tuple[str, ...], tuple[str, ...]]:
    """A library's preprocessing with what a file says of it, for so many channels.

    Returns:
        The preprocessing; the fields that the file says; warnings.
    """
    given = _of_channels(given, channels)
    told = _said(for_channels(own, channels), given)
    guessed = channels != 3 and "mean" not in given
    return told, tuple(given), (guessed_channels(told),) if guessed else ()


def for_channels(preprocess: Preprocess, channels: int) -> Preprocess:
    """A preprocessing of RGB for a network of another number of input channels.

    Grey has the mean of the three, four channels become 0…1: nobody says so, see :func:`guessed_channels`.
    """
    if channels == preprocess.channels:
        return preprocess
    if channels == 1:
        mean, std = (sum(values) / len(values) for values in (preprocess.mean, preprocess.std))
        return replace(preprocess, mean=(mean,), std=(std,))
    return replace(preprocess, mean=(0.0,) * channels, std=(255.0,) * channels)


def _of_channels(given: Mapping[str, Any], channels: int) -> dict[str, Any]:
    """What a file says, for so many channels: one value for all will do, three colours' own will not."""
    said = dict(given)
    for key in ("mean", "std"):
        values = said.get(key)
        if not isinstance(values, tuple | list) or len(values) == channels:
            continue
        if len(values) in (1, 3) and len(set(values)) == 1:
            said[key] = tuple(values[:1]) * channels
        else:
            del said[key]
    if ("mean" in said) != ("std" in said):  # one alone says nothing
        said = {key: value for key, value in said.items() if key not in ("mean", "std")}
    return said


def guessed_channels(preprocess: Preprocess) -> str:
    """The warning that goes with :func:`for_channels`."""
    mean, std = (f"{values[0]:g}" for values in (preprocess.mean, preprocess.std))
    return (
        f"the network takes {preprocess.channels} channel{'s' * (preprocess.channels > 1)}, and how they "
        f"were normalised is said nowhere: mean {mean} and std {std} are a guess; pass --mean and --std"
    )


def _said(own: Preprocess, given: Mapping[str, Any]) -> Preprocess:
    """A file's word for it, where it makes sense: what a file says is never trusted to."""
    changes: dict[str, Any] = {}
    size = given.get("size")
    if _numbers(size, 2, 32, 4096):
        changes["size"] = tuple(int(side) for side in cast(tuple[float, float], size))
    for key, least in (("mean", -_LARGEST), ("std", 1 / _LARGEST)):
        if _numbers(given.get(key), own.channels, least, _LARGEST):
            changes[key] = tuple(float(value) for value in given[key])
    if _numbers((given.get("crop"),), 1, 0.1, 1.0):
        changes["crop"] = float(given["crop"])
    if given.get("interpolation") in get_args(Interpolation):
        changes["interpolation"] = given["interpolation"]
    for key in ("squash", "exif"):
        if isinstance(given.get(key), bool):
            changes[key] = given[key]
    if _numbers((given.get("white"),), 1, 1 / _LARGEST, _LARGEST):
        changes["white"] = float(given["white"])
    if _numbers(given.get("letterbox"), own.channels, 0, 255):
        changes["letterbox"] = tuple(float(value) for value in given["letterbox"])
    return replace(own, **changes)


def _numbers(values: object, count: int, least: float, most: float) -> bool:
    return (
        isinstance(values, tuple | list)
        and len(values) == count
        and all(isinstance(v, int | float) and least <= v <= most for v in values)
    )
