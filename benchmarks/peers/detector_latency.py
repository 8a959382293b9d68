"""How long a detector's inference takes: cpu-int8 against NNCF's PERFORMANCE preset, both with raw heads.

    python -m benchmarks.peers.detector_latency --calibration PHOTOS --checkpoint FILE
        [--model efficientdet-d0] [--size PIXELS] [--launches 8] [--json FILE]

Both start from the same weights, images and preprocessing, and take raw pixels uint8. They are timed by
edgeeff's own harness, as ``peers/latency.py`` says: ratios of process CPU times, in turn, in fresh processes.
Boxes are made behind them (``--nms host``), because NNCF's model has none.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import openvino as ov
import torch

import edgeeff
from benchmarks.peers.contenders import _camera_input, _ir_files
from benchmarks.peers.latency import FORMATS, rows_of
from benchmarks.table import arguments, show, write_json
from edgeeff.bundle import Bundle, write_bundle
from edgeeff.harness.golden import GOLDEN
from edgeeff.harness.latency import benchmark
from edgeeff.images import open_images
from edgeeff.target import load_target
from edgeeff.zoo import checkpoints


def nncf(own: Bundle, checkpoint: Path, model: str, calibration: Path) -> Bundle:
    """The same network quantised by NNCF from torch, beside our bundle, with the properties of the target."""
    import nncf as library

    preprocess = own.manifest.preprocess
    photos = open_images(calibration).batches(preprocess, size=1)
    images = [preprocess.normalise(pixels) for pixels, _ in photos]
    network = checkpoints.read(checkpoint, model).network(preprocess.size).eval()
    example = torch.from_numpy(images[0])
    converted = ov.convert_model(network, example_input=example, input=list(example.shape))
    preset = library.QuantizationPreset.PERFORMANCE
    quantised = library.quantize(converted, library.Dataset(images), subset_size=len(images), preset=preset)
    quantised = _camera_input(quantised, preprocess)
    for place, output in enumerate(own.manifest.outputs):
        quantised.output(place).get_tensor().set_names({output.name})
    name = f"{model}-nncf-performance"
    properties = load_target("cpu-int8").runtime_properties
    manifest = replace(own.manifest, name=name, runtime_properties=properties, files={})
    bundle = write_bundle(own.folder.parent / name, manifest, _ir_files(quantised))
    shutil.copytree(own.folder / GOLDEN, bundle.folder / GOLDEN)
    return bundle


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", default="efficientdet-d0")
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--size", type=int, help="height and width, pixels; default: the checkpoint's own")
    parser.add_argument("--launches", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5, help="measuring time for each bundle")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        edgeeff.build(
            model=options.model,
            checkpoint=options.checkpoint,
            targets=["cpu-int8"],
            calibration=options.calibration,
            size=options.size,
            nms="host",
            output=Path(folder),
        )
        own = Bundle.load(Path(folder) / f"{options.model}-cpu-int8")
        peer = nncf(own, options.checkpoint, options.model, options.calibration)
        report = benchmark(
            [peer, own], launches=options.launches, seconds=options.seconds, threads=options.threads
        )
    rows = rows_of(report)
    show(f"{options.model}, one image, {report.threads} thread(s), ratio to {report.baseline}", rows, FORMATS)
    write_json(options.json, rows, report=report.to_json(), options=vars(options))


if __name__ == "__main__":
    main()
