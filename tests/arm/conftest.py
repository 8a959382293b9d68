"""Boards of aarch64 under emulation, and bundles for them.

This tier needs what ``make test-arm`` fetches; without it its tests are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

import edgeeff
from edgeeff.bundle import Bundle
from edgeeff.cache import Cache
from edgeeff.devices.connection import Connection, connect
from edgeeff.devices.kinds import emulate
from edgeeff.recipes import bundled_recipe

TARGETS = ("mobile-int8", "mobile-fp32", "cpu-int8", "cpu-fp32")
#: Small, since an emulated OpenVINO takes a minute to compile and run a few images.
SIZE = 64


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No test of this folder is of the default tier."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def folder() -> Path:
    """What ``scripts/arm --install`` filled."""
    found = os.environ.get(emulate.FOLDER)
    if not found or not Path(found, ".installed").is_file():
        pytest.skip("no emulated board: make test-arm")
    return Path(found).resolve()


@pytest.fixture(scope="session")
def opened(folder: Path) -> Iterator[Callable[..., Connection]]:
    """Opens a board once: ``opened(cpu=…, python=…, site=…)``."""
    boards: dict[tuple[tuple[str, str], ...], Connection] = {}

    def one(**facts: str) -> Connection:
        key = tuple(sorted(facts.items()))
        if key not in boards:
            boards[key] = connect(f"emulate:{facts}", emulate.Emulated(folder, **facts))
        return boards[key]

    yield one
    for board in boards.values():
        board.close()


@pytest.fixture(scope="session")
def board(folder: Path) -> Iterator[Connection]:
    """``emulate:aarch64``, by its address."""
    found = edgeeff.open_device("emulate:aarch64")
    assert found is not None
    with closing(found):
        yield found


@pytest.fixture(scope="session")
def built(make_module, make_images, tmp_path_factory) -> dict[str, Bundle]:
    """Bundles ``<network>-<target>`` of Lite0 with its real weights, and of a B0 with random ones."""
    place = tmp_path_factory.mktemp("built")
    torch.save(make_module("b0", size=SIZE).state_dict(), place / "b0.pt")
    np.savez(place / "noise.npz", images=make_images(10, SIZE, 5))
    inputs = {
        "lite0": {"calibration": bundled_recipe("default"), "count": 40},
        "b0": {"checkpoint": place / "b0.pt", "calibration": place / "noise.npz"},
    }
    return {
        made.bundle.name: made.bundle
        for name, more in inputs.items()
        for made in edgeeff.build(
            name,
            targets=[*TARGETS, "jetson-int8"] if name == "lite0" else TARGETS,
            size=SIZE,
            name=name,
            output=place,
            cpu_class="arm",
            cache=Cache(place / "cache"),
            **more,
        )
    }
