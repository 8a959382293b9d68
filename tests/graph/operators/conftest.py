"""Running one node of a file by itself: translated into a graph of ours, executed, seen as the file sees it.

This is the level of the importer's walk and of the interpreter. What stands around them (the file's checks,
its ending, the passes) is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from math import prod
from types import SimpleNamespace

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import openvino
import pytest
import torch
from ai_edge_litert import interpreter

from edgeeff.backends.tflite import flatbuffer
from edgeeff.backends.tflite.lower import lower
from edgeeff.errors import GraphError
from edgeeff.graph.execute import Run, outputs_of, prepare
from edgeeff.graph.importing import checks
from edgeeff.graph.importing.folding import Folder
from edgeeff.graph.operators import discover
from edgeeff.graph.views import View, nchw_axes
from edgeeff.graph.writer import Hint, Step, Writer
from edgeeff.preprocess import Preprocess

#: Operators of which any input may depend on the image; of the others the first.
ANY_INPUT = ("Add", "Concat", "Div", "Max", "Min", "Mul", "Sub")


def lying(array: np.ndarray) -> Iterator[tuple[tuple[int, int, int, int], tuple[int, ...]]]:
    """Ways in which a tensor may lie in [N, C, H, W]: its dims, and the dimension that each axis is."""
    ways = {0: [()], 1: [(1,), (0,)], 2: [(0, 1), (1, 2)], 3: [(1, 2, 3), (0, 1, 2)], 4: [(0, 1, 2, 3)]}
    for places in ways.get(array.ndim, []):
        dims = [1] * 4
        for place, size in zip(places, array.shape, strict=True):
            dims[place] = size
        yield (dims[0], dims[1], dims[2], dims[3]), places


def run(
    node: onnx.NodeProto, opset: int, arrays: Sequence[np.ndarray | None], moving: Sequence[int]
) -> list[list[np.ndarray]]:
    """The outputs of a node, once for each way in which its inputs may lie and that is not refused.

    Args:
        node: The node.
        opset: Of the file.
        arrays: Its inputs in order; None for one left out.
        moving: The numbers of those that depend on the image.

    Raises:
        GraphError: Each way is refused.
    """
    found, refused = [], None
    first = arrays[moving[0]]
    for number in range(len(list(lying(first)))):
        try:
            found.append(_run(node, opset, arrays, moving, number))
        except GraphError as error:
            refused = error
    if not found:
        raise refused or GraphError(f"{node.op_type} reads {first.ndim} axes", mend="pass an image")
    return found


def _run(node, opset, arrays, moving, number):
    writer, images = Writer.start((1, 1)), {}
    writer.graph.inputs.clear()
    inputs: list[View | np.ndarray | None] = list(arrays)
    rank = max(arrays[i].ndim for i in moving)
    for i in moving:
        # Tensors of fewer axes lie as the last axes of the others.
        array = arrays[i].reshape((1,) * (rank - arrays[i].ndim) + arrays[i].shape)
        dims, places = list(lying(array))[number]
        value = ir.Value(
            name=f"input{i}", shape=ir.Shape([1, *dims[1:]]), type=ir.TensorType(ir.DataType.FLOAT)
        )
        writer.graph.inputs.append(value)
        axes = tuple(nchw_axes(dims)[place] for place in places)
        # Inside of a network, not its pixels: what chooses among those has another form.
        inner = writer.node("Identity", [value], (1, *dims[1:]), Hint(""))
        inputs[i] = View(inner, dims, array.shape, axes)
        images[f"input{i}"] = torch.from_numpy(np.ascontiguousarray(array, np.float32).reshape(dims))
    operator = discover().get(node.op_type)
    if operator is None or operator.translate is None:
        raise GraphError(f"operator {node.op_type} is not supported", mend="")
    try:
        made = operator.translate(Step(node, opset, tuple(inputs), ("",), writer))
    except (ValueError, TypeError, IndexError, KeyError) as error:  # as the walk has it
        raise GraphError(str(error), mend="") from None
    return [seen(one, writer, images) for one in (made if isinstance(made, list) else [made])]


def seen(made: View | np.ndarray, writer: Writer, images: dict[str, torch.Tensor]) -> np.ndarray:
    """A result as the file sees it."""
    if isinstance(made, np.ndarray):
        return made
    writer.graph.outputs[:] = [made.value]
    program = prepare(ir.Model(writer.graph, ir_version=8))
    (value,) = Run(program, dict(images), dict(program.reads)).finish().values()
    top, left, bottom, right = made.pads
    value = torch.nn.functional.pad(value, (left, right, top, bottom))
    assert tuple(value.shape) == made.dims, "the view says another shape than the graph computes"
    order = list(chain.from_iterable(made.axes))
    order += [d for d in range(4) if d not in order]
    assert prod(made.shape) == value.numel()
    return value.permute(order).reshape(made.shape).numpy()


def folded(node: onnx.NodeProto, opset: int, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The outputs of a node of constants alone."""
    folder = Folder(opset)
    if not folder.folds(node):
        raise GraphError(f"operator {node.op_type} is not computed of constants", mend="")
    return folder.fold(node, arrays)


