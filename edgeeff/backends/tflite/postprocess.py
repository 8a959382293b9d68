"""Boxes made inside the file: TFLite_Detection_PostProcess behind a detector's logits and codes.

The operator is TFLite's own (``tensorflow/lite/kernels/detection_postprocess.cc``), a custom one with its
options as a flexbuffer. It computes in float32 what :mod:`edgeeff.detection` does, on anchors and boxes
relative to the input's sides, but looks at all candidates where that looks at the best 5000. It has no int8
kernel, and int8 scores would be 0 below 0.002, so scores are made of logits in float.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from edgeeff.backends.tflite import RUNTIME
from edgeeff.backends.tflite.boxes import NAMES, POSTPROCESS
from edgeeff.backends.tflite.model import Operator
from edgeeff.backends.tflite.network import Network
from edgeeff.batch import Batch
from edgeeff.detection import Detection
from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.errors import OptionError
from edgeeff.graph.lowering import Tensor


def append(network: Network, outputs: Mapping[str, str], detection: Detection) -> dict[str, str]:
    """Append the operator; the outputs that the file has then, by their names in its signature.

    Args:
        network: The lowered network.
        outputs: The tensors of ``class_logits`` [1, A, C] and ``box_codes`` [1, A, 4], in float32.
        detection: Anchors, and which boxes are kept.

    Raises:
        OptionError: The operator cannot do what is asked.
    """
    logits, codes = (network.tensors[outputs[name]] for name in (LOGITS, CODES))
    _refuse(network, logits, detection)
    scores = network.add("LOGISTIC", [logits], network.tensor("class_scores", logits.shape, "float32"))
    count = detection.nms.max_boxes
    shapes = dict(zip(NAMES, ((1, count, 4), (1, count), (1, count), (1,)), strict=True))
    made = {name: network.tensor(name, shape, "float32").name for name, shape in shapes.items()}
    names = (codes.name, scores.name, _anchors(network, detection).name)
    options = flexbuffers.Dumps(_options(detection, logits.shape[2]))
    network.operators.append(
        Operator(POSTPROCESS, names, tuple(made.values()), None, 1, custom=bytes(options))
    )
    return made


def _anchors(network: Network, detection: Detection) -> Tensor:
    """Centre y and x, height and width, relative to the input's sides, float32 [A, 4]."""
    height, width = detection.geometry.size
    data = detection.geometry.centres() / np.array([height, width, height, width], np.float32)
    return network.tensor("anchors", data.shape, "float32", None, data.astype(np.float32))


def _options(detection: Detection, classes: int) -> dict[str, Any]:
    nms = detection.nms
    return {
        "max_detections": nms.max_boxes,
        # Of the fast way, which lets boxes of all classes drop one another, and names so many for each.
        "max_classes_per_detection": 1,
        "use_regular_nms": not nms.across,
        "detections_per_class": nms.max_boxes,
        "nms_score_threshold": float(nms.score),
        "nms_iou_threshold": float(nms.iou),
        "num_classes": classes,
        **dict.fromkeys(("y_scale", "x_scale", "h_scale", "w_scale"), 1.0),
    }


def _refuse(network: Network, logits: Tensor, detection: Detection) -> None:
    batch = Batch(logits.shape[0], dynamic=network.any_batch)
    if absent := RUNTIME.lacks_boxes(detection.nms, batch):
        raise OptionError(f"the file is to make boxes, and {absent}", mend="build with --nms host")
