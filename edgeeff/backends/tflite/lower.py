"""From the hub graph to a TFLite model: the walk over the nodes, and the input and output around it.

An integer input takes raw pixels (int8: less 128). That fits where the graph's first QuantizeLinear stores
pixel p as p − 128, so that its codes are the pixels. Three forms of the graph do so: normalised with one mean
and std for all channels (the scale is 1/std, the zero point the mean); raw, with one mean to subtract (the
mean becomes the zero point, and no SUB is left); raw, with a SUB of the means behind the QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from edgeeff.backends.tflite import camera, postprocess
from edgeeff.backends.tflite.model import Model
from edgeeff.backends.tflite.network import Network
from edgeeff.backends.tflite.normalise import normalised
from edgeeff.detection import RUNTIME, Detection
from edgeeff.errors import GraphError
from edgeeff.graph import operators
from edgeeff.graph.lowering import PROBABILITY, Options, Quantization, Tensor
from edgeeff.preprocess import Preprocess
from edgeeff.target import InputType

#: TFLite's operator that makes probabilities, and its options.
_PROBABILITIES: dict[str, tuple[str, Options | None]] = {
    "Softmax": ("SOFTMAX", Options("SoftmaxOptions", {"beta": 1.0})),
    "Sigmoid": ("LOGISTIC", None),
}


def lower(
    graph: onnx.ModelProto,
    name: str,
    input_type: InputType,
    preprocess: Preprocess,
    *,
    activation: str | None = None,
    detection: Detection | None = None,
) -> Model:
    """Lower a hub graph, or a float graph, to TFLite operators.

    Args:
        graph: One input [N, 3, H, W], outputs [N, classes] or [N, C, H, W], which become [N, H, W, C]; static
            but for N, which may be a symbol.
        name: The network's name.
        input_type: Type of the model's input; an integer input comes with outputs of its type, but of
            a detector that makes boxes or whose codes stay float.
        preprocess: What the graph's input is normalised with.
        activation: ``Softmax`` or ``Sigmoid`` to end in probabilities, where the graph itself does not.
        detection: Of a detector, which ends in boxes where its runtime is to make them: float32 always.

    Raises:
        OptionError: The file cannot make boxes as it is asked to.
        GraphError: An operator or a quantisation that TFLite does not have, named with its node.
    """
    network, table = Network(graph), operators.discover()
    known = {initializer.name for initializer in graph.graph.initializer}
    inputs = [value.name for value in graph.graph.input if value.name not in known]
    outputs = [value.name for value in graph.graph.output]
    if len(inputs) != 1 or not outputs:
        raise GraphError(
            f"the graph has {len(inputs)} inputs and {len(outputs)} outputs",
            mend="export one input of pixels, and an output of logits or several of features",
        )
    first = _inputs(network, inputs[0], input_type, preprocess)
    for node in network.nodes:
        if network.is_absorbed(node):
            continue
        operator = table.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if operator is None or operator.lower is None:
            lowered = sorted(name for name, operator in table.items() if operator.lower is not None)
            raise GraphError(
                f"operator {node.op_type} (node {node.name or node.output[0]!r}) has no lowering to TFLite",
                mend=f"rewrite it before quantising, with some of {', '.join(lowered)}",
            )
        operator.lower(node, network)
    if any(n.op_type == activation and outputs[0] in n.output for n in network.nodes):
        activation = None
    boxes = detection if detection is not None and detection.where == RUNTIME else None
    # A detector whose codes stay float gives logits in float too: readers take one type of both.
    floats = detection is not None and any(network.stored(name).type == "float32" for name in outputs)
    output_type: InputType = "float32" if boxes or floats else input_type
    last = {output: _output(network, output, output_type, activation).name for output in outputs}
    if boxes:
        last = postprocess.append(network, last, boxes)
    return network.model(name, {signed: tensor.name for signed, tensor in first.items()}, last)


def _inputs(
    network: Network, name: str, input_type: InputType, preprocess: Preprocess
) -> Mapping[str, Tensor]:
    """The model's inputs by their names in the signature: the graph's own, or a camera's planes."""
    if preprocess.camera is None:
        return {name: _input(network, name, input_type, preprocess)}
    planes, pixels = camera.frames(network, network.shape(name)[0], preprocess)
    network.store(name, pixels)
    return planes


