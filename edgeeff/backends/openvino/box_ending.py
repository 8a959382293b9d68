"""A detector's last operators in OpenVINO: from class logits and box codes to boxes, all in float32.

The output ``detections`` is float32 [1, 1, N · boxes, 7], as SSD models have it (Model API's ``SSD``, DL
Streamer's ``detection_output``): image, class, score, and x1, y1, x2, y2 as shares of the input's width and
height. The images' boxes follow one another; behind the last one of a run stands a row whose image is −1.

One NMS for each class is one DetectionOutput, whose output has a fixed size. It parts boxes by their classes
in any case, so one NMS across the classes is NonMaxSuppression over the best score of each anchor. That gives
the same boxes as NMS over all pairs of anchor and class: the pairs of an anchor overlap wholly.

Boxes are chosen by their logits, and only those that are kept become probabilities. A sigmoid of every logit
and a threshold under 0.03, below which OpenVINO 2026 sorts through all scores, would take DetectionOutput of
49104 anchors and 90 classes 25 ms and not 11. So a constant lifts the logits, the floor to ``_FLOOR``. Nor
are scores near 1, which a float32 no longer tells apart, in another order than their logits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset8
from openvino import opset13 as ops

from edgeeff.backends.tensorrt.device.onboard.boxes import COLUMNS
from edgeeff.detection import Detection
from edgeeff.detection.facts import CODES, DETECTIONS, LOGITS
from edgeeff.detection.settings import CANDIDATES
from edgeeff.errors import GraphError

_FLOOR = 1.0
_LEAST = 1e-6  # a score: nothing less is told from 0


def with_boxes(model: Any, detection: Detection) -> Any:
    """The model with one output, ``detections``, in place of ``class_logits`` and ``box_codes``.

    Raises:
        GraphError: The model has other outputs, or they are of other anchors.
    """
    sources = {output.get_any_name(): output for output in model.outputs}
    anchors = detection.geometry.anchors()
    shapes = {name: [str(side) for side in output.partial_shape][1:] for name, output in sources.items()}
    if set(shapes) != {LOGITS, CODES} or {sides[0] for sides in shapes.values()} != {str(len(anchors))}:
        listed = ", ".join(f"{name} [N, {', '.join(sides)}]" for name, sides in shapes.items())
        raise GraphError(
            f"a detector of {len(anchors)} anchors has {LOGITS} and {CODES}, and this graph {listed}",
            mend="give the anchors that the network was trained with, or build with --nms host",
        )
    logits, codes = (sources[name].get_node().input_value(0) for name in (LOGITS, CODES))
    height, width = detection.geometry.size
    shares = (anchors / np.array([height, width, height, width], np.float32)).astype(np.float32)
    end = _across if detection.nms.across else _per_class
    rows = end(logits, codes, shares, detection)
    rows.set_friendly_name(DETECTIONS)
    rows.output(0).get_tensor().set_names({DETECTIONS})
    return ov.Model([ops.result(rows)], model.get_parameters(), model.get_friendly_name())


def _per_class(logits: Any, codes: Any, anchors: npt.NDArray[np.float32], detection: Detection) -> Any:
    """DetectionOutput: x and y are to it alike, so it takes codes and anchors with y first as they are."""
    nms, lift = detection.nms, _lift(detection)
    attributes = {
        "background_label_id": -1,
        "top_k": CANDIDATES,
        "keep_top_k": [nms.max_boxes],
        "variance_encoded_in_target": True,
        "code_type": "caffe.PriorBoxParameter.CENTER_SIZE",
        "share_location": True,
        "nms_threshold": float(nms.iou),
        "confidence_threshold": _FLOOR,
        "normalized": True,
    }
    flat = _whole(0, -1)
    found = opset8.detection_output(
        ops.reshape(codes, flat, True),
        ops.add(ops.reshape(logits, flat, True), lift),
        anchors.reshape(1, 1, -1),
        attributes,
    )
    head, lifted, corners = ops.variadic_split(found, np.int64(3), _whole(2, 1, 4)).outputs()
    scores = ops.sigmoid(ops.subtract(lifted, lift))
    scores = ops.select(ops.greater(lifted, np.float32(0)), scores, np.float32(0))  # else an empty row
    return ops.concat([head, scores, ops.gather(corners, _whole(1, 0, 3, 2), np.int64(3))], 3)


def _across(logits: Any, codes: Any, anchors: npt.NDArray[np.float32], detection: Detection) -> Any:
    nms, lift = detection.nms, _lift(detection)
    corners = _corners(codes, anchors)  # [N, A, 4], y first
    best = ops.unsqueeze(ops.reduce_max(logits, np.int64(2), False), np.int64(1))  # [N, 1, A]
    found = ops.non_max_suppression(
        corners,
        ops.add(best, lift),
        np.int64(nms.max_boxes),
        np.float32(nms.iou),
        np.float32(_FLOOR),
        box_encoding="corner",
        sort_result_descending=True,
        output_type="i64",
    )
    places = ops.gather(found.output(0), _whole(0, 2), np.int64(1))  # image, anchor
    images = ops.convert(ops.gather(found.output(0), _whole(0), np.int64(1)), "f32")
    classes = ops.topk(ops.gather_nd(logits, places), np.int64(1), 1, "max", "none").output(1)
    lifted = ops.convert(ops.gather(found.output(1), _whole(2), np.int64(1)), "f32")
    scores = ops.sigmoid(ops.subtract(lifted, lift))
    boxes = ops.gather(ops.gather_nd(corners, places), _whole(1, 0, 3, 2), np.int64(1))
    rows = ops.concat([images, ops.convert(classes, "f32"), scores, boxes], 1)
    count = ops.multiply(ops.gather(ops.shape_of(logits), _whole(0), np.int64(0)), _whole(nms.max_boxes))
    empty = np.array([-1.0] + [0.0] * (COLUMNS - 1), np.float32)
    filler = ops.broadcast(empty, ops.concat([count, _whole(COLUMNS)], 0))
    whole = ops.slice(ops.concat([rows, filler], 0), _whole(0), count, _whole(1), _whole(0))
    return ops.unsqueeze(whole, _whole(0, 1))


def _corners(codes: Any, anchors: npt.NDArray[np.float32]) -> Any:
    """Codes [N, A, 4] to corners [N, A, 4]: y1, x1, y2, x2 as shares of the input."""
    sizes = (anchors[:, 2:] - anchors[:, :2])[None]
    centres = ((anchors[:, 2:] + anchors[:, :2]) / 2)[None]
    shifts, stretches = ops.split(codes, np.int64(2), 2).outputs()
    middle = ops.add(ops.multiply(shifts, sizes), centres)
    half = ops.multiply(ops.exp(stretches), sizes / 2)
    return ops.concat([ops.subtract(middle, half), ops.add(middle, half)], 2)


def _lift(detection: Detection) -> Any:
    """What brings a logit at the floor to ``_FLOOR``."""
    floor = max(detection.nms.score, _LEAST)
    return np.float32(_FLOOR - math.log(floor / (1 - floor)))


def _whole(*values: int) -> Any:
    return np.array(values, np.int64)
