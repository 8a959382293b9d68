"""A checkpoint of random weights and fitted batch statistics, for times where none is trained.

    python -m benchmarks.lively OUTPUT.safetensors --model b0 --calibration PHOTOS [--size PIXELS]

Accuracy of such a network means nothing; times, memory and the plan's structure are those of a trained one.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.table import arguments
from edgeeff.images import open_images
from edgeeff.zoo import catalog, efficientnet
from edgeeff.zoo.spec import ModelSpec

FITTED = 12  # photos that batch statistics are fitted to, at half the size
TAME = 0.05  # of a block's step along the residual chain: random steps make chaos of every rounding


@torch.no_grad()
def save_lively(spec: ModelSpec, photos: Path, side: int, path: Path, classes: int = 1000) -> None:
    """A checkpoint of random weights and the batch statistics of the first photos."""
    size = (side, side)
    with torch.device("meta"):
        network = efficientnet.build(spec, classes, size)
    network = network.to_empty(device="cpu")
    random = torch.Generator().manual_seed(0)
    for key, value in network.state_dict().items():
        if value.dim() > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=random)
        elif key.endswith(("weight", "running_var")):
            value.fill_(1.0)
        else:
            value.zero_()
    for block in network.blocks:
        if block.residual:
            block.project.norm.weight.fill_(TAME)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    preprocess = spec.preprocess(size)
    pixels, _ = next(iter(open_images(photos).batches(preprocess, FITTED)))
    network.train()(torch.from_numpy(preprocess.normalise(pixels)))
    for norm in norms:
        assert norm.running_var is not None
        norm.running_var.clamp_(min=float(norm.running_var.mean()) / 4)
    save_file(network.state_dict(), path)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--calibration", type=Path, required=True, help="photos for the statistics")
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the network's own")
    options = parser.parse_args()
    spec = catalog.get(options.model)
    save_lively(spec, options.calibration, (options.size or spec.size) // 2, options.output)


if __name__ == "__main__":
    main()
