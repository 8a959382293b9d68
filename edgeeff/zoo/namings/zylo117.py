"""The naming of zylo117's Yet-Another-EfficientDet-Pytorch: every convolution lies in a wrapper, ``….conv``.

Facts from its backbone.py, efficientdet/model.py, efficientdet/utils.py and utils/utils.py.
"""

from __future__ import annotations

import re

from edgeeff.zoo.detection.architecture import BOX_HEAD, CLASS_HEAD, DetectorArchitecture
from edgeeff.zoo.detection.conventions import ZYLO117
from edgeeff.zoo.detection.origin import DetectorOrigin
from edgeeff.zoo.detection.spec import DetectorSpec
from edgeeff.zoo.namings import efficientnet_pytorch
from edgeeff.zoo.namings._places import UNNEEDED

DETECTOR = True

_PARTS = r"(?P<part>weight|bias|running_mean|running_var|num_batches_tracked)"
_BACKBONE = re.compile(r"backbone_net\.model\.(?P<tail>.+)")
#: A fusion's convolutions: ``conv6_up`` is on the way down from the coarsest level, as its authors call it.
_FUSION = re.compile(
    rf"bifpn\.(?P<cell>\d+)\.conv(?P<level>\d)_(?P<path>up|down)\."
    rf"(?P<layer>depthwise_conv\.conv|pointwise_conv\.conv|bn)\.{_PARTS}"
)
#: A projection to the pyramid's channels: convolution 0 and batch normalisation 1. P4 and P5 have two each.
_PROJECTION = re.compile(
    rf"bifpn\.(?P<cell>0)\.p(?P<level>\d)_(?P<what>down_channel|down_channel_2|to_p6)\."
    rf"(?P<layer>0\.conv|1)\.{_PARTS}"
)
_WEIGHTS = re.compile(r"bifpn\.(?P<cell>\d+)\.p(?P<level>\d)_w(?P<way>[12])")
_HEAD = re.compile(
    r"(?P<head>regressor|classifier)\.(?:conv_list\.(?P<repeat>\d+)|(?P<last>header))\."
    rf"(?P<layer>depthwise_conv|pointwise_conv)\.conv\.{_PARTS}"
)
_NORM = re.compile(rf"(?P<head>regressor|classifier)\.bn_list\.(?P<level>\d+)\.(?P<repeat>\d+)\.{_PARTS}")
_LAYERS = {
    "depthwise_conv.conv": "depthwise",
    "pointwise_conv.conv": "pointwise",
    "bn": "norm",
    "0.conv": "conv",
    "1": "norm",
}
_HEADS = {"regressor": BOX_HEAD, "classifier": CLASS_HEAD}


def translate(key: str, architecture: DetectorArchitecture) -> str | None:
    """Our name of ``bifpn.0.conv6_up.bn.weight`` and the like."""
    if match := _BACKBONE.fullmatch(key):
        name = efficientnet_pytorch.translate(match["tail"].replace(".conv.", "."), architecture.backbone)
        return f"backbone.{name}" if name else name
    for pattern, name_of in _KINDS:
        if match := pattern.fullmatch(key):
            unneeded = "part" in match.groupdict() and match["part"] == UNNEEDED
            return "" if unneeded else name_of(match, architecture)
    return None


def _fusion(match: re.Match[str], architecture: DetectorArchitecture) -> str:
    level = int(match["level"])
    # What comes down ends at the finest level, whose node is the cell's output there.
    path = "td" if match["path"] == "up" and level > architecture.levels[0] else "out"
    return f"{_node(match['cell'], level, path)}.{_LAYERS[match['layer']]}.{match['part']}"


def _projection(match: re.Match[str], architecture: DetectorArchitecture) -> str:
    level, layer = int(match["level"]), f"project.{_LAYERS[match['layer']]}.{match['part']}"
    if match["what"] == "to_p6":
        return f"pyramid.coarser.p{level + 1}.{layer}"
    first = match["what"] == "down_channel" and level > architecture.levels[0]
    return f"{_node(match['cell'], level, 'td' if first else 'out')}.inputs.0.{layer}"


def _weights(match: re.Match[str], architecture: DetectorArchitecture) -> str:
    """The fusion's weights; networks that add have them too, and never read them."""
    if not architecture.weighted:
        return ""
    level = int(match["level"])
    path = "td" if match["way"] == "1" and level > architecture.levels[0] else "out"
    return f"{_node(match['cell'], level, path)}.weights"


def _head(match: re.Match[str], architecture: DetectorArchitecture) -> str:
    layer = "depthwise" if match["layer"] == "depthwise_conv" else "pointwise"
    at = "predict" if match["last"] else f"convs.{match['repeat']}"
    return f"{_HEADS[match['head']]}.{at}.{layer}.{match['part']}"


def _norm(match: re.Match[str], architecture: DetectorArchitecture) -> str:
    level = architecture.levels[0] + int(match["level"])
    return f"{_HEADS[match['head']]}.norms.{match['repeat']}.p{level}.{match['part']}"


def _node(cell: str, level: int, path: str) -> str:
    return f"pyramid.cells.{cell}.p{level}_{path}"


_KINDS = (
    (_FUSION, _fusion),
    (_PROJECTION, _projection),
    (_WEIGHTS, _weights),
    (_HEAD, _head),
    (_NORM, _norm),
)


def origin(spec: DetectorSpec, said: str | None) -> DetectorOrigin:
    """Max-pooling that sees the zeros of its padding; a letterbox in the mean colour, resized bilinearly.

    Its ratios of anchors are 1.4 and 0.7, unless a project's file (``projects/….yml``) has others, which no
    checkpoint says.
    """
    return DetectorOrigin(
        source=f"zylo117 {spec.name}",
        conventions=ZYLO117,
        preprocess=spec.preprocess(),
        geometry=spec.geometry(),
        assumed=("anchors of the usual ratios and scales, as in its projects/coco.yml",),
    )
