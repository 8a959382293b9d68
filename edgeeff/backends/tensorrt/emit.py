"""From the hub graph to what a Jetson or a GPU builds its engine from.

A bundle carries its network in two typings, and an INT8 bundle also the float network, the FP16 control
that INT8 has to beat. The engines are built on the device, by ``build_engine.py``, because an engine belongs
to one TensorRT version and one compute capability.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from edgeeff.backends import Emission
from edgeeff.backends.tensorrt import deployment, device, graphs, sharing
from edgeeff.detection import RUNTIME


def emit(graph: onnx.ModelProto, emission: Emission) -> dict[str, bytes]:
    """The files of a TensorRT bundle: graphs, scripts for the device, deployment files, labels if any.

    Args:
        graph: For an int8 target the hub graph of the ``tensorrt`` scheme: int8 everywhere, zero points 0,
            opset 17; for an fp16 target the float graph.
        emission: Names, target and preprocessing. Without a ``float_graph`` an int8 bundle has no control.

    Raises:
        OptionError: The target is neither int8 nor fp16, or takes int8 input.
        GraphError: The graph breaks a rule of TensorRT, is no valid ONNX, or does not fit FP16.
    """
    graphs.refuse(emission)
    own = graphs.stem(emission)
    files = graphs.pair(graph, emission, own)
    if emission.detection is not None and emission.detection.where == RUNTIME:
        files |= graphs.without_boxes(files, own)
    files |= deployment.beside(files, emission, f"{own}.onnx")
    if emission.target.precision == "int8" and emission.float_graph is not None:
        files |= graphs.pair(emission.float_graph(), emission, graphs.FLOAT)
    for slug, made in emission.variants.items():
        files |= sharing.shared(graphs.pair(made(), emission, f"{own}.{slug}"), files)
    if emission.batch.dynamic:
        files |= graphs.profile(files[f"{own}.onnx"], emission)
    scripts = Path(device.__file__).parent
    files |= {name: (scripts / name).read_bytes() for name in device.FILES}
    if emission.labels:
        files["labels.txt"] = "".join(f"{label}\n" for label in emission.labels).encode()
    return files


def cautions(emission: Emission) -> tuple[str, ...]:
    """What whoever builds this must know beforehand, a sentence each."""
    return deployment.cautions(emission)
