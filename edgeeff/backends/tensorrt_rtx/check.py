"""The engines that TensorRT-RTX makes of a bundle, and what they are made of, layer by layer.

An engine and its plan for each compute capability go to ``measured/``: two builds of one graph give the same
plan, but engines that differ in bytes. The plan is read from the compiler's log, because an engine is
deserialised only where its GPU is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edgeeff import digests, text
from edgeeff.backends import CheckReport
from edgeeff.backends.tensorrt import ladder, rtx
from edgeeff.backends.tensorrt.rtx import Plan
from edgeeff.errors import BundleError

MEASURED = "measured"
_LARGEST_PLAN = 16 << 20  # bytes; that of a thousand layers is under one


def check(folder: Path, *, properties: Mapping[str, str]) -> CheckReport:
    """Compile the bundle's graph for each of the target's compute capabilities, a few seconds each.

    Of a detector also the graph that decodes its boxes.

    A plan that is kept in ``measured/`` and is of this graph and this compiler is not made again. ``status``
    is ``fallback`` where a layer meant for INT8 is none, else ``NOT RUN``: no engine is run here.

    Args:
        folder: The bundle.
        properties: ``compute_capabilities``, such as ``80, 86``.

    Raises:
        BundleError: The graph is missing.
        OptionError: The compiler does not know one of the capabilities.
        VerificationError: The parser refuses the graph, or the compiler cannot build it.
    """
    (graph,) = ladder.graphs_of(folder, (ladder.CONTROL[-1:], ladder.QUANTISED[-1:]))
    made: dict[str, bytes] = {}
    climbed = ladder.climb(
        [graph], partial(rtx.capabilities, properties), partial(_plan, folder, graph, made)
    )
    for other in sorted(folder.glob("model.*.decoded.fp16.onnx")) if climbed.plans else ():
        rtx.accept(other)
        for capability in climbed.plans:
            _plan(folder, other, made, capability, "model.decoded")
    sizes = [len(content) for name, content in made.items() if name.endswith(".engine")]
    kept = f" ({max(sizes) / 1e6:.1f} MB each at most)" if sizes else ""
    return climbed.report(
        f"engines in {MEASURED}/{kept}, {ladder.NOT_RUN}: they are deserialised only where their GPU is",
        files=made,
    )


def _plan(folder: Path, graph: Path, made: dict[str, bytes], capability: str, stem: str = "model") -> Plan:
    """The plan that is kept, or a new one, which with its engine is added to ``made``."""
    name = f"{stem}.sm{capability}"
    seal: dict[str, Any] = {
        "compiler": f"TensorRT-RTX {rtx.version()}",
        "compute_capability": capability,
        "graph": graph.name,
        "graph_sha256": digests.of_file(graph),
    }
    if profile := rtx.profile_of(graph):
        seal["profile"] = list(profile.images)
    kept = _kept(folder / MEASURED / f"{name}.plan.json", seal)
    if kept is not None:
        return kept
    plan = rtx.compile_graph(graph, capability)
    written = json.dumps({**seal, **plan.to_json()}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    made[f"{name}.plan.json"] = written.encode()
    made[f"{name}.engine"] = plan.engine
    return plan


def _kept(path: Path, seal: Mapping[str, Any]) -> Plan | None:
    try:
        found = text.read_json(path, BundleError, _LARGEST_PLAN)
        return Plan.from_json(found) if seal.items() <= found.items() else None
    except (BundleError, ValueError, KeyError, TypeError, AttributeError):
        return None
