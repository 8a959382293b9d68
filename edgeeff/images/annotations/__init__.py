"""Photos with boxes drawn around what they show: COCO JSON, VOC XML and YOLO text, one file for each form.

Each reader gives pictures whose ``boxes`` are what the file says (:class:`Truth`), their classes being places
among the file's own names; :func:`edgeeff.images.annotations.classes.placed` makes them the network's classes
and pixels of the photos as they are read. To whatever wants no boxes they are photos without a label.
"""

from __future__ import annotations

from edgeeff.images.annotations.truth import Truth

__all__ = ["Truth"]