def _input(network: Network, name: str, input_type: InputType, preprocess: Preprocess) -> Tensor:
    """The model's input tensor; an integer one takes the place of the graph's first nodes."""
    shape = network.shape(name)
    if input_type == "float32":
        tensor = network.tensor(name, shape, "float32")
        network.store(name, tensor)
        if preprocess.per_channel:
            # MediaPipe Tasks refuses metadata with a mean and std per channel
            # (tasks/cc/components/processors/image_preprocessing_graph.cc): it takes plain pixels.
            within = normalised(network, tensor, preprocess.mean, preprocess.std, f"{name}/normalised")
            network.store(name, within)
        return tensor
    quantize, quantization = _raw_pixels(network, name, preprocess)
    if input_type == "int8":
        tensor = stored = network.tensor(name, shape, "int8", quantization)
    else:
        tensor = network.tensor(name, shape, "uint8", quantization.shifted(128))
        stored = network.add(
            "QUANTIZE",
            [tensor],
            network.tensor(f"{name}/int8", shape, "int8", quantization),
            Options("QuantizeOptions"),
            version=1,
        )
    network.absorb(quantize)
    network.store(quantize.output[0], stored)
    return tensor


def _raw_pixels(network: Network, name: str, preprocess: Preprocess) -> tuple[onnx.NodeProto, Quantization]:
    """The QuantizeLinear whose codes are the pixels less 128, and its scale and zero point."""
    readers = network.consumers.get(name, [])
    means, stds = [0.0], [1.0]
    if len(readers) == 1 and readers[0].op_type == "Sub" and readers[0].input[0] == name:
        constant = network.constant(readers[0].input[1])
        if constant is not None:
            means = [float(mean) for mean in constant.flat]
            network.absorb(readers[0])
            readers = network.consumers.get(readers[0].output[0], [])
    elif len(readers) == 1 and not _stores_pixels(network, readers[0], means, stds):
        means, stds = list(preprocess.mean), list(preprocess.std)
    if len(readers) == 1 and _stores_pixels(network, readers[0], means, stds):
        return readers[0], network.parameters(readers[0])
    raise GraphError(
        f"an integer input takes raw pixels, and the codes of the graph's {name!r} are not the pixels",
        mend="quantise the raw-pixel variant of the graph, or emit with float32 input",
    )


def _stores_pixels(
    network: Network, node: onnx.NodeProto, means: Sequence[float], stds: Sequence[float]
) -> bool:
    """Whether a QuantizeLinear stores pixel p, normalised with these, as p − 128."""
    if node.op_type != "QuantizeLinear" or len({*means}) > 1 or len({*stds}) > 1:
        return False
    zero_point = means[0] - 128
    scale = np.float32(1 / stds[0])
    return zero_point.is_integer() and network.parameters(node).same(
        Quantization.per_tensor(float(scale), int(zero_point))
    )


def _output(network: Network, name: str, input_type: InputType, activation: str | None) -> Tensor:
    """The model's output tensor, of the input's type."""
    tensor = network.stored(name)
    if input_type == "float32":
        if tensor.type != "float32":
            tensor = network.dequantize(tensor, name)
        if activation:
            target = network.tensor("probabilities", tensor.shape, "float32")
            code, options = _PROBABILITIES[activation]
            tensor = network.add(code, [tensor], target, options)
        return tensor
    if tensor.type != "int8" or tensor.quantization is None:
        raise GraphError(
            f"the graph's output {name!r} is not quantised", mend="emit with float32 input and output"
        )
    if activation:
        target = network.tensor("probabilities", tensor.shape, "int8", PROBABILITY)
        code, options = _PROBABILITIES[activation]
        tensor = network.add(code, [tensor], target, options)
    if input_type == "int8" or tensor.quantization is None:
        return tensor
    target = network.tensor(f"{tensor.name}/uint8", tensor.shape, "uint8", tensor.quantization.shifted(128))
    return network.add("QUANTIZE", [tensor], target, Options("QuantizeOptions"), version=1)
