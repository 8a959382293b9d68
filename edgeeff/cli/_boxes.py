"""How the boxes of an image look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeeff.tasks import Prediction

#: Characters of a label, so that a row has 80 at most; JSON has it whole.
_LABEL = 37
_HEAD = f"   {'score':>6} {'left':>7} {'top':>7} {'right':>7} {'bottom':>7}  label"


def shown(prediction: Prediction) -> str:
    """How many boxes there are, and a row for each: score, sides in pixels of the photo, label."""
    boxes = prediction.boxes
    if not boxes:
        return prediction.absent
    rows = []
    for box in boxes:
        sides = " ".join(f"{side:7.1f}" for side in (box.left, box.top, box.right, box.bottom))
        label = " ".join(box.label.split())
        label = label if len(label) <= _LABEL else label[: _LABEL - 1] + "…"
        rows.append(f"   {box.score:6.1%} {sides}  {label}")
    return "\n".join([f"{len(boxes)} box{'es' if len(boxes) > 1 else ''}", _HEAD, *rows])
