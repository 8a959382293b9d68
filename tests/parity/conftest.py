"""Networks of timm and torchvision with random weights, ours filled with the same, and how far they differ.

This tier needs those libraries (``make test-parity``); without them its tests are skipped.
"""

from __future__ import annotations

import json
import lzma
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TABLES = Path(__file__).parents[1] / "fixtures" / "naming"
SIZES = ((64, 64), (75, 53))  # even sizes pad asymmetrically under SAME, odd ones do not
REACH = 1e-4  # relative, of the logits

_figures: dict[str, float] = {}


def names(library: str) -> list[str]:
    """All names of a library's networks, the small ones first."""
    tables = json.loads(lzma.decompress((TABLES / f"{library}.json.xz").read_bytes()))
    return [
        name for table in sorted(tables, key=lambda table: table["parameters"]) for name in table["names"]
    ]


def pytest_generate_tests(metafunc: Any) -> None:
    """``timm_name`` and ``torchvision_name`` are all of the library's."""
    for library in ("timm", "torchvision"):
        if f"{library}_name" in metafunc.fixturenames:
            metafunc.parametrize(f"{library}_name", names(library))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The figures, for whoever reads along."""
    for name, figure in _figures.items():
        terminalreporter.write_line(f"{name:60} {figure:.1e}")


@pytest.fixture(scope="session")
def multiply_adds() -> Callable[..., int]:
    """``multiply_adds(module, size)``: a module's, counted by hooks on the meta device."""
    return runpy.run_path(str(Path(__file__).with_name("tables.py")))["multiply_adds"]


def _randomise(module: Any, projections: set[str]) -> Any:
    """A module from the meta device with random weights, in eval mode.

    As in trained networks, normalisation fits the activations and the steps along the residual chain are
    small: else depth multiplies the last bit. Weights are small, so that an epsilon of 1e-3 for 1e-5 shows.

    Args:
        module: Of the library.
        projections: Its names of the scales that close a block.
    """
    import torch
    from torch import nn

    torch.manual_seed(0)
    module = module.to_empty(device="cpu").eval()
    for key, value in module.state_dict().items():
        if value.dim() > 1:
            value.normal_(0, 0.1 * (2 / value[0].numel()) ** 0.5)
        elif key.endswith("weight"):
            value.uniform_(0.5, 1.5).mul_(0.3 if key in projections else 1)
        elif key.endswith("bias"):
            value.normal_(0, 0.1)
        else:
            value.zero_()
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    with torch.no_grad():
        module(torch.randn(8, 3, 64, 64))
    for norm in norms:
        # Of a few pixels some channels hardly vary; to divide by that would magnify rounding.
        norm.eval().running_var.clamp_(min=float(norm.running_var.mean()) / 4)
    return module


@pytest.fixture
def hold() -> Callable[..., None]:
    """``hold(library, name, module)``: a module on the meta device against ours, through the converter.

    ``said``: the name that our origin is told, if not its own.
    """
    import torch

    from edgeeff.zoo import accounting, catalog, efficientnet, fitting, namings, origin

    def check(library: str, name: str, module: Any, said: str | None = None) -> None:
        spec, path = catalog.get(name), Path(f"{name}.pth")
        ours = namings.translate(library, list(module.state_dict()), spec.architecture).ours
        module = _randomise(module, {key for key, own in ours.items() if own.endswith("project.norm.weight")})
        state = module.state_dict()
        accounted = accounting.account(state, path)
        assert fitting.which(state, accounted, path) is spec
        fitted = fitting.fit(state, accounted, spec, path)
        assert fitted.naming == library
        conventions = origin.of(library, spec, said or name, {}).conventions
        for size in SIZES:
            images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
            with torch.inference_mode():
                expected = module(images)
                found = efficientnet.trained(spec, fitted.tensors, size, conventions)(images)
            assert float((expected[0] - expected[1]).abs().max() / expected.abs().max()) > 0.01
            error = float((found - expected).abs().max() / expected.abs().max())
            _figures[f"{library} {name}{f' as {said}' if said else ''}, logits, relative, {size}"] = error
            assert error <= REACH

    return check


@pytest.fixture(scope="session")
def photo() -> Any:
    """A picture with structure at several scales, 640×427."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    picture = np.zeros((427, 640, 3))
    for side in (3, 5, 9, 17):
        noise = Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
        picture += np.asarray(noise.resize((640, 427), Image.Resampling.BICUBIC)) / 4
    return Image.fromarray(picture.round().astype(np.uint8))


@pytest.fixture(scope="session")
def prepared(photo: Any) -> Callable[..., None]:
    """``prepared(library, name, theirs)``: the library's input made of a photo against ours by the origin."""
    import numpy as np

    from edgeeff.zoo import catalog, origin

    def check(library: str, name: str, theirs: Any) -> None:
        own = origin.of(library, catalog.get(name), name, {}).preprocess
        ours = own.normalise(own.fit(photo)[None])[0]
        assert ours.shape == theirs.shape
        difference = float((np.abs(ours - theirs.numpy()).mean((1, 2)) * own.std).max())
        _figures[f"{library} {name}, pixels of 256"] = difference
        # They round the resized side, cut at whole pixels, and round between resizing and cutting.
        assert difference < 1

    return check
