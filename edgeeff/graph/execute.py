"""One torch interpreter of the base operator set; what an operator computes stands in its own file.

It serves whatever has to see activations: statistics, sensitivity, rounding, learning, leave-one-out. A
tensor is forgotten as soon as its last reader has run, so memory is bounded by the network's widest point.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor

from edgeeff.errors import GraphError
from edgeeff.graph.model import Array, constant
from edgeeff.graph.operators import Execute, discover

Observer = Callable[[str, Tensor], None]
#: What a node is given in place of its input number ``index``: (node, index, value) → value.
Reader = Callable[[ir.Node, int, Tensor], Tensor]


@dataclass(frozen=True)
class Program:
    """A graph made ready to execute: its steps in order, and its constants as tensors."""

    steps: tuple[tuple[ir.Node, Execute], ...]
    constants: Mapping[str, Tensor]
    reads: Mapping[str, int]
    input: str
    outputs: tuple[str, ...]


def prepare(model: ir.Model) -> Program:
    """Resolve a graph's operators and constants.

    Raises:
        GraphError: The graph holds an operator that the interpreter does not know.
    """
    table = discover()
    steps = []
    reads: Counter[str] = Counter()
    for node in model.graph:
        operator = table.get(node.op_type)
        if operator is None or operator.execute is None:
            known = sorted(name for name, operator in table.items() if operator.execute is not None)
            raise GraphError(
                f"operator {node.op_type} of node {node.name!r} is not supported",
                mend=f"EfficientNets are made of {', '.join(known)}",
            )
        steps.append((node, operator.execute))
        reads.update(_name(v) for v in node.inputs if v is not None)
    constants = {}
    for name, value in model.graph.initializers.items():
        array = constant(value)
        assert array is not None
        constants[name] = _tensor(array)
    return Program(
        tuple(steps),
        constants,
        reads,
        _name(model.graph.inputs[0]),
        tuple(_name(value) for value in model.graph.outputs),
    )


def _tensor(array: Array) -> Tensor:
    """An array as a tensor that shares its memory, which nothing here writes to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(np.ascontiguousarray(array))


def rows(value: Tensor) -> Tensor:
    """A tensor by its channels, [N, C, positions].

    Channels are the second axis; of three axes, as a detector's outputs [N, anchors, C] have, the last.
    """
    if value.dim() == 3:
        return value.transpose(1, 2)
    return value.reshape(*value.shape[:2], -1)


@torch.inference_mode()
def execute(
    program: Program, images: Tensor, observe: Observer | None = None, read: Reader | None = None
) -> Tensor:
    """Run a graph of one output on a batch, without gradients.

    Args:
        program: The graph, from :func:`prepare`.
        images: The input, [N, 3, H, W], of any batch size.
        observe: Called with the name and value of the input and of each tensor as it is computed.
        read: Gives a node something else than the value of its input: the quantised one, say.

    Returns:
        The graph's only output: a classifier's logits, [N, classes].
    """
    (output,) = trace(program, images, observe, read).values()
    return output


@torch.inference_mode()
def outputs_of(
    program: Program, images: Tensor, observe: Observer | None = None, read: Reader | None = None
) -> dict[str, Tensor]:
    """As :func:`execute`, of a graph with any number of outputs: each by its name, batch first."""
    return trace(program, images, observe, read)


def trace(
    program: Program, images: Tensor, observe: Observer | None = None, read: Reader | None = None
) -> dict[str, Tensor]:
    """As :func:`outputs_of`, under whatever gradient mode torch is in."""
    if observe:
        observe(program.input, images)
    return Run(program, {program.input: images}, dict(program.reads)).finish(read, observe)


@dataclass
class Run:
    """A run that stands before one of its steps, and can be forked there.

    Args:
        program: The graph.
        alive: The tensors that steps to come will read.
        left: How often each tensor is still to be read.
        at: The number of the step that comes next.
    """

    program: Program
    alive: dict[str, Tensor]
    left: dict[str, int]
    at: int = 0

    def fork(self) -> Run:
        """Another run that stands at the same step; the tensors are shared."""
        return Run(self.program, dict(self.alive), dict(self.left), self.at)

    def step(self, read: Reader | None = None) -> tuple[str, Tensor]:
        """Compute the next tensor; returns its name and value."""
        node, operator = self.program.steps[self.at]
        self.at += 1
        constants, operands = self.program.constants, []
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            name = _name(value)
            operand = constants[name] if name in constants else self.alive[name]
            operands.append(read(node, index, operand) if read else operand)
            self.left[name] -= 1
            if self.left[name] == 0 and name not in self.program.outputs:
                self.alive.pop(name, None)
        name = _name(node.outputs[0])
        self.alive[name] = operator(node, operands)
        return name, self.alive[name]

    def finish(self, read: Reader | None = None, observe: Observer | None = None) -> dict[str, Tensor]:
        """Take all steps that are left; returns the graph's outputs by their names."""
        while self.at < len(self.program.steps):
            name, value = self.step(read)
            if observe:
                observe(name, value)
        return {name: self.alive[name] for name in self.program.outputs}


def _name(value: ir.Value) -> str:
    assert value.name is not None
    return value.name
