"""A TFLite model as plain data: what lowering makes, and what is written to bytes.

Activations are NHWC. A tensor is known by its name; operators stand in the order of execution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeeff.graph.lowering import Options, Tensor


@dataclass(frozen=True)
class Operator:
    """One operator.

    Args:
        code: Its name in the schema's BuiltinOperator, such as ``CONV_2D``.
        inputs: Names of tensors.
        outputs: Names of tensors.
        options: None where it has none.
        version: The lowest that can run it.
        custom: The options of one that is not of the schema, whose name ``code`` then is.
    """

    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Options | None
    version: int
    custom: bytes | None = None


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
