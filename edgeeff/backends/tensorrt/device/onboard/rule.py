"""The golden rule: whether an artifact computes what the graph it was made of says.

The one place of it: a build's host and the scripts on a device decide by this file. Python 3.8 and numpy.

Two runtimes agree on one hub graph to 19 dB, unless the network is so sensitive that the hub itself lies
about as far from the float graph. Then a step of rounding that falls otherwise makes as much noise as
quantisation does, and two that lie equally far from the float graph, independently, lie 3 dB further from
each other: that is what can be asked for.

A handful of images may be unlucky: single images lie tens of dB apart, and one that the hub happens to hit
exactly weighs much. So up to 3 dB under that bound an artifact still passes if a typical image lies no
further from the hub than independent errors do, or if the artifact lies as near to the float graph as the
hub does. Measured on a B0 at another size than it was trained at, of random groups of eight of 120 photos: a
sound artifact failed in 5 of 1000 by the bound alone and in 1 by this rule; with channels in the wrong order
or a layer without its bias all failed by both; with one layer's scale 10 % off 996, and 993 by this rule.

A detector's scores and codes are mostly of background, which would hide what it finds: they are judged by
their probabilities, and codes by how probable their anchor is (:func:`weighed`). Boxes are judged as vectors
of the scores of the same boxes (``boxes.paired``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np

from . import boxes

LOGITS, CODES = "class_logits", "box_codes"
"""A detector's outputs [N, anchors, classes] and [N, anchors, 4]."""

FLOOR = {"int8": 19.0, "fp16": 25.0}
"""dB: the least that INT8 kernels of another make keep of the hub graph's outputs, and that FP16 keeps of the
float graph's (onnxruntime's FP16 of a B0 keeps 52)."""

BOXES = {"int8": 12.0, "fp16": 15.0}
"""dB, of boxes: one that NMS drops in one of the two and not in the other counts its whole score."""

INDEPENDENT = 3.0
"""dB: how much further apart two independent errors of one size are than each is from what has none."""

UNLUCKY = 3.0
"""dB under the bound that unlucky images explain."""

LOUDEST = 200.0
"""dB: what equal outputs are said to have, JSON having no infinity."""

THRESHOLD = 0.3
"""Of a detector's scores, where a bundle says none."""


def compare_all(
    precision: str,
    outputs: Mapping[str, Any],
    hub: Mapping[str, Any],
    reference: Mapping[str, Any],
    meanings: Mapping[str, str],
    cut: float | None = None,
) -> dict[str, Any]:
    """:func:`compare` for each output; the artifact passes if all of them do.

    Args:
        precision: As there, and so on.
        outputs: By name, [N, …].
        hub: By name.
        reference: By name.
        meanings: ``scores``, ``boxes``, ``features`` …, by name; scores where nothing is said.
        cut: Of scores.

    Returns:
        The figures of the output that is furthest under its bound, or least above it; and ``outputs``, the
        figures of each.
    """
    weights = hub
    outputs, hub, reference = (weighed(each, weights) for each in (outputs, hub, reference))
    found = {
        name: compare(precision, outputs[name], hub[name], reference[name], cut, meaning_of(name, meanings))
        for name in hub
    }
    decisive = "sqnr_float_db" if precision == "fp16" else "sqnr_hub_db"
    worst = min(found.values(), key=lambda f: (f["passed"], f[decisive] - f["tolerance_db"]))
    # A bundle of schema 1 does not name its only output.
    return {**worst, "outputs": found} if "" not in found else worst


