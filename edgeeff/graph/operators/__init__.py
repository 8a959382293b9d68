"""All that is known of each ONNX operator, one file for each.

How a file's node is translated, what it computes, what schemes have to know of it, and how TFLite has it. A
file is found by being here; its ``OPERATORS`` are the operators that it knows. Files with an underscore hold
what several of them share. torch is imported where it is computed with, so that lowering a graph loads none.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Literal

import onnx
import onnx_ir as ir

from edgeeff.graph.lowering import Builder
from edgeeff.graph.model import Array
from edgeeff.graph.views import View
from edgeeff.graph.writer import Step

if TYPE_CHECKING:
    from torch import Tensor

#: From a file's node to nodes of ours: the view of its output, those of several, or a constant.
Translate = Callable[[Step], "View | Array | list[View]"]
#: What a node of our graph makes of its operands, with any number of images.
Execute = Callable[[ir.Node, "list[Tensor]"], "Tensor"]
#: How many elements a node makes of constants, at most.
Most = Callable[[Sequence[Array]], int]
#: Whether what a node makes can hold no negative value; asks the same of what it reads.
Nonnegative = Callable[[ir.Node, Callable[[ir.Value], bool]], bool]
#: Whether a node rounds nothing, as it makes no new values.
Selects = Callable[[ir.Node], bool]
#: From a node of the hub graph to operators of TFLite.
Lower = Callable[[onnx.NodeProto, Builder], None]


def never(node: ir.Node, of: Callable[[ir.Value], bool]) -> bool:
    """It can make negative values of anything."""
    return False


def always(node: ir.Node, of: Callable[[ir.Value], bool]) -> bool:
    """It makes no negative value, whatever it reads."""
    return True


def as_read(node: ir.Node, of: Callable[[ir.Value], bool]) -> bool:
    """It makes no negative value where it reads none."""
    return all(of(value) for value in node.inputs if value is not None)


def as_first(node: ir.Node, of: Callable[[ir.Value], bool]) -> bool:
    """It makes no negative value where its first input, the image's, has none."""
    return node.inputs[0] is not None and of(node.inputs[0])


def _no(node: ir.Node) -> bool:
    return False


def selects(node: ir.Node) -> bool:
    """What it makes are some of the values that it reads, or zeros."""
    return True


@dataclass(frozen=True)
class Traits:
    """What schemes have to know of an operator to quantise a graph.

    Args:
        layer: It has weights, which are quantised with one scale for each output channel.
        clamp: A runtime runs it as the end of the layer before it, whose own output then never exists.
        view: It computes nothing: what it makes are the values that it reads, in another shape.
        selects: Whether what it makes are some of the values that it reads, or zeros: codes pass through it,
            and nothing is rounded again.
        activation: It bends each value by itself, as what follows a layer does.
        constants: A constant that it reads is a tensor to be quantised, where every tensor is.
        scale: Whose scale a runtime wants for what it makes, where every tensor has one: that of what it
            reads (of a mean, say), or one for all that it reads and makes (Concat).
        nonnegative: Whether what it makes can hold no negative value.
        lopsided: It leaves hardly a value below zero.
        fixed: Scale and int8 zero point of its output, where TFLite's specification leaves no choice.
        ends_in_float: An output of the network that it makes stays float where outputs may, since ``fixed``
            is too coarse for it.
    """

    layer: bool = False
    clamp: bool = False
    view: bool = False
    selects: Selects = _no
    activation: bool = False
    constants: bool = False
    scale: Literal["own", "of input", "of output"] = "own"
    nonnegative: Nonnegative = never
    lopsided: bool = False
    fixed: tuple[float, int] | None = None
    ends_in_float: bool = False


@dataclass(frozen=True)
class Operator:
    """One operator of ONNX. What is None cannot be done with it.

    Args:
        name: Its ``op_type``.
        translate: Reads it in a file, where it depends on the image.
        most: Bounds what it makes of constants alone: such a node is computed while reading.
        execute: Computes it, in torch.
        traits: What schemes have to know of it.
        lower: Writes it for TFLite.
    """

    name: str
    translate: Translate | None = None
    most: Most | None = None
    execute: Execute | None = None
    traits: Traits = field(default_factory=Traits)
    lower: Lower | None = None


@cache
def discover() -> Mapping[str, Operator]:
    """Every operator by its name."""
    files = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    found = [op for name in files for op in import_module(f"{__name__}.{name}").OPERATORS]
    table = {operator.name: operator for operator in found}
    assert len(table) == len(found), "an operator has two files"
    return table


def traits(node: ir.Node) -> Traits:
    """Of a node; of an operator that has no file, nothing is known."""
    operator = discover().get(node.op_type)
    return operator.traits if operator is not None else Traits()
