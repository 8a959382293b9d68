"""What a firmware engineer compiles: the model as a C array, and a header that says all that runs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod

from edgeeff.backends.tflite.model import Model
from edgeeff.backends.tflite_micro import operators
from edgeeff.graph.lowering import Tensor

HEADER, SOURCE = "firmware/model_data.h", "firmware/model_data.cc"
#: Bytes of the model in one line of the source.
_LINE = 32

_TEMPLATE = """\
// {name}: written by edgeeff, for tflite-micro (TensorFlow Lite for Microcontrollers).
//
// Operators of the model: {operators}.
#ifndef EDGEEFF_MODEL_DATA_H_
#define EDGEEFF_MODEL_DATA_H_

// The model, aligned as the interpreter wants it; it stays in flash.
constexpr unsigned int kModelSize = {size};
extern const unsigned char kModelData[kModelSize];

{arena}

// The input: int8 [1, kInputHeight, kInputWidth, kInputChannels], pixels of 0..255 less 128.
constexpr int kInputHeight = {height};
constexpr int kInputWidth = {width};
constexpr int kInputChannels = {channels};

{outputs}

// The operators for a resolver, and no others:
//   tflite::MicroMutableOpResolver<kOperatorCount> resolver;
//   if (!AddOperators(resolver)) ...
constexpr int kOperatorCount = {count};
template <typename Resolver>
bool AddOperators(Resolver& resolver) {{
  // Each gives kTfLiteOk, which is 0.
  return {calls};
}}

#endif  // EDGEEFF_MODEL_DATA_H_
"""

_MEASURED = """\
// Bytes of the arena, measured on 64 bits with the reference kernels: {lasting} of them stay, and
// {activations} are for activations, most at {peak}.
// A 32-bit microcontroller takes less; optimised kernels (CMSIS-NN, ESP-NN) may ask for scratch
// buffers besides: interpreter.arena_used_bytes() says what yours takes.
constexpr int kArenaSize = {size};"""

_NOT_MEASURED = """\
// Bytes of the arena: NOT MEASURED, as tflite-micro was not installed where this was built.
// Activations alone take {activations}, most at {peak}.
// interpreter.arena_used_bytes() says what yours takes. Define kArenaSize yourself."""

_OUTPUT = """\
// Output {at}, {name}: int8 [{shape}]; real = scale * (stored - zero point).
constexpr int kOutput{number}Size = {size};
constexpr float kOutput{number}Scale = {scale}f;
constexpr int kOutput{number}ZeroPoint = {zero_point};"""


def header(name: str, model: Model, content: bytes, facts: Mapping[str, object]) -> bytes:
    """``model_data.h``.

    Args:
        name: The bundle's.
        model: What was written.
        content: Its file.
        facts: As ``arena.json`` has them.
    """
    codes = Counter(operator.code for operator in model.operators)
    (source,) = (model.tensors[tensor] for tensor in model.inputs.values())
    _, height, width, channels = source.shape
    arena = _MEASURED if facts["size"] is not None else _NOT_MEASURED
    calls = [f"resolver.{operators.ADDED[code]}() == 0" for code in sorted(codes)]
    text = _TEMPLATE.format(
        name=name,
        operators=", ".join(f"{count} {code}" for code, count in sorted(codes.items())),
        size=len(content),
        arena=arena.format(**facts),
        height=height,
        width=width,
        channels=channels,
        outputs="\n".join(_outputs(model)),
        count=len(calls),
        calls=" &&\n         ".join(calls),
    )
    return text.encode()


def _outputs(model: Model) -> Sequence[str]:
    found = []
    for at, (name, tensor) in enumerate(model.outputs.items()):
        number = "" if len(model.outputs) == 1 else str(at)
        found.append(_output(at, number, name, model.tensors[tensor]))
    return found


def _output(at: int, number: str, name: str, tensor: Tensor) -> str:
    quantization = tensor.quantization
    assert quantization is not None, "int8 throughout"
    return _OUTPUT.format(
        at=at,
        number=number,
        name=name,
        shape=", ".join(map(str, tensor.shape)),
        size=prod(tensor.shape),
        scale=repr(float(quantization.scale[0])),
        zero_point=int(quantization.zero_point[0]),
    )


def source(content: bytes) -> bytes:
    """``model_data.cc``: the bytes of the model, 16-byte aligned."""
    rows = (content[i : i + _LINE] for i in range(0, len(content), _LINE))
    lines = "\n".join(",".join(map(str, row)) + "," for row in rows)
    head = '#include "model_data.h"\n\nalignas(16) const unsigned char kModelData[kModelSize] = {\n'
    return f"{head}{lines}\n}};\n".encode()
