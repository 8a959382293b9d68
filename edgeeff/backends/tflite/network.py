"""The ONNX graph that is read and the TFLite model that grows from it, side by side.

The hub graph computes in float between DequantizeLinear and QuantizeLinear. TFLite has no such pairs: its
tensors are int8 and carry their scale. So an operator whose operands are all dequantised and whose result
goes only to a QuantizeLinear becomes one integer operator, and its tensors take the pairs' scales. Any
other operator stays float, with QUANTIZE and DEQUANTIZE where the two meet: no function is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from edgeeff.backends.tflite.model import Model, Operator
from edgeeff.batch import ONE
from edgeeff.errors import GraphError
from edgeeff.graph.batch import of_graph, with_batch
from edgeeff.graph.lowering import Array, Codes, Kept, Options, Quantization, Result, Tensor, Type, attribute

# The fused clamps of the schema's ActivationFunctionType, by their bounds.
_CLAMPS = {(0.0, np.inf): 1, (-1.0, 1.0): 2, (0.0, 6.0): 3}


class Network:
    """The reading side (``constant``, ``codes``, ``shape``) and the writing side (``tensor``, ``add``)."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        #: Whether the file is to take any number of images; shapes are then those of one.
        self.any_batch = of_graph(graph).dynamic
        if self.any_batch:
            graph = with_batch(graph, ONE)
        self.nodes = list(graph.graph.node)
        self.shapes = _shapes(graph)
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        self.outputs = {output.name for output in graph.graph.output}
        self.tensors: dict[str, Tensor] = {}
        self.operators: list[Operator] = []
        self._constants = {i.name: numpy_helper.to_array(i) for i in graph.graph.initializer}
        self._codes: dict[str, Codes] = {}
        self._stored: dict[str, Tensor] = {}  # ONNX value → the TFLite tensor that holds it
        self._absorbed: set[int] = set()

    # What the ONNX graph says

    def constant(self, value: str) -> Array | None:
        """The real values of a constant, None for an activation."""
        if value in self._codes:
            return self._codes[value].real()
        return self._constants.get(value)

    def codes(self, value: str) -> Codes | None:
        """The stored integers behind a dequantised constant."""
        return self._codes.get(value)

    def shape(self, value: str) -> tuple[int, ...]:
        """An activation's shape in TFLite's layout.

        Raises:
            GraphError: Its shape is not known.
        """
        if value not in self.shapes:
            raise GraphError(
                f"the shape of {value!r} is not known", mend="export the graph with static heights and widths"
            )
        return nhwc(self.shapes[value])

    def parameters(self, node: onnx.NodeProto) -> Quantization:
        """Scale and zero point of a QuantizeLinear or DequantizeLinear, as int8 has them."""
        scale, stored = self._constants.get(node.input[1]), self._constants.get(node.input[0])
        # A zero point that the node leaves out is 0 of the codes' type.
        zero: Array | None = np.zeros(1, np.uint8 if stored is None else stored.dtype)
        if len(node.input) > 2 and node.input[2]:
            zero = self._constants.get(node.input[2])
        if scale is None or zero is None:
            raise GraphError(
                f"{node.op_type} {node.name!r} takes a scale that is not an initializer",
                mend="make scales and zero points initializers of the graph",
            )
        if zero.dtype not in (np.int8, np.uint8, np.int32):
            raise GraphError(
                f"{node.op_type} {node.name!r} quantises to {zero.dtype}", mend="quantise to int8 or uint8"
            )
        # uint8 with zero point z and int8 with z − 128 are the same function.
        shift = -128 if zero.dtype == np.uint8 else 0
        points = np.broadcast_to(zero.reshape(-1).astype(np.int64), (scale.size,))
        # A dimension other than 0 beside a single scale makes XNNPACK refuse the operator without a word.
        axis = attribute(node, "axis", 1) if scale.size > 1 else 0
        return Quantization(scale.reshape(-1).astype(np.float32), points, axis).shifted(shift)

    def is_quantized(self, value: str) -> bool:
        """Whether a value is held as int8."""
        return value in self._codes or (value in self._stored and self._stored[value].type == "int8")

    # What becomes of it

    def stored(self, value: str) -> Tensor:
        """The tensor that holds an activation.

        Raises:
            GraphError: No node before this one produces it.
        """
        if value not in self._stored:
            raise GraphError(
                f"{value!r} is read before any node makes it", mend="sort the graph's nodes topologically"
            )
        return self._stored[value]

    def store(self, value: str, tensor: Tensor) -> None:
        """Note which tensor holds an ONNX value."""
        self._stored[value] = tensor

    def store_codes(self, value: str, codes: Codes) -> None:
        """Note the integers behind a dequantised constant."""
        self._codes[value] = codes

    def absorb(self, *nodes: onnx.NodeProto) -> None:
        """Mark nodes as part of an operator that stands already."""
        self._absorbed.update(id(node) for node in nodes)

    def is_absorbed(self, node: onnx.NodeProto) -> bool:
        """Whether the node is part of an operator that stands already."""
        return id(node) in self._absorbed

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        type: Type,
        quantization: Quantization | None = None,
        data: Array | None = None,
    ) -> Tensor:
        """Add a tensor to the model; an existing name gets a number."""
        free, count = name, 1
        while free in self.tensors:
            free, count = f"{name}_{count}", count + 1
        tensor = Tensor(free, tuple(int(n) for n in shape), type, quantization, data)
        self.tensors[free] = tensor
        return tensor

    def add(
        self,
        code: str,
        inputs: Sequence[Tensor],
        output: Tensor,
        options: Options | None = None,
        *,
        version: int | None = None,
    ) -> Tensor:
        """Append an operator; its output comes back."""
        names = tuple(tensor.name for tensor in inputs)
        version = version or (2 if inputs[0].type == "int8" else 1)
        self.operators.append(Operator(code, names, (output.name,), options, version))
        return output

    def result(
        self, node: onnx.NodeProto, operands: Sequence[str], *, clamps: bool = True, integers: bool = True
    ) -> Result:
        """What ``node`` is to produce: with the clamp and the QuantizeLinear that follow, where they fuse.

        Args:
            node: The operator's node.
            operands: The values that must be int8 for an integer operator.
            clamps: Whether the TFLite operator has a fused activation.
            integers: Whether it has an int8 kernel.
        """
        value, activation = node.output[0], 0
        following = self.consumers.get(value, [])
        if clamps and len(following) == 1 and value not in self.outputs:
            clamp = self.clamp(following[0])
            if clamp:
                self.absorb(following[0])
                value, activation = following[0].output[0], clamp
        quantization = self._quantization(value, operands) if integers else None
        return Result(value, self.shape(value), quantization, activation)

    def keeping(self, node: onnx.NodeProto, *, selects: bool, output: int = 0) -> Kept:
        """The first input and a result of an operator that has one scale for both."""
        source, value = self.stored(node.input[0]), node.output[output]
        quantization = self._quantization(value, node.input[:1])
        if source.type == "int8" and quantization is None and not selects:
            source = self.dequantize(source)
        return Kept(source, value, self.shape(value), quantization)

    def keep(
        self,
        kept: Kept,
        code: str,
        inputs: Sequence[Tensor],
        options: Options | None = None,
        *,
        version: int | None = None,
    ) -> Tensor:
        """Append such an operator at the scale of what it reads; another scale behind it is a QUANTIZE."""
        tensor = self.tensor(kept.name, kept.shape, kept.source.type, kept.source.quantization)
        self.store(kept.name, self.add(code, inputs, tensor, options, version=version))
        if kept.quantization is not None:
            wanted = self.requantized(tensor, kept.quantization)
            for node in self.consumers[kept.name]:
                self.absorb(node)
                self.store(node.output[0], wanted)
        return tensor

    def requantized(self, tensor: Tensor, quantization: Quantization) -> Tensor:
        """The same values at another scale."""
        if quantization.same(tensor.quantization):
            return tensor
        target = self.tensor(f"{tensor.name}/requantized", tensor.shape, "int8", quantization)
        return self.add("QUANTIZE", [tensor], target, Options("QuantizeOptions"), version=1)

    def _quantization(self, value: str, operands: Sequence[str]) -> Quantization | None:
        """The one scale that all readers of ``value`` quantise it with, if every operand is int8."""
        following = self.consumers.get(value, [])
        if not following or value in self.outputs or any(n.op_type != "QuantizeLinear" for n in following):
            return None
        if not all(self.is_quantized(operand) for operand in operands):
            return None
        first, *others = [self.parameters(n) for n in following]
        return first if first.scale.size == 1 and all(first.same(other) for other in others) else None

    def produce(self, result: Result) -> Tensor:
        """Add the tensor of a result, and note it for whoever reads the value."""
        if result.quantization is None:
            tensor = self.tensor(result.name, result.shape, "float32")
        else:
            tensor = self.tensor(result.name, result.shape, "int8", result.quantization)
            for node in self.consumers[result.name]:
                self.absorb(node)
                self.store(node.output[0], tensor)
        self.store(result.name, tensor)
        return tensor

    def operand(self, value: str, result: Result) -> Tensor:
        """The tensor of an activation or a broadcast constant, in the arithmetic of ``result``."""
        integer = result.quantization is not None
        if (codes := self._codes.get(value)) and integer:
            data = _broadcastable(codes.values, len(result.shape))
            return self.tensor(f"{result.name}/constant", data.shape, "int8", codes.quantization, data)
        if (constant := self.constant(value)) is not None:
            data = _broadcastable(constant.astype(np.float32), len(result.shape))
            return self.tensor(f"{result.name}/constant", data.shape, "float32", None, data)
        tensor = self.stored(value)
        return tensor if integer or tensor.type == "float32" else self.dequantize(tensor)

    def dequantize(self, tensor: Tensor, name: str | None = None) -> Tensor:
        """The same tensor in float32."""
        name = name or f"{tensor.name}/float"
        found = self.tensors.get(name)
        if found is not None and found.type == "float32":
            return found
        target = self.tensor(name, tensor.shape, "float32")
        return self.add("DEQUANTIZE", [tensor], target, Options("DequantizeOptions"))

    def integers(self, name: str, values: Sequence[int] | Array) -> Tensor:
        """A constant of shape, axes or paddings."""
        data = np.asarray(values, np.int32)
        return self.tensor(name, data.shape, "int32", None, data)

    def clamp(self, node: onnx.NodeProto) -> int:
        """The schema's ActivationFunctionType that a Clip or Relu is, 0 if it is none."""
        if node.op_type == "Relu":
            return _CLAMPS[0.0, np.inf]
        if node.op_type != "Clip":
            return 0
        bounds = [-np.inf, np.inf]
        for index in (1, 2):
            if len(node.input) > index and node.input[index]:
                bound = self.constant(node.input[index])
                if bound is None:
                    return 0
                bounds[index - 1] = float(bound.reshape(()))
        return _CLAMPS.get((bounds[0], bounds[1]), 0)

    def model(self, name: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Model:
        """What has grown, as data."""
        return Model(name, self.tensors, self.operators, inputs, outputs, self.any_batch)


def nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    """ONNX's [N, C, H, W] as TFLite's [N, H, W, C]; other ranks stay."""
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape


def _broadcastable(values: Array, rank: int) -> Array:
    """A constant of an elementwise operator, channels last, ones before it up to ``rank``."""
    values = values.reshape((1,) * (rank - values.ndim) + values.shape)
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1)) if rank == 4 else values


def _shapes(graph: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    def read(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
        values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
        return {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}

    known = read(graph)
    if any(output not in known for node in graph.graph.node for output in node.output):
        known = read(onnx.shape_inference.infer_shapes(graph))
    return {name: shape for name, shape in known.items() if shape and 0 not in shape}
