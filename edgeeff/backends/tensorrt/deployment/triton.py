"""Triton Inference Server: two model repositories, of the TensorRT engine and of the ONNX file.

The fields and their meaning were read in Triton's ``model_config.proto`` and manual. Triton 2.51 was run with
them and its onnxruntime backend; its TensorRT backend was not. A ``max_batch_size`` of 0 says that the
dimensions are whole, with the fixed batch among them. Another number wants a graph that leaves its first
dimension open: Triton then adds that dimension, and may put requests together (``dynamic_batching``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from edgeeff.backends.tensorrt.deployment import FOLDER, Deployment
from edgeeff.backends.tensorrt.device.onboard.boxes import PLUGIN
from edgeeff.backends.tensorrt.ladder import RAW
from edgeeff.backends.triton import LABELS, Model, Tensor, config, labels_text
from edgeeff.batch import ONE, Batch
from edgeeff.preprocess import CHANNELS

#: Outputs of EfficientNMS_TRT that are no floats.
_INTEGERS = dict.fromkeys((PLUGIN[0], PLUGIN[-1]), "TYPE_INT32")
_TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8"}

#: For each platform: the repository, the model's file in it, what is copied there, the command that puts it
#: there with the rest, and where it runs.
_REPOSITORIES: tuple[tuple[str, str, str, str, str, Literal["GPU", "CPU"]], ...] = (
    (
        "tensorrt_plan",
        "tensorrt",
        "model.plan",
        "what build_engine.py --precision {precision} wrote to measured/",
        "python3 build_engine.py --precision {precision} --triton FOLDER",
        "GPU",
    ),
    (
        "onnxruntime_onnx",
        "onnxruntime",
        "model.onnx",
        "{graph}, to be run on the CPU",
        "edgeeff inspect BUNDLE --triton FOLDER --triton-backend onnxruntime",
        "CPU",
    ),
)


#: Requests are held back for a run that is not full, a tenth of a millisecond at most.
_DYNAMIC = """\
dynamic_batching {{
  preferred_batch_size: [ {size} ]
  max_queue_delay_microseconds: 100
}}
"""


def files(deployment: Deployment) -> dict[str, str]:
    """A ``config.pbtxt`` for TensorRT and one for onnxruntime, each with the labels beside it."""
    name, labels = deployment.emission.name, deployment.emission.labels
    found = {}
    for platform, repository, file, content, whole, kind in _REPOSITORIES:
        folder = f"{FOLDER}/triton/{repository}/{name}"
        graph, own = deployment.graph, deployment
        if deployment.boxes and kind == "CPU":  # onnxruntime has no EfficientNMS_TRT
            graph, own = RAW[0], replace(deployment, features=deployment.raw)
        precision = deployment.emission.target.precision
        copied = content.format(graph=graph, precision=precision)
        heading = [
            f"{deployment.title} for Triton Inference Server.{' NOT RUN on a server.' * (kind == 'GPU')}",
            "",
            f"{FOLDER}/triton/{repository}/   tritonserver --model-repository={FOLDER}/triton/{repository}",
            f"  {deployment.title}/",
            "    config.pbtxt",
            *(["    labels.txt"] if labels else []),
            f"    1/{file}   copy it there: {copied}",
            f"or let all of it be put into a folder: {whole.format(precision=precision)}",
            "",
            *_input(deployment),
        ]
        found[f"{folder}/config.pbtxt"] = _config(own, platform, kind, heading)
        if labels:
            found[f"{folder}/{LABELS}"] = labels_text(labels)
    return found


def _input(deployment: Deployment) -> list[str]:
    preprocess = deployment.emission.preprocess
    called = CHANNELS[preprocess.channels]
    resize = f"{preprocess.interpolation}, antialiased, centre crop {preprocess.crop:.3g}"
    if preprocess.letterbox is not None:
        colour = " ".join(f"{value:g}" for value in preprocess.letterbox)
        resize = f"{preprocess.interpolation}, at the top left of a letterbox of {colour}"
    batch = deployment.batch
    number = [] if batch == ONE else [f"A request holds {batch} images."]
    if deployment.emission.target.input != "float32":
        return [f"The client sends raw {called} pixels, resized ({resize}), channels first.", *number]
    mean, std = (" ".join(f"{v:g}" for v in values) for values in (preprocess.mean, preprocess.std))
    return [
        f"The client sends {called} pixels, resized ({resize}), channels first,",
        f"normalised: (pixel - mean) / std, with mean {mean} and std {std} on 0...255.",
        *number,
    ]


def _config(deployment: Deployment, platform: str, kind: Literal["GPU", "CPU"], heading: list[str]) -> str:
    emission, batch = deployment.emission, deployment.batch
    source = Tensor(deployment.input_name, _TYPES[emission.target.input], _dims(batch, deployment.shape[1:]))
    outputs = [
        Tensor(name, _INTEGERS.get(name, "TYPE_FP32"), _dims(batch, dims))
        for name, dims in deployment.outputs.items()
    ]
    model = Model(
        emission.name,
        ("platform", platform),
        kind,
        [source],
        outputs,
        # Where one tensor holds several images, Triton would count their classes on.
        labels=bool(emission.labels) and emission.detection is None and (batch.dynamic or batch == ONE),
        most=batch.size if batch.dynamic else 0,
        end=_DYNAMIC.format(size=batch.size) if batch.dynamic else "",
    )
    return config(model, heading)


def _dims(batch: Batch, of_one: Sequence[int]) -> Sequence[int]:
    """Dimensions as Triton wants them: without the first where it batches itself."""
    return of_one if batch.dynamic else (batch.size, *of_one)
