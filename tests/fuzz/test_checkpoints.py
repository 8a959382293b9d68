"""Mutations of what a checkpoint says: names, shapes and types of tensors, and the settings beside them."""

from __future__ import annotations

import json
import lzma
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from edgeeff.zoo import checkpoints, formats

ROOT = Path(__file__).parents[1] / "fixtures" / "naming"
#: Networks whose tensors are tables of tests/fixtures/naming; each reading takes a tenth of a second.
NETWORKS = {
    "timm": "efficientnet_b0",
    "torchvision": "efficientnet_b0",
    "effdet": "tf_efficientdet_d0",
    "zylo117": "efficientdet-d0",
}
#: What is put in place of a part of a name.
PARTS = (
    "",
    ".",
    "0",
    "99",
    "module.",
    "weight",
    "bias",
    "running_mean",
    "\x1b[2J",
    "x" * 300,
    "²",
    "a b",
    "../x",
)
TYPES = (torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64, torch.uint8)
FEWER = 30  # of these mutations for each of another kind


def tables(library: str) -> dict[str, dict[str, list[int]]]:
    """Networks by name: names and shapes of their tensors."""
    found = json.loads(lzma.decompress((ROOT / f"{library}.json.xz").read_bytes()))
    return {name: network["tensors"] for network in found for name in network["names"]}


def renamed(name: str, rng: random.Random) -> str:
    parts = name.split(".")
    parts[rng.randrange(len(parts))] = rng.choice(PARTS)
    return ".".join(parts)


