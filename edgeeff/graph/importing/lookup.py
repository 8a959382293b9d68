"""What is looked up in a file's graph before it is translated: who makes a name, and what is constant."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

#: What changes how values lie, or their type, and not what they say.
SAME = frozenset(
    {
        *("Cast", "CastLike", "Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose"),
        "Unsqueeze",
    }
)


class Lookup:
    """A file's graph, by the names in it. It may be damaged: names made twice, never, or in a circle."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.makers = {name: node for node in model.graph.node for name in node.output if name}
        self.initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        given = {value.name for value in model.graph.input} - set(self.initializers)
        self._given = given

    def maker(self, name: str) -> onnx.NodeProto | None:
        """The node that makes a tensor."""
        return self.makers.get(name)

    def varies(self, name: str) -> bool:
        """Whether a tensor depends on the image."""
        waiting, seen = [name], set()
        while waiting:
            current = waiting.pop()
            if current in self._given:
                return True
            node = self.makers.get(current)
            if current not in seen and node is not None:
                seen.add(current)
                waiting += node.input
        return False

    def constant(self, name: str) -> onnx.TensorProto | None:
        """A tensor that the file holds."""
        if name in self.initializers:
            return self.initializers[name]
        node = self.maker(name)
        if node is not None and node.op_type == "Constant":
            return next((a.t for a in node.attribute if a.name == "value"), None)
        return None

    def numbers(self, name: str) -> npt.NDArray[np.float64] | None:
        """A constant's values."""
        node = self.maker(name)
        if node is not None and node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name in ("value_float", "value_int"):
                    return np.asarray(onnx.helper.get_attribute_value(attribute), np.float64)
        if node is not None and node.op_type in ("Cast", "Identity", "Unsqueeze", "Reshape"):
            return self.numbers(node.input[0])
        tensor = self.constant(name)
        if tensor is None or tensor.data_type == onnx.TensorProto.STRING:
            return None
        try:
            return np.asarray(numpy_helper.to_array(tensor), np.float64)
        except (ValueError, TypeError):
            return None

    def behind(self, name: str) -> str:
        """Where a tensor comes from, behind what changes shapes alone."""
        for _ in range(len(self.makers) + 1):
            node = self.maker(name)
            if node is None or node.op_type not in SAME or not node.input:
                break
            name = node.input[0]
        return name

    def before(self, name: str) -> set[str]:
        """All tensors that a tensor is computed from."""
        waiting, seen = [name], set[str]()
        while waiting:
            node = self.makers.get(waiting.pop())
            for read in node.input if node is not None else ():
                if read and read not in seen:
                    seen.add(read)
                    waiting.append(read)
        return seen
