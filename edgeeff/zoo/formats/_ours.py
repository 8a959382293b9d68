"""What a checkpoint of ``edgeeff finetune`` says of itself, exactly: no guess, and no option at a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edgeeff.detection import Geometry
from edgeeff.errors import OptionError, UnknownModelError
from edgeeff.preprocess import Preprocess
from edgeeff.zoo import catalog
from edgeeff.zoo.conventions import Conventions, is_option
from edgeeff.zoo.detection.conventions import DetectorConventions
from edgeeff.zoo.segmentation.conventions import SegmenterConventions

#: Where it stands in the checkpoint, and the schema that this version writes.
KEY, SCHEMA = "edgeeff", 1
_SAID = ("size", "mean", "std", "crop", "interpolation", "squash", "exif", "white", "letterbox")


@dataclass(frozen=True)
class Said:
    """What it says.

    Args:
        preprocess: Fields of :class:`Preprocess`.
        conventions: Padding and epsilon; of a segmenter its encoder's, or its own.
        geometry: A detector's anchors.
        model: The network's name, which no guess is needed for.
        ends_in: ``sigmoid`` where its labels do not exclude each other.
        negative: What an image is called that has not the only label; empty where it does not say.
        lines: What a build tells of it.
        warnings: What is there and was not taken.
        unsettled: Other values of ``--padding`` that may be meant at other sizes than it was trained at.
    """

    preprocess: Mapping[str, Any] = field(default_factory=dict)
    conventions: Conventions | DetectorConventions | SegmenterConventions | None = None
    geometry: Geometry | None = None
    model: str | None = None
    ends_in: Literal["", "softmax", "sigmoid"] = ""
    negative: str = ""
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()


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
        geometry = None if held.get("geometry") is None else Geometry.from_json(held["geometry"])
    except (KeyError, TypeError, ValueError) as error:
        return Said(warnings=(f"what it says of preprocessing is damaged and not taken: {error}"[:200],))
    frozen = " with a frozen trunk" if held.get("trunk") == "frozen" else ""
    return Said(
        preprocess={name: value for name in _SAID if (value := getattr(own, name)) is not None},
        conventions=conventions,
        geometry=geometry,
        model=_model(content.get("arch")),
        ends_in="sigmoid" if held.get("task") == "multilabel" else "",
        negative=negative if isinstance(negative := held.get("negative"), str) else "",
        lines=(f"trained by edgeeff finetune{frozen}",),
        unsettled=_paddings(held.get("unsettled")),
    )


def _paddings(said: Any) -> tuple[str, ...]:
    return (
        tuple(one for one in said if isinstance(one, str) and is_option(one))
        if isinstance(said, list)
        else ()
    )


def with_negative(labels: tuple[str, ...] | None, said: Said) -> tuple[str, ...] | None:
    """The labels; of a single logit both its sides, as ``--labels`` takes them: the label second."""
    alone = labels is not None and len(labels) == 1 and said.negative not in ("", *labels)
    return (said.negative, *labels) if alone and labels else labels


def _model(name: Any) -> str | None:
    """The name of a network of the zoo."""
    if not isinstance(name, str) or len(name) > 200:
        return None
    try:
        catalog.get(name)
    except (UnknownModelError, OptionError):
        return None
    return name


def _conventions(data: Any) -> Conventions | DetectorConventions | SegmenterConventions | None:
    """Of a classifier or a segmenter's encoder, a detector or a segmenter."""
    if not isinstance(data, Mapping):
        return None
    plain = {str(key): value for key, value in data.items()}
    if "backbone" not in plain:
        return _checked(Conventions.of(plain))
    if "taps" in plain:
        whole = SegmenterConventions.of(plain)
        _checked(whole.backbone)
        if not whole.sensible:
            raise ValueError(f"conventions {plain!r:.80}")
        return whole
    found = DetectorConventions.of(plain)
    _checked(found.backbone)
    known = (("same", "symmetric"), ("nothing", "zeros"), ("up", "down"))
    said = (found.pooling, found.border, found.outputs)
    if any(value not in choices for value, choices in zip(said, known, strict=True)) or not _small(
        found.epsilon
    ):
        raise ValueError(f"conventions {plain!r:.80}")
    return found


def _checked(found: Conventions) -> Conventions:
    static = found.static
    if (
        found.padding not in ("same", "symmetric")
        or found.fused not in (None, "same", "symmetric")
        or not _small(found.epsilon)
        or not (
            static is None or (len(static) == 2 and all(type(side) is int and side > 0 for side in static))
        )
    ):
        raise ValueError(f"conventions {vars(found)!r:.80}")
    return found


def _small(epsilon: object) -> bool:
    return isinstance(epsilon, float) and 0 < epsilon < 1
