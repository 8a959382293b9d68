"""A graph under repair, and what the repairs look up and change in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgeeff.graph.importing import checks, tensors

Array = npt.NDArray[Any]

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
#: Operators that move codes and compute nothing of them, or (MaxPool) compare them only.
CARRIERS = frozenset({"Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True)
class Left:
    """What cannot be repaired: what it is and why, and what its maker can do."""

    what: str
    mend: str


@dataclass(frozen=True)
class Parameters:
    """Scale and zero point of a Q or DQ node.

    Args:
        scale: float32, one value or one a channel.
        zero: Of the codes' type.
        axis: Of the channels.
    """

    scale: Array
    zero: Array
    axis: int

    def along(self, values: Array, parameter: Array) -> Array | None:
        """A parameter shaped to broadcast over ``values``; None if its length fits no axis."""
        if parameter.size == 1:
            return parameter.reshape(())
        if not -values.ndim <= self.axis < values.ndim or values.shape[self.axis] != parameter.size:
            return None
        shape = [1] * values.ndim
        shape[self.axis] = parameter.size
        return parameter.reshape(shape)


class Draft:
    """A model that is changed in place."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.graph = model.graph
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.outputs = frozenset(value.name for value in model.graph.output)
        self._taken = {
            *self.constants,
            *(name for node in self.graph.node for name in (*node.input, *node.output)),
        }
        self._taken.update(value.name for value in model.graph.input)

    @property
    def opset(self) -> int:
        """The version of the standard operators; 0 if the model names none."""
        versions = (o.version for o in self.model.opset_import if o.domain in checks.DEFAULT_DOMAINS)
        return max(versions, default=0)

    def nodes(self, *operators: str) -> Iterator[onnx.NodeProto]:
        """The nodes of these standard operators, in order."""
        for node in self.graph.node:
            if node.op_type in operators and node.domain in checks.DEFAULT_DOMAINS and node.output:
                yield node

    def producers(self) -> dict[str, onnx.NodeProto]:
        """The node that makes each tensor."""
        return {name: node for node in self.graph.node for name in node.output if name}

    def readers(self) -> dict[str, list[tuple[onnx.NodeProto, int]]]:
        """The nodes that read each tensor, and at which of their inputs."""
        found: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
        for node in self.graph.node:
            for index, name in enumerate(node.input):
                found.setdefault(name, []).append((node, index))
        return found

    def array(self, name: str) -> Array | None:
        """A constant's values, every floating-point type as float32; None if the tensor is no constant.

        Raises:
            GraphError: It is not what its dimensions say, or holds NaN.
        """
        return tensors.array(self.constants[name]) if name in self.constants else None

    def parameters(self, node: onnx.NodeProto) -> Parameters | None:
        """Of a Q or DQ node; None if they are left out, no constants, or of no use."""
        if len(node.input) < 3 or attribute(node, "block_size"):
            return None
        scale, zero = self.array(node.input[1]), self.array(node.input[2])
        if scale is None or zero is None or not np.issubdtype(zero.dtype, np.integer):
            return None
        if (
            scale.dtype != np.float32
            or not scale.size
            or not (scale > 0).all()
            or zero.size not in (1, scale.size)
        ):
            return None
        return Parameters(scale, zero, int(attribute(node, "axis", 1)))

    def fresh(self, name: str) -> str:
        """This name for a tensor, or one like it if it is taken."""
        chosen, number = name, 1
        while chosen in self._taken:
            chosen, number = f"{name}_{number}", number + 1
        self._taken.add(chosen)
        return chosen

    def add(self, name: str, values: Array) -> str:
        """Put a constant into the graph, under this name or one like it; returns that."""
        chosen = self.fresh(name)
        self.set(chosen, values)
        return chosen

    def set(self, name: str, values: Array) -> None:
        """A constant under this very name: in the place of another, or of a node that is removed."""
        self.set_tensor(name, numpy_helper.from_array(np.array(values, order="C"), name))

    def set_tensor(self, name: str, tensor: onnx.TensorProto) -> None:
        """The same for a constant as onnx stores it."""
        if name not in self.constants:
            self.constants[name] = self.graph.initializer.add()
        self.constants[name].CopyFrom(tensor)
        self.constants[name].name = name

    def remove(self, nodes: Collection[onnx.NodeProto]) -> None:
        """Take these nodes out; what they make must be a constant by now, or be read by nobody."""
        gone = {node.output[0] for node in nodes}
        places = [i for i, node in enumerate(self.graph.node) if node.output and node.output[0] in gone]
        for place in reversed(places):
            del self.graph.node[place]

    def redirect(self, tensors: dict[str, str]) -> None:
        """Let the readers of each tensor read another."""
        for node in self.graph.node:
            for index, name in enumerate(node.input):
                if name in tensors:
                    node.input[index] = tensors[name]

    def finish(self) -> None:
        """Forget constants that nothing reads, and write down the shapes and types of the rest."""
        read = {name for node in self.graph.node for name in node.input} | self.outputs
        unread = self.constants.keys() - read
        for values in (self.graph.initializer, self.graph.input):
            kept = [value for value in values if value.name not in unread]
            if len(kept) < len(values):
                copies = [type(value).FromString(value.SerializeToString()) for value in kept]
                del values[:]
                values.extend(copies)
        del self.graph.value_info[:]
        self.model = inferred(self.model)


def attribute(node: onnx.NodeProto, name: str, default: Any = 0) -> Any:
    """An attribute's value."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes and types that onnx can tell; as it is where onnx cannot."""
    try:
        return onnx.shape_inference.infer_shapes(model)
    except Exception:  # damaged graphs; the checks that follow say what is wrong with them
        return model


def control_flow(model: onnx.ModelProto) -> bool:
    """Whether a node holds a graph of its own, whose reading of our tensors no repair would see."""
    return any(a.HasField("g") or a.graphs for node in model.graph.node for a in node.attribute)


def plural(count: int, thing: str, things: str | None = None) -> str:
    """Such as ``1 weight`` and ``3 weights``."""
    return f"{count} {thing if count == 1 else things or thing + 's'}"


def named(node: onnx.NodeProto) -> str:
    """How sentences call a node."""
    return str(node.name or node.output[0])
