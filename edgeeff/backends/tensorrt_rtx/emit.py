"""From the hub graph to what TensorRT-RTX compiles: one strongly typed graph, which any machine can take."""

from __future__ import annotations

import onnx

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt import graphs


def emit(graph: onnx.ModelProto, emission: Emission) -> dict[str, bytes]:
    """``model.qdq.fp16.onnx`` or, for an fp16 target, ``model.float.fp16.onnx``, with labels if any.

    Of open batch it comes with ``profile.json``.

    Args:
        graph: For an int8 target the hub graph of the ``tensorrt`` scheme, for an fp16 one the float graph.
        emission: Names, target and preprocessing.

    Raises:
        OptionError: The target is neither int8 nor fp16, or takes int8 input.
        GraphError: The graph breaks a rule of TensorRT, is no valid ONNX, or does not fit FP16.
    """
    graphs.refuse(emission)
    files = graphs.strongly_typed(graph, emission, graphs.stem(emission))
    if emission.batch.dynamic:
        files |= graphs.profile(next(iter(files.values())), emission)
    if emission.labels:
        files["labels.txt"] = "".join(f"{label}\n" for label in emission.labels).encode()
    return files
