"""How many images a graph takes in one run: set when an artifact is written, from a graph of any batch.

Everything before computes images side by side and never across them, so calibration, plans and hub graphs
know no batch. What a graph says of it stands in its input's first dimension and in constants of shapes. Both
are rewritten here, and shape inference with a symbol in that place then shows for each tensor that its first
dimension is the images': a graph that mixes its images is refused by the node that does so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.shape_inference
from onnx import TensorProto, helper, numpy_helper

from edgeeff.batch import Batch, of_shape
from edgeeff.errors import GraphError

#: The name of the first dimension of a graph that takes any number of images.
SYMBOL = "batch"

#: Operators whose output has its input's shape though each value depends on others along ``axis``.
_ALONG_AN_AXIS = frozenset({"CumSum", "Hardmax", "LogSoftmax", "LpNormalization", "Softmax"})


def with_batch(graph: onnx.ModelProto, batch: Batch) -> onnx.ModelProto:
    """A graph that takes ``batch`` images in a run; of one that does so already, itself.

    Args:
        graph: One input of images, [N, …], and outputs [N, …], N fixed or a symbol; shapes can be inferred.
        batch: Fixed: the first dimensions are that number; dynamic: they are :data:`SYMBOL`.

    Raises:
        GraphError: The graph computes across its images, or its shapes cannot be inferred.
    """
    if not batch.dynamic and of_graph(graph) == batch:
        return graph
    symbolic = _symbolic(graph)
    if batch.dynamic:
        return symbolic
    fixed = onnx.ModelProto()
    fixed.CopyFrom(symbolic)
    for value in (*_inputs(fixed.graph), *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch.size
    del fixed.graph.value_info[:]
    return _inferred(fixed)


def of_graph(graph: onnx.ModelProto) -> Batch:
    """The batch that a graph's first input says; dynamic where it leaves it open."""
    inputs = _inputs(graph.graph)
    dimensions = inputs[0].type.tensor_type.shape.dim if inputs else []
    return of_shape([dimension.dim_value for dimension in dimensions] or [0])


def least_bytes(graph: onnx.ModelProto, batch: Batch) -> int:
    """What a run of ``batch`` images needs at the least, bytes: what one node reads and writes in float32.

    Args:
        graph: Of any batch, with the shapes of its tensors.
        batch: Of the largest run.
    """
    sizes = {
        name: prod(s if isinstance(s, int) else 1 for s in shape[1:])
        for name, shape in _shapes(graph).items()
    }
    moved = (sum(sizes.get(name, 0) for name in {*node.input, *node.output}) for node in graph.graph.node)
    return 4 * batch.size * max(moved, default=0)


