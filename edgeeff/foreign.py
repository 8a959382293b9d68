"""Bundles from a Q/DQ graph that somebody else quantised: it enters at the hub.

The graph must keep the hub's rules (docs/architecture.md): standard operators, one input [1, 3, H, W] and
one output [1, classes], static. Its scales are taken as they are. There is no float graph to hold the
artifact against, so what is verified is that it computes what the Q/DQ graph says.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgeeff import request
from edgeeff.backends import Emission, room
from edgeeff.backends.onnxruntime.run import session_of
from edgeeff.bundle import Bundle, Manifest, write_bundle
from edgeeff.cache import key_of
from edgeeff.calibration.selection import pixels
from edgeeff.errors import GraphError, OptionError, VerificationError
from edgeeff.graph.model import load_graph
from edgeeff.harness import verify
from edgeeff.pipeline import tool_versions
from edgeeff.preprocess import Preprocess
from edgeeff.recipes import open_source
from edgeeff.steps import golden_files, readme, target_facts
from edgeeff.target import Target

#: What a hub graph is made of.
OPERATORS = frozenset(
    {
        *(
            "QuantizeLinear",
            "DequantizeLinear",
            "Conv",
            "Gemm",
            "Add",
            "Mul",
            "Sub",
            "Clip",
            "Relu",
            "Sigmoid",
        ),
        *("GlobalAveragePool", "Flatten", "Reshape", "Softmax"),
    }
)


def emit(
    path: Path,
    *,
    target: str,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    images: Path | None = None,
    output: Path = Path("dist"),
    name: str | None = None,
    labels: Path | None = None,
    golden: int = 4,
) -> Bundle:
    """Lower a Q/DQ ONNX graph for one target and write its bundle.

    Args:
        path: The ONNX file; its input is normalised with ``mean`` and ``std`` on pixels of 0…255.
        target: An int8 target.
        mean: Per channel.
        std: Per channel.
        images: To verify with; None: the artifact is not run.
        output: The bundle is written to ``<output>/<name>-<target>/``.
        name: Instead of the file's.
        labels: Text file, one class a line.
        golden: How many golden inputs the bundle carries.

    Raises:
        GraphError: The graph breaks a rule of the hub, or holds an operator that no backend knows.
        VerificationError: The artifact does not compute what the graph says.
    """
    wanted = request.resolve_targets([target], io=None)[0]
    if wanted.scheme is None:
        raise OptionError(f"{target} is a float target", mend="choose an int8 target")
    if wanted.input != "float32" and wanted.runtime != "openvino":
        raise OptionError(f"{target} takes {wanted.input}", mend="choose a target with a float32 input")
    graph = load_graph(path)
    size, classes = _hub_shape(graph, path)
    preprocess = Preprocess(size=size, mean=mean, std=std)
    stem = path.name.partition(".")[0]
    folder = request.resolve_output(output, stem if name is None else name, [wanted])[0]
    names = request.resolve_labels(request.given_labels(labels), None, classes, labels)
    data = path.read_bytes()
    files: dict[str, bytes] = dict(
        room(wanted.runtime, "emit").emit(graph, Emission(folder.name, wanted, preprocess, names))
    )
    files["README.md"] = readme(folder.name, wanted).encode()
    if images is not None and golden:
        chosen = open_source(images, count=golden)
        inputs = np.concatenate(list(pixels(chosen, preprocess)))
        hub = session_of(data, preprocess, literal=True).infer(inputs)
        files |= golden_files({"inputs": inputs, "hub": hub, "float": hub})
    manifest = Manifest(
        name=folder.name,
        model="foreign",
        target=wanted.name,
        runtime=wanted.runtime,
        precision=wanted.precision,
        input=wanted.input,
        softmax=False,
        cpu_class=request.resolve_cpu_class("auto"),
        preprocess=preprocess,
        labels=names,
        classes=classes,
        runtime_properties=wanted.runtime_properties,
        digests=_digests(data, wanted, preprocess),
        tools=tool_versions(),
        files={},
    )
    return write_bundle(folder, manifest, files, _measure)


def _measure(bundle: Bundle) -> dict[str, dict[str, Any]]:
    found = verify.check_golden(bundle)
    if found.status == "failed":
        raise VerificationError(
            f"{bundle.name} does not compute what its graph says: {found.summary}",
            mend="hold the graph's Q/DQ against the rules of the scheme (docs/architecture.md)",
        )
    check = bundle.check()
    return {
        "verification.json": {"golden": found.to_json(), "check": check.summary, "not_run": found.summary}
    }


def _digests(data: bytes, target: Target, preprocess: Preprocess) -> dict[str, str]:
    hub = hashlib.sha256(data).hexdigest()
    return {
        "hub": hub,
        "inputs": key_of(hub=hub, target=target_facts(target), preprocess=preprocess.to_json()),
    }


def _hub_shape(graph: onnx.ModelProto, path: Path) -> tuple[tuple[int, int], int]:
    """Input height and width and the number of classes, if the graph keeps the hub's outward rules."""
    for node in graph.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type not in OPERATORS:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise GraphError(
                f"{path}: operator {operator} of node {node.name!r} is known to no backend",
                mend=f"a hub graph is made of {', '.join(sorted(OPERATORS))}",
            )
    constants = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in constants]
    shapes = [
        [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*inputs, *graph.graph.output)
    ]
    match shapes:
        case [[1, 3, height, width], [1, classes]] if min(height, width, classes) > 0:
            return (height, width), classes
    raise GraphError(
        f"{path}: inputs and outputs are {shapes}",
        mend="export one input [1, 3, H, W] and one output [1, classes], with static shapes",
    )
