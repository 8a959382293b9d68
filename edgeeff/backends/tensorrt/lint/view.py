"""A graph with what the rules look up in it.

Graphs come from anywhere, so nothing is taken for granted: inputs may be missing, nodes nameless, weights
kept in a file that is not here, names written twice, producers in a circle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from edgeeff.backends.tensorrt.lint.versions import OLDEST, Version
from edgeeff.errors import GraphError

QDQ = ("QuantizeLinear", "DequantizeLinear")
#: Operators that pass their first input on, perhaps in another shape or float type.
_CARRIERS = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
_DEFAULT_DOMAIN = ("", "ai.onnx")
_LARGE = 1 << 10  # elements: nothing whose values decide a shape is larger
_READABLE = 1 << 24  # elements: no scale or zero point is larger


@dataclass(frozen=True)
class Constant:
    """An initializer, or the output of a Constant node."""

    tensor: TensorProto

    @property
    def data_type(self) -> int:
        """Its type, as in ``onnx.TensorProto.DataType``."""
        return int(self.tensor.data_type)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Its shape; () for a scalar."""
        return tuple(self.tensor.dims)

    @property
    def size(self) -> int:
        """How many elements its shape says it has."""
        return math.prod(self.shape)

    @property
    def external(self) -> bool:
        """Whether its values lie in a file that was not read."""
        return bool(self.tensor.data_location == TensorProto.EXTERNAL)

    @cached_property
    def values(self) -> npt.NDArray[np.float64] | None:
        """Its values, [size]; None where they are not at hand, or do not fit its shape."""
        if self.external or not 0 <= self.size <= _READABLE:
            return None
        try:
            return np.asarray(numpy_helper.to_array(self.tensor)).astype(np.float64).reshape(-1)
        except Exception:  # whatever onnx makes of a malformed tensor
            return None


