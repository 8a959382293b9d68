"""From the hub graph to what a firmware is built with: int8 throughout, and the arena that it takes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import onnx

from edgeeff.backends import Emission, runtime
from edgeeff.backends.tflite import flatbuffer, metadata
from edgeeff.backends.tflite.lower import lower
from edgeeff.backends.tflite.model import Model
from edgeeff.backends.tflite_micro import firmware, limits, placing, rules, sizes
from edgeeff.backends.tflite_micro.measuring import Arena, measure
from edgeeff.backends.tflite_micro.parts import in_parts
from edgeeff.backends.tflite_micro.peak import Peak, peak

FILE, ARENA = "model.tflite", "arena.json"
#: What the interpreter needs beside activations, more than any network of this family takes of it.
_GENEROUS = 4 << 20


def emit(graph: onnx.ModelProto, emission: Emission) -> dict[str, bytes]:
    """Lower ``graph``, hold it against what tflite-micro has, measure its arena, and write it as C too.

    Args:
        graph: The hub graph.
        emission: The preprocessing, the labels, and with the property ``arena`` the most that it may take.

    Blocks are computed in parts where that lowers the peak of memory (:mod:`parts`).

    Returns:
        ``model.tflite``, ``arena.json``, ``firmware/model_data.h`` and ``.cc``, and ``labels.txt`` where
        there are labels.

    Raises:
        GraphError: An operator that tflite-micro does not have in int8, or that would compute in float.
        OptionError: It takes more than the arena that it may.
    """
    rules.refuse_detector(emission.detection)
    model = lower(graph, emission.name, emission.target.input, emission.preprocess, activation=emission.added)
    rules.refuse(model)
    model, divided = in_parts(model)
    # No labels and no normalisation: who would read them is no microcontroller, and flash is dear.
    content = flatbuffer.write(model, placing.metadata(model))
    most = peak(model)
    arena = None if missing() else measure(content, generous(model, len(content)))
    limits.refuse(emission, model, most, arena)
    facts = _facts(emission, model, most, arena) | {"parts": divided}
    files = {
        FILE: content,
        ARENA: (json.dumps(facts, indent=2) + "\n").encode(),
        firmware.HEADER: firmware.header(emission.name, model, content, facts),
        firmware.SOURCE: firmware.source(content),
    }
    if emission.labels:
        files[metadata.LABELS_FILE] = metadata.labels_text(emission.labels)
    return files


def missing() -> list[str]:
    """The modules that measuring needs and this machine has not."""
    return runtime("tflite_micro").missing_to_run()


def generous(model: Model, size: int) -> int:
    """Bytes of an arena that are enough for a model in any case: no two activations share memory."""
    tensors = [peak_bytes(tensor.shape) for tensor in model.tensors.values() if tensor.data is None]
    return sum(tensors) + size + _GENEROUS


def peak_bytes(shape: tuple[int, ...]) -> int:
    """Of an int8 tensor, aligned."""
    count = 1
    for side in shape:
        count *= side
    return count + 16


def _facts(emission: Emission, model: Model, most: Peak, arena: Arena | None) -> dict[str, Any]:
    limit = emission.target.runtime_properties.get("arena")
    return {
        "size": arena.size if arena else None,
        "activations": arena.activations if arena else most.size,
        "lasting": arena.lasting if arena else None,
        "peak": str(most),
        "limit": sizes.read(limit) if limit else None,
        "operators": dict(sorted(Counter(operator.code for operator in model.operators).items())),
    }


def cautions(emission: Emission) -> tuple[str, ...]:
    """What whoever builds this must know, a sentence each."""
    if not missing():
        return ()
    arena = "arena" in emission.target.runtime_properties
    said = " (--arena is held against its activations alone)" if arena else ""
    return (
        f"tflite-micro is not installed: the arena is not measured{said}, and nothing is verified; "
        f"install it: {runtime('tflite_micro').install}",
    )
