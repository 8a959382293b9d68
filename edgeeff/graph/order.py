"""The order of three colours: a network that takes BGR, made one that takes RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgeeff.errors import GraphError
from edgeeff.graph.model import add_constant, constant, drop_unused_constants

if TYPE_CHECKING:
    import onnx_ir as ir


def turn_around(model: ir.Model) -> None:
    """Let a base graph take its three input channels the other way round, in place. Twice is as before.

    The first convolution's weights [O, 3, k, k] are turned around, which is exact: no operator is added, and
    zeros put around the image are the same in every channel.

    Raises:
        GraphError: The input is not read by one convolution alone, or has not three channels.
    """
    readers = list(model.graph.inputs[0].consumers())
    weight = constant(readers[0].inputs[1]) if len(readers) == 1 and readers[0].op_type == "Conv" else None
    if weight is None or weight.shape[1] != 3:
        raise GraphError(
            "the order of its colours cannot be changed: not one convolution of three channels reads them",
            mend="leave out --channels bgr, and export the network so that it takes RGB",
        )
    value = readers[0].inputs[1]
    assert value is not None and value.name is not None
    turned = np.ascontiguousarray(weight[:, ::-1])
    readers[0].replace_input_with(1, add_constant(model.graph, f"{value.name}.turned_around", turned))
    drop_unused_constants(model)
