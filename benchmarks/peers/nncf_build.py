"""What a user of NNCF writes: a trained network in, an INT8 model of OpenVINO out.

    python -m benchmarks.peers.nncf_build OUTPUT.xml --calibration PHOTOS --model lite0 [--checkpoint FILE]
        [--size PIXELS]

NNCF's defaults (PERFORMANCE), from torch, which serves it best. The network and the photos are read by our
code. ``peers/builds.py`` runs it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nncf
import openvino as ov
import torch

from edgeeff.images import open_images
from edgeeff.zoo import catalog, checkpoints


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--size", type=int)
    options = parser.parse_args()

    preprocess = catalog.get(options.model).preprocess((options.size,) * 2 if options.size else None)
    network = checkpoints.read(options.checkpoint, options.model).network(preprocess.size)
    photos = open_images(options.calibration)
    images = [preprocess.normalise(pixels) for pixels, _ in photos.batches(preprocess, size=1)]
    example = torch.from_numpy(images[0])
    model = ov.convert_model(network, example_input=example, input=list(example.shape))
    model = nncf.quantize(model, nncf.Dataset(images), subset_size=len(images))
    ov.save_model(model, options.output)


if __name__ == "__main__":
    main()
