"""What a bundle says of a detector: its anchors, which boxes are kept, and who does that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from edgeeff.detection import numbers
from edgeeff.detection.geometry import Geometry
from edgeeff.detection.settings import Nms

#: Who makes boxes of the network's values: the artifact's runtime, or edgeeff (or the product) behind it.
Where: TypeAlias = Literal["runtime", "host"]
RUNTIME: Where = "runtime"
HOST: Where = "host"

#: Outputs of a network, and of an artifact whose boxes are made behind it.
LOGITS, CODES = "class_logits", "box_codes"
#: The output of an artifact whose runtime makes boxes: float32 [N, max_boxes, 6], each left, top, right and
#: bottom in pixels of the input, score and class; empty places have score 0 and class −1.
DETECTIONS = "detections"


@dataclass(frozen=True)
class Detection:
    """A detector's facts.

    Args:
        geometry: Its anchors.
        nms: Which boxes are kept.
        where: Who does it: ``runtime`` or ``host``.
    """

    geometry: Geometry
    nms: Nms = field(default_factory=Nms)
    where: Where = HOST

    def to_json(self) -> dict[str, Any]:
        """The ``detection`` section of a manifest."""
        return {"geometry": self.geometry.to_json(), "nms": self.nms.to_json(), "where": self.where}

    @classmethod
    def from_json(cls, data: object) -> Detection:
        """The reverse of :meth:`to_json`.

        Raises:
            ValueError: The data is no such thing.
        """
        said = numbers.section(data, "detection", ("geometry", "nms", "where"))
        if said["where"] not in get_args(Where):
            raise ValueError(f"where is {said['where']!r:.60}; it must be runtime or host")
        return cls(Geometry.from_json(said["geometry"]), Nms.from_json(said["nms"]), said["where"])

    def outputs(self, classes: int) -> dict[str, tuple[int, ...]]:
        """The artifact's outputs, for one image, of a detector of so many classes."""
        if self.where == RUNTIME:
            return {DETECTIONS: (1, self.nms.max_boxes, 6)}
        count = self.geometry.count
        return {LOGITS: (1, count, classes), CODES: (1, count, 4)}

    def refuse(self, size: Sequence[int], classes: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Hold these facts against what else a manifest says.

        Args:
            size: Height and width of the input, pixels.
            classes: How many there are.
            shapes: Of the artifact's outputs, for one image.

        Raises:
            ValueError: They contradict each other.
        """
        if tuple(size) != self.geometry.size:
            sides = [f"{height} x {width}" for height, width in (size, self.geometry.size)]
            raise ValueError(
                f"the input is {sides[0]} (height x width), detection's anchors are for {sides[1]}"
            )
        wanted = self.outputs(classes)
        if dict(shapes) != wanted:
            listed = [", ".join(f"{n} {list(s)}" for n, s in each.items()) for each in (shapes, wanted)]
            raise ValueError(
                f"outputs {listed[0] or 'none'}; detection with {classes} classes has {listed[1]}"
            )
