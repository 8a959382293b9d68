"""Writing the new graph, and what an operator's translation gets to see of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar, cast

import numpy as np
import onnx
import onnx_ir as ir

from edgeeff.errors import GraphError
from edgeeff.graph.model import Array, add_constant, float32, node_label
from edgeeff.graph.views import NO_PADS, Pads, View

INPUT, OUTPUT = "input", "logits"
_LARGEST_TENSOR = 2**30  # elements; L2 at 800 pixels has 220 million in one
_T = TypeVar("_T")


@dataclass(frozen=True)
class Hint:
    """What the file calls a layer: its node's name, and its weights'."""

    node: str
    weight: str = ""


@dataclass(frozen=True)
class Padding:
    """How much a convolution pads, and what it would have needed to know to do so."""

    node: str
    size: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: Pads


@dataclass
class Writer:
    """The graph that is being written, from ``input`` [1, C, H, W]."""

    graph: ir.Graph
    hints: dict[ir.Node, Hint] = field(default_factory=dict)
    paddings: list[Padding] = field(default_factory=list)
    #: What of the file may be right at one size of the image alone, in words, and what it was at this one.
    sized: list[tuple[str, object]] = field(default_factory=list)
    #: How the file sees each of its tensors: a view of ours, or a constant.
    known: Mapping[str, View | Array] = field(default_factory=dict)

    @classmethod
    def start(cls, size: tuple[int, int], channels: int = 3) -> Writer:
        """An empty graph."""
        shape = ir.Shape([1, channels, *size])
        source = ir.Value(name=INPUT, shape=shape, type=ir.TensorType(ir.DataType.FLOAT))
        return cls(ir.Graph([source], [], nodes=[], opset_imports={"": 17}, name="main"))

    def node(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        shape: tuple[int, ...],
        hint: Hint,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Append a node; returns its output, of that shape."""
        node = ir.node(operator, inputs, attributes=dict(attributes or {}))
        node.name = f"node.{len(self.hints)}"
        output = node.outputs[0]
        output.name = f"tensor.{len(self.hints)}"
        output.shape, output.type = ir.Shape(shape), ir.TensorType(ir.DataType.FLOAT)
        self.graph.append(node)
        self.hints[node] = hint
        return output

    def constant(self, array: Array, name: str = "") -> ir.Value:
        """Add an initializer."""
        return add_constant(self.graph, name or f"constant.{len(self.graph.initializers)}", array)


@dataclass(frozen=True)
class Step:
    """One node of the file, about to be translated.

    Args:
        node: The node.
        opset: The version of the standard operators.
        inputs: What it reads: tensors that depend on the image, constants, or None where left out.
        weights: The names that the constants among them have in the file.
        writer: Where the translation goes.
        readers: The operators of the nodes that read its first output.
    """

    node: onnx.NodeProto
    opset: int
    inputs: tuple[View | Array | None, ...]
    weights: tuple[str, ...]
    writer: Writer
    readers: frozenset[str] = frozenset()

    def view(self, index: int) -> View:
        """An input that depends on the image."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(value, View):
            self.refuse(f"its input {index} should depend on the image, and does not")
        return value

    def unpadded(self, index: int) -> View:
        """Likewise, where zeros around it cannot be taken in."""
        view = self.view(index)
        if view.pads != NO_PADS:
            self.refuse("it reads a tensor padded with zeros, which only a convolution can take in")
        return view

    def constant(self, index: int) -> Array | None:
        """An input that must not depend on the image; None where it is left out."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(value, View):
            self.refuse(f"its input {index} depends on the image; it must be constant")
        return value

    def required(self, index: int) -> Array:
        """Likewise, where it must not be left out."""
        value = self.constant(index)
        if value is None:
            self.refuse(f"its input {index} is missing")
        return value

    def attribute(self, name: str, default: _T) -> _T:
        """An attribute, of the default's type."""
        for found in self.node.attribute:
            if found.name == name:
                value = onnx.helper.get_attribute_value(found)
                value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
                if isinstance(value, type(default)) or default is None:
                    return cast(_T, value)
                self.refuse(f"its attribute {name} is {value!r}")
        return default

    def axes(self, index: int, rank: int, since: int) -> list[int] | None:
        """Axes that are an attribute before opset ``since`` and an input from it on; None where left out."""
        if self.opset < since:
            given: list[int] | None = self.attribute("axes", None)
        else:
            array = self.constant(index)
            given = None if array is None else [int(axis) for axis in array.reshape(-1)]
        if given is None:
            return None
        found = [axis + rank if axis < 0 else axis for axis in given]
        if any(not 0 <= axis < rank for axis in found) or len(set(found)) < len(found):
            self.refuse(f"its axes are {given} of {rank}")
        return found

    def write(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        channels: int,
        sides: tuple[int, int],
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Append a node to the new graph; returns its output [1, channels, *sides]."""
        if channels * sides[0] * sides[1] > _LARGEST_TENSOR or min(channels, *sides) < 1:
            self.refuse(f"its output would be {channels} × {sides[0]} × {sides[1]}")
        hint = Hint(self.node.name, next(iter(self.weights), ""))
        return self.writer.node(operator, inputs, (1, channels, *sides), hint, attributes)

    def channels(self, values: Array) -> ir.Value:
        """A constant of one value for each channel, ready to be broadcast; float64 becomes float32."""
        return self.writer.constant(self.finite(values).reshape(1, -1, 1, 1))

    def finite(self, values: Array) -> Array:
        """Weights as float32, none of them NaN or infinite."""
        result = float32(values, f"what is computed for {node_label(self.node)}")
        if not np.isfinite(result).all():
            self.refuse("its weights are infinite")
        return result

    def refuse(self, reason: str) -> NoReturn:
        """Say what about this node cannot be imported."""
        raise GraphError(
            f"{node_label(self.node)}: {reason}",
            mend="EfficientNets have no such step: export the network anew",
        )
