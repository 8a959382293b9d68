"""What the tensors of two graphs hold on the same images, as sketches that can be compared.

A sketch is a few thousand values at places that follow from the shape alone, in the order channel, height,
width and without axes of one element: so it is the same whichever way a graph lays its tensors out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime
import torch

from edgeeff.errors import CalibrationError, GraphError
from edgeeff.graph import execute, importing
from edgeeff.graph.importing import checks, comparing, functions

Shape = tuple[int, ...]
Batch = npt.NDArray[np.float32]

#: Values kept of each tensor and image.
_PLACES = 2048
#: Of what onnxruntime returns at a time.
_BYTES = 256 << 20


@dataclass(frozen=True)
class Sketch:
    """A tensor's values at a few places.

    Args:
        shape: Of one image, without axes of one element.
        values: float64 [images · places].
    """

    shape: Shape
    values: npt.NDArray[np.float64]


def of_base(base: ir.Model, names: Collection[str], probe: Batch) -> dict[str, Sketch]:
    """The tensors of our own graph, in its order.

    Args:
        base: The base graph.
        names: The tensors that are wanted.
        probe: float32 [N, 3, H, W].
    """
    found: dict[str, Sketch] = {}

    def observe(name: str, value: torch.Tensor) -> None:
        if name in names:
            found[name] = _sketch(value.numpy())

    execute.outputs_of(execute.prepare(base), torch.from_numpy(np.ascontiguousarray(probe)), observe)
    return found


def of_file(
    graph: onnx.ModelProto,
    origin: str,
    names: Collection[str],
    probe: Batch,
    taps: Sequence[str] | None = None,
) -> dict[str, list[Sketch]]:
    """The tensors of a foreign graph, in its order; for each what it is in every layout it may have.

    Args:
        graph: A float graph.
        origin: Where it is from, for messages.
        names: The tensors that are wanted; those that are not in the graph are left out.
        probe: What our graph reads, float32 [N, 3, H, W]; the file's own layout, type, batch and
            normalisation are seen to.
        taps: Its tensors that are put out as features, none named: all its outputs; None: it is a classifier.

    Raises:
        GraphError: The graph is no EfficientNet, damaged, or cannot be run.
        CalibrationError: It is for images of another size.
    """
    size = (probe.shape[2], probe.shape[3])
    imported = importing.from_proto(graph, origin, size, taps)
    if imported.original.size not in (None, size):
        height, width = imported.original.size
        raise CalibrationError(
            f"{origin} is for images of {height}×{width}, and the network is built for {size[0]}×{size[1]}",
            mend=f"build with --size {height}x{width}, or quantise the network of this size there",
        )
    checked = _checked(graph, imported.original)
    fed = comparing.as_original(probe, imported)
    wanted = [name for node in checked.graph.node for name in node.output if name in names]
    found = {imported.original.input: _layouts(fed)} if imported.original.input in names else {}
    for name, values in _run(checked, origin, wanted, imported.original, fed):
        found[name] = _layouts(values)
    return found


def distance(one: Sketch, other: Sketch) -> float:
    """How far two tensors are apart: the norm of their difference by the larger norm; 1 of dead tensors."""
    if one.shape != other.shape or one.values.shape != other.values.shape:
        return 1.0
    norm = max(float(np.linalg.norm(one.values)), float(np.linalg.norm(other.values)))
    return float(np.linalg.norm(one.values - other.values)) / norm if 0 < norm < np.inf else 1.0


def _checked(graph: onnx.ModelProto, original: importing.Original) -> onnx.ModelProto:
    """A copy with only those nodes that the import has judged: what no output depends on is not run."""
    copy = functions.inlined(graph)
    if copy is graph:
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
    nodes = checks.needed(copy, *([tap.tensor for tap in original.taps] or [original.ending.logits]))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _run(
    graph: onnx.ModelProto,
    origin: str,
    names: Sequence[str],
    original: importing.Original,
    fed: npt.NDArray[Any],
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Each named tensor's values, [N, …]; the graph gets them as outputs."""
    sizes = _sizes(graph)
    del graph.graph.output[:]
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    batches = comparing.batches(fed, original.batch)
    try:
        session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for group in _groups(names, sizes, len(fed)):
            runs = [session.run(group, {original.input: batch}) for batch in batches]
            for name, *values in zip(group, *runs, strict=True):
                if all(np.ndim(v) > 1 and len(v) == len(b) for v, b in zip(values, batches, strict=True)):
                    yield name, np.concatenate(values)[: len(fed)]
    except Exception as error:  # onnxruntime's errors share no base class
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise GraphError(f"onnxruntime cannot run {origin}: {reason}", mend="export it again") from None


def _sizes(graph: onnx.ModelProto) -> dict[str, int]:
    """Bytes of each tensor and image, as far as they can be told."""
    try:
        inferred = onnx.shape_inference.infer_shapes(graph)
    except Exception:  # what cannot be inferred is run on its own
        return {}
    return {
        value.name: 4 * prod(max(d.dim_value, 1) for d in value.type.tensor_type.shape.dim)
        for value in inferred.graph.value_info
    }


def _groups(names: Sequence[str], sizes: dict[str, int], images: int) -> Iterator[list[str]]:
    """The names in groups whose values fit into memory together."""
    group: list[str] = []
    taken = 0
    for name in names:
        size = sizes.get(name, _BYTES // 8) * images
        if group and taken + size > _BYTES:
            yield group
            group, taken = [], 0
        group.append(name)
        taken += size
    if group:
        yield group


def _sketch(values: npt.NDArray[Any]) -> Sketch:
    """Of [N, …]."""
    images = len(values)
    shape = tuple(size for size in values.shape[1:] if size > 1)
    rows = values.reshape(images, -1)
    # An odd stride, so that not the same columns of every row are taken.
    stride = max(1, rows.shape[1] // _PLACES) | 1
    return Sketch(shape, rows[:, ::stride].astype(np.float64).ravel())


def _layouts(values: npt.NDArray[Any]) -> list[Sketch]:
    """Sketches of [N, …] as it is, and as it is if the channels come last."""
    if values.ndim != 4 or min(values.shape[1:]) == 1:
        return [_sketch(values)]
    return [_sketch(values), _sketch(values.transpose(0, 3, 1, 2))]
