"""A model as the bytes of a .tflite file.

The generated object API writes the tables. Two things it leaves out are done here: the schema's
``force_align: 16`` for the data of buffers (kernels read weights with aligned loads), and the operators'
versions, which tell an older runtime that it cannot run the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgeeff.backends.tflite.model import Model, Operator
from edgeeff.graph.lowering import Quantization, Tensor

ALIGNMENT = 16


def write(model: Model, metadata: Mapping[str, bytes]) -> bytes:
    """Write ``model`` with its named metadata buffers. The same model gives the same bytes."""
    buffers = [_buffer(b"")]  # the first stands for "no data", by convention

    shared: dict[bytes, int] = {}

    def buffer(data: bytes) -> int:
        buffers.append(_buffer(data))
        return len(buffers) - 1

    def weights(data: bytes) -> int:
        """Those that several layers share, as a detector's heads do for each level, are written once."""
        if data not in shared:
            shared[data] = buffer(data)
        return shared[data]

    index = {name: position for position, name in enumerate(model.tensors)}
    versions = [(op.code, op.version, op.custom is not None) for op in model.operators]
    opcodes = list(dict.fromkeys(versions))
    subgraph = schema.SubGraphT(
        tensors=[
            _tensor(tensor, weights if _is_weights(tensor) else buffer, model.any_batch)
            for tensor in model.tensors.values()
        ],
        inputs=[index[name] for name in model.inputs.values()],
        outputs=[index[name] for name in model.outputs.values()],
        operators=[
            _operator(op, opcodes.index(version), index)
            for op, version in zip(model.operators, versions, strict=True)
        ],
        name="main",
    )
    packed = schema.ModelT(
        version=3,
        operatorCodes=[_opcode(*opcode) for opcode in opcodes],
        subgraphs=[subgraph],
        description=model.name,
        metadata=[schema.MetadataT(name, buffer(data)) for name, data in metadata.items()],
        buffers=buffers,
        signatureDefs=[_signature(model, index)],
    )
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(packed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _AlignedBuffer(schema.BufferT):  # type: ignore[misc]
    """A buffer whose data begins at a multiple of 16 bytes, as the schema demands."""

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802
        if not self.data:
            return int(super().Pack(builder))
        builder.StartVector(1, len(self.data), ALIGNMENT)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return int(schema.BufferEnd(builder))


def _buffer(data: bytes) -> Any:
    return _AlignedBuffer(data=data or None)


def _tensor(tensor: Tensor, buffer: Callable[[bytes], int], any_batch: bool) -> Any:
    return schema.TensorT(
        shape=list(tensor.shape),
        type=getattr(schema.TensorType, tensor.type.upper()),
        buffer=0 if tensor.data is None else buffer(_little_endian(tensor.data)),
        name=tensor.name,
        quantization=_quantization(tensor.quantization),
        # Which dimensions resize_tensor_input may change, -1 in their place.
        shapeSignature=[-1, *tensor.shape[1:]] if any_batch and tensor.data is None else None,
        hasRank=True,
    )


def _is_weights(tensor: Tensor) -> bool:
    return tensor.data is not None and tensor.type in ("int8", "float32") and tensor.data.ndim > 1


def _little_endian(data: npt.NDArray[Any]) -> bytes:
    return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()


def _quantization(quantization: Quantization | None) -> Any:
    if quantization is None:
        return None
    return schema.QuantizationParametersT(
        scale=quantization.scale.astype(np.float32),
        zeroPoint=quantization.zero_point.astype(np.int64),
        quantizedDimension=quantization.axis,
    )


def _opcode(code: str, version: int, custom: bool) -> Any:
    builtin = schema.BuiltinOperator.CUSTOM if custom else getattr(schema.BuiltinOperator, code)
    # Codes over 127 do not fit the field of older readers, which then holds 127.
    return schema.OperatorCodeT(
        deprecatedBuiltinCode=min(builtin, 127),
        builtinCode=builtin,
        version=version,
        customCode=code if custom else None,
    )


def _operator(operator: Operator, opcode: int, index: Mapping[str, int]) -> Any:
    packed = schema.OperatorT(
        opcodeIndex=opcode,
        inputs=[index[name] for name in operator.inputs],
        outputs=[index[name] for name in operator.outputs],
    )
    if operator.custom is not None:
        packed.customOptions = operator.custom
    if options := operator.options:
        packed.builtinOptionsType = getattr(schema.BuiltinOptions, options.table)
        packed.builtinOptions = getattr(schema, f"{options.table}T")(**options.fields)
    return packed


def _signature(model: Model, index: Mapping[str, int]) -> Any:
    def maps(names: Mapping[str, str]) -> list[Any]:
        return [schema.TensorMapT(name, index[tensor]) for name, tensor in names.items()]

    return schema.SignatureDefT(
        inputs=maps(model.inputs), outputs=maps(model.outputs), signatureKey="serving_default"
    )
