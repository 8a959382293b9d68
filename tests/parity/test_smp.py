"""Every segmenter of segmentation_models_pytorch that is read computes what ours does."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
import torch

from edgeeff.zoo import checkpoints

smp = pytest.importorskip("segmentation_models_pytorch", reason="the parity tier's library: make test-parity")

NETWORKS = runpy.run_path(str(Path(__file__).with_name("tables.py")))["SMP"]
READ = [network for network in NETWORKS if network[0] in ("Unet", "DeepLabV3", "DeepLabV3Plus")]
REACH = 1e-4  # relative to the largest logit
SIZES = ((64, 96), (128, 64))


def randomised(module):
    """Random weights that keep activations in the range of trained networks."""
    torch.manual_seed(0)
    for key, value in module.state_dict().items():
        if value.dim() > 1:
            value.normal_(0, (1 / value[0].numel()) ** 0.5)
        elif key.endswith("running_var"):
            value.uniform_(0.05, 0.2)  # small, so that an epsilon of 1e-3 for 1e-5 shows
        elif key.endswith("weight"):
            value.uniform_(0.3, 0.6)
        elif value.is_floating_point():
            value.normal_(0, 0.1)
    return module.eval()


@pytest.mark.filterwarnings("ignore")  # of the library's own parts
@pytest.mark.parametrize(("kind", "encoder", "options"), READ, ids=str)
def test_outputs(kind, encoder, options, tmp_path):
    module = randomised(
        getattr(smp, kind)(encoder_name=encoder, encoder_weights=None, **{"classes": 5, **options})
    )
    module.save_pretrained(tmp_path)
    checkpoint = checkpoints.read(tmp_path)
    for size in SIZES:
        x = torch.randn(1, 3, *size)
        with torch.inference_mode():
            theirs, ours = module(x), checkpoint.network(size)(x)
        if theirs.shape[1] == 1:  # the background beside it
            assert not ours[:, 0].any()
            ours = ours[:, 1:]
        assert theirs.std() > 0
        assert float((ours - theirs).abs().max() / theirs.abs().max()) <= REACH
