"""What an operator's lowering to TFLite is written with, and what it gets to see of the hub graph.

The TFLite emitter implements :class:`Builder`; operators know nothing else of it. Activations are NHWC there,
and a tensor is int8 with a scale of its own, or float32.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnx

Array = npt.NDArray[Any]
Type = Literal["float32", "int32", "uint8", "int8"]

SAME, VALID = 0, 1  # the schema's Padding


@dataclass(frozen=True)
class Quantization:
    """``real = scale · (stored − zero_point)``, for the whole tensor or for each channel of ``axis``.

    Args:
        scale: float32 [1], or [C] per channel.
        zero_point: int64, as long as ``scale``.
        axis: The channels' dimension, where there is more than one scale.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int = 0

    @classmethod
    def per_tensor(cls, scale: float, zero_point: int) -> Quantization:
        """One scale and zero point for all values."""
        return cls(np.array([scale], np.float32), np.array([zero_point], np.int64))

    def shifted(self, by: int) -> Quantization:
        """The same real values stored ``by`` higher: int8 becomes uint8 with 128."""
        return Quantization(self.scale, self.zero_point + by, self.axis)

    def same(self, other: Quantization | None) -> bool:
        """Whether both map every stored value to the same real one."""
        return (
            other is not None
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


#: What TFLite's int8 kernels of LOGISTIC and SOFTMAX produce, whatever the tensor says.
PROBABILITY = Quantization.per_tensor(1 / 256, -128)


@dataclass(frozen=True)
class Tensor:
    """An activation, or a constant where it has data (already in TFLite's layout)."""

    name: str
    shape: tuple[int, ...]
    type: Type
    quantization: Quantization | None = None
    data: Array | None = None


@dataclass(frozen=True)
class Options:
    """The options of a TFLite operator.

    Args:
        table: The schema's table, such as ``Conv2DOptions``.
        fields: Its fields; those left out have the schema's defaults.
    """

    table: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What an operator is to produce.

    Args:
        name: The ONNX value after a fused clamp, before QuantizeLinear; names the TFLite tensor.
        shape: In TFLite's layout.
        quantization: None where the operator computes in float.
        activation: The schema's ActivationFunctionType of the fused clamp, 0 without one.
    """

    name: str
    shape: tuple[int, ...]
    quantization: Quantization | None
    activation: int


@dataclass(frozen=True)
class Codes:
    """A constant of the hub as it is stored: integers and their scale, in ONNX's layout."""

    values: Array
    quantization: Quantization

    def real(self) -> npt.NDArray[np.float32]:
        """What DequantizeLinear makes of it."""
        along = [1] * self.values.ndim
        if self.quantization.scale.size > 1:
            along[self.quantization.axis] = -1
        zero = self.quantization.zero_point.reshape(along)
        scale = self.quantization.scale.reshape(along)
        return ((self.values.astype(np.int64) - zero).astype(np.float32) * scale).astype(np.float32)


@dataclass(frozen=True)
class Kept:
    """What an operator reads and makes whose kernel has one scale for both.

    Args:
        source: What it reads: int8 with that scale, or float32.
        name: The ONNX value that it makes.
        shape: Of that, in TFLite's layout.
        quantization: What a QuantizeLinear behind it wants; None: there is none.
    """

    source: Tensor
    name: str
    shape: tuple[int, ...]
    quantization: Quantization | None


class Builder(Protocol):
    """The ONNX graph that is read and the TFLite model that grows from it."""

    @property
    def consumers(self) -> Mapping[str, Sequence[onnx.NodeProto]]:
        """The nodes that read each value."""

    @property
    def outputs(self) -> Collection[str]:
        """The names of the graph's outputs."""

    @property
    def any_batch(self) -> bool:
        """Whether the file is to take any number of images; shapes are then those of one."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The known shapes, as ONNX has them."""

    def constant(self, value: str) -> Array | None:
        """The real values of a constant, None for an activation."""

    def codes(self, value: str) -> Codes | None:
        """The stored integers behind a dequantised constant."""

    def shape(self, value: str) -> tuple[int, ...]:
        """An activation's shape in TFLite's layout.

        Raises:
            GraphError: Its shape is not known.
        """

    def parameters(self, node: onnx.NodeProto) -> Quantization:
        """Scale and zero point of a QuantizeLinear or DequantizeLinear, as int8 has them."""

    def stored(self, value: str) -> Tensor:
        """The tensor that holds an activation.

        Raises:
            GraphError: No node before this one produces it.
        """

    def store(self, value: str, tensor: Tensor) -> None:
        """Note which tensor holds an ONNX value."""

    def store_codes(self, value: str, codes: Codes) -> None:
        """Note the integers behind a dequantised constant."""

    def absorb(self, *nodes: onnx.NodeProto) -> None:
        """Mark nodes as part of an operator that stands already."""

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        type: Type,
        quantization: Quantization | None = None,
        data: Array | None = None,
    ) -> Tensor:
        """Add a tensor to the model; an existing name gets a number."""

    def integers(self, name: str, values: Sequence[int] | Array) -> Tensor:
        """A constant of shape, axes or paddings."""

    def add(
        self,
        code: str,
        inputs: Sequence[Tensor],
        output: Tensor,
        options: Options | None = None,
        *,
        version: int | None = None,
    ) -> Tensor:
        """Append an operator; its output comes back.

        Args:
            code: Its name in the schema's BuiltinOperator, such as ``CONV_2D``.
            inputs: What it reads.
            output: What it makes.
            options: Its options, where it has some.
            version: The lowest that can run it, by the rules of TFLite's op_version.cc; None: 2 where it
                reads int8, else 1.
        """

    def keeping(self, node: onnx.NodeProto, *, selects: bool, output: int = 0) -> Kept:
        """The first input and a result of an operator that has one scale for both.

        Args:
            node: The operator's node.
            selects: Whether it rounds nothing, so that codes pass through where no QuantizeLinear follows.
            output: The result's number.
        """

    def keep(
        self,
        kept: Kept,
        code: str,
        inputs: Sequence[Tensor],
        options: Options | None = None,
        *,
        version: int | None = None,
    ) -> Tensor:
        """Append such an operator at the scale of what it reads; another scale behind it is a QUANTIZE."""

    def requantized(self, tensor: Tensor, quantization: Quantization) -> Tensor:
        """The same values at another scale."""

    def result(
        self, node: onnx.NodeProto, operands: Sequence[str], *, clamps: bool = True, integers: bool = True
    ) -> Result:
        """What ``node`` is to produce: with the clamp and the QuantizeLinear that follow, where they fuse.

        Args:
            node: The operator's node.
            operands: The values that must be int8 for an integer operator.
            clamps: Whether the TFLite operator has a fused activation.
            integers: Whether it has an int8 kernel.
        """

    def produce(self, result: Result) -> Tensor:
        """Add the tensor of a result, and note it for whoever reads the value."""

    def operand(self, value: str, result: Result) -> Tensor:
        """The tensor of an activation or a broadcast constant, in the arithmetic of ``result``."""

    def clamp(self, node: onnx.NodeProto) -> int:
        """The schema's ActivationFunctionType that a Clip or Relu is, 0 if it is none."""


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute's value, or ``default`` where the node has none of that name."""
    for candidate in node.attribute:
        if candidate.name == name:
            return onnx.helper.get_attribute_value(candidate)
    return default