def newest(opset: int) -> int:
    """The opset of a case as the importer takes it: newer ones brought only types to these operators."""
    return min(opset, checks.OPSETS.stop - 1)


@pytest.fixture(scope="session")
def nodes():
    """``nodes.run``, ``nodes.folded``, ``nodes.newest`` and ``nodes.ANY_INPUT``, as they stand here."""
    return SimpleNamespace(run=run, folded=folded, newest=newest, ANY_INPUT=ANY_INPUT)


def _stacked(runs: list[list[np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def in_onnxruntime(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """A graph's outputs, computed as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    source = session.get_inputs()[0]
    runs = [x] if isinstance(source.shape[0], str) else [image[None] for image in x]
    return _stacked([session.run(None, {source.name: part}) for part in runs])


def in_openvino(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """The same in OpenVINO, with its optimisations, in float32 where it is not INT8."""
    compiled = openvino.Core().compile_model(
        openvino.Core().read_model(model.SerializeToString()),
        "CPU",
        {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1},
    )
    runs = [compiled(image[None]) for image in x]
    return _stacked([[np.array(found[output]) for output in compiled.outputs] for found in runs])


def lowered(model: onnx.ModelProto):
    """The graph as a TFLite model."""
    channels, *size = (d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:])
    preprocess = Preprocess(size=tuple(size), mean=(0.0,) * channels, std=(1.0,) * channels)
    return lower(model, "x", "float32", preprocess)


def in_tflite(model: onnx.ModelProto, x: np.ndarray, kernels: str = "xnnpack") -> list[np.ndarray]:
    """The same in LiteRT; images come out as [N, C, H, W] again."""
    types = interpreter.OpResolverType
    kind = types.AUTO if kernels == "xnnpack" else types.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    run = interpreter.Interpreter(
        model_content=flatbuffer.write(lowered(model), {}), experimental_op_resolver_type=kind, num_threads=1
    )
    run.allocate_tensors()
    details = run.get_signature_runner().get_output_details()
    found = []
    for image in np.ascontiguousarray(x.transpose(0, 2, 3, 1)):
        run.set_tensor(run.get_input_details()[0]["index"], image[None])
        run.invoke()
        values = [run.get_tensor(details[output.name]["index"]) for output in model.graph.output]
        found.append([v.transpose(0, 3, 1, 2) if v.ndim == 4 else v for v in values])
    return _stacked(found)


def interpreted(model: onnx.ModelProto, x: np.ndarray) -> dict[str, torch.Tensor]:
    """The same in the interpreter."""
    return outputs_of(prepare(ir.from_proto(model)), torch.from_numpy(x))


@pytest.fixture(scope="session")
def runtimes():
    """``runtimes[name](model, x)``: a graph's outputs; ``builtin`` is TFLite without XNNPACK."""
    return {
        "onnxruntime": in_onnxruntime,
        "openvino": in_openvino,
        "tflite": in_tflite,
        "ours": lambda model, x: [v.numpy() for v in interpreted(model, x).values()],
        "builtin": lambda model, x: in_tflite(model, x, "builtin"),
    }


@pytest.fixture(scope="session")
def codes():
    """``codes(model)``: the TFLite operators that a graph becomes, in order."""
    return lambda model: [operator.code for operator in lowered(model).operators]
