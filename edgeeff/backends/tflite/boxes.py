"""Boxes that a file makes itself: what TFLite_Detection_PostProcess puts out, in the one form of a bundle.

Files of other origins (Model Maker, the TF Object Detection API) end in the same operator, but name its
outputs as they like, ``StatefulPartitionedCall:3``, in any order. The operator's own order is fixed, so it is
by that that they are known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

POSTPROCESS = "TFLite_Detection_PostProcess"
#: What the operator makes, in its order, by the names that our files give: [1, M, 4] top, left, bottom and
#: right relative to the input's sides; [1, M]; [1, M]; [1].
NAMES = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")


def outputs(interpreter: Any) -> tuple[int, int, int, int] | None:
    """The tensors of boxes, classes, scores and number that a file puts out; None: it makes no boxes.

    Args:
        interpreter: With its tensors allocated.
    """
    given = {int(tensor["index"]) for tensor in interpreter.get_output_details()}
    for node in interpreter._get_ops_details():
        made = [int(index) for index in node["outputs"]]
        if node["op_name"] == POSTPROCESS and len(made) == 4 and given.issuperset(made):
            return made[0], made[1], made[2], made[3]
    return None


def rows(found: list[npt.NDArray[Any]], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The operator's results as ``detections``: left, top, right, bottom in pixels, score and class.

    Args:
        found: Boxes, classes, scores and number of one run, in this order.
        size: Height and width of the input, pixels.

    Returns:
        float32 [1, M, 6], the best first; behind the number of boxes score 0 and class −1.
    """
    boxes, classes, scores, number = (np.asarray(each, np.float32).reshape(-1) for each in found)
    made = np.zeros((len(scores), 6), np.float32)
    made[:, 5] = -1
    count = int(np.clip(np.nan_to_num(number[0]), 0, len(scores)))
    height, width = size
    corners = boxes.reshape(-1, 4)[:count] * np.array([height, width, height, width], np.float32)
    # The operator leaves what it wrote in an earlier run behind the last box.
    best = np.argsort(-scores[:count], kind="stable")
    made[:count, :4] = corners[best][:, [1, 0, 3, 2]]
    made[:count, 4] = scores[best]
    made[:count, 5] = classes[best]
    return made[None]