def weighed(outputs: Mapping[str, Any], hub: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs as they are judged: of a detector probabilities, and codes times those; else as they are.

    Args:
        outputs: By name, [N, …].
        hub: The hub graph's outputs of the same images, whose probabilities are the weights of codes.
    """
    if set(outputs) != {LOGITS, CODES}:
        return dict(outputs)
    weights = _sigmoid(hub[LOGITS].max(axis=2, keepdims=True))
    return {LOGITS: _sigmoid(outputs[LOGITS]), CODES: outputs[CODES] * weights}


def _sigmoid(logits: Any) -> Any:
    power = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, power) / (1 + power)


def meaning_of(name: str, meanings: Mapping[str, str]) -> str:
    """What an output is judged as: ``detections``, ``scores``, or what decides nothing by itself."""
    if name in (boxes.DETECTIONS, LOGITS, CODES):
        return boxes.DETECTIONS if name == boxes.DETECTIONS else "boxes"
    return meanings.get(name, "scores")


def compare(
    precision: str,
    outputs: Any,
    hub: Any,
    reference: Any,
    cut: float | None = None,
    meaning: str = "scores",
) -> dict[str, Any]:
    """The figures that say whether one output is what its bundle promises, and the verdict.

    Args:
        precision: ``fp16`` is held against the float graph; ``int8``, and all else, against the hub graph.
        outputs: The artifact's, [N, …].
        hub: The hub graph's on the same images.
        reference: The float graph's.
        cut: Of scores, where labels do not exclude each other (see :func:`cut_of`): images agree where all
            labels lie on the same side of it. None: where the largest score is the same.
        meaning: Of :func:`meaning_of`. What decides nothing by itself has no agreement: None. ``detections``
            agree on an image where both show the same boxes from the threshold on.
    """
    found: dict[str, Any] = {"images": len(outputs)}
    for name, expected in (("hub", hub), ("float", reference)):
        found[f"sqnr_{name}_db"] = round(sqnr(expected, outputs, meaning), 2)
        found[f"agreement_{name}"] = _agreement(expected, outputs, cut, meaning)
    found["typical_db"] = round(typical(outputs, hub, reference, meaning), 2)
    found["tolerance_db"] = tolerance(precision, hub, reference, meaning)
    found["passed"] = passes(precision, found, hub, reference, meaning)
    return found


def file_of(name: str) -> str:
    """The file of an output's golden values: the name, with what file names may not hold as %XX."""
    return f"{quote(name, safe='')}.npy"


def _agreement(expected: Any, outputs: Any, cut: float | None, meaning: str) -> float | None:
    """The share of the images on which both decide the same; None where nothing is decided."""
    if meaning == boxes.DETECTIONS:
        return boxes.agreement(expected, outputs, THRESHOLD if cut is None else cut)
    if meaning != "scores":
        return None
    if cut is None:
        same = outputs.argmax(axis=1) == expected.argmax(axis=1)
    else:
        same = ((outputs >= cut) == (expected >= cut)).all(axis=1)
    return float(same.mean())


def cut_of(manifest: dict[str, Any]) -> float | None:
    """The threshold in the unit of a bundle's outputs, where its labels do not exclude each other."""
    if manifest.get("task") == "detection":  # its boxes have probabilities
        return float(manifest.get("threshold", THRESHOLD))
    if not manifest.get("thresholded", manifest.get("task") == "multilabel"):  # older bundles do not say it
        return None
    threshold = float(manifest.get("threshold", 0.5))
    return threshold if manifest.get("softmax") else math.log(threshold / (1 - threshold))


def tolerance(precision: str, hub: Any, reference: Any, meaning: str = "scores") -> float:
    """dB that are asked for; of a hub far from the float graph no more than independent errors leave."""
    floor = (BOXES if meaning == boxes.DETECTIONS else FLOOR)[precision]
    if precision == "fp16":
        return floor
    return round(min(floor, sqnr(reference, hub, meaning) - INDEPENDENT), 2)


def passes(
    precision: str, figures: dict[str, Any], hub: Any, reference: Any, meaning: str = "scores"
) -> bool:
    """The verdict, from an artifact's figures and the golden outputs alone.

    ``typical_db`` may be None, of scripts that did not measure it.
    """
    least = tolerance(precision, hub, reference, meaning)
    if precision == "fp16":
        return bool(figures["sqnr_float_db"] >= least)
    if figures["sqnr_hub_db"] < least - UNLUCKY:
        return False
    usual = figures["typical_db"]
    return bool(
        figures["sqnr_hub_db"] >= least
        or (usual is not None and usual >= -INDEPENDENT)
        or figures["sqnr_float_db"] >= sqnr(reference, hub, meaning) - INDEPENDENT
    )


def typical(outputs: Any, hub: Any, reference: Any, meaning: str = "scores") -> float:
    """By how many dB the artifact is nearer to the hub than the hub is to the float graph: images' median."""
    if not np.isfinite(outputs).all():
        return -LOUDEST
    own, quantised = _noise(hub, outputs, meaning), _noise(reference, hub, meaning)
    ratios = [
        LOUDEST if mine == 0 else 10 * np.log10(max(theirs / mine, 10 ** (-LOUDEST / 10)))
        for mine, theirs in zip(own, quantised)  # noqa: B905 (Python 3.8)
    ]
    return float(np.median(np.clip(ratios, -LOUDEST, LOUDEST)))


def sqnr(reference: Any, outputs: Any, meaning: str = "scores") -> float:
    """10·log10(Σ reference² / Σ error²) over everything, dB; -LOUDEST if an output is not a number."""
    if not np.isfinite(outputs).all():
        return -LOUDEST
    if meaning == boxes.DETECTIONS:
        reference, outputs = boxes.paired(reference, outputs)
    reference, outputs = reference.astype(np.float64), outputs.astype(np.float64)
    signal, noise = float((reference**2).sum()), float(((outputs - reference) ** 2).sum())
    if noise == 0:
        return LOUDEST
    return 10 * float(np.log10(max(signal / noise, 10 ** (-LOUDEST / 10))))


def _noise(expected: Any, found: Any, meaning: str) -> Any:
    """Of each image, float64 [N]."""
    if meaning == boxes.DETECTIONS:
        expected, found = boxes.paired(expected, found)
    errors = (found.astype(np.float64) - expected.astype(np.float64)) ** 2
    return errors.reshape(len(errors), -1).sum(axis=1)
