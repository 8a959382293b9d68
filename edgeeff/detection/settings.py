"""Which boxes of a detector are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edgeeff.detection import numbers

#: Operating threshold of a box's score where nobody says another: what is shown, and what two networks are
#: compared at.
THRESHOLD = 0.3
#: Candidates by the largest logits that are decoded; effdet, automl and EfficientNMS_TRT keep as many.
CANDIDATES = 5000
_KEYS = ("score", "iou", "max_boxes", "across")


@dataclass(frozen=True)
class Nms:
    """Non-maximum suppression: of boxes that overlap, the one with the best score stays.

    Args:
        score: Boxes of a lower score are dropped, 0…1. Average precision wants it low.
        iou: A box is dropped where it overlaps a better one by more than this intersection over union, 0…1.
        max_boxes: Kept of an image at most.
        across: Boxes of all classes drop one another; else only those of one class.
    """

    score: float = 0.01
    iou: float = 0.5
    max_boxes: int = 100
    across: bool = False

    @property
    def floor(self) -> float:
        """The score as a logit."""
        return math.log(self.score / (1 - self.score)) if self.score > 0 else -math.inf

    def to_json(self) -> dict[str, Any]:
        """As plain data, for a manifest."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, data: object) -> Nms:
        """The reverse of :meth:`to_json`.

        Raises:
            ValueError: The data is no such thing.
        """
        said = numbers.section(data, "nms", _KEYS)
        if not isinstance(said["across"], bool):
            raise ValueError(f"across is {said['across']!r:.60}; it must be true or false")
        score = numbers.number(said["score"], "score", 0, 1)
        if score == 1:
            raise ValueError("score is 1, which no box has")
        return cls(
            score=score,
            iou=numbers.number(said["iou"], "iou", 0, 1),
            max_boxes=numbers.whole(said["max_boxes"], "max_boxes", 1, CANDIDATES),
            across=said["across"],
        )
