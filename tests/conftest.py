"""Networks with lively random weights, built once, and photos that an installed package carries."""

from __future__ import annotations

import atexit
import gc
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from hypothesis import settings
from onnx import numpy_helper, parser
from PIL import Image

from edgeeff.calibration.collect import collect
from edgeeff.calibration.statistics import Statistics
from edgeeff.graph.export import base_graph
from edgeeff.images import Picture
from edgeeff.preprocess import Pixels, Preprocess
from edgeeff.zoo import catalog, checkpoints, efficientnet
from edgeeff.zoo.spec import ModelSpec

# The same examples every time, and no clock: a test that fails on a busy machine says nothing.
settings.register_profile("edgeeff", deadline=None, max_examples=25, derandomize=True, database=None)
settings.load_profile("edgeeff")

# Started in the background (nohup … &) a process ignores Ctrl-C, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What a device remembers of its engines is no business of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="edgeeff-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
# Nor are the results of tests a part of anybody's history.
os.environ["EDGEEFF_HISTORY"] = "off"

# As wherever the last bit matters in the project (graph/side_by_side.py): it hangs on the number of threads.
torch.set_num_threads(1)


#: What builds a network or a bundle, or runs the command line: tests with such a fixture are not fast.
BUILDING = frozenset(
    {
        *("make_module", "trained_lite0", "lite0", "b0", "keras_network", "hub", "start", "edgeeff"),
        *("make_bundle", "make_cells"),
    }
)
#: Nor are files that import what starts processes, or holds networks and runs them.
LONG = re.compile(r"^(?:import|from) (?:subprocess|torch|onnx|onnx_ir|onnxruntime|keras)\b", re.MULTILINE)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--fast``: the tests of the inner loop (``make check``)."""
    parser.addoption("--fast", action="store_true", help="leave out what builds networks or starts processes")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--fast``, leave such files unread: importing them takes longer than their fast tests."""
    if not config.getoption("--fast") or not collection_path.name.startswith("test_"):
        return None
    if collection_path.parent.name == "fuzz":  # hundreds of damaged files each
        return True
    return bool(LONG.search(collection_path.read_text(encoding="utf-8"))) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--fast``, leave out the tests with such a fixture."""
    if not config.getoption("--fast"):
        return
    left = [item for item in items if BUILDING & set(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in set(left)]


def pytest_collection_finish() -> None:
    """Leave libraries and thousands of tests out of each later search for garbage: a third of a second."""
    gc.collect()
    gc.freeze()


SIZE = 64
#: Of the channels of the shared networks: all blocks are there, at a third of the arithmetic.
WIDTH = 0.5
CLASSES = 10


@dataclass(frozen=True)
class Network:
    """A base graph with all that quantisation reads. The tests share it: clone ``graph`` to change it."""

    name: str
    spec: ModelSpec
    graph: ir.Model
    preprocess: Preprocess
    statistics: Statistics
    images: Pixels


def smooth_noise(count: int, size: int, seed: int) -> Pixels:
    """Images that vary slowly, as photos do, with a little noise: uint8 [count, size, size, 3]."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, 3), np.uint8)
    fine = [
        np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in coarse
    ]
    return np.clip(np.stack(fine) + random.normal(0, 12, (count, size, size, 3)), 0, 255).astype(np.uint8)


def random_module(
    model: str | ModelSpec, classes: int = CLASSES, size: int = SIZE, seed: int = 0
) -> torch.nn.Module:
    """A network of the zoo with random weights, and the batch statistics of a few images.

    The statistics keep the activations of even B7's 55 blocks near one, as training would.
    """
    spec = catalog.get(model) if isinstance(model, str) else model
    with torch.device("meta"):
        network = efficientnet.build(spec, classes, (size, size))
    network = network.to_empty(device="cpu")
    random = torch.Generator().manual_seed(seed)
    for key, value in network.state_dict().items():
        if key.endswith("num_batches_tracked"):
            value.zero_()
        elif key.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1, generator=random)
        elif value.dim() == 1:
            # Small steps along the residual chain, as in trained networks; else rounding grows with depth.
            value.uniform_(0.1, 0.3, generator=random) if ".project" in key else value.uniform_(
                0.5, 1.5, generator=random
            )
        else:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=random)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        pixels = smooth_noise(8, size, seed + 1)
        network.train()(torch.from_numpy(spec.preprocess((size, size)).normalise(pixels)))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_var is not None
            module.running_var.clamp_(min=float(module.running_var.mean()) / 4)
    return network.eval()


