"""Quantisers written so that OpenVINO's kernels have less to do for them; the function stays the same.

    x ── FakeQuantize(low, high) ── codes q of 0 … 255 ── values s·(q − Z),   low = −s·Z

A kernel that makes codes scales and shifts, and one that reads them subtracts Z. Both are affine, and so is
most of what stands around them, so that constants can take it:

- **A convolution that makes codes** has its range from 0 on where its bias has the shift: one product is left
  of what was an elementwise operation behind it. The same of a layer that is added to something else.
- **An elementwise kernel that makes codes** (a gate's product, a Swish written as arithmetic) multiplies by
  1/s, adds Z + ½, clamps to what codes can be, and converts, which cuts off what is behind the point. What
  OpenVINO 2026 makes of a FakeQuantize there takes twice as long: it clamps, scales, shifts and rounds.
- **A convolution that reads codes** sees s·q where its bias has lost s·Z·Σ W; of a residual addition the
  layer that is added loses s·Z. A padded layer keeps its zero point: what stands beside the image is 0, and
  no code but Z says so.

Constants are computed in float64. What differs is the last bit of a float, and a code where that decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

F64 = npt.NDArray[np.float64]
_op = ov.opset13
_CODES = 255.0


@dataclass(frozen=True)
class _Quantiser:
    """FakeQuantize, two conversions, and the product that gives values again.

    Args:
        fake: The FakeQuantize, to codes of uint8.
        codes: The conversion to codes.
        floats: The codes as floats.
        values: The last product.
        scale: s.
        zero: Z.
    """

    fake: Any
    codes: Any
    floats: Any
    values: Any
    scale: float
    zero: float


def fold(model: Any, *, joined: bool) -> None:
    """Move scales and zero points of a model, in place.

    Args:
        model: As read from the hub graph: each quantiser a FakeQuantize, two conversions, Subtract, Multiply.
        joined: Whether OpenVINO joins elementwise operations to one kernel, as it does where shapes are
            known. A conversion by itself would read what was rounded to bf16.
    """
    for quantiser in list(_quantisers(model)):
        _move_zero(quantiser)
        _move_shift(quantiser, joined)
    model.validate_nodes_and_infer_types()


def _quantisers(model: Any) -> Iterator[_Quantiser]:
    for fake in model.get_ordered_ops():
        if fake.get_type_name() != "FakeQuantize":
            continue
        bounds = [_number(fake.input_value(index)) for index in range(1, 5)]
        if None in bounds or bounds[2:] != [0.0, _CODES]:
            continue
        chain = [fake]
        for kind in ("Convert", "Convert", "Subtract", "Multiply"):
            readers = _readers(chain[-1])
            if len(readers) != 1 or readers[0].get_type_name() != kind:
                break
            chain.append(readers[0])
        else:
            zero, scale = _number(chain[3].input_value(1)), _number(chain[4].input_value(1))
            if zero and scale:
                yield _Quantiser(fake, chain[1], chain[2], chain[4], scale, zero)


def _move_zero(quantiser: _Quantiser) -> None:
    """Let biases take Z, where all that read the values have one."""
    shifts = [_taken(reader, quantiser) for reader in _readers(quantiser.values)]
    if not shifts or any(shift is None for shift in shifts):
        return
    for bias, shift in filter(None, shifts):
        _add_to(bias, shift)
    quantiser.values.input(0).replace_source_output(quantiser.floats.output(0))


def _taken(reader: Any, quantiser: _Quantiser) -> tuple[Any, F64] | None:
    """The addition of a bias that can take Z for one reader, and what is to be added there."""
    offset = -quantiser.scale * quantiser.zero
    if reader.get_type_name() == "Add":
        others = [v.get_node() for v in reader.input_values() if v.get_node() != quantiser.values]
        if len(others) != 1 or not _is_bias(others[0]) or len(_readers(others[0])) != 1:
            return None
        return others[0], np.full(1, offset)
    if reader.get_type_name() != "Convolution" or _padded(reader):
        return None
    after, weights = _readers(reader), _array(reader.input_value(1))
    if len(after) != 1 or not _is_bias(after[0]) or weights is None:
        return None
    return after[0], offset * weights.sum(axis=(1, 2, 3))


def _move_shift(quantiser: _Quantiser, joined: bool) -> None:
    """Let what stands before the codes make them from 0 on, or as they are."""
    fake, scale, shift = quantiser.fake, quantiser.scale, quantiser.scale * quantiser.zero
    source = fake.input_value(0).get_node()
    if len(_readers(source)) != 1:
        return
    bias = source if _is_bias(source) else _added_layer(source)
    if bias is not None:
        _add_to(bias, np.full(1, shift))
        for index, bound in ((1, 0.0), (2, _CODES * scale)):
            fake.input(index).replace_source_output(_op.constant(np.float32(bound)).output(0))
    elif joined and _is_gated(source):
        gate, other = sorted(source.input_values(), key=_is_vector, reverse=True)
        per_step = _op.multiply(gate, np.float32(1 / scale))
        product = _op.multiply(other, per_step)
        per_step.set_friendly_name(f"{source.get_friendly_name()}.gate")
        product.set_friendly_name(source.get_friendly_name())
        _convert(quantiser, product)
    elif joined and _is_polynomial(source):
        per_step = _op.multiply(source, np.float32(1 / scale))
        per_step.set_friendly_name(f"{quantiser.codes.get_friendly_name()}.scaled")
        _convert(quantiser, per_step)


def _convert(quantiser: _Quantiser, steps: Any) -> None:
    """Let a conversion make the codes of what is s times as much."""
    shifted = _op.add(steps, np.float32(quantiser.zero + 0.5))
    held = _op.clamp(shifted, 0.0, _CODES + 0.5)
    for node, part in ((shifted, "shifted"), (held, "held")):
        node.set_friendly_name(f"{quantiser.codes.get_friendly_name()}.{part}")
    for reader in quantiser.fake.output(0).get_target_inputs():
        reader.replace_source_output(held.output(0))


def _added_layer(addition: Any) -> Any:
    """The bias of the layer that an addition adds to something else; None where there is none."""
    if addition.get_type_name() != "Add":
        return None
    sources = [value.get_node() for value in addition.input_values()]
    return next((node for node in sources if _is_bias(node) and len(_readers(node)) == 1), None)


def _is_bias(node: Any) -> bool:
    """Whether an operation adds a bias to what a layer with constant weights makes."""
    if node.get_type_name() != "Add":
        return False
    layer, bias = (node.input_value(index).get_node() for index in (0, 1))
    made = layer.get_type_name() in ("Convolution", "GroupConvolution")
    return made and len(_readers(layer)) == 1 and bias.get_type_name() == "Constant"


def _add_to(bias: Any, shift: F64) -> None:
    old = _array(bias.input_value(1))
    assert old is not None
    channels = bias.get_output_partial_shape(0)[1].get_length()
    new = np.broadcast_to(old.reshape(-1), channels) + shift
    bias.input(1).replace_source_output(_op.constant(new.astype(np.float32).reshape(1, -1, 1, 1)).output(0))


def _is_gated(node: Any) -> bool:
    """Whether an operation multiplies a feature map by a vector that is computed.

    A product with constants is part of the convolution before it, and so is a FakeQuantize behind it.
    """
    if any(_array(value) is not None for value in node.input_values()):
        return False
    return node.get_type_name() == "Multiply" and {_is_vector(v) for v in node.input_values()} == {
        True,
        False,
    }


def _is_polynomial(node: Any) -> bool:
    """Whether an operation is the last of a Swish written as arithmetic (swish_polynomial), by its shape."""
    if node.get_type_name() != "Add":
        return False
    factors = [
        {*map(_kind, v.get_node().input_values())} for v in node.input_values() if _kind(v) == "Multiply"
    ]
    return len(factors) == 2 and any("Abs" in kinds for kinds in factors)


def _kind(value: Any) -> str:
    return str(value.get_node().get_type_name())


def _is_vector(value: Any) -> bool:
    shape = value.get_partial_shape()
    return shape.rank.get_length() == 4 and all(str(side) == "1" for side in list(shape)[2:])


def _padded(convolution: Any) -> bool:
    attributes = convolution.get_attributes()
    return any((*attributes["pads_begin"], *attributes["pads_end"]))


def _readers(node: Any) -> list[Any]:
    return [target.get_node() for target in node.output(0).get_target_inputs()]


def _number(value: Any) -> float | None:
    array = _array(value)
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def _array(value: Any) -> F64 | None:
    """What is made of constants alone, as the hub graph's weights are dequantised; None of anything else."""
    node = value.get_node()
    kind = node.get_type_name()
    if kind == "Constant":
        return np.asarray(node.data, np.float64)
    if kind == "Convert":
        return _array(node.input_value(0))
    if kind not in ("Subtract", "Multiply"):
        return None
    left, right = (_array(source) for source in node.input_values())
    if left is None or right is None:
        return None
    return left - right if kind == "Subtract" else left * right
