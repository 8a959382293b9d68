"""What a checkpoint says beside its weights: read under its many names, or warned of."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgeeff.zoo import formats

IMAGENET = {
    "mean": pytest.approx((123.675, 116.28, 103.53)),
    "std": pytest.approx((58.395, 57.12, 57.375)),
}
UNIT = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF = {"mean": (127.5,) * 3, "std": (127.5,) * 3}


def read(state, path, **content):
    torch.save({"state_dict": state, **content}, path / "w.pt")
    return formats.read(path / "w.pt")


@pytest.mark.parametrize(
    ("content", "size"),
    [
        ({"size": 128}, (128, 128)),
        ({"size": 128.0}, (128, 128)),
        ({"size": torch.tensor(128)}, (128, 128)),
        ({"size": "128"}, (128, 128)),
        ({"size": "96x128"}, (96, 128)),
        ({"img_size": (96, 128)}, (96, 128)),
        ({"img_size": [160]}, (160, 160)),
        ({"image_size": torch.Size([96, 128])}, (96, 128)),
        ({"input_size": [3, 160, 160]}, (160, 160)),
        ({"input_size": (1, 3, 160, 160)}, (160, 160)),
        ({"input_shape": (160, 160, 3)}, (160, 160)),
        ({"image_size": {"height": 96, "width": 128}}, (96, 128)),
        ({"imgsz": 192}, (192, 192)),
        ({"args": argparse.Namespace(img_size=160)}, (160, 160)),
        ({"config": {"data": {"image_size": 160}}}, (160, 160)),
        ({"hyper_parameters": {"args": argparse.Namespace(resolution=160)}}, (160, 160)),
        ({"args": {"img_size": None, "input_size": ""}}, None),
    ],
)
def test_input_size(content, size, state, tmp_path):
    file = read(state, tmp_path, **content)
    assert file.preprocess.get("size") == size
    square = size is None or size[0] == size[1]
    assert [text for text in file.warnings if "height 96 and width 128" in text] == list(file.warnings)
    assert bool(file.warnings) != square


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 50_000),
        ("img_size", -3),
        ("size", "small"),
        ("input_size", [3, 224]),
        ("image_size", (1, 2, 3)),
    ],
)
def test_a_size_that_makes_no_sense(key, value, state, tmp_path):
    file = read(state, tmp_path, **{key: value})
    assert "size" not in file.preprocess
    assert f"{key} is {value!r}, which is no input size" in file.warnings[0]


def test_sizes_that_differ(state, tmp_path):
    file = read(state, tmp_path, img_size=160, args={"input_size": [3, 224, 224]})
    assert file.preprocess["size"] == (224, 224)
    assert file.warnings == (
        "args.input_size is 224×224 and img_size 160×160: args.input_size is taken (--size)",
    )


@pytest.mark.parametrize(
    ("content", "preprocess"),
    [
        (UNIT, IMAGENET),
        ({key: tuple(value) for key, value in UNIT.items()}, IMAGENET),
        ({key: torch.tensor(value).view(3, 1, 1) for key, value in UNIT.items()}, IMAGENET),
        ({key: torch.tensor(value).view(1, 3, 1, 1) * 255 for key, value in UNIT.items()}, IMAGENET),
        ({"image_mean": UNIT["mean"], "image_std": UNIT["std"]}, IMAGENET),
        ({"config": {"normalize": UNIT}}, IMAGENET),
        ({"mean": 0.5, "std": 0.5}, HALF),
        ({"mean": [127.5], "std": [127.5]}, HALF),
        ({"mean": [0, 0, 0], "std": [255, 255, 255]}, {"mean": (0.0,) * 3, "std": (255.0,) * 3}),
        ({"mean": [103.0, 116.0, 123.0], "std": 1.0}, {"mean": (103.0, 116.0, 123.0), "std": (1.0,) * 3}),
    ],
)
def test_mean_and_std(content, preprocess, state, tmp_path):
    file = read(state, tmp_path, **content)
    assert file.preprocess == preprocess
    assert not file.warnings


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        ({"mean": 0.83, "std": 0.01}, "no mean and std of pixels"),  # of a cross-validation
        ({"mean": [0.5, "x", 0.5], "std": [0.5] * 3}, "no mean and std of pixels"),
        ({"mean": [0.5] * 3, "std": [0.0] * 3}, "no mean and std of pixels"),
        ({"mean": [0.5] * 3, "std": [127.5] * 3}, "no mean and std of pixels"),
        ({"mean": [0.5] * 5, "std": [0.5] * 5}, "no mean and std of pixels"),
        ({"mean": np.full(3, 0.5), "std": np.full(3, 0.5)}, "an object that is not read"),
        ({"mean": [0.5] * 3}, "mean stands alone"),
        ({"config": {"std": [0.5] * 3}}, "config.std stands alone"),
    ],
)
def test_mean_and_std_that_make_no_sense(content, warning, state, tmp_path):
    file = read(state, tmp_path, **content)
    assert file.preprocess == {}
    assert warning in file.warnings[0]
    assert "--mean" in file.warnings[0]


def test_doubts_about_mean_and_std(state, tmp_path):
    file = read(state, tmp_path, mean=[0.0] * 3, std=[1.0] * 3)
    assert file.preprocess == {"mean": (0.0,) * 3, "std": (255.0,) * 3}
    assert "taken to be on pixels of 0…1" in file.warnings[0]
    file = read(state, tmp_path, mean=[0.5] * 3, std=[0.5] * 3, config=UNIT)
    assert file.preprocess == HALF
    assert file.warnings == ("mean and config.mean differ: mean is taken (--mean, --std)",)
    assert "BGR" in read(state, tmp_path, config={"input_space": "BGR"}).warnings[0]


def test_torchvisions_recipe(state, tmp_path):
    args = argparse.Namespace(
        model="efficientnet_b0", train_crop_size=176, val_crop_size=224, val_resize_size=256,
        interpolation="bilinear",
    )  # fmt: skip
    file = read(state, tmp_path, args=args)
    assert file.preprocess == {"size": (224, 224), "crop": 0.875, "interpolation": "bilinear"}
    assert file.said == "efficientnet_b0"
    assert not file.warnings


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ({"classes": ["ant", "bee"]}, ("ant", "bee")),
        ({"classes": {0: "ant", 1: "bee"}}, ("ant", "bee")),
        ({"classes": {"1": "bee", "0": "ant"}}, ("ant", "bee")),
        ({"classes": {"bee": 1, "ant": 0}}, ("ant", "bee")),
        ({"idx_to_class": {1: "bee", 0: "ant"}}, ("ant", "bee")),
        ({"class_to_idx": {"7": 1, "3": 0}}, ("3", "7")),
        ({"config": {"id2label": {"0": "ant", "1": "bee"}}}, ("ant", "bee")),
        ({"names": {0: "ant", 1: "bee"}}, ("ant", "bee")),
        ({"names": ["conv.weight", "conv.bias"]}, None),
    ],
)
def test_names_of_classes(content, labels, state, tmp_path):
    file = read(state, tmp_path, **content)
    assert file.labels == labels
    assert not file.warnings


@pytest.mark.parametrize(
    "value", [{"ant": 0, "bee": 2}, {"ant": 0, "bee": 0}, ["ant", 3], "ant,bee", np.array(["ant", "bee"])]
)
def test_names_that_make_no_sense(value, state, tmp_path):
    file = read(state, tmp_path, classes=value)
    assert file.labels is None
    assert "names no classes" in file.warnings[0] and "--labels" in file.warnings[0]


def test_two_lists_of_names(state, tmp_path):
    file = read(state, tmp_path, classes=["ant", "bee"], class_to_idx={"bee": 0, "ant": 1})
    assert file.labels == ("ant", "bee")
    assert file.warnings == ("classes and class_to_idx name other classes: classes is taken (--labels)",)


def test_numbers_of_classes(state, tmp_path):
    content = {"classes": 5, "args": argparse.Namespace(num_classes=7), "config": {"classes": [0, 1, 2]}}
    file = read(state, tmp_path, **content)
    assert file.counts == {"classes": 5, "args.num_classes": 7, "config.classes": 3}


def test_settings_of_a_kind_that_is_not_read(state, tmp_path):
    file = read(state, tmp_path, config=np.array([1]))
    assert file.warnings == ("config is an object that is not read: what it says is not known",)


def test_settings_that_hold_themselves(state, tmp_path):
    config = {"size": 128}
    config["config"] = config
    assert read(state, tmp_path, config=config).preprocess == {"size": (128, 128)}


def test_header_of_safetensors(state, tmp_path):
    said = {"arch": "efficientnet_b2", "size": "128", "classes": json.dumps(["ant", "bee"]), **{
        key: json.dumps(value) for key, value in UNIT.items()
    }}  # fmt: skip
    save_file(state, tmp_path / "w.safetensors", said)
    file = formats.read(tmp_path / "w.safetensors")
    assert (file.said, file.labels) == ("efficientnet_b2", ("ant", "bee"))
    assert file.preprocess == IMAGENET | {"size": (128, 128)}
