"""Build detectors of the catalogue with random weights, one at a time: in how much memory and time.

    python scripts/detectors.py --calibration PHOTOS efficientdet-d4 efficientdet-d7@512 …

Without names all of them: D0 to D5 and the others at their own size, D6 to D7x at 512 pixels.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from edgeeff.zoo import catalog
from edgeeff.zoo.detection import efficientdet
from edgeeff.zoo.detection.spec import DetectorSpec

TARGETS = ("cpu-int8", "mobile-int8", "jetson-int8", "rtx-int8")
LARGE, REDUCED = 1400, 512  # detectors of a larger side are built for the smaller
CLASSES = 90
#: Photos that the random network's batch normalisation is of: of small ones more, whose coarse maps have few
#: places. Statistics of too few photos are another network's for every other photo.
STATISTICS, LEAST, FOR = 32, 8, 256


def main() -> int:
    """Build what was asked for; 1 if one was not built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--calibration", required=True, help="a folder of photos")
    parser.add_argument("--target", action="append", default=[])
    parser.add_argument("--count", default="10", help="images, a fifth of them to judge by")
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--effort", default="balanced")
    asked = parser.parse_args()
    failed = 0
    for name in asked.names or [_at(spec) for spec in catalog.detectors()]:
        model, _, side = name.partition("@")
        failed += _build(catalog.detector(model), int(side or 0), asked)
    return 1 if failed else 0


def _at(spec: DetectorSpec) -> str:
    large = spec.size > LARGE or spec.name == "efficientdet-d6"
    return f"{spec.name}@{REDUCED}" if large else spec.name


def _build(spec: DetectorSpec, side: int, asked: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / f"{spec.name}.pth"
        photos, size = Path(asked.calibration), side or spec.size
        torch.save(random_weights(spec, asked.classes, photos, size), checkpoint)
        targets = [f"--target={target}" for target in asked.target or TARGETS]
        command = [
            *(
                sys.executable,
                "-m",
                "edgeeff",
                "build",
                "--model",
                spec.name,
                "--checkpoint",
                str(checkpoint),
            ),
            *("--calibration", asked.calibration, "--count", asked.count, "--effort", asked.effort),
            *("-o", f"{folder}/dist", "--size", str(side or spec.size), *targets),
        ]
        environment = {**os.environ, "EDGEEFF_CACHE_DIR": f"{folder}/cache", "EDGEEFF_HISTORY": "off"}
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdout is not None
        said = process.stdout.read().decode(errors="replace")
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        seconds, gigabytes = time.monotonic() - began, usage.ru_maxrss / 1e6
        print(
            f"{spec.name:<20} {side or spec.size:>5} px  status {os.waitstatus_to_exitcode(status)}  "
            f"{seconds:6.0f} s  {gigabytes:5.2f} GB",
            flush=True,
        )
        lines = [line for line in said.splitlines() if re.match(r"error|  →|WARNING|.*(dB|rung)", line)]
        if status and not any(line.startswith("error") for line in lines):
            lines += said.splitlines()[-8:]
        print("".join(f"    {line.replace(folder, '')[:1500]}\n" for line in lines), end="", flush=True)
        return status


def random_weights(spec: DetectorSpec, classes: int, photos: Path, side: int) -> dict[str, torch.Tensor]:
    """Weights whose activations stay near one and whose boxes are few and clear, by a few photos.

    Each batch normalisation takes the statistics of what reaches it, before it passes on what it then makes
    of them. Statistics of noise, of photos prepared otherwise, or corrected afterwards let an untrained
    pyramid overflow: its scores are all 1 then and its boxes as large as numbers can be, and nothing can be
    compared.
    """
    torch.manual_seed(0)
    side = min(side, REDUCED)
    network = efficientdet.build(spec, classes, (side, side))
    handles = []
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.weight, 0.5, 1.0)
            torch.nn.init.normal_(norm.bias, 0, 0.1)
            handles.append(norm.register_forward_pre_hook(_settle))
    pixels = _pixels(spec, photos, side)
    with torch.no_grad():
        network(pixels)
        for handle in handles:
            handle.remove()
        logits, codes = network(pixels)
        for head, values, spread in ((network.class_head, logits, 2.0), (network.box_head, codes, 0.2)):
            head.predict.pointwise.weight *= spread / values.std()
    return network.state_dict()


def _settle(norm: torch.nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
    """Give a batch normalisation the statistics of what reaches it, none of them tiny."""
    assert norm.running_mean is not None and norm.running_var is not None
    variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance.clamp(min=float(variance.mean()) / 4))


def _pixels(spec: DetectorSpec, folder: Path, side: int) -> torch.Tensor:
    """The first photos of a folder as the detector sees them, [N, 3, side, side]."""
    preprocess = spec.preprocess((side, side))
    count = max(LEAST, STATISTICS * FOR**2 // side**2)
    photos = [Image.open(path).convert("RGB") for path in sorted(folder.iterdir())[:count]]
    return torch.from_numpy(preprocess.normalise(np.stack([preprocess.fit(photo) for photo in photos])))


if __name__ == "__main__":
    sys.exit(main())
