"""What a checkpoint of ``edgeeff finetune`` says of itself, exactly: no guess, and no option at a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeeff.errors import OptionError, UnknownModelError
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import catalog
from edgeeff.zoo.conventions import Conventions

#: Where it stands in the checkpoint, and the schema that this version writes.
KEY, SCHEMA = "edgeeff", 1
_SAID = ("size", "mean", "std", "crop", "interpolation", "squash", "exif", "white", "letterbox")


@dataclass(frozen=True)
class Said:
    """What it says.

    Args:
        preprocess: Fields of :class:`Preprocess`.
        conventions: Padding and epsilon, of a classifier.
        model: The network's name, which no guess is needed for.
        ends_in: ``sigmoid`` where its labels do not exclude each other.
        lines: What a build tells of it.
        warnings: What is there and was not taken.
    """

    preprocess: Mapping[str, Any] = field(default_factory=dict)
    conventions: Conventions | None = None
    model: str | None = None
    ends_in: Literal["", "softmax", "sigmoid"] = ""
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read(content: Any) -> Said | None:
    """What the content of a checkpoint says; None: it is none of ours."""
    held = content.get(KEY) if isinstance(content, Mapping) else None
    if not isinstance(held, Mapping) or type(held.get("schema")) is not int:
        return None
    if held["schema"] > SCHEMA:
        return Said(warnings=("a newer edgeeff wrote it: what it says of preprocessing may not be read",))
    try:
        own = Preprocess.from_json(dict(held["preprocess"]))
        conventions = _conventions(held.get("conventions"))
    except (KeyError, TypeError, ValueError) as error:
        return Said(warnings=(f"what it says of preprocessing is damaged and not taken: {error}"[:200],))
    frozen = " with a frozen trunk" if held.get("trunk") == "frozen" else ""
    return Said(
        preprocess={name: value for name in _SAID if (value := getattr(own, name)) is not None},
        conventions=conventions,
        model=_model(content.get("arch")),
        ends_in="sigmoid" if held.get("task") == "multilabel" else "",
        lines=(f"trained by edgeeff finetune{frozen}",),
    )


def _model(name: Any) -> str | None:
    """The name of a network of the zoo."""
    if not isinstance(name, str) or len(name) > 200:
        return None
    try:
        catalog.get(name)
    except (UnknownModelError, OptionError):
        return None
    return name


def _conventions(data: Any) -> Conventions | None:
    """Of a classifier; a detector's are its own reader's."""
    if not isinstance(data, Mapping) or "backbone" in data:
        return None
    found = Conventions.of({str(key): value for key, value in data.items()})
    static = found.static
    if (
        found.padding not in ("same", "symmetric")
        or found.fused not in (None, "same", "symmetric")
        or not (isinstance(found.epsilon, float) and 0 < found.epsilon < 1)
        or not (
            static is None or (len(static) == 2 and all(type(side) is int and side > 0 for side in static))
        )
    ):
        raise ValueError(f"conventions {dict(data)!r:.80}")
    return found
