"""A bundle with more work in it, which computes the same: what a benchmark of slowdowns measures.

Two matrix products over the logits, whose result is too small to change any, are added to them. They are real
operators of the runtime, and their cost is in proportion to ``width``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from edgeeff import digests
from edgeeff.bundle import Bundle

_TINY = 1e-6


def pad(bundle: Bundle, folder: Path, width: int) -> Bundle:
    """Write a copy of a bundle with two products [1, classes] x [classes, width] x [width, classes] more.

    Raises:
        ValueError: The bundle's runtime is neither OpenVINO nor TFLite.
    """
    shutil.copytree(bundle.folder, folder)
    random, classes = np.random.default_rng(0), bundle.manifest.classes
    into = (random.standard_normal((width, classes)) * _TINY).astype(np.float32)
    back = (random.standard_normal((classes, width)) * _TINY).astype(np.float32)
    if bundle.manifest.runtime == "openvino":
        _pad_ir(folder, into, back)
    elif bundle.manifest.runtime == "tflite":
        _pad_tflite(folder / "model.tflite", into, back)
    else:
        raise ValueError(f"{bundle.folder} is of {bundle.manifest.runtime}")
    _seal(folder, f"padded by {width}")
    return Bundle.load(folder)


def twin(bundle: Bundle, folder: Path) -> Bundle:
    """Write a copy of a bundle of another digest, which says so in its origin."""
    shutil.copytree(bundle.folder, folder)
    _seal(folder, "twin")
    return Bundle.load(folder)


def _seal(folder: Path, note: str) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["origin"] = f"{data.get('origin', '')} ({note})".strip()
    data["files"] = {name: digests.of_regular_file(folder / name) for name in data["files"]}
    path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _pad_ir(folder: Path, into: np.ndarray, back: np.ndarray) -> None:
    import openvino as ov
    from openvino import opset13 as ops

    model = ov.Core().read_model(folder / "model.xml")
    result = model.get_results()[0]
    logits = result.input_value(0)
    names = logits.get_names()
    middle = ops.matmul(logits, ops.constant(into), False, True)
    added = ops.add(logits, ops.matmul(middle, ops.constant(back), False, True))
    logits.set_names({f"{name}_unpadded" for name in names})
    added.output(0).set_names(names)
    result.input(0).replace_source_output(added.output(0))
    model.validate_nodes_and_infer_types()
    written = folder / "padded.xml"
    ov.save_model(model, written, compress_to_fp16=False)
    written.replace(folder / "model.xml")
    written.with_suffix(".bin").replace(folder / "model.bin")


def _pad_tflite(path: Path, into: np.ndarray, back: np.ndarray) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    logits = graph.outputs[0]

    def tensor(name: str, shape: tuple[int, ...], content: bytes = b"") -> int:
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.frombuffer(content, np.uint8) if content else None
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), schema.TensorType.FLOAT32
        made.buffer = len(model.buffers) - 1
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(builtin: int, inputs: list[int], output: int, options: object, kind: int) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(model.operatorCodes) - 1, inputs, [output]
        made.builtinOptions, made.builtinOptionsType = options, kind
        graph.operators.append(made)

    codes, options = schema.BuiltinOperator, schema.BuiltinOptions
    width, classes = into.shape
    fully = schema.FullyConnectedOptionsT()
    middle, product = tensor("padding/middle", (1, width)), tensor("padding/product", (1, classes))
    added = tensor("padding/added", (1, classes))
    weights = tensor("padding/into", into.shape, into.tobytes())
    operator(codes.FULLY_CONNECTED, [logits, weights, -1], middle, fully, options.FullyConnectedOptions)
    weights = tensor("padding/back", back.shape, back.tobytes())
    operator(codes.FULLY_CONNECTED, [middle, weights, -1], product, fully, options.FullyConnectedOptions)
    operator(codes.ADD, [logits, product], added, schema.AddOptionsT(), options.AddOptions)
    name = graph.tensors[logits].name
    graph.tensors[logits].name, graph.tensors[added].name = name + b"_unpadded", name
    graph.outputs = [added]
    for signature in model.signatureDefs or []:
        for output in signature.outputs:
            output.tensorIndex = added if output.tensorIndex == logits else output.tensorIndex
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(bytes(builder.Output()))
