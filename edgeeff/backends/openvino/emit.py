"""OpenVINO IR from the hub graph, with the preprocessing inside and model_info beside it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino as ov
from openvino.preprocess import PrePostProcessor

from edgeeff.backends import Emission
from edgeeff.backends.openvino import camera, codes, lengths, precise
from edgeeff.backends.openvino.box_ending import with_boxes
from edgeeff.backends.openvino.usage import pad_value
from edgeeff.batch import Batch
from edgeeff.detection import RUNTIME, Detection
from edgeeff.errors import GraphError, OutputError
from edgeeff.preprocess import Preprocess

MODEL = "model.xml"


def emit(graph: onnx.ModelProto, emission: Emission) -> dict[str, bytes]:
    """``model.xml`` and ``model.bin``.

    An integer input takes raw pixels in NHWC, the layout a camera or a decoder gives: OpenVINO's
    PrePostProcessor converts and normalises them on the way into the first convolution at no cost, where
    an ONNX Transpose would push the stem to float.

    Raises:
        GraphError: OpenVINO does not read the graph.
    """
    try:
        model = ov.Core().read_model(lengths.written_out(graph).SerializeToString())
    except RuntimeError as error:
        raise GraphError(
            f"OpenVINO does not read the graph: {_last_line(error)}",
            mend="EfficientNets exported by this tool are read; report the operator that is named",
        ) from None
    if emission.target.precision == "int8":
        codes.fold(model, joined=not emission.batch.dynamic)
    if emission.batch.dynamic:
        _bound(model, emission.batch)
    model = _with_input(model, emission)
    if emission.detection is not None and not emission.batch.dynamic:
        _pin(model)
    if emission.detection is not None and emission.detection.where == RUNTIME:
        model = with_boxes(model, emission.detection)
    elif emission.added:
        model = _with_probabilities(model, emission.added)
    _add_model_info(model, emission)
    _name_by_order(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / MODEL
        try:
            ov.save_model(model, path, compress_to_fp16=False)
        except RuntimeError as error:
            raise OutputError(
                f"OpenVINO cannot write to the temporary folder {folder}: {_last_line(error)}",
                mend="free some space there, or set TMPDIR to another folder",
            ) from None
        files = {name: (Path(folder) / name).read_bytes() for name in (MODEL, "model.bin")}
    if emission.detection is not None and emission.target.precision == "int8":
        files[MODEL] = precise.marked(files[MODEL], precise.ends(model))
    if emission.preprocess.camera is not None:
        files[MODEL] = precise.marked(files[MODEL], camera.names(model))
    if emission.labels:
        files["labels.txt"] = "".join(f"{label}\n" for label in emission.labels).encode()
    return files


def _bound(model: Any, batch: Batch) -> None:
    """Let the IR say how many images a run takes at most: OpenVINO refuses more."""
    _, *rest = model.input(0).partial_shape
    model.reshape(ov.PartialShape([ov.Dimension(1, batch.size), *rest]))


def _pin(model: Any) -> None:
    """Say the input's shape once more, by an operation that changes nothing.

    Model API puts its own resize and letterbox before the network, behind which no size is known any more. A
    network of open shapes is slower, and one of an open batch finds nothing in bf16 (OpenVINO 2026.4).
    """
    source = model.input(0).get_node()
    readers = list(source.output(0).get_target_inputs())
    shaped = ov.opset13.reshape(source, np.array(list(source.shape), np.int64), False)
    shaped.set_friendly_name("input.shape")
    for reader in readers:
        reader.replace_source_output(shaped.output(0))
    model.validate_nodes_and_infer_types()


def _with_input(model: Any, emission: Emission) -> Any:
    if emission.preprocess.camera is not None:
        return camera.with_frames(model, emission)
    if emission.target.input == "float32":
        return model
    processor = PrePostProcessor(model)
    tensor = processor.input().tensor()
    tensor.set_layout(ov.Layout("NHWC"))
    tensor.set_element_type(ov.Type.u8 if emission.target.input == "uint8" else ov.Type.i8)
    # int8 holds the pixels minus 128, so the mean is 128 nearer.
    shift = 0.0 if emission.target.input == "uint8" else 128.0
    steps = processor.input().preprocess()
    steps.convert_element_type(ov.Type.f32)
    steps.mean([m - shift for m in emission.preprocess.mean])
    steps.scale(list(emission.preprocess.std))
    processor.input().model().set_layout(ov.Layout("NCHW"))
    return processor.build()


def _with_probabilities(model: Any, activation: str) -> Any:
    logits = model.output(0)
    name = logits.get_any_name()
    logits.get_tensor().set_names({f"{name}.raw"})
    source = logits.get_node().input_value(0)
    probabilities = (
        ov.opset13.softmax(source, axis=1) if activation == "Softmax" else ov.opset13.sigmoid(source)
    )
    probabilities.output(0).get_tensor().set_names({name})
    return ov.Model([probabilities], model.get_parameters(), model.get_friendly_name())


def _add_model_info(model: Any, emission: Emission) -> None:
    """What OpenVINO's Model API reads: the kind of model, its labels, and what is left to do to a photo.

    Names as in openvinotoolkit/model_api, ``docs/model-configuration``. Labels are separated by spaces, so
    spaces inside them become underscores. For ``multilabel`` the Model API takes the sigmoid itself, whatever
    the model ends in: where it is in the model already, nothing must send it there, and no type is said.
    """
    height, width = emission.preprocess.size
    raw = emission.target.input != "float32"
    info = {
        "model_type": "Classification",
        "labels": " ".join(label.replace(" ", "_") for label in emission.labels),
        "resize_type": "crop",
        "orig_height": str(height),
        "orig_width": str(width),
        # Readers of model_info hold frames as OpenCV does, BGR; of one or four channels there is no order.
        "reverse_input_channels": "True" if emission.preprocess.channels == 3 else "False",
        "mean_values": "0 0 0" if raw else _numbers(emission.preprocess.mean),
        "scale_values": "1 1 1" if raw else _numbers(emission.preprocess.std),
        "output_raw_scores": "False",
    }
    if emission.preprocess.camera is not None:
        info |= _of_frames(emission.preprocess)
    if emission.detection is not None:
        info = _of_boxes(info, emission, emission.detection)
    elif (
        not emission.meaning.decides or emission.meaning.by_pixel
    ):  # readers take features as they are: there is no type of model for them
        for key in ("model_type", "labels", "output_raw_scores"):
            del info[key]
    elif not emission.meaning.exclusive:
        info |= {"multilabel": "True", "confidence_threshold": f"{emission.threshold:g}"}
        if emission.softmax:
            del info["model_type"]
    if emission.preprocess.camera is not None and emission.preprocess.camera.planar:
        for key in ("model_type", "resize_type", "orig_height", "orig_width"):  # no reader gives two planes
            info.pop(key, None)
    for key, value in info.items():
        model.set_rt_info(value, ["model_info", key])


def _of_frames(preprocess: Preprocess) -> dict[str, str]:
    """The same of an artifact that takes a camera's frames: readers hold them as BGR, of any size."""
    assert preprocess.camera is not None
    height, width = preprocess.taken
    return {
        "orig_height": str(height),
        "orig_width": str(width),
        "reverse_input_channels": "False" if preprocess.camera.colours == "bgr" else "True",
        **({} if preprocess.camera.frame is None else {"resize_type": "standard"}),
    }


def _of_boxes(info: dict[str, str], emission: Emission, detection: Detection) -> dict[str, str]:
    """The same of a detector: ``SSD`` reads boxes, and no kind of model reads scores and codes of anchors.

    A letterbox has one value for all channels there.
    """
    colour = emission.preprocess.letterbox
    info |= (
        {"resize_type": "standard"}
        if colour is None
        else {
            "resize_type": "fit_to_window",
            "pad_value": str(pad_value(colour)),
        }
    )
    del info["output_raw_scores"]
    if detection.where == RUNTIME:
        return info | {"model_type": "SSD", "confidence_threshold": f"{emission.threshold:g}"}
    del info["model_type"]
    return info


def _name_by_order(model: Any) -> None:
    """Rename what the frontend numbered by a counter of the whole process: equal IRs are equal bytes."""
    for index, operation in enumerate(model.get_ordered_ops()):
        if re.fullmatch(r"[A-Z][A-Za-z]*_\d+", operation.get_friendly_name()):
            operation.set_friendly_name(f"{operation.get_type_name()}_{index}")


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
