"""What an ONNX file says of itself in ``metadata_props``, so that it can be used without its bundle.

Texts by name, as onnxruntime's ``get_modelmeta().custom_metadata_map`` and Netron show them; values that are
no plain words are JSON. A name that is there already, of a graph that somebody else quantised, is replaced.
"""

from __future__ import annotations

import json
from typing import Any

import onnx

from edgeeff.backends import Emission, artifact_outputs, input_preprocess
from edgeeff.preprocess import CHANNELS

#: What the input holds, by whether it is pixels.
_HOLDS = {True: "pixels of 0 to 255 as they are", False: "(pixel - mean) / std, by channel"}


def described(model: onnx.ModelProto, emission: Emission) -> None:
    """Write what is known of the network and its input into the model.

    ``task``; ``names``, the classes in the order of the scores; ``input``; ``preprocess``, the fields of
    ``manifest.json`` of that name; ``outputs``, those of the bundle, with their meaning; ``threshold`` where
    the task has one; ``detection``, a detector's anchors and limits.
    """
    preprocess = input_preprocess(emission.target, emission.preprocess)
    meaning = emission.meaning
    raw = emission.target.input != "float32" or preprocess.is_unnormalised
    known: dict[str, Any] = {
        "task": meaning.task,
        "names": list(emission.labels),
        "input": {
            "type": emission.target.input,
            "layout": "NCHW",
            "channels": CHANNELS[preprocess.channels],
            "holds": _HOLDS[raw],
        },
        "preprocess": preprocess.to_json(),
        "outputs": [{"name": o.name, "meaning": o.meaning} for o in artifact_outputs(emission)],
    }
    if meaning.decides and not meaning.exclusive:
        known["threshold"] = meaning.threshold
    if emission.detection is not None:
        known["detection"] = emission.detection.to_json()
    if not emission.labels:
        del known["names"]
    kept = [entry for entry in model.metadata_props if entry.key not in known]
    entries = {entry.key: entry.value for entry in kept} | {key: _text(value) for key, value in known.items()}
    onnx.helper.set_model_props(model, entries)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
