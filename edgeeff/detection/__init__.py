"""Boxes: from what a detector computes to what a program uses, in numpy alone.

A detector of the EfficientDet family gives for each anchor a logit of each class (``class_logits``, float32
[N, A, C]) and four numbers that move and scale the anchor (``box_codes``, float32 [N, A, 4]: ty, tx, th, tw).
Here is what makes boxes of them, on a device and where artifacts are compared.
"""

from edgeeff.detection.boxes import Box as Box
from edgeeff.detection.boxes import Boxes as Boxes
from edgeeff.detection.decoding import decode as decode
from edgeeff.detection.facts import HOST as HOST
from edgeeff.detection.facts import RUNTIME as RUNTIME
from edgeeff.detection.facts import Detection as Detection
from edgeeff.detection.geometry import Geometry as Geometry
from edgeeff.detection.matching import ious as ious
from edgeeff.detection.matching import matched as matched
from edgeeff.detection.matching import paired as paired
from edgeeff.detection.settings import THRESHOLD as THRESHOLD
from edgeeff.detection.settings import Nms as Nms