def _symbolic(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose first dimensions are all :data:`SYMBOL`, proven by inference."""
    before = _shapes(_inferred(graph))
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    for value in (*_inputs(model.graph), *model.graph.output):
        if not len(value.type.tensor_type.shape.dim):
            raise GraphError(
                f"{value.name!r} has no shape with a first dimension for the images",
                mend="export inputs and outputs with the images as their first dimension",
            )
        value.type.tensor_type.shape.dim[0].Clear()
    for value in _inputs(model.graph):  # of the outputs inference is to find it out
        value.type.tensor_type.shape.dim[0].dim_param = SYMBOL
    moving = _moving(model.graph)
    del model.graph.value_info[:]
    _reshapes(model.graph, moving, before)
    _resizes(model.graph, moving, before)
    _drop_unread(model.graph, graph.graph)
    model = _inferred(model)
    _refuse_mixing(model.graph, moving)
    return model


def _moving(graph: onnx.GraphProto) -> set[str]:
    """The tensors that depend on what the images hold, and not on their shape alone."""
    moving = {value.name for value in _inputs(graph)}
    for node in graph.node:
        if node.op_type != "Shape" and moving.intersection(node.input):
            moving.update(node.output)
    return moving


def _reshapes(graph: onnx.GraphProto, moving: set[str], before: Mapping[str, list[int | str]]) -> None:
    """Let each Reshape to constant sizes copy the first dimension (a 0 says so) instead of naming it."""
    constants = _constants(graph)
    for node in list(graph.node):
        operands = list(node.input)
        if node.op_type != "Reshape" or len(operands) < 2:
            continue
        if operands[0] not in moving or operands[1] not in constants:
            continue
        sizes = constants[node.input[1]].astype(np.int64).reshape(-1)
        given = before.get(node.input[0], [])
        if not sizes.size or not given or sizes[0] not in (given[0], 0):
            continue  # −1 in front follows the images by itself; anything else is refused by its shape
        for attribute in [a for a in node.attribute if a.name == "allowzero"]:
            if attribute.i and not sizes.all():
                raise GraphError(
                    f"Reshape {_called(node)} makes a tensor without elements", mend="export the graph again"
                )
            node.attribute.remove(attribute)
        sizes = np.concatenate([[0], sizes[1:]])
        node.input[1] = _add(graph, f"{node.output[0]}.sizes", sizes.astype(np.int64))


def _resizes(graph: onnx.GraphProto, moving: set[str], before: Mapping[str, list[int | str]]) -> None:
    """Let each Resize to constant sizes, which name the batch, say scales instead.

    The runtimes compute the same of both: a size becomes a scale first thing. Shape inference makes nothing
    of a scale of 1 and a symbol, so what comes out is declared.
    """
    constants = _constants(graph)
    for node in graph.node:
        if node.op_type != "Resize" or node.input[0] not in moving:
            continue
        given, to = before.get(node.input[0], []), before.get(node.output[0], [])
        if len(given) != len(to):
            continue
        scales = constants.get(node.input[2]) if len(node.input) > 2 else None
        if len(node.input) > 3 and node.input[3] in constants:
            scales = _scales(node, given[1:], to[1:])
            node.input[2] = _add(graph, f"{node.output[0]}.scales", scales)
            del node.input[3]
        if (
            scales is not None
            and scales.size
            and scales[0] == 1
            and not any(attribute.name == "axes" for attribute in node.attribute)
        ):
            declared = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, [SYMBOL, *to[1:]])
            output = next((value for value in graph.output if value.name == node.output[0]), None)
            (output or graph.value_info.add()).CopyFrom(declared)


def _scales(
    node: onnx.NodeProto, given: Sequence[int | str], to: Sequence[int | str]
) -> npt.NDArray[np.float32]:
    sizes = zip(given, to, strict=True)
    pairs = [(of, size) for of, size in sizes if isinstance(of, int) and isinstance(size, int)]
    scales = np.array([1.0, *(_scale(of, size) for of, size in pairs)], np.float32)
    exact = [floor(of * float(scale)) == size for (of, size), scale in zip(pairs, scales[1:], strict=True)]
    exact += [_same_pixels(node, *pair, float(scale)) for pair, scale in zip(pairs, scales[1:], strict=True)]
    if len(pairs) != len(given) or not all(exact):
        raise GraphError(
            f"Resize {_called(node)} from {list(given)} to {list(to)} has no scales that say the same",
            mend="build it with --batch 1, or export it with scales",
        )
    return scales


def _scale(of: int, size: int) -> np.float32:
    """A scale that makes ``size`` of ``of``, rounded down: 3 · 1.6666666 is a hair less than 5."""
    scale = np.float32(size / of)
    return scale if floor(of * float(scale)) == size else np.nextafter(scale, np.float32(np.inf))


def _same_pixels(node: onnx.NodeProto, of: int, size: int, scale: float) -> bool:
    """Whether the scale chooses the same nearest pixels as the size, where those are counted from 0 on."""
    said = {attribute.name: attribute for attribute in node.attribute}
    at = np.arange(size)
    if "coordinate_transformation_mode" not in said or size / of == scale:
        return True
    if said["coordinate_transformation_mode"].s != b"asymmetric":
        return True
    return bool((np.floor(at / np.float32(scale)) == at * of // size).all())


def _drop_unread(graph: onnx.GraphProto, before: onnx.GraphProto) -> None:
    """Forget the constants whose readers now read others."""
    was = {name for node in before.node for name in node.input}
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read or tensor.name not in was]
    if len(kept) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)


def _refuse_mixing(graph: onnx.GraphProto, moving: set[str]) -> None:
    shapes = {value.name: _dimensions(value) for value in (*graph.value_info, *graph.output, *graph.input)}
    for node in graph.node:
        if not moving.intersection(node.output):
            continue
        shape = shapes.get(node.output[0], [])
        rank, axis = len(shape), _axis(node)
        if not shape or shape[0] != SYMBOL or (node.op_type in _ALONG_AN_AXIS and axis in (0, -rank)):
            raise GraphError(
                f"{node.op_type} {_called(node)} computes across the images of a run: its output is "
                f"{shape or 'of unknown shape'}, where the first dimension has to be the images'",
                mend="build with --batch 1, or export a network that leaves the first dimension alone",
            )


def _axis(node: onnx.NodeProto) -> int | None:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), None)


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise GraphError(
            f"the shapes of the graph do not fit together: {str(error).strip().splitlines()[0]}",
            mend="build with --batch 1, or export the graph again",
        ) from None


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def _constants(graph: onnx.GraphProto) -> dict[str, npt.NDArray[Any]]:
    """Constants of few elements, which shapes are; an initializer, or a Constant node."""
    found = {t.name: numpy_helper.to_array(t) for t in graph.initializer if len(t.dims) < 2}
    for node in graph.node:
        values = [attribute.t for attribute in node.attribute if attribute.name == "value"]
        if node.op_type == "Constant" and values and node.output:
            found[node.output[0]] = numpy_helper.to_array(values[0])
    return found


def _shapes(model: onnx.ModelProto) -> dict[str, list[int | str]]:
    graph = model.graph
    return {value.name: _dimensions(value) for value in (*graph.input, *graph.value_info, *graph.output)}


def _dimensions(value: onnx.ValueInfoProto) -> list[int | str]:
    shape = value.type.tensor_type.shape
    return [d.dim_value if d.HasField("dim_value") else d.dim_param for d in shape.dim]


def _add(graph: onnx.GraphProto, name: str, values: npt.NDArray[Any]) -> str:
    taken = {tensor.name for tensor in graph.initializer}
    while name in taken:
        name += "_"
    graph.initializer.append(
        helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(values.dtype), values.shape, values)
    )
    return name


def _called(node: onnx.NodeProto) -> str:
    return repr(node.name or node.output[0])
