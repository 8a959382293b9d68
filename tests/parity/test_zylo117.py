"""Every network of zylo117's computes what ours does with its tensors, max-pooling's zeros included.

Its code, Yet-Another-EfficientDet-Pytorch at a fixed commit, is fetched; ``EDGEEFF_ZYLO117`` names a checkout
to take instead.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import types
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeeff.zoo import catalog, checkpoints

# Only in the parity tier, since it fetches: by a library that no other environment has.
pytestmark = pytest.mark.skipif(find_spec("timm") is None, reason="the parity tier: make test-parity")

COMMIT = "15403b5371a64defb2a7c74e162c6e880a7f462c"
URL = f"https://codeload.github.com/zylo117/Yet-Another-EfficientDet-Pytorch/tar.gz/{COMMIT}"
#: Its networks, by the number that it calls them.
NAMES = ("d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d7x")


@contextmanager
def backbone(folder: Path):
    """Its module ``backbone``, and nothing of it left among the modules afterwards."""
    source, before = _source(folder), dict(sys.modules)
    # It imports these for what no test calls: drawing and its own non-maximum suppression.
    for name in ("webcolors", "cv2", "torchvision", "torchvision.ops", "torchvision.ops.boxes"):
        stub = types.ModuleType(name)
        stub.nms = stub.batched_nms = None
        sys.modules[name] = stub
    sys.path.insert(0, str(source))
    try:
        import backbone

        yield backbone
    finally:
        sys.path.remove(str(source))
        for name in sys.modules.keys() - before.keys():
            del sys.modules[name]
        sys.modules.update(before)


def _source(folder: Path):
    own = os.environ.get("EDGEEFF_ZYLO117")
    if own:
        return Path(own)
    try:
        with urllib.request.urlopen(URL, timeout=60) as answer:
            content = answer.read()
    except OSError as error:
        pytest.skip(f"zylo117's code cannot be fetched: {error}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(folder, filter="data")
    (found,) = folder.iterdir()
    return found


REACH, SIZE = 1e-4, (256, 256)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    with backbone(tmp_path_factory.mktemp("zylo117")) as module:
        yield module


def randomised(module):
    random = torch.Generator().manual_seed(0)
    for key, value in module.state_dict().items():
        if key.endswith("running_var") or (value.dim() == 1 and key.endswith("weight")):
            value.uniform_(0.5, 1.5, generator=random)
        elif value.dim() > 1:
            value.normal_(0, (1 / value[0].numel()) ** 0.5, generator=random)
        elif value.is_floating_point():
            value.normal_(0, 0.1, generator=random)
    return module.eval()


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_outputs_and_anchors(number, theirs, tmp_path):
    network = randomised(theirs.EfficientDetBackbone(num_classes=7, compound_coef=number))
    path = tmp_path / f"efficientdet-{NAMES[number]}.pth"
    torch.save(network.state_dict(), path)
    found = checkpoints.read(path)
    assert (found.spec.name, found.naming, found.classes) == (path.stem, "zylo117", 7)
    images = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        _, codes, scores, anchors = network(images)
        own_logits, own_codes = found.network(SIZE)(images)
        other = found.network(SIZE, replace(found.origin.conventions, border="nothing"))(images)
    assert float((own_logits.sigmoid() - scores).abs().max()) <= REACH
    assert float((own_codes - codes).abs().max() / codes.abs().max()) <= REACH
    assert float((other[1] - codes).abs().max() / codes.abs().max()) > 10 * REACH
    own = replace(catalog.detector(path.stem).geometry(), size=SIZE).anchors()
    assert np.allclose(own, anchors[0].numpy(), atol=1e-3)