@dataclass(frozen=True)
class View:
    """A graph, or the body of an If, Loop or Scan in it, as a TensorRT version is to read it."""

    model: onnx.ModelProto
    graph: onnx.GraphProto
    originals: Mapping[str, TensorProto]
    """Initializers with their values, which ``graph`` may lack."""
    outer: View | None = None
    functions: tuple[str, ...] = ()
    """The functions that the file brought, which ``graph`` has written out."""
    version: Version = OLDEST

    def at(self, version: Version) -> View:
        """The same graph as another version is to read it; what was looked up is kept."""
        other = replace(self, version=version)
        other.__dict__.update({**self.__dict__, "version": version})
        return other

    @cached_property
    def constants(self) -> dict[str, Constant]:
        """Initializers and outputs of Constant nodes, by name."""
        found = dict(self.outer.constants) if self.outer else {}
        for tensor in self.graph.initializer:
            found[tensor.name] = Constant(self.originals.get(tensor.name, tensor))
        for node in self.nodes("Constant"):
            tensors = [a.t for a in node.attribute if a.name == "value" and a.type == AttributeProto.TENSOR]
            if tensors and node.output:
                found[node.output[0]] = Constant(tensors[0])
        return found

    @cached_property
    def producer(self) -> dict[str, onnx.NodeProto]:
        """The node that writes each tensor."""
        found = dict(self.outer.producer) if self.outer else {}
        return found | {name: node for node in self.graph.node for name in node.output if name}

    @cached_property
    def readers(self) -> dict[str, list[onnx.NodeProto]]:
        """The nodes of this graph that read each tensor."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                found.setdefault(name, []).append(node)
        return found

    @cached_property
    def types(self) -> dict[str, int]:
        """The element type of each tensor, as far as it is known."""
        found = dict(self.outer.types) if self.outer else {}
        found |= {v.name: v.type.tensor_type.elem_type for v in self._values() if _is_typed(v)}
        return found | {name: constant.data_type for name, constant in self.constants.items()}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor, as far as it is known; a dimension without a value is 0."""
        found = dict(self.outer.shapes) if self.outer else {}
        for value in self._values():
            if value.type.tensor_type.HasField("shape"):
                found[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
        return found | {name: constant.shape for name, constant in self.constants.items()}

    @cached_property
    def opset(self) -> int:
        """The version of the default domain."""
        return max((o.version for o in self.model.opset_import if o.domain in _DEFAULT_DOMAIN), default=0)

    @cached_property
    def inputs(self) -> list[onnx.ValueInfoProto]:
        """The inputs that are no initializers."""
        return [value for value in self.graph.input if value.name not in self.constants]

    @cached_property
    def is_quantised(self) -> bool:
        """Whether there is any Q/DQ."""
        return any(True for _ in self.nodes(*QDQ))

    def nodes(self, *operators: str) -> Iterator[onnx.NodeProto]:
        """The nodes of these operators, in order."""
        return (node for node in self.graph.node if node.op_type in operators)

    def name(self, node: onnx.NodeProto) -> str:
        """What to call a node: its name, else its first output's."""
        return node.name or next((f"{node.op_type} of {name!r}" for name in node.output), node.op_type)

    def source(self, node: onnx.NodeProto, index: int = 0) -> str:
        """The name of a node's input, "" if it has none."""
        return node.input[index] if index < len(node.input) else ""

    def scale(self, node: onnx.NodeProto) -> Constant | None:
        """The scale of a Q or DQ, if it is a constant."""
        return self.constants.get(self.source(node, 1))

    def zero_point(self, node: onnx.NodeProto) -> Constant | None:
        """The zero point of a Q or DQ, if it is a constant."""
        return self.constants.get(self.source(node, 2))

    def axis(self, node: onnx.NodeProto) -> int | None:
        """The attribute ``axis``, if there is one."""
        return _integer(node, "axis")

    def code_type(self, node: onnx.NodeProto) -> int:
        """The type of the codes that a Q writes or a DQ reads, by the ONNX specification.

        That of the zero point; without one, of what the DQ reads, of the Q's ``output_dtype``, else uint8.
        """
        given = self.types.get(self.source(node, 2), 0)
        if not given and node.op_type == "DequantizeLinear":
            given = self.types.get(self.source(node), 0)
        return given or _integer(node, "output_dtype") or TensorProto.UINT8

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor is a constant, or made of one by Q, DQ and changes of shape or type."""
        return self._climb(tensor, (*_CARRIERS, *QDQ)) in self.constants

    def dequantiser(self, tensor: str) -> onnx.NodeProto | None:
        """The DequantizeLinear that a tensor comes from, looking through changes of shape and type."""
        node = self.producer.get(self._climb(tensor, _CARRIERS))
        return node if node is not None and node.op_type == "DequantizeLinear" else None

    def origin(self, tensor: str) -> str:
        """A tensor with any Q/DQ taken off it."""
        return self._climb(tensor, QDQ)

    def _climb(self, tensor: str, through: tuple[str, ...]) -> str:
        seen = set()
        while (node := self.producer.get(tensor)) is not None and node.op_type in through:
            seen.add(tensor)
            if (tensor := self.source(node)) in seen:
                break
        return tensor

    def _values(self) -> Iterator[onnx.ValueInfoProto]:
        yield from (*self.graph.input, *self.graph.value_info, *self.graph.output)


def views(model: onnx.ModelProto) -> list[View]:
    """The graph and, after it, the body of each If, Loop and Scan, with shapes inferred.

    Raises:
        GraphError: A weight's name is no text.
    """
    functions = tuple(function.name for function in model.functions)
    model = _inlined(model)
    originals = {tensor.name: tensor for tensor in model.graph.initializer}
    model = _inferred(_light(model))
    found = [View(model, model.graph, originals, functions=functions)]
    for view in found:  # grows while it is walked
        for node in view.graph.node:
            for attribute in node.attribute:
                bodies = [attribute.g] if attribute.type == AttributeProto.GRAPH else attribute.graphs
                found += [View(model, body, {}, view) for body in bodies]
    return found


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    if not model.functions:
        return model
    try:
        import onnx.inliner

        return onnx.inliner.inline_local_functions(model)
    except Exception:  # a function that cannot be inlined is then an unknown operator
        return model


def _light(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without its weights' values: inference needs none, and they may exceed protobuf's 2 GB."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    light.functions.extend(model.functions)
    graph = light.graph
    for field in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(graph, field).extend(getattr(model.graph, field))
    for tensor in model.graph.initializer:
        if math.prod(tensor.dims) > _LARGE:
            graph.initializer.add(name=_text(tensor.name), dims=tensor.dims, data_type=tensor.data_type)
        else:
            graph.initializer.append(tensor)
    return light


def _text(name: str | bytes) -> str:
    """A name, which protobuf gives as bytes when it is no UTF-8."""
    if isinstance(name, bytes):
        raise GraphError(f"the name {name!r} of a weight is no text", mend="export the graph again")
    return name


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model)
    except Exception:  # what is not known of the shapes is not held against the graph
        return model


def _is_typed(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.HasField("tensor_type") and value.type.tensor_type.elem_type)


def _integer(node: onnx.NodeProto, name: str) -> int | None:
    for attribute in node.attribute:
        if attribute.name == name and attribute.type == AttributeProto.INT:
            return int(attribute.i)
    return None