def reshaped(shape: list[int], rng: random.Random) -> list[int]:
    found = list(shape)
    change = rng.randrange(4)
    if change == 0 or not found:
        return [*found, rng.choice((0, 1, 2))]
    at = rng.randrange(len(found))
    if change == 1:
        del found[at]
    else:
        found[at] = rng.choice((0, 1, 2, found[at] + 1, max(found[at] - 1, 0), found[at] // 2))
    return found


def changed(tensors: dict[str, list[int]], number: int) -> dict[str, tuple[list[int], torch.dtype]]:
    """One to three names left out, renamed or doubled, shapes or types of others."""
    rng = random.Random(number)
    found = {name: (shape, torch.float32) for name, shape in tensors.items()}
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(list(found))
        if rng.random() < 0.3:  # layers at the ends are what networks differ by
            name = rng.choice([*list(found)[:3], *list(found)[-6:]])
        shape, kind = found[name]
        change = rng.randrange(6)
        if change == 0:
            del found[name]
        elif change == 1:
            found = {renamed(n, rng) if n == name else n: v for n, v in found.items()}
        elif change == 2:
            found[renamed(name, rng)] = found[name]
        elif change == 3:
            found[name] = shape, rng.choice(TYPES)
        elif change == 4:
            found = {n: v for n, v in found.items() if not n.startswith(name.rpartition(".")[0])} or found
        else:
            found[name] = reshaped(shape, rng), kind
    return found


def saved(tensors: dict[str, tuple[list[int], torch.dtype]], path: Path) -> None:
    """All of one type lie over the same values: the file is as large as the largest one."""
    largest = {
        kind: max(int(np.prod(s)) for s, k in tensors.values() if k == kind) for _, kind in tensors.values()
    }
    held = {kind: torch.zeros(count, dtype=kind) for kind, count in largest.items()}
    state = {
        name: held[kind][: int(np.prod(shape))].reshape(shape) for name, (shape, kind) in tensors.items()
    }
    torch.save({"state_dict": state}, path)


@pytest.mark.slow  # a tenth of a second each, and more of a detector
@pytest.mark.parametrize("library", NETWORKS)
def test_other_tensors(library, fuzz, tmp_path):
    tensors = tables(library)[NETWORKS[library]]

    def read(path: Path) -> object:
        saved(changed(tensors, int(path.read_bytes())), tmp_path / "net.pt")
        found = checkpoints.read(tmp_path / "net.pt")
        return found.origin.warnings, found.network

    fuzz(lambda _, number: str(number).encode(), read, tmp_path / "number", b"", FEWER)


def _layer(name: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": []}


CONFIG = {
    "class_name": "Functional",
    "config": {
        "name": "efficientnetb0",
        "layers": [
            _layer("input", "InputLayer", batch_shape=[None, 32, 32, 3], dtype="float32"),
            _layer("rescaling", "Rescaling", scale=1 / 255, offset=0.0),
            _layer("conv2d", "Conv2D", filters=2, kernel_size=[3, 3], strides=[2, 2], padding="same"),
            _layer("bn", "BatchNormalization", axis=[3], epsilon=0.001),
            _layer("dense", "Dense", units=5, activation="softmax"),
        ],
        "input_layers": [["input", 0, 0]],
        "output_layers": [["dense", 0, 0]],
    },
}


def _weights(path: Path, prefix: str = "layers/") -> None:
    with h5py.File(path, "w") as file:
        for name, shape in {"conv2d": (3, 3, 3, 2), "dense": (2, 5)}.items():
            file[f"{prefix}{name}/vars/0"] = np.ones(shape, np.float32)


def _keras(path: Path) -> object:
    """A .keras archive around this config."""
    weights, whole = path.with_name("model.weights.h5"), path.with_suffix(".keras")
    if not weights.exists():
        _weights(weights)
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("config.json", path.read_bytes())
        archive.write(weights, "model.weights.h5")
    return formats.read(whole)


def _keras_2(path: Path) -> object:
    """A whole model of Keras 2, this config among its attributes."""
    whole = path.with_suffix(".h5")
    with h5py.File(whole, "w") as file:
        file.attrs["model_config"] = np.bytes_(path.read_bytes().replace(b"\0", b" "))
        file["model_weights/conv2d/conv2d/kernel:0"] = np.ones((3, 3, 3, 2), np.float32)
        file["model_weights/dense/dense/kernel:0"] = np.ones((2, 5), np.float32)
        file["model_weights"].attrs["layer_names"] = [b"conv2d", b"dense"]
        for name in ("conv2d", "dense"):
            file[f"model_weights/{name}"].attrs["weight_names"] = [f"{name}/kernel:0".encode()]
    return formats.read(whole)


INDEX = {
    "metadata": {"total_size": 8},
    "weight_map": {"a.weight": "model-1.safetensors", "b": "model-2.safetensors"},
}
HUB = {
    "architecture": "tf_efficientnet_b0",
    "num_classes": 2,
    "label_names": ["a", "b"],
    "pretrained_cfg": {
        **{"input_size": [3, 224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        **{"crop_pct": 0.9, "interpolation": "bicubic"},
    },
    "id2label": {"0": "a", "1": "b"},
}


def _beside(path: Path) -> object:
    """Weights beside which this config.json lies."""
    weights = path.with_name("pytorch_model.bin")
    if not weights.exists():
        torch.save({"a.weight": torch.ones(2, 2)}, weights)
    return formats.read(weights)


#: The file's name, its content, and what reads it.
SETTINGS: dict[str, tuple[str, object, Callable[[Path], object]]] = {
    "keras": ("a.json", CONFIG, _keras),
    "keras 2": ("a.json", CONFIG, _keras_2),
    "shards": ("model.safetensors.index.json", INDEX, formats.read),
    "hub": ("config.json", HUB, _beside),
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_other_settings(kind, fuzz, types_changed, bytes_changed, tmp_path):
    name, content, read = SETTINGS[kind]
    for change in (types_changed, bytes_changed):
        fuzz(change, read, tmp_path / name, json.dumps(content).encode(), 10)


def test_a_shard_whose_name_no_file_can_have(tried, tmp_path):
    index = {"weight_map": {"a.weight": f"{'x' * 300}.safetensors"}}
    tried(formats.read, tmp_path / "model.safetensors.index.json", json.dumps(index).encode())


def test_a_fraction_of_400_digits(tried, tmp_path):
    settings = {**HUB, "pretrained_cfg": {"crop_pct": 10**400, "mean": [10**400] * 3}}
    tried(_beside, tmp_path / "config.json", json.dumps(settings).encode())
