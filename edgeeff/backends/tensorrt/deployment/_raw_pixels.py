"""The graph that DeepStream's nvinfer can feed and read, whatever the network's normalisation.

nvinfer writes float32 into the input and reads float32 probabilities from the output: the pixels must come
in raw, as floats of 0…255, where its one scale cannot say the normalisation, and a Softmax (of a multilabel
network a Sigmoid) must be the end, because its classifier takes the largest value above 0 and above its
threshold.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt.graphs import checked, probabilities
from edgeeff.errors import GraphError
from edgeeff.preprocess import Preprocess


def of_raw_pixels(model: onnx.ModelProto, emission: Emission) -> onnx.ModelProto:
    """A copy that takes raw pixels float32 [N, C, H, W], 0…255, and gives what the graph gives.

    Raises:
        GraphError: The result is no valid ONNX.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    _take_pixels(copy.graph, emission)
    del copy.graph.value_info[:]
    return checked(copy, "DeepStream's graph")


def raw_pixels_to_probabilities(model: onnx.ModelProto, emission: Emission) -> onnx.ModelProto:
    """A copy that takes raw pixels float32 [N, C, H, W], 0…255, and gives probabilities [N, classes].

    Args:
        model: An FP32-typed graph as it was emitted; it is left as it was, and the input keeps its name.
        emission: Says what its input takes, whether it already ends in probabilities, and what makes them.

    Raises:
        GraphError: The result is no valid ONNX.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    _take_pixels(graph, emission)
    if not emission.softmax:
        logits, name = graph.output[0].name, _free(graph, "probabilities")
        graph.node.append(probabilities(emission.meaning.activation, logits, name))
        graph.output[0].name = name
    del graph.value_info[:]
    return checked(copy, "DeepStream's graph")


def _take_pixels(graph: onnx.GraphProto, emission: Emission) -> None:
    source = only_input(graph)
    if emission.target.input == "float32":
        _normalise(graph, source.name, emission.preprocess)
    else:  # the graph takes raw pixels already and casts them to float itself; nvinfer has floats
        source.type.tensor_type.elem_type = TensorProto.FLOAT


def only_input(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """The input that is no constant; old files list their constants among the inputs.

    Raises:
        GraphError: There is not exactly one.
    """
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise GraphError(f"the graph has {len(inputs)} inputs", mend="export a graph with one input")
    return inputs[0]


def _normalise(graph: onnx.GraphProto, source: str, preprocess: Preprocess) -> None:
    """Put ``(pixels - mean) / std`` behind the input, as Sub and Mul: operators that the hub has too."""
    mean, scale, centred, normalised = (
        _free(graph, f"{source}_{part}") for part in ("mean", "scale_of_pixels", "centred", "normalised")
    )
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == source:
                node.input[i] = normalised
    for name, values in (
        (mean, np.asarray(preprocess.mean)),
        (scale, 1 / np.asarray(preprocess.std)),
    ):
        graph.initializer.append(
            numpy_helper.from_array(values.astype(np.float32).reshape(1, -1, 1, 1), name)
        )
    graph.node.insert(0, helper.make_node("Mul", [centred, scale], [normalised], name=f"{normalised}/Mul"))
    graph.node.insert(0, helper.make_node("Sub", [source, mean], [centred], name=f"{centred}/Sub"))


def _free(graph: onnx.GraphProto, name: str) -> str:
    """The name, or a longer one that no tensor has."""
    taken = {n for node in graph.node for n in (*node.input, *node.output)}
    taken |= {value.name for value in (*graph.input, *graph.initializer)}
    while name in taken:
        name += "_"
    return name
