"""What DeepStream's nvinfer is told of a detector that makes its boxes.

Read in the source of NVIDIA's parser (nvdsinfer_custombboxparser_tao.cpp of deepstream_tao_apps): it takes
four outputs in the plugin's order, boxes as top, left, bottom and right in pixels of the input, classes as
floats, and leaves out what is under the threshold of ``[class-attrs-all]``. Clustering is off (cluster-mode
4), since NMS is done. With symmetric-padding 0 a frame lies at the top left; what it leaves free is black.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgeeff.backends.tensorrt.deployment import colour

if TYPE_CHECKING:
    from edgeeff.backends.tensorrt.deployment import Deployment

PARSER = "NvDsInferParseCustomEfficientDetTAO"
LIBRARY = "/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so"


def properties(deployment: Deployment) -> dict[str, object]:
    """Of ``[property]``, beside a classifier's."""
    return {
        "network-type": 0,
        "cluster-mode": 4,
        "num-detected-classes": deployment.classes,
        "symmetric-padding": 0,
        "output-blob-names": ";".join(deployment.features),
        "parse-bbox-func-name": PARSER,
        "custom-lib-path": LIBRARY,
    }


def attributes(deployment: Deployment) -> list[str]:
    """The lines of ``[class-attrs-all]``."""
    return ["", "[class-attrs-all]", f"pre-cluster-threshold={deployment.emission.threshold:g}"]


def labels_text(labels: Sequence[str]) -> str:
    """A class a line."""
    return "".join(f"{' '.join(label.split())}\n" for label in labels)


def letterboxed(deployment: Deployment) -> list[str]:
    """Of the heading: what becomes of a frame, and who reads the boxes."""
    height, width = deployment.shape[2:]
    lines = [
        f"nvinfer brings a frame into {width}x{height} at the top left, its ratio of sides kept, and puts",
        "the boxes back onto the frame. It does not antialias as the training did.",
    ]
    if shown := colour(deployment.emission):
        lines += [
            f"What the frame leaves free is black there; the network knows it as {shown}.",
            "Look at the accuracy there.",
        ]
    if deployment.boxes:
        lines += [
            f"{PARSER} is in DeepStream's own library, or in that of",
            "github.com/NVIDIA-AI-IOT/deepstream_tao_apps (post_processor): set custom-lib-path.",
        ]
    return lines
