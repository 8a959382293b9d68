"""From the hub graph to a .tflite file, written directly: no converter stands between to change a scale."""

from __future__ import annotations

import onnx

from edgeeff.backends import Emission, input_preprocess
from edgeeff.backends.tflite import flatbuffer, metadata
from edgeeff.backends.tflite.lower import lower

FILE = "model.tflite"


def emit(graph: onnx.ModelProto, emission: Emission) -> dict[str, bytes]:
    """Lower ``graph`` and write it with its labels and normalisation.

    Args:
        graph: The hub graph for an int8 target, the float base graph for a float one.
        emission: The input's type, the preprocessing and the labels.

    Returns:
        ``model.tflite``, and ``labels.txt`` where there are labels.

    Raises:
        GraphError: An operator or a quantisation that TFLite does not have, named with its node.
    """
    model = lower(
        graph,
        emission.name,
        emission.target.input,
        emission.preprocess,
        activation=emission.added,
        detection=emission.detection,
    )
    sources = [model.tensors[name] for name in model.inputs.values()]
    normalised = input_preprocess(emission.target, emission.preprocess)
    if emission.preprocess.camera is not None:
        normalised = normalised.unnormalised()
    mean, std = metadata.normalization(sources[0], normalised)
    described = metadata.build(
        emission.name,
        emission.labels,
        mean,
        std,
        channels=emission.preprocess.channels,
        probabilities=emission.softmax,
        features=() if emission.meaning.decides and not emission.meaning.by_pixel else list(model.outputs),
        detection=emission.detection,
        camera=emission.preprocess.camera,
    )
    content = flatbuffer.write(model, {metadata.BUFFER: described})
    files = {FILE: metadata.append_labels(content, emission.labels)}
    if emission.labels:
        files[metadata.LABELS_FILE] = metadata.labels_text(emission.labels)
    return files
