"""A file in one of MediaPipe's tasks: JSON as argument, pixels from standard input, JSON printed."""

from __future__ import annotations

import json
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

asked = json.loads(sys.argv[1])
pixels = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(asked["shape"])
kind = {"classify": "ImageClassifier", "detect": "ObjectDetector", "embed": "ImageEmbedder"}[asked["task"]]
options = getattr(vision, f"{kind}Options")(
    base_options=BaseOptions(model_asset_path=asked["model"]), **asked["options"]
)


def plain(found: object) -> list[object]:
    if asked["task"] == "classify":
        (head,) = found.classifications
        return [[each.index, each.category_name, each.score] for each in head.categories]
    if asked["task"] == "embed":
        return [each.embedding.tolist() for each in found.embeddings]
    made = []
    for each in found.detections:
        box, category = each.bounding_box, each.categories[0]
        corners = [box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height]
        made.append([category.category_name, category.score, corners])
    return made


try:
    with getattr(vision, kind).create_from_options(options) as task:
        answers = [
            plain(getattr(task, asked["task"])(mediapipe.Image(mediapipe.ImageFormat.SRGB, data=image)))
            for image in pixels
        ]
except (ValueError, RuntimeError) as error:
    answers = str(error)
print(json.dumps(answers))
