"""What a user of litert-torch and ai-edge-quantizer writes: a torch program in, an INT8 .tflite file out.

    python -m venv litert
    litert/bin/pip install torch==2.13.0 litert-torch==0.10.0 ai-edge-quantizer==0.10.0
    litert/bin/python benchmarks/peers/litert_build.py NETWORK.pt2 IMAGES.npy OUTPUT.tflite

It runs in that environment (2.1 GB), which has nothing of edgeeff, and takes one to four minutes for a
network. NETWORK.pt2 is saved by torch.export, IMAGES.npy holds normalised inputs float32 [N, 3, H, W].
The recipe is ai-edge-quantizer's own static one, int8 for weights and activations, input and output
included. ``peers/tflite_latency.py`` runs it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch


class _Called(torch.nn.Module):
    """A program that was loaded: litert-torch takes modules."""

    def __init__(self, program: torch.nn.Module) -> None:
        super().__init__()
        self.program = program

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.program(images)
        return found


def main() -> None:
    import litert_torch
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("network", "images", "output"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()

    network = _Called(torch.export.load(options.network).module())
    images = np.ascontiguousarray(np.load(options.images).transpose(0, 2, 3, 1))
    channels_last = litert_torch.to_channel_last_io(network, args=[0])
    with tempfile.TemporaryDirectory() as folder:
        floats = os.fspath(Path(folder) / "float.tflite")
        litert_torch.convert(channels_last, (torch.from_numpy(images[:1]),)).export(floats)
        signature, names = next(iter(Interpreter(floats).get_signature_list().items()))
        inputs = [{names["inputs"][0]: image[None]} for image in images]
        made = quantizer.Quantizer(floats, recipe.static_wi8_ai8())
        ranges = made.calibrate({signature: inputs}, num_threads=1)
        options.output.write_bytes(bytes(made.quantize(ranges).quantized_model))


if __name__ == "__main__":
    main()