def _network(name: str, width: float = WIDTH) -> Network:
    spec = replace(catalog.get(name), width=width)
    preprocess = spec.preprocess((SIZE, SIZE))
    graph = base_graph(random_module(spec), (SIZE, SIZE))
    images = smooth_noise(8, SIZE, 1)
    return Network(name, spec, graph, preprocess, collect(graph, preprocess, [images]), images)


@pytest.fixture(scope="session")
def make_module() -> Callable[..., torch.nn.Module]:
    """``make_module(name or spec, classes=10, size=64, seed=0)``: a network with random weights."""
    return random_module


@pytest.fixture(scope="session")
def make_images() -> Callable[[int, int, int], Pixels]:
    """``make_images(count, size, seed)``: smooth noise, uint8 [count, size, size, 3]."""
    return smooth_noise


@pytest.fixture(scope="session")
def lite0() -> Network:
    """Lite0 (ReLU6), half as wide, with random weights at 64 pixels, and statistics of a few images."""
    return _network("lite0")


@pytest.fixture(scope="session")
def b0() -> Network:
    """B0 (Swish, squeeze-excite), half as wide, with random weights at 64 pixels, and statistics."""
    return _network("b0")


class Networks(dict[str, Network]):
    """By name; ``"b0 whole"`` has all of its channels, for what is true of many weights alone."""

    def __missing__(self, name: str) -> Network:
        found = self[name] = _network(name.removesuffix(" whole"), 1.0)
        return found


@pytest.fixture(scope="session")
def networks(lite0: Network, b0: Network) -> Networks:
    """Both, by name."""
    return Networks({"lite0": lite0, "b0": b0})


@pytest.fixture(scope="session")
def photos() -> list[Picture]:
    """The 20 ImageNet photos that foolbox carries."""
    spec = find_spec("foolbox")
    assert spec is not None and spec.origin is not None
    return [Picture(p) for p in sorted((Path(spec.origin).parent / "data").glob("imagenet_*.jpg"))]


@pytest.fixture(scope="session")
def trained_lite0() -> tuple[ir.Model, Preprocess]:
    """The base graph of Lite0 with its real ImageNet weights, at its own size."""
    spec = catalog.get("lite0")
    network = checkpoints.read(None, "lite0").network((spec.size, spec.size))
    return base_graph(network, (spec.size, spec.size)), spec.preprocess()


@pytest.fixture(scope="session")
def run_onnx() -> Callable[..., np.ndarray]:
    """``run_onnx(graph, x)``: the first output in onnxruntime, computed as the graph is written."""

    def run(graph: ir.Model | onnx.ModelProto, x: np.ndarray) -> np.ndarray:
        proto = ir.to_proto(graph) if isinstance(graph, ir.Model) else graph
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
        name = session.get_inputs()[0].name
        batch = session.get_inputs()[0].shape[0]
        parts = [x[i : i + batch] for i in range(0, len(x), batch)]
        return np.concatenate([session.run(None, {name: part})[0] for part in parts])

    return run


@pytest.fixture(scope="session")
def graph_of() -> Callable[..., ir.Model]:
    """``graph_of(body, **constants)``: a graph in ONNX's text form, from ``x`` [1, 4, 8, 8] to ``y``."""

    def make(body: str, **constants: Any) -> ir.Model:
        text = (
            f'<ir_version: 8, opset_import: ["" : 17]> agraph (float[1, 4, 8, 8] x) => (float y) {{ {body} }}'
        )
        model = parser.parse_model(text)
        model.graph.output[0].type.tensor_type.ClearField("shape")
        model.graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value, getattr(value, "dtype", np.float32)), name)
            for name, value in constants.items()
        )
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        return ir.from_proto(model)

    return make


@pytest.fixture
def x() -> np.ndarray:
    """An input of such a graph."""
    return np.random.default_rng(3).standard_normal((1, 4, 8, 8), np.float32)


@pytest.fixture(scope="session")
def weights() -> Callable[..., np.ndarray]:
    """``weights(*shape)``: normal values, the same ones every time."""
    return lambda *shape: np.random.default_rng(4).standard_normal(shape, np.float32)


@pytest.fixture(scope="session")
def start_chromium() -> Iterator[Callable[..., Any]]:
    """``start_chromium(*arguments)``: Debian's Chromium; a process can have Playwright only once."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = Path("/usr/bin/chromium")
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    with playwright.sync_playwright() as started:
        yield lambda *arguments: started.chromium.launch(
            executable_path=str(path), args=["--no-sandbox", *arguments]
        )
