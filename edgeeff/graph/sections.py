"""The float graph in onnxruntime, section by section: every tensor that is asked for, at a kernel's speed.

Whoever looks at a part of the activations, and changes none of them, runs the graph here: two to three times
as fast as by torch, one operator after another (execute.py). A session gives all its outputs at once, so a
large network is cut into sections, and memory is bounded by the largest of them. Calibration looks at every
tensor: what is gained by kernels it loses by holding all of a section's, so it stays with the interpreter.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import helper

from edgeeff.graph.model import expand_functions

F32 = npt.NDArray[np.float32]

#: Bytes of one image's tensors that a section may give at once, but for the last of them.
HELD = 12 << 20
#: An optimisation of onnxruntime's that computes something else (backends/onnxruntime/run.py).
_WRONG = ("Pad_Fusion",)


@dataclass(frozen=True)
class _Section:
    """A part of the graph.

    Args:
        session: Of its nodes.
        reads: The tensors of earlier sections, or the graph's input, that it reads.
        gives: Those that are asked for, or that later sections read.
        drops: Those that nothing reads any more once it has run.
    """

    session: Any
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    drops: tuple[str, ...]


@dataclass(frozen=True)
class Sections:
    """A graph whose tensors can be looked at.

    Args:
        input: The name of its input.
        wanted: The tensors that are asked for.
        parts: In the order in which they run.
    """

    input: str
    wanted: frozenset[str]
    parts: tuple[_Section, ...]

    def run(self, images: F32) -> Iterator[tuple[str, F32]]:
        """The tensors that are asked for, each by its name, in the order of the graph.

        Args:
            images: The input, [N, C, H, W]; each is run by itself.
        """
        if self.input in self.wanted:
            yield self.input, images
        alive: dict[str, list[F32]] = {self.input: [image[None] for image in images]}
        for part in self.parts:
            found: list[list[F32]] = [
                part.session.run(part.gives, {name: alive[name][i] for name in part.reads})
                for i in range(len(images))
            ]
            for place, name in enumerate(part.gives):
                alive[name] = [one[place] for one in found]
            del found
            for name in part.gives:
                if name in self.wanted:
                    yield name, np.concatenate(alive[name])
                if name in part.drops:
                    del alive[name]
            for name in part.drops:
                alive.pop(name, None)


def cut(model: ir.Model, wanted: Collection[str], last: Collection[str] | None = None) -> Sections:
    """Make a graph ready to be looked at.

    Args:
        model: The base graph; left as it is.
        wanted: The tensors that are asked for, by name.
        last: Those after the last of which nothing need be computed; None: ``wanted``.
    """
    sizes = _sizes(model)
    whole = expand_functions(model)
    nodes = _until(whole.graph.node, wanted if last is None else last)
    pieces = list(_pieces(nodes, set(wanted), sizes))
    readers = [{name for node in piece for name in node.input} for piece in pieces]
    constants = {tensor.name: tensor for tensor in whole.graph.initializer}
    source = str(model.graph.inputs[0].name)
    parts, known = [], {source}
    for number, piece in enumerate(pieces):
        made = [name for node in piece for name in node.output]
        later = set().union(*readers[number + 1 :])
        gives = tuple(name for name in made if name in wanted or name in later)
        reads = tuple(sorted(known & readers[number]))
        known |= set(gives)
        drops = tuple(sorted(name for name in known if name not in later))
        known -= set(drops)
        if gives:
            parts.append(_Section(_session(piece, reads, gives, constants, whole), reads, gives, drops))
    return Sections(source, frozenset(wanted), tuple(parts))


def _sizes(model: ir.Model) -> Mapping[str, int]:
    """Bytes of each tensor of one image, as far as its shape is known."""
    shapes = {str(node.outputs[0].name): node.outputs[0].shape for node in model.graph}
    return {
        name: 4 * math.prod(size if isinstance(size, int) else 1 for size in shape)
        for name, shape in shapes.items()
        if shape is not None
    }


def _until(nodes: Sequence[onnx.NodeProto], wanted: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes up to the last one that makes one of these tensors."""
    last = max((i for i, node in enumerate(nodes) if set(wanted).intersection(node.output)), default=-1)
    return list(nodes[: last + 1])


def _pieces(
    nodes: Sequence[onnx.NodeProto], wanted: Collection[str], sizes: Mapping[str, int]
) -> Iterator[list[onnx.NodeProto]]:
    """The nodes in pieces; each but the last ends with a tensor that is asked for, so no kernel is cut."""
    piece: list[onnx.NodeProto] = []
    held = 0
    for node in nodes:
        piece.append(node)
        asked = [name for name in node.output if name in wanted]
        held += sum(sizes.get(name, 0) for name in asked)
        if asked and held > HELD:
            yield piece
            piece, held = [], 0
    if piece:
        yield piece


def _session(
    nodes: Sequence[onnx.NodeProto],
    reads: Sequence[str],
    gives: Sequence[str],
    constants: Mapping[str, onnx.TensorProto],
    whole: onnx.ModelProto,
) -> Any:
    """A session of some nodes, on one thread: it is batches that are run side by side."""
    import onnxruntime

    named = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "section",
        *(
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names]
            for names in (reads, gives)
        ),
        initializer=[constants[name] for name in sorted(named & constants.keys())],
    )
    model = helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it would keep what the widest section took
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=[*_WRONG]
    )
