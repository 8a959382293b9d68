"""Which boxes of a detector are kept, where its anchors lie, and who makes boxes of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeeff import backends
from edgeeff.batch import Batch
from edgeeff.detection import HOST, RUNTIME, Detection, Nms
from edgeeff.detection.facts import Where
from edgeeff.detection.settings import CANDIDATES
from edgeeff.errors import OptionError
from edgeeff.pipeline.request.parts import Detector
from edgeeff.target import Target
from edgeeff.tasks import Meaning
from edgeeff.zoo.sources import Identity

_WHERE = (RUNTIME, HOST)


def resolve_detector(said: Detector) -> Detector:
    """What the user says of boxes, as far as it makes sense for any detector.

    Raises:
        OptionError: A value makes no sense.
    """
    if said.nms is not None and said.nms not in _WHERE:
        raise OptionError(f"--nms {said.nms!r:.40}", mend=f"choose {' or '.join(_WHERE)}")
    if said.score is not None and not 0 <= said.score < 1:
        raise OptionError(f"--score {said.score:g}", mend="give a score from 0 to below 1, such as 0.01")
    if said.iou is not None and not 0 <= said.iou <= 1:
        raise OptionError(f"--iou {said.iou:g}", mend="give 0 to 1, such as 0.5; at 1 no box is dropped")
    if said.max_boxes is not None and said.max_boxes > CANDIDATES:
        raise OptionError(
            f"--max-boxes {said.max_boxes}", mend=f"give 1 to {CANDIDATES}: no more candidates are decoded"
        )
    if said.anchor_scale is not None and not 0.01 <= said.anchor_scale <= 1000:
        raise OptionError(f"--anchor-scale {said.anchor_scale:g}", mend="give strides, such as 4")
    return said


def resolve_detection(said: Detector, identity: Identity, size: tuple[int, int]) -> Detection | None:
    """A detector's facts, boxes being made on the host (:func:`placed`); None of another network.

    Args:
        said: By the user.
        identity: The network.
        size: Height and width of its input.

    Raises:
        OptionError: Something is said of boxes that the network does not have.
    """
    own = identity.geometry
    if own is None:
        named = [name for name, value in vars(said).items() if value is not None and value is not False]
        given = [f"--{name.replace('_', '-')}" for name in named]
        if given:
            raise OptionError(
                f"{', '.join(given)} for {identity.model}, which finds no boxes",
                mend="leave it out: it is for detectors",
            )
        return None
    ratios = said.anchor_ratios or own.ratios
    if len(ratios) != len(own.ratios):
        raise OptionError(
            f"--anchor-ratios names {len(ratios)} shapes, and the network has {own.at_a_place} anchors at a "
            f"place: {own.octaves} sizes of {len(own.ratios)} shapes",
            mend=f"give {len(own.ratios)} of them, in the order of the network's outputs",
        )
    if len(set(ratios)) != len(ratios):
        raise OptionError(
            "--anchor-ratios names a shape twice: "
            + ",".join(f"{width:g}:{height:g}" for width, height in ratios),
            mend="give each shape of the network once, in the order of its outputs",
        )
    geometry = replace(own, size=size, ratios=ratios, scale=said.anchor_scale or own.scale)
    asked = {"score": said.score, "iou": said.iou, "max_boxes": said.max_boxes, "across": said.nms_across}
    nms = Nms(**{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]
    return Detection(geometry, nms, HOST)


def placed(meaning: Meaning, target: Target, asked: str | None, batch: Batch) -> Meaning:
    """The meaning of a target's artifact: its runtime makes boxes where it can and nobody says otherwise.

    Raises:
        OptionError: The runtime is to make boxes, and cannot.
    """
    if meaning.detection is None:
        return meaning
    absent = backends.runtime(target.runtime).lacks_boxes(meaning.detection.nms, batch)
    if asked == RUNTIME and absent:
        raise OptionError(
            f"{target.name}: --nms runtime, and {absent}", mend="pass --nms host, or leave it out"
        )
    where: Where = HOST if absent or asked == HOST else RUNTIME
    return replace(meaning, detection=replace(meaning.detection, where=where))


def boxes_lines(meaning: Meaning, targets: Sequence[Target], asked: str | None, batch: Batch) -> list[str]:
    """Which boxes are kept and who makes them: shown at every build of a detector.

    Raises:
        OptionError: As :func:`placed`.
    """
    if meaning.detection is None:
        return []
    nms, geometry = meaning.detection.nms, meaning.detection.geometry
    among = "of all classes" if nms.across else "of a class"
    lines = [
        f"boxes    {geometry.count} anchors; scores from {nms.score:g}, at most {nms.max_boxes} an image,\n"
        f"         none that overlaps a better one {among} by an IoU over {nms.iou:g};\n"
        f"         shown from a score of {meaning.threshold:g}"
    ]
    for target in targets:
        found = placed(meaning, target, asked, batch).detection
        if found is not None and found.where == HOST:
            absent = backends.runtime(target.runtime).lacks_boxes(nms, batch)
            why = "as --nms says" if asked else absent
            lines.append(f"boxes    {target.name}: values for each anchor, boxes are made behind it ({why})")
    return lines
