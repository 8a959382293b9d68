"""Checkpoints of detectors that are no EfficientDet say what they are, by their tensors' names."""

from __future__ import annotations

import sys
import types

import pytest
import torch

from edgeeff.errors import CheckpointError
from edgeeff.zoo import accounting, checkpoint_options, formats
from edgeeff.zoo.accounting import other_detectors

# Names as the libraries' own state_dicts have them.
NAMED = {
    "YOLO of Ultralytics": ("model.22.cv2.0.0.conv.weight", "model.22.cv3.0.0.conv.weight"),
    "YOLO (v5 or v7)": ("model.0.conv.weight", "model.24.m.0.weight", "model.24.anchors"),
    "YOLOX": ("backbone.backbone.stem.conv.conv.weight", "head.cls_preds.0.weight", "head.reg_preds.0.bias"),
    "SSD of torchvision": (
        "backbone.features.0.weight",
        "head.classification_head.module_list.0.weight",
        "head.regression_head.module_list.0.weight",
    ),
    "RetinaNet of torchvision": (
        "backbone.body.conv1.weight",
        "head.classification_head.cls_logits.weight",
        "head.regression_head.bbox_reg.weight",
    ),
    "FCOS of torchvision": (
        "head.classification_head.cls_logits.weight",
        "head.regression_head.bbox_reg.weight",
        "head.regression_head.bbox_ctrness.weight",
    ),
    "Mask R-CNN of torchvision": (
        "rpn.head.cls_logits.weight",
        "roi_heads.box_predictor.cls_score.weight",
        "roi_heads.mask_predictor.mask_fcn_logits.weight",
    ),
    "Faster R-CNN of torchvision": ("rpn.head.cls_logits.weight", "roi_heads.box_predictor.cls_score.weight"),
    "a DETR": ("transformer.encoder.layers.0.linear1.weight", "bbox_embed.layers.0.weight"),
}


def of_names(names, prefix=""):
    return {prefix + name: torch.zeros(2, 2) for name in names}


@pytest.mark.parametrize("what", NAMED)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_is_named_and_refused(what, prefix):
    with pytest.raises(CheckpointError, match="not supported") as caught:
        accounting.account(of_names(NAMED[what], prefix), "w.pth")
    assert what in caught.value.what
    assert "EfficientDet" in caught.value.mend


def test_with_an_efficientnet_inside_it_is_the_detector_that_is_named():
    names = ("backbone.conv_stem.weight", "backbone.bn1.weight", *NAMED["Faster R-CNN of torchvision"])
    with pytest.raises(CheckpointError, match="Faster R-CNN"):
        accounting.account(of_names(names), "w.pth")
    # Its features are an EfficientNet's as any other.
    chosen = checkpoint_options.read(taps=("8",))
    assert accounting.account(of_names(names), "w.pth", chosen).naming == "timm"


@pytest.mark.parametrize(
    "names",
    [
        ("conv_stem.weight", "blocks.0.0.conv_dw.weight", "classifier.weight"),
        ("fpn.cell.0.fnode.0.after_combine.conv.conv_dw.weight", "class_net.predict.conv_pw.weight"),
        ("features.0.0.weight", "features.1.0.block.0.0.weight", "classifier.1.weight"),
        ("bifpn.0.p6_w1", "regressor.header.pointwise_conv.conv.weight"),
    ],
)
def test_efficientnets_and_efficientdets_are_none_of_them(names):
    assert other_detectors.kind(of_names(names)) is None


class DetectionModel(torch.nn.Module):
    """Stands for a whole pickled module: its class is named as Ultralytics' is."""

    __module__ = "ultralytics.nn.tasks"


def test_a_pickled_module_says_what_it_is_and_nothing_of_it_runs(tmp_path, monkeypatch):
    packages = ("ultralytics", "ultralytics.nn", "ultralytics.nn.tasks")
    with monkeypatch.context() as installed:
        for package in packages:
            installed.setitem(sys.modules, package, types.ModuleType(package))
        sys.modules[packages[-1]].DetectionModel = DetectionModel
        torch.save({"model": DetectionModel(), "epoch": 3}, tmp_path / "best.pt")
    with pytest.raises(CheckpointError, match="YOLO of Ultralytics") as caught:
        formats.read(tmp_path / "best.pt")
    assert "DetectionModel" in caught.value.what
