"""What the ecosystems around TensorRT expect beside a bundle's graphs: one module each, found by listing.

A module holds ``files(deployment)``, which returns texts by their names below the bundle, all in
``deploy/``. They are written from the same :class:`~edgeeff.preprocess.Preprocess` as the rest. None of
them was run on a device: each says so.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import onnx

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt import box_endings
from edgeeff.backends.tensorrt.deployment._raw_pixels import (
    of_raw_pixels,
    only_input,
    raw_pixels_to_probabilities,
)
from edgeeff.batch import Batch
from edgeeff.detection import RUNTIME
from edgeeff.detection.facts import LOGITS
from edgeeff.errors import GraphError

FOLDER = "deploy"

#: nvinfer's model-color-format by the channels that a network takes: RGB, or grey. It feeds no others.
NVINFER_CHANNELS = {3: 0, 1: 2}
#: What nvinfer fills a letterbox with.
BLACK = (0.0, 0.0, 0.0)

#: DeepStream's own graph, where the bundle's does not serve (see :attr:`Deployment.nvinfer_normalises`).
CLASSIFIER, FEATURES = f"{FOLDER}/deepstream/classifier.onnx", f"{FOLDER}/deepstream/features.onnx"
DETECTOR = f"{FOLDER}/deepstream/detector.onnx"


@dataclass(frozen=True)
class Deployment:
    """What the files are written from.

    Args:
        emission: Names, target, preprocessing, labels, whether the graph ends in probabilities.
        shape: Of the input, for one image: 1, channels, height, width.
        classes: How many there are; 0 where features are put out.
        graph: The FP32-typed ONNX file's name below the bundle; TensorRT 8.5 to 10.16 build from it.
        input_name: Of the graph.
        output_name: Of the graph, where it has one output of scores.
        features: Else its outputs by name, each with its dimensions but the images'. Of a detector they are
            boxes, or scores and codes of anchors.
        raw: The same of the graph without boxes beside a detector's that makes them.
    """

    emission: Emission
    shape: tuple[int, int, int, int]
    classes: int
    graph: str
    input_name: str
    output_name: str
    features: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    raw: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def boxes(self) -> bool:
        """Whether the graph makes a detector's boxes."""
        return bool(self.raw)

    @property
    def outputs(self) -> Mapping[str, tuple[int, ...]]:
        """All outputs by name, each with its dimensions but the images'."""
        return self.features or {self.output_name: (self.classes,)}

    @property
    def batch(self) -> Batch:
        """How many images a run of the graph takes."""
        return self.emission.batch

    @property
    def title(self) -> str:
        """The bundle's name, as a comment in one line can have it."""
        return " ".join(self.emission.name.split())

    @property
    def nvinfer_normalises(self) -> bool:
        """Whether nvinfer can feed and read the bundle's own graph.

        It can if the input is float32, the standard deviation is one for all channels (nvinfer computes
        ``net-scale-factor * (x - offset[c])``) and the output is probabilities, or features, which it hands
        on as they are. Otherwise there is :attr:`copy`, which takes raw pixels.
        """
        own = self.emission.target.input == "float32" and len(set(self.emission.preprocess.std)) == 1
        return own and not self.boxes and (self.emission.softmax or bool(self.features))

    @property
    def copy(self) -> str:
        """The graph that nvinfer is given where the bundle's own does not serve."""
        if self.boxes:
            return DETECTOR
        return FEATURES if self.features else CLASSIFIER


def names() -> list[str]:
    """The ecosystems, sorted."""
    return sorted(
        m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith("_")
    )


def colour(emission: Emission) -> str:
    """The letterbox's colour that the network knows, where it is not the black of nvinfer's; else empty."""
    known = emission.preprocess.letterbox or BLACK
    return " ".join(f"{value:g}" for value in known) if any(round(value) for value in known) else ""


def cautions(emission: Emission) -> tuple[str, ...]:
    """What whoever deploys the bundle must know beforehand, a sentence each."""
    shown = colour(emission)
    if not shown or emission.preprocess.channels not in NVINFER_CHANNELS:
        return ()
    return (
        f"DeepStream fills a letterbox with black, and this network was trained with {shown}: figures of "
        "`edgeeff eval` are not those of DeepStream there; --letterbox 0 builds and judges with black",
    )


