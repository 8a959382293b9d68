"""DeepStream's nvinfer: a classifier's or a detector's configuration, and its labels.

What nvinfer does was read in its manual and its source (gst-nvinfer and libnvds_infer of DeepStream 6.2):

- It writes float32 into the input, ``net-scale-factor * (pixel - offset[c])``, whatever type the input has.
- Its classifier takes the largest output above 0 and above ``classifier-threshold``: logits may all be
  negative, probabilities are not.
- Its labels are a line for each output layer, with ``;`` between the classes.
- It builds INT8 with a calibration file only ("INT8 calibration file not specified. Trying FP16 mode.") and
  FP16 without the INT8 flag, which a Q/DQ network needs. So the engine is built beforehand, and without an
  ``onnx-file`` a stale one is an error, not another network.
- Paths are relative to the configuration's folder.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgeeff.backends.tensorrt.deployment import FOLDER, NVINFER_CHANNELS, Deployment, _detector
from edgeeff.backends.tensorrt.device.onboard import recipes
from edgeeff.batch import Batch

NAME = f"{FOLDER}/deepstream/config_infer_primary.txt"
LABELS = f"{FOLDER}/deepstream/labels.txt"
REFUSAL = f"{FOLDER}/deepstream/README.txt"

_REFUSAL = """\
There is no DeepStream configuration for {title}: it takes {channels} channels, and nvinfer feeds
frames of three (RGB, BGR) or one (grey). Ways out: Triton (../triton) or TensorRT itself with {graph},
whose input the product fills; or nvdspreprocess with a library of your own that makes the tensor.
"""

#: ``NvBufSurfTransform_Inter``: 2 is cubic on the GPU and five taps on the VIC.
FILTERS = {"bilinear": 1, "bicubic": 2}

_ENGINE = "measured/deepstream.engine"
_UP = "../../"  # from the configuration's folder to the bundle's
_NETWORK_MODE = {"int8": 1, "fp16": 2}


def files(deployment: Deployment) -> dict[str, str]:
    """``config_infer_primary.txt`` and the ``labels.txt`` that it names; or why there is none."""
    channels = deployment.shape[1]
    if channels not in NVINFER_CHANNELS:
        return {REFUSAL: _REFUSAL.format(title=deployment.title, channels=channels, graph=deployment.graph)}
    labels = deployment.emission.labels
    text = _detector.labels_text(labels) if deployment.boxes else labels_line(labels)
    return {NAME: _config(deployment)} | ({LABELS: text} if labels else {})


def labels_line(labels: Sequence[str]) -> str:
    """All classes in one line, with commas for what nvinfer would part them by."""
    return ";".join(" ".join(label.replace(";", ",").split()) for label in labels) + "\n"


def _config(deployment: Deployment) -> str:
    emission, own = deployment.emission, deployment.nvinfer_normalises
    preprocess = emission.preprocess
    channels, height, width = deployment.shape[1:]
    scale, offsets = (1 / preprocess.std[0], preprocess.mean) if own else (1.0, (0.0,) * preprocess.channels)
    properties: dict[str, object] = {
        "gpu-id": 0,
        "gie-unique-id": 1,
        "process-mode": 1,
        "network-type": 100 if deployment.features else 1,
        "network-mode": _NETWORK_MODE[emission.target.precision],
        "batch-size": deployment.batch.size,
        "model-engine-file": f"{_UP}{_ENGINE}",
        "infer-dims": f"{channels};{height};{width}",
        "model-color-format": NVINFER_CHANNELS[channels],
        "net-scale-factor": repr(float(scale)),
        "offsets": ";".join(repr(float(offset)) for offset in offsets),
        "maintain-aspect-ratio": int(preprocess.letterbox is not None),
        "scaling-filter": FILTERS[preprocess.interpolation],
    }
    if deployment.boxes:
        properties |= _detector.properties(deployment)
    elif deployment.features:
        properties |= {"output-tensor-meta": 1, "output-blob-names": ";".join(deployment.features)}
    else:
        properties["classifier-threshold"] = 0.0 if emission.meaning.exclusive else emission.threshold
    if emission.labels:
        properties["labelfile-path"] = LABELS.rpartition("/")[2]
    lines = [*(f"# {line}".rstrip() for line in _heading(deployment)), "", "[property]"]
    attributes = _detector.attributes(deployment) if deployment.boxes else []
    return "\n".join([*lines, *(f"{name}={value}" for name, value in properties.items()), *attributes]) + "\n"


def _heading(deployment: Deployment) -> list[str]:
    emission, own = deployment.emission, deployment.nvinfer_normalises
    graph = deployment.graph if own else deployment.copy
    what = "for features" if deployment.features else "as a classifier"
    if emission.detection is not None:
        what = "as a detector" if deployment.boxes else "for scores and codes of its anchors"
    flags = " ".join(f"--{flag.lower()}" for flag in recipes.recipe((8, 5), emission.target.precision).flags)
    return [
        f"{deployment.title} {what} of whole frames, for DeepStream's nvinfer. NOT RUN on a device.",
        "",
        "1. Build its engine where it will run, in the bundle's folder (JetPack has trtexec in",
        "   /usr/src/tensorrt/bin). TensorRT 8.5 to 10.16 take this line; DeepStream 9.2 has 10.16.",
        f"   trtexec --onnx={graph} {flags} {_shapes(deployment)}--saveEngine={_ENGINE}",
        *(_features(deployment) if deployment.features and not deployment.boxes else _run(deployment.batch)),
        "",
        "There is no onnx-file line: nvinfer builds INT8 from a calibration file only, so it could not build",
        "this network, and an engine of another TensorRT is to be an error.",
        "",
        *_how_pixels_come(deployment),
        *(_detector.letterboxed(deployment) if emission.preprocess.letterbox else _stretched(deployment)),
        *([] if deployment.features else _answer(deployment)),
    ]


def _stretched(deployment: Deployment) -> list[str]:
    height, width = deployment.shape[2:]
    return [
        f"nvinfer stretches the whole frame to {width}x{height}. What the network was trained to see of it,",
        f"{'must be cut' if deployment.features else 'run.sh cuts'} out before; and neither antialiases as "
        "the training did. Look at the accuracy there.",
    ]


def _features(deployment: Deployment) -> list[str]:
    return [
        "2. Read the outputs from the frames' NvDsInferTensorMeta (output-tensor-meta=1), channels first:",
        *(f"   {name} [{', '.join(map(str, dims))}]" for name, dims in deployment.features.items()),
    ]


def _shapes(deployment: Deployment) -> str:
    """What trtexec is to be told of a graph that leaves its batch open."""
    if not deployment.batch.dynamic:
        return ""
    most = deployment.batch.size
    return "".join(
        f"{word} " for word in recipes.shapes(deployment.input_name, deployment.shape[1:], (1, most, most))
    )


def _run(batch: Batch) -> list[str]:
    if batch.dynamic or batch.size == 1:
        return ["2. Run it: sh deploy/deepstream/run.sh file clip.mp4 (it has other sources, too)."]
    return [
        f"2. Put it behind an nvstreammux of batch-size={batch.size} with {batch.size} sources: of an engine",
        "   of fixed batch nvinfer refuses fewer frames. A build with --batch dynamic takes any number.",
    ]


def _answer(deployment: Deployment) -> list[str]:
    if deployment.emission.meaning.exclusive:
        return ["With classifier-threshold 0 every frame gets its likeliest class."]
    if deployment.classes == 1:
        return ["The label is given where its probability is over classifier-threshold, and else nothing."]
    return [
        "Labels of this network do not exclude each other, but nvinfer's classifier gives one at most: the",
        "likeliest over classifier-threshold. For all of them read the output tensor (output-tensor-meta=1),",
        "or write a parse-classifier-func-name.",
    ]


def _how_pixels_come(deployment: Deployment) -> list[str]:
    emission = deployment.emission
    if deployment.nvinfer_normalises:
        return ["net-scale-factor and offsets are the network's own normalisation, (pixel - mean) / std.", ""]
    reasons, end = [], emission.meaning.activation or "the features"
    if emission.detection is not None:
        end = "classes as floats" if deployment.boxes else "the same outputs"
    std = emission.preprocess.std
    if emission.target.input != "float32":
        reasons.append(f"takes {emission.target.input}, and nvinfer writes float32")
    elif len(set(std)) > 1:
        reasons.append(f"wants std {' '.join(f'{s:g}' for s in std)}, and nvinfer has one net-scale-factor")
    if deployment.boxes:
        reasons.append("gives classes as int32, which the parser reads as floats, and so as class 0")
    if not (emission.softmax or deployment.features):
        reasons.append("ends in logits, and nvinfer's classifier reads probabilities")
    return [
        f"The graph is not {deployment.graph}, because that one",
        *(f"- {reason}" for reason in reasons),
        f"but a copy of it that takes raw pixels, normalises them itself, and ends in {end}.",
        "",
    ]
