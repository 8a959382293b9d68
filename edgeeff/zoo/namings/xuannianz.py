"""The naming of xuannianz/EfficientDet: the authors' names, and keras.applications' in the backbone."""

from __future__ import annotations

import re
from dataclasses import replace

from edgeeff.zoo.detection.architecture import DetectorArchitecture
from edgeeff.zoo.detection.conventions import XUANNIANZ
from edgeeff.zoo.detection.origin import DetectorOrigin
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.namings import _authors, keras

DETECTOR = True
_BACKBONE = re.compile(r"(?:stem|block\d+[a-z])_\w+/\w+")
_UNNEEDED = re.compile(r"(?:top_(?:conv|bn)|probs|predictions)/\w+")
#: A node's weights bear the name of their layer: ``fnode0/add/…/fnode0/add``, which the reader shortens.
_WEIGHTS = re.compile("add(?:/add)?")


def translate(key: str, architecture: DetectorArchitecture) -> str | None:
    """Our name of ``block2a_expand_conv/kernel``, ``fpn_cells/cell_0/fnode0/add/add`` and the like."""
    if _UNNEEDED.fullmatch(key):
        return ""
    if _BACKBONE.fullmatch(key):
        name = keras.translate(key, architecture.backbone)
        return f"backbone.{name}" if name else name
    return _authors.translate(key, architecture, _WEIGHTS)


#: Of D6; its other networks have the authors' sizes.
_SIZES = {"efficientdet-d6": 1408}


def origin(spec: DetectorSpec, said: str | None) -> DetectorOrigin:
    """The authors' network of March 2020, in which a cell puts out its way down (see ``XUANNIANZ``).

    A letterbox in the mean colour, resized bilinearly; anchors of the ratio √2; D6 at 1408 pixels.
    """
    size = _SIZES.get(spec.name, spec.size)
    return DetectorOrigin(
        source=f"xuannianz {spec.name}",
        conventions=XUANNIANZ,
        preprocess=replace(spec.preprocess(), size=(size, size)),
        geometry=replace(spec.geometry(), size=(size, size), ratios=_authors.RATIOS),
    )
