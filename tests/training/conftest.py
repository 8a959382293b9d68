"""Photos of two classes that a tiny network tells apart, and a checkpoint of that network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

#: Seven blocks of a few channels.
TINY = "lite:width=0.25,depth=0.2,size=64"
SIZE = 64


def photo(class_number: int, number: int) -> Image.Image:
    """Smooth noise, red for class 0, green for 1, blue for 2."""
    random = np.random.default_rng([class_number, number])
    coarse = random.integers(0, 120, (5, 5, 3), np.uint8)
    coarse[..., class_number] += 100
    return Image.fromarray(coarse).resize((80, 72), Image.Resampling.BICUBIC)


def write(folder: Path, classes: dict[str, int], first: int = 0) -> Path:
    """So many photos of each class in its subfolder."""
    for number, (name, count) in enumerate(classes.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(first, first + count):
            photo(number, i).save(folder / name / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train`` and ``val`` of two classes."""
    folder = tmp_path_factory.mktemp("photos")
    write(folder / "train", {"red": 8, "green": 6})
    write(folder / "val", {"red": 4, "green": 4}, first=100)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, make_module: Callable[..., torch.nn.Module]) -> Path:
    """A checkpoint of a tiny network of five classes."""
    from edgeeff.zoo import catalog

    path = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    torch.save({"state_dict": make_module(catalog.get(TINY), classes=5, size=SIZE).state_dict()}, path)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("EDGEEFF_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"
