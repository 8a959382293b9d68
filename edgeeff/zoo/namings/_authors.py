"""What both libraries that name a detector's parts as google/automl does have in common.

Facts from google/automl, efficientdet/tf2/efficientdet_keras.py and backbone/efficientnet_model.py, and from
xuannianz/EfficientDet, model.py. Names are ``<path of layers>/<variable>``, as Keras keeps them in HDF5.
"""

from __future__ import annotations

import re
from math import sqrt

from edgeeff.zoo.detection.architecture import BOX_HEAD, CLASS_HEAD, DetectorArchitecture

#: Width and height of anchors: the authors take roots, where PyTorch's ports have 1.4 and 0.7.
RATIOS = ((1.0, 1.0), (sqrt(2), sqrt(0.5)), (sqrt(0.5), sqrt(2)))
#: Keras's variables in our words.
PARTS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_SEPARABLE = {
    "depthwise_kernel": "depthwise.weight",
    "pointwise_kernel": "pointwise.weight",
    "bias": "pointwise.bias",
}
_HEADS = {"class": CLASS_HEAD, "box": BOX_HEAD}
_COARSER = re.compile(r"resample_p(?P<level>\d)/(?P<layer>conv2d|bn)/(?P<part>\w+)")
_NODE = re.compile(r"fpn_cells/cell_(?P<cell>\d+)/fnode(?P<node>\d+)/(?P<tail>.+)")
_IN_NODE = re.compile(
    r"resample_(?P<place>\d+)_\d+_\d+/(?P<layer>conv2d|bn)/(?P<part>\w+)"
    r"|op_after_combine\d+/(?P<after>conv|bn)/(?P<after_part>\w+)"
)
_HEAD = re.compile(
    r"(?P<head>class|box)_net/(?P=head)-(?:(?P<repeat>\d+)|predict)(?:-bn-(?P<level>\d+))?/(?P<part>\w+)"
)


def translate(key: str, architecture: DetectorArchitecture, weights: re.Pattern[str]) -> str | None:
    """Our name of a tensor behind the backbone.

    Args:
        key: Its name in the file.
        architecture: Of the network.
        weights: What a node's weights are called behind the node's name.
    """
    if match := _COARSER.fullmatch(key):
        return _in(f"pyramid.coarser.p{match['level']}.project", match["layer"], match["part"])
    if match := _NODE.fullmatch(key):
        return _in_node(match, architecture, weights)
    if match := _HEAD.fullmatch(key):
        return _in_head(match)
    return None


def _in_node(
    match: re.Match[str], architecture: DetectorArchitecture, weights: re.Pattern[str]
) -> str | None:
    number, nodes = int(match["node"]), architecture.nodes
    name = nodes[number].name if number < len(nodes) else f"nowhere{number}"
    at = f"pyramid.cells.{match['cell']}.{name}"
    if weights.fullmatch(match["tail"]):
        return f"{at}.weights"
    inner = _IN_NODE.fullmatch(match["tail"])
    if inner is None:
        return None
    if inner["place"]:
        return _in(f"{at}.inputs.{inner['place']}.project", inner["layer"], inner["part"])
    if inner["after"] == "conv":
        part = _SEPARABLE.get(inner["after_part"])
        return f"{at}.{part}" if part else None
    part = PARTS.get(inner["after_part"])
    return f"{at}.norm.{part}" if part else None


def _in_head(match: re.Match[str]) -> str | None:
    head, repeat = _HEADS[match["head"]], match["repeat"]
    if match["level"]:
        part = PARTS.get(match["part"])
        return f"{head}.norms.{repeat}.p{match['level']}.{part}" if part and repeat else None
    part = _SEPARABLE.get(match["part"])
    return f"{head}.{f'convs.{repeat}' if repeat else 'predict'}.{part}" if part else None


def _in(project: str, layer: str, variable: str) -> str | None:
    """Our name of a variable of a projection to the pyramid's channels."""
    part = PARTS.get(variable)
    return f"{project}.{'norm' if layer == 'bn' else 'conv'}.{part}" if part else None
