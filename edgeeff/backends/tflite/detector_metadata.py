"""What metadata say of a detector's outputs, as MediaPipe's ObjectDetector and the Task Library read them.

Of a file that makes boxes the four outputs by their names. Of one that ends in logits and codes MediaPipe
makes the boxes itself, by anchors that stand in a custom section: with its own way of suppression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgeeff.backends.tflite import tables
from edgeeff.detection import RUNTIME, Detection

_FEATURE, _BOX = 1, 3  # of ContentProperties
_AXIS_LABELS, _VALUE_LABELS = 2, 3  # of AssociatedFileType
_BOUNDARIES = 1  # of BoundingBoxType; the coordinates' type, RATIO, is the default
#: Where left, top, right and bottom stand in a box: top, left, bottom, right is TFLite's order.
_INDEX = np.array([1, 0, 3, 2], np.uint32)
_GROUP = "detection_result"
_SECTION = "DETECTOR_METADATA"


def outputs(detection: Detection, labels: Sequence[str], labels_file: str) -> list[Any]:
    """A table for each output, in the file's order.

    Args:
        detection: The detector's facts.
        labels: One for each class, or none.
        labels_file: The file that holds them.
    """
    files = (lambda kind: [(labels_file, "Labels of the classes", kind)]) if labels else lambda kind: None
    box: Any = (_BOX, (_INDEX, _BOUNDARIES))
    feature: Any = (_FEATURE, ())
    if detection.where != RUNTIME:
        return [
            ("score", "Logit of each class, of each anchor", None, feature, None, None, files(_AXIS_LABELS)),
            ("location", "How each anchor is moved and scaled", None, box, None, None, None),
        ]
    box, feature = ((*content, (np.int32(2), np.int32(2))) for content in (box, feature))
    return [
        ("location", "Boxes, relative to the sides", None, box, None, None, None),
        ("category", "Class of each box", None, feature, None, None, files(_VALUE_LABELS)),
        ("score", "Score of each box", None, feature, None, None, None),
        ("number of detections", "How many boxes there are", None, None, None, None, None),
    ]


def groups(detection: Detection) -> list[Any] | None:
    """Which outputs belong together."""
    return [(_GROUP, ["location", "category", "score"])] if detection.where == RUNTIME else None


def section(detection: Detection, classes: int) -> list[Any] | None:
    """The custom section with the anchors, of a file that ends in logits and codes."""
    if detection.where == RUNTIME:
        return None
    height, width = detection.geometry.size
    centres = detection.geometry.centres() / np.array([height, width, height, width], np.float32)
    anchors = (tables.alike(centres[:, [1, 0, 3, 2]]),)
    one = np.float32(1)
    # Classes, boxes, numbers of a box; no key points, of two numbers each, or MediaPipe stops the program.
    numbers = [np.int32(n) for n in (classes, len(centres), 4, 0, 0, 2)]
    decoding = (*numbers, one, one, one, one, np.bool_(True), np.bool_(True))
    return [(_SECTION, tables.written((None, (anchors,), decoding), b"V001"))]
