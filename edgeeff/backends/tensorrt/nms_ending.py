"""Boxes by ONNX's NonMaxSuppression, which TensorRT's parsers make an INMSLayer of.

The output ``detections`` is float32 [N, boxes, 7]: image, class, score, x1, y1, x2, y2 in pixels of the
input. The rows of a run follow one another, whatever image they are of; behind the last one stands a row
whose image is −1 (``device/onboard/boxes.py`` reads them).

NMS is of one class here, over the best candidates: to keep classes apart, each class's boxes are moved to a
place of their own. TensorRT's TopK gives 3840 at most, where edgeeff's decoding looks at 5000.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from edgeeff.backends.tensorrt.box_endings import Ending, corners_of
from edgeeff.backends.tensorrt.device.onboard.boxes import COLUMNS
from edgeeff.detection import Detection
from edgeeff.detection.facts import CODES, DETECTIONS, LOGITS

#: What ITopKLayer gives at most.
CANDIDATES = 3840


def with_nms(model: onnx.ModelProto, detection: Detection) -> onnx.ModelProto:
    """The graph with the output ``detections``.

    Args:
        model: With float32 outputs ``class_logits`` and ``box_codes``.
        detection: Its anchors, and which boxes are kept.

    Raises:
        GraphError: The graph has other outputs, or they are of other anchors.
    """
    ending, nms = Ending(model, detection), detection.nms
    values, anchors, classes = _best(ending)
    corners = _decoded(ending, anchors)
    single = ending.whole(1)
    boxes = corners if nms.across else _apart(ending, corners, classes)
    chosen = ending.node(
        "NonMaxSuppression",
        [
            boxes,
            ending.node("Unsqueeze", [ending.node("Sigmoid", [values]), single]),
            ending.whole(nms.max_boxes),
            ending.constant(np.array([nms.iou], np.float32)),
            ending.constant(np.array([nms.score], np.float32)),
        ],
    )
    rows = _whole(ending, _rows(ending, chosen, values, classes, corners))
    ending.node("Reshape", [rows, _shape(ending)], DETECTIONS)
    return ending.finished({DETECTIONS: (TensorProto.FLOAT, [nms.max_boxes, COLUMNS])})


def _best(ending: Ending) -> tuple[str, str, str]:
    """Logits, anchors and classes [N, K] of the best candidates.

    The best anchors by their best class come first: all of the best pairs are theirs, and far fewer logits
    are left to be sorted.
    """
    count = ending.detection.geometry.count
    few = min(CANDIDATES, count)
    tops = ending.maximum(LOGITS, 2)
    _, anchors = ending.nodes("TopK", [tops, ending.whole(few)], 2, axis=1)
    own = _taken(ending, LOGITS, anchors)  # [N, few, C]
    flat = ending.node("Reshape", [own, ending.whole(0, few * ending.classes)])
    number = ending.whole(min(CANDIDATES, few * ending.classes))
    values, places = ending.nodes("TopK", [flat, number], 2, axis=1)
    classes = ending.constant(np.int64(ending.classes))
    rows = ending.node("Div", [places, classes])
    own_class = ending.node("Sub", [places, ending.node("Mul", [rows, classes])])
    return values, ending.node("GatherElements", [anchors, rows], axis=1), own_class


def _taken(ending: Ending, source: str, places: str) -> str:
    """[N, K, …] of [N, A, …] by places [N, K]."""
    last = ending.whole(2)
    return ending.node("GatherND", [source, ending.node("Unsqueeze", [places, last])], batch_dims=1)


def _decoded(ending: Ending, anchors: str) -> str:
    centres = ending.detection.geometry.centres()
    codes = _taken(ending, CODES, anchors)
    places, sizes = (
        ending.node("Gather", [ending.constant(part), anchors], axis=0)
        for part in (centres[:, :2], centres[:, 2:])
    )
    return corners_of(ending, codes, places, sizes)


def _apart(ending: Ending, corners: str, classes: str) -> str:
    """Corners, each class's moved beyond those of the class before, as torchvision's batched_nms does."""
    largest = ending.maximum(ending.node("Abs", [corners]), 0, 1, 2)
    apart = ending.node("Mul", [largest, ending.constant(np.float32(2))])
    apart = ending.node("Add", [apart, ending.constant(np.float32(1))])
    shift = ending.node("Mul", [ending.node("Cast", [classes], to=TensorProto.FLOAT), apart])
    return ending.node("Add", [corners, ending.node("Unsqueeze", [shift, ending.whole(2)])])


def _rows(ending: Ending, chosen: str, values: str, classes: str, corners: str) -> str:
    """[M, 7] of the chosen [M, 3]: image, class (0), candidate."""
    first, places = ending.whole(0), ending.whole(0, 2)
    image = ending.node("Cast", [ending.node("Gather", [chosen, first], axis=1)], to=TensorProto.FLOAT)
    place = ending.node("Gather", [chosen, places], axis=1)
    last = ending.whole(1)
    score = ending.node("Sigmoid", [ending.node("GatherND", [values, place])])
    named = ending.node("Cast", [ending.node("GatherND", [classes, place])], to=TensorProto.FLOAT)
    box = ending.node("GatherND", [corners, place])
    box = ending.node("Gather", [box, ending.whole(1, 0, 3, 2)], axis=1)
    columns = [ending.node("Unsqueeze", [column, last]) for column in (named, score)]
    return ending.node("Concat", [image, *columns, box], axis=1)


def _whole(ending: Ending, rows: str) -> str:
    """The rows, and empty ones behind them up to the most there can be."""
    most, zero = ending.detection.nms.max_boxes, ending.whole(0)
    empty = np.array([[-1.0] + [0.0] * (COLUMNS - 1)], np.float32)
    if ending.images:
        count = ending.whole(ending.images * most)
        filler = ending.constant(empty.repeat(ending.images * most, axis=0))
    else:
        images = ending.node("Gather", [ending.node("Shape", [LOGITS]), zero], axis=0)
        count = ending.node("Mul", [images, ending.whole(most)])
        sides = ending.node("Concat", [count, ending.whole(COLUMNS)], axis=0)
        filler = ending.node("Expand", [ending.constant(empty), sides])
    return ending.node("Slice", [ending.node("Concat", [rows, filler], axis=0), zero, count, zero])


def _shape(ending: Ending) -> str:
    return ending.whole(ending.images or -1, ending.detection.nms.max_boxes, COLUMNS)
