"""The same network quantised by this project and by its peers, each as a bundle.

A peer's model is wrapped as a bundle of the runtime that it runs on, so that one and the same code runs,
judges and times all of them. Peers get what ours get: the same weights (onnxruntime the very float graph),
calibration images and preprocessing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import openvino as ov
import torch
from openvino.preprocess import PrePostProcessor

import edgeeff
from edgeeff.backends.onnxruntime.run import OnnxRuntimeSession, session_of
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.graph import export
from edgeeff.graph.model import expand_functions
from edgeeff.images import open_images
from edgeeff.preprocess import Preprocess
from edgeeff.target import InputType, load_target
from edgeeff.zoo import catalog, checkpoints

Batch = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """What all contenders are given.

    Args:
        model: The network's name in the zoo.
        checkpoint: Its weights; None: those that a wheel carries.
        calibration: Images for the ranges.
        size: Height and width of the input, pixels; None: the network's own.
        output: Folder for the bundles.
        effort: Of our own builds.
    """

    model: str
    checkpoint: Path | None
    calibration: Path
    size: int | None
    output: Path
    effort: str = "balanced"

    @cached_property
    def preprocess(self) -> Preprocess:
        """The network's, at the task's size."""
        size = (self.size, self.size) if self.size else None
        return catalog.get(self.model).preprocess(size)

    @cached_property
    def network(self) -> torch.nn.Module:
        """The trained network."""
        return checkpoints.read(self.checkpoint, self.model).network(self.preprocess.size)

    @cached_property
    def float_graph(self) -> onnx.ModelProto:
        """The float graph in standard operators, after the exact passes."""
        return expand_functions(export.base_graph(self.network, self.preprocess.size))

    @cached_property
    def float_session(self) -> OnnxRuntimeSession:
        """The float graph in onnxruntime."""
        return session_of(self.float_graph.SerializeToString(), self.preprocess)

    def inputs(self) -> Iterator[Batch]:
        """The calibration images as float inputs [1, 3, H, W]."""
        for pixels, _ in open_images(self.calibration).batches(self.preprocess, size=1):
            yield self.preprocess.normalise(pixels)


def ours(task: Task, *targets: str) -> dict[str, Bundle]:
    """What ``edgeeff build`` writes, by target."""
    edgeeff.build(
        model=task.model,
        checkpoint=task.checkpoint,
        targets=list(targets),
        calibration=task.calibration,
        # Without this a fifth of the images would be held out; the judge's images are not to be seen here.
        validation=task.calibration,
        count=len(open_images(task.calibration)),
        size=task.size,
        output=task.output,
        effort=task.effort,
    )
    return {target: Bundle.load(task.output / f"{task.model}-{target}") for target in targets}


def hub_in_onnxruntime(task: Task, jetson: Bundle) -> Bundle:
    """The Q/DQ graph of a Jetson bundle, which TensorRT reads, run by onnxruntime."""
    graph = (jetson.folder / "model.qdq.onnx").read_bytes()
    return _onnxruntime_bundle(task, "tensorrt-scheme", graph)


def nncf(task: Task, name: str) -> Bundle:
    """The network quantised by NNCF for OpenVINO, by the way that serves it best: from torch.

    From ONNX the frontend leaves a Reshape before the weights of depthwise convolutions, where NNCF 3.4 does
    not quantise them: they stay float, and the model takes half as long again.

    Args:
        task: What is quantised.
        name: ``performance`` (NNCF's default), ``mixed``, or ``tuned``: full bias correction, min/max
            ranges, per-tensor activations and no overflow fix.
    """
    import nncf as library

    presets = library.QuantizationPreset
    options: dict[str, Any] = {"preset": presets.MIXED if name == "mixed" else presets.PERFORMANCE}
    if name == "tuned":
        options |= {"fast_bias_correction": False, "advanced_parameters": _nncf_tuned()}
    images = list(task.inputs())
    example = torch.from_numpy(images[0])
    model = ov.convert_model(task.network, example_input=example, input=list(example.shape))
    model = library.quantize(model, library.Dataset(images), subset_size=len(images), **options)
    files = _ir_files(_camera_input(model, task.preprocess))
    return _wrap(task, f"nncf-{name}", "openvino", "uint8", files)


def _nncf_tuned() -> Any:
    from nncf.quantization import advanced_parameters as advanced
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    return advanced.AdvancedQuantizationParameters(
        overflow_fix=advanced.OverflowFix.DISABLE,
        activations_quantization_params=advanced.QuantizationParameters(per_channel=False),
        activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
    )


def onnxruntime(task: Task) -> Bundle:
    """The float graph quantised by onnxruntime's quantize_static: Q/DQ, per channel, min/max ranges."""
    from onnxruntime import quantization as library

    class Reader(library.CalibrationDataReader):
        def __init__(self) -> None:
            self.inputs = task.inputs()

        def get_next(self) -> dict[str, Batch] | None:
            image = next(self.inputs, None)
            return None if image is None else {export.INPUT: image}

    with tempfile.TemporaryDirectory() as folder:
        source, quantised = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(task.float_graph, source)
        library.quantize_static(
            source,
            quantised,
            Reader(),
            quant_format=library.QuantFormat.QDQ,
            per_channel=True,
            calibrate_method=library.CalibrationMethod.MinMax,
        )
        return _onnxruntime_bundle(task, "onnxruntime-minmax", quantised.read_bytes())


#: The peers by the names they have in the tables.
PEERS: dict[str, Callable[[Task], Bundle]] = {
    "NNCF default (PERFORMANCE)": lambda task: nncf(task, "performance"),
    "NNCF MIXED": lambda task: nncf(task, "mixed"),
    "NNCF tuned (for ReLU6)": lambda task: nncf(task, "tuned"),
    "onnxruntime MinMax": onnxruntime,
}


def _camera_input(model: Any, preprocess: Preprocess) -> Any:
    """Let the model take raw pixels uint8 NHWC, as ours does: OpenVINO's own way."""
    processor = PrePostProcessor(model)
    processor.input().tensor().set_layout(ov.Layout("NHWC")).set_element_type(ov.Type.u8)
    steps = processor.input().preprocess().convert_element_type(ov.Type.f32)
    steps.mean(list(preprocess.mean)).scale(list(preprocess.std))
    processor.input().model().set_layout(ov.Layout("NCHW"))
    return processor.build()


def _ir_files(model: Any) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        ov.save_model(model, Path(folder) / "model.xml", compress_to_fp16=False)
        return {name: (Path(folder) / name).read_bytes() for name in ("model.xml", "model.bin")}


def _onnxruntime_bundle(task: Task, name: str, graph: bytes) -> Bundle:
    return _wrap(task, name, "onnxruntime", "float32", {"model.onnx": graph})


def _wrap(task: Task, name: str, runtime: str, input_type: InputType, files: dict[str, bytes]) -> Bundle:
    """A bundle of a peer's model, run with the properties that ours is run with."""
    classes = task.float_graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    properties = load_target("cpu-int8").runtime_properties if runtime == "openvino" else {}
    manifest = Manifest(
        name=f"{task.model}-{name}",
        model=task.model,
        target=name,
        runtime=runtime,
        precision="int8",
        input=input_type,
        softmax=False,
        cpu_class="auto",
        preprocess=task.preprocess,
        labels=tuple(map(str, range(classes))),
        classes=classes,
        runtime_properties=properties,
        digests={},
        tools={},
        files={},
    )
    return write_bundle(task.output / manifest.name, manifest, files)
