"""The same detector quantised by this project's peers, each as a bundle with raw heads (``--nms host``)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import openvino as ov
import torch

from benchmarks.peers.contenders import _camera_input, _ir_files
from edgeeff.bundle import Bundle, write_bundle
from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.graph import export
from edgeeff.graph.model import expand_functions
from edgeeff.harness.golden import GOLDEN
from edgeeff.images import open_images
from edgeeff.target import load_target
from edgeeff.zoo import checkpoints
from edgeeff.zoo.detection.efficientdet import EfficientDet

Batch = npt.NDArray[np.float32]


def network(own: Bundle, checkpoint: Path, model: str) -> EfficientDet:
    """The trained network, at the size of our bundle."""
    found = checkpoints.read(checkpoint, model).network(own.manifest.preprocess.size).eval()
    assert isinstance(found, EfficientDet)
    return found


def inputs(own: Bundle, calibration: Path) -> Iterator[Batch]:
    """The calibration images as our bundle's preprocessing has them, float [1, 3, H, W]."""
    preprocess = own.manifest.preprocess
    for pixels, _ in open_images(calibration).batches(preprocess, size=1):
        yield preprocess.normalise(pixels)


def nncf(own: Bundle, checkpoint: Path, model: str, calibration: Path, preset: str = "performance") -> Bundle:
    """The same network quantised by NNCF from torch, beside our bundle, with the properties of the target.

    Args:
        own: Our bundle of the same network: outputs, anchors, preprocessing.
        checkpoint, model: What both are made from.
        calibration: Images for the ranges.
        preset: ``performance`` (NNCF's default) or ``mixed``.
    """
    import nncf as library

    images = list(inputs(own, calibration))
    example = torch.from_numpy(images[0])
    trained = network(own, checkpoint, model)
    converted = ov.convert_model(trained, example_input=example, input=list(example.shape))
    chosen = library.QuantizationPreset[preset.upper()]
    quantised = library.quantize(converted, library.Dataset(images), subset_size=len(images), preset=chosen)
    quantised = _camera_input(quantised, own.manifest.preprocess)
    for place, output in enumerate(own.manifest.outputs):
        quantised.output(place).get_tensor().set_names({output.name})
    name = f"{model}-nncf-{preset}"
    properties = load_target("cpu-int8").runtime_properties
    manifest = replace(own.manifest, name=name, runtime_properties=properties, files={})
    bundle = write_bundle(own.folder.parent / name, manifest, _ir_files(quantised))
    shutil.copytree(own.folder / GOLDEN, bundle.folder / GOLDEN)
    return bundle


def onnxruntime(own: Bundle, checkpoint: Path, model: str, calibration: Path) -> Bundle:
    """The very float graph that ours starts from, quantised by onnxruntime's quantize_static.

    Q/DQ, per channel, minimum and maximum, otherwise its defaults.
    """
    from onnxruntime import quantization as library

    class Reader(library.CalibrationDataReader):
        def __init__(self) -> None:
            self.inputs = inputs(own, calibration)

        def get_next(self) -> dict[str, Batch] | None:
            image = next(self.inputs, None)
            return None if image is None else {export.INPUT: image}

    detection = own.manifest.detection
    assert detection is not None
    graph = export.base_graph(
        network(own, checkpoint, model),
        own.manifest.preprocess.size,
        [LOGITS, CODES],
        coarsest=2 ** detection.geometry.levels[1],
    )
    with tempfile.TemporaryDirectory() as folder:
        source, quantised = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(expand_functions(graph), source)
        library.quantize_static(
            source,
            quantised,
            Reader(),
            quant_format=library.QuantFormat.QDQ,
            per_channel=True,
            calibrate_method=library.CalibrationMethod.MinMax,
        )
        files = {"model.onnx": quantised.read_bytes()}
    name = f"{model}-onnxruntime-minmax"
    manifest = replace(
        own.manifest, name=name, runtime="onnxruntime", input="float32", runtime_properties={}, files={}
    )
    return write_bundle(own.folder.parent / name, manifest, files)
