"""What each operation of an IR is to the network: read off the graph, so that anybody's IR can be asked.

A vector is what a global pool leaves of a feature map. A convolution of a vector belongs to a
squeeze-and-excite, and so does the product of a vector with a feature map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from edgeeff.backends import Kind

_POOLS = frozenset({"ReduceMean", "AvgPool", "AdaptiveAvgPool"})
_CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})
_SWISHES = frozenset({"Swish", "SwishCPU"})
_POLYNOMIAL = frozenset({"Abs", "Minimum"})  # how edgeeff.quantization.rewrites.swish_polynomial begins
_LAYOUTS = frozenset({"Transpose", "Reorder", "Reshape"})
_RANGES = frozenset({"Convert", "FakeQuantize", "Subtract", "Multiply", "Add"})  # by constants, as it then is


@dataclass(frozen=True)
class Operation:
    """One operation of an IR.

    Args:
        operator: Its type.
        multiply_adds: Of a convolution or a matrix product by constant weights; else 0.
        vector: Whether it works on vectors alone.
        gates: Whether it multiplies a feature map by a vector.
        joins: Whether it adds two feature maps.
        sources: The operations that it reads, constants left out.
    """

    operator: str
    multiply_adds: int
    vector: bool
    gates: bool
    joins: bool
    sources: tuple[str, ...]


def operations(model: Any) -> dict[str, Operation]:
    """The operations of a model by their names; constants, and what is made of them alone, left out."""
    constants: set[str] = set()
    found: dict[str, Operation] = {}
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        sources = [value.get_node().get_friendly_name() for value in node.input_values()]
        live = [source for source in sources if source not in constants]
        if node.get_type_name() == "Constant" or (sources and not live):
            constants.add(name)
        else:
            found[name] = _operation(node, {source: found[source] for source in live})
    return found


def computed(
    executed: Mapping[str, Sequence[str]], ir: Mapping[str, Operation]
) -> dict[str, tuple[str, ...]]:
    """What each executed node computes, by the IR's names.

    A runtime may forget the name of a product that it rewrote, and keep that of the bias behind it: a
    convolution or matrix product that no node names belongs to the first node whose operations read it.

    Args:
        executed: Of each node, in the order of execution, the names that the runtime tells.
        ir: The IR's operations.
    """
    named = {name for names in executed.values() for name in names}
    made = {}
    for node, names in executed.items():
        forgotten, waiting = [], [source for name in names if name in ir for source in ir[name].sources]
        while waiting:
            source = waiting.pop()
            if source not in named:
                named.add(source)
                waiting += ir[source].sources
                if ir[source].multiply_adds:
                    forgotten.append(source)
        made[node] = (*forgotten, *names)
    return made


def kind(operator: str, names: Sequence[str], ir: Mapping[str, Operation], fused: frozenset[str]) -> Kind:
    """What an executed node is to the network.

    Args:
        operator: The node's type in the executed graph.
        names: The IR's names of all that it computes.
        ir: The IR's operations.
        fused: Types of the nodes that the runtime made and then fused into this one.
    """
    made_of = [ir[name] for name in names if name in ir]
    types = {operation.operator for operation in made_of} | fused
    dense = [operation for operation in made_of if operation.operator in _CONVOLUTIONS]
    if dense and dense[0].vector:
        return "squeeze-and-excite"
    if dense and "GroupConvolution" in types:
        return "depthwise with Swish" if types & _SWISHES else "depthwise"
    if dense:
        return "convolution with Swish" if types & _SWISHES else "convolution"
    if "MatMul" in types or operator == "FullyConnected":
        return "classifier"
    if types & _POOLS or operator in ("Reduce", "Pooling"):
        return "pooling"
    if any(o.gates for o in made_of) or (made_of and all(o.vector for o in made_of)):
        return "squeeze-and-excite"
    if types >= _POLYNOMIAL:
        return "Swish as arithmetic"
    if types & {*_SWISHES, "Sigmoid"}:
        return "Swish"
    if any(operation.joins for operation in made_of):
        return "residual addition"
    converts = operator in _LAYOUTS or (types and types <= _LAYOUTS | _RANGES)
    return "conversion" if converts else "other"


def _operation(node: Any, sources: Mapping[str, Operation]) -> Operation:
    operator = node.get_type_name()
    vectors = [source.vector for source in sources.values()]
    vector = bool(vectors) and all(vectors)
    return Operation(
        operator=operator,
        multiply_adds=_multiply_adds(node),
        vector=vector or operator in _POOLS,
        gates=operator == "Multiply" and set(vectors) == {True, False},
        joins=operator == "Add" and len(sources) > 1 and not vector,
        sources=tuple(sources),
    )


def _multiply_adds(node: Any) -> int:
    operator = node.get_type_name()
    if operator not in {*_CONVOLUTIONS, "MatMul"}:
        return 0
    result, weights = node.get_output_partial_shape(0), node.get_input_partial_shape(1)
    if operator == "MatMul" and node.input_value(0).get_node().get_type_name() == "Constant":
        # Constant rows times what comes: as many products for each column.
        weights = node.get_input_partial_shape(0)
        if not (result.is_static and weights.is_static):
            return 0
        return int(prod(weights.to_shape()) * prod(result.to_shape()) // result.to_shape()[-2])
    if not (result.is_static and weights.is_static):
        return 0
    shape, kernel = list(result.to_shape()), list(weights.to_shape())
    # A convolution uses each weight once for each place of its output; a matrix product once for each row.
    places = shape[0] * prod(shape[2:]) if operator in _CONVOLUTIONS else prod(shape[:-1])
    return int(places * prod(kernel))