def files(
    emission: Emission,
    *,
    shape: tuple[int, int, int, int],
    classes: int,
    graph: str,
    input_name: str = "input",
    output_name: str | None = None,
) -> dict[str, bytes]:
    """The texts of every ecosystem, by their names below the bundle.

    Args:
        emission: As the artifact was emitted.
        shape: Of its input, for one image: 1, channels, height, width.
        classes: How many there are.
        graph: Its FP32-typed ONNX file, such as ``model.qdq.onnx``.
        input_name: Of that graph.
        output_name: Of that graph; None: the hub's, ``logits``, or ``probabilities``.
    """
    output = output_name or ("probabilities" if emission.softmax else "logits")
    return _texts(Deployment(emission, shape, classes, graph, input_name, output))


def _texts(deployment: Deployment) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in names():
        texts: Mapping[str, str] = import_module(f"{__name__}.{name}").files(deployment)
        found |= {path: text.encode() for path, text in texts.items()}
    return found


def beside(sealed: Mapping[str, bytes], emission: Emission, graph: str) -> dict[str, bytes]:
    """:func:`files` for a bundle's files, and the graph for DeepStream where it needs its own.

    Args:
        sealed: The bundle's files, of which ``graph`` is one.
        emission: As they were emitted.
        graph: The FP32-typed ONNX file, such as ``model.qdq.onnx``.

    Raises:
        GraphError: The graph has not one input [N, C, H, W] and one output [N, classes], or features, N as
            ``batch`` says.
    """
    model = onnx.load_from_string(sealed[graph])
    source, output = only_input(model.graph), model.graph.output[0]
    dimensions = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in (source, output)]
    if not emission.meaning.decides or emission.meaning.by_pixel or emission.detection is not None:
        return _features(model, source, dimensions[0], emission, graph)
    images = 0 if emission.batch.dynamic else emission.batch.size
    match dimensions:
        case [[first, (1 | 3 | 4) as channels, height, width], [last, classes]] if (
            first == last == images and min(height, width, classes) > 0
        ):
            pass
        case _:
            raise GraphError(
                f"{graph}: input and output are {dimensions}",
                mend="export one input [N, C, H, W] and one output [N, classes], all but N fixed",
            )
    deployment = Deployment(emission, (1, channels, height, width), classes, graph, source.name, output.name)
    found = files(
        emission,
        shape=deployment.shape,
        classes=classes,
        graph=graph,
        input_name=source.name,
        output_name=output.name,
    )
    if not deployment.nvinfer_normalises and channels in NVINFER_CHANNELS:
        copy = raw_pixels_to_probabilities(model, emission)
        found[CLASSIFIER] = copy.SerializeToString(deterministic=True)
    return found


def _features(
    model: onnx.ModelProto, source: onnx.ValueInfoProto, dimensions: list[int], emission: Emission, graph: str
) -> dict[str, bytes]:
    """The same of a graph that puts out features, or what a detector does."""
    outputs = _dimensions(model)
    _, channels, height, width = dimensions
    detection, raw, classes = emission.detection, {}, 0
    if detection is not None:
        without = _dimensions(box_endings.without(model))
        classes = without[LOGITS][-1]
        raw = without if detection.where == RUNTIME else {}
    name = next(iter(outputs))
    shape = (1, channels, height, width)
    deployment = Deployment(emission, shape, classes, graph, source.name, name, outputs, raw)
    found = _texts(deployment)
    if not deployment.nvinfer_normalises and channels in NVINFER_CHANNELS:
        copy = of_raw_pixels(model, emission)
        if deployment.boxes:
            box_endings.classes_as_floats(copy.graph)
        found[deployment.copy] = copy.SerializeToString(deterministic=True)
    return found


def _dimensions(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Of each output, but the images'."""
    return {
        value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)[1:]
        for value in model.graph.output
    }
