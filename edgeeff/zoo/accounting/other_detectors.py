"""Checkpoints of detectors that are no EfficientDet: known by the names of their heads, and refused by name.

Their backbone may well be an EfficientNet, so that what fits the zoo says nothing: the heads decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from edgeeff.errors import CheckpointError

_MEND = (
    "pass an EfficientDet's checkpoint (`edgeeff models` lists the networks); an INT8 artifact of this "
    "detector is made by the tools of its own project"
)


@dataclass(frozen=True)
class Other:
    """A detector of another kind.

    Args:
        what: Its kind, with its article and the library that names its tensors so.
        key: A tensor that shows it.
    """

    what: str
    key: str


#: The kind; and parts of names, each of which some tensor of it has. The special before the general: a Mask
#: R-CNN is a Faster R-CNN with a mask head, FCOS a RetinaNet with a centre-ness.
_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a Mask R-CNN of torchvision", (r"roi_heads\.mask_predictor\.",)),
    ("a Faster R-CNN of torchvision", (r"rpn\.head\.", r"roi_heads\.box_predictor\.")),
    ("an R-CNN of Detectron2", (r"proposal_generator\.rpn_head\.", r"roi_heads\.box_\w+\.")),
    ("an R-CNN of MMDetection", (r"rpn_head\.rpn_cls\.", r"roi_head\.bbox_head\w*\.")),
    ("an FCOS of torchvision", (r"head\.regression_head\.bbox_ctrness\.",)),
    ("a RetinaNet of torchvision", (r"head\.classification_head\.cls_logits\.",
                                    r"head\.regression_head\.bbox_reg\.")),
    ("a RetinaNet of pytorch-retinanet", (r"regressionModel\.", r"classificationModel\.")),
    ("a RetinaNet of keras-retinanet", (r"pyramid_regression|regression_submodel/",)),
    ("a RetinaNet of Detectron2", (r"head\.cls_score\.", r"head\.bbox_pred\.", r"backbone\.fpn_lateral3\.")),
    ("an EfficientDet or RetinaNet of MMDetection", (r"neck\.", r"bbox_head\.(?:retina_)?(?:cls|reg)\w*\.")),
    ("an SSD of torchvision", (r"head\.classification_head\.module_list\.",
                               r"head\.regression_head\.module_list\.")),
    ("an SSD (ssd.pytorch)", (r"vgg\.\d+\.", r"loc\.\d+\.", r"conf\.\d+\.")),
    ("an SSD (pytorch-ssd)", (r"classification_headers\.\d+\.", r"regression_headers\.\d+\.")),
    ("an RT-DETR", (r"decoder\.dec_score_head\.", r"decoder\.dec_bbox_head\.")),
    ("a DETR", (r"transformer\.(?:encoder|decoder)\.layers\.", r"bbox_embed\.")),
    ("a DETR of Hugging Face", (r"query_position_embeddings\.", r"bbox_predictor\.")),
    ("a YOLOX", (r"head\.cls_preds\.\d+\.", r"head\.reg_preds\.\d+\.")),
    ("a YOLO of Ultralytics (v8 or later)", (r"model\.\d+\.cv2\.\d+\.\d+\.conv\.",
                                             r"model\.\d+\.cv3\.\d+\.")),
    ("a YOLO (v5 or v7)", (r"model\.\d+\.m\.\d+\.weight", r"model\.\d+\.(?:conv|cv\d)\b")),
    ("a YOLO in Darknet's order of layers", (r"module_list\.\d+\.(?:Conv2d|conv_?\d*|batch_norm_?\d*)\.",)),
    ("a CenterNet", (r"hm\.\d+\.", r"wh\.\d+\.", r"reg\.\d+\.")),
    ("a detector of TensorFlow's Object Detection API", (r"(?:WeightShared)?ConvolutionalBoxPredictor|"
     r"WeightSharedConvolutional(?:Box|Class)Head|BoxPredictor/\w+(?:Class|Box)Head",)),
)  # fmt: skip
_COMPILED = tuple(
    (what, tuple(re.compile(rf"(?:^|[./])(?:{part})") for part in parts)) for what, parts in _KINDS
)
#: The beginning of modules whose classes whole pickled detectors are of, and what they are.
MODULES = (
    (b"ultralytics.", "a YOLO of Ultralytics"),
    (b"models.yolo", "a YOLO (v5 or v7)"),
    (b"torchvision.models.detection.", "a detector of torchvision"),
    (b"yolox.models.", "a YOLOX"),
)


def kind(keys: Iterable[str]) -> Other | None:
    """The detector that a checkpoint's tensors are of; None: of none that is known."""
    names = tuple(keys)
    for what, parts in _COMPILED:
        shown = [next((key for key in names if part.search(key)), None) for part in parts]
        if all(shown):
            return Other(what, shown[0] or "")
    return None


def refuse(keys: Iterable[str], path: object) -> None:
    """Refuse a checkpoint of another detector.

    Raises:
        CheckpointError: It is one.
    """
    found = kind(keys)
    if found is not None:
        raise refusal(path, found.what, found.key)


def refusal(path: object, what: str, shown: str) -> CheckpointError:
    """The error for a file that is another detector, as its ``shown`` shows."""
    return CheckpointError(f"{path} is {what}, as its {shown} shows: it is not supported", mend=_MEND)
