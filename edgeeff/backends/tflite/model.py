"""A TFLite model as plain data: what lowering makes, and what is written to bytes.

Activations are NHWC. A tensor is known by its name; operators stand in the order of execution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Type = Literal["float32", "int32", "uint8", "int8"]


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


@dataclass(frozen=True)
class Tensor:
    """An activation, or a constant where it has data (already in TFLite's layout)."""

    name: str
    shape: tuple[int, ...]
    type: Type
    quantization: Quantization | None = None
    data: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class Operator:
    """One operator.

    Args:
        code: Its name in the schema's BuiltinOperator, such as ``CONV_2D``.
        inputs: Names of tensors.
        outputs: Names of tensors.
        options: Fields of the schema's options table; none where the defaults serve.
    """

    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """One subgraph.

    Args:
        name: The network's name.
        tensors: All tensors by name.
        operators: In the order of execution.
        inputs: Name in the signature → tensor.
        outputs: Name in the signature → tensor.
        any_batch: Whether activations' first dimension, 1, stands for any number of images.
    """

    name: str
    tensors: Mapping[str, Tensor]
    operators: Sequence[Operator]
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    any_batch: bool = False
