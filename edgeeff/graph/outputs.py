"""What a graph's outputs are to its task."""

from __future__ import annotations

from dataclasses import replace

import onnx

from edgeeff import tasks
from edgeeff.tasks import Output


def outputs_of(graph: onnx.ModelProto, task: str) -> tuple[Output, ...]:
    """The outputs of a hub graph or float graph, in its order; a batch that is not fixed counts as one.

    Raises:
        OptionError: They are none that the task can mean.
    """
    shapes = {
        value.name: tuple(dimension.dim_value or 1 for dimension in value.type.tensor_type.shape.dim)
        for value in graph.graph.output
    }
    divided = {name for node in graph.graph.node if node.op_type == "LpNormalization" for name in node.output}
    found = tasks.room(task).outputs(shapes)
    return tuple(replace(output, divided=output.name in divided) for output in found)
