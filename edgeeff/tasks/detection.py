"""Boxes of what is in an image: each a class, a score and four sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import numpy as np

from edgeeff.detection import Boxes, Detection, matched, paired
from edgeeff.detection import decode as decoded
from edgeeff.detection.decoding import of_rows, rows_of, sigmoid
from edgeeff.detection.facts import CODES, LOGITS
from edgeeff.detection.facts import DETECTIONS as ROWS
from edgeeff.errors import BundleError, OptionError
from edgeeff.metrics import Noise
from edgeeff.tasks import (
    BOXES,
    DETECTIONS,
    SCORES,
    Array,
    Fidelity,
    Meaning,
    Named,
    Naming,
    Output,
    Outputs,
    Prediction,
    Probabilities,
    Scorer,
    compared,
)
from edgeeff.tasks._detection_scores import DetectionScorer as DetectionScorer
from edgeeff.tasks._detection_scores import DetectionScores as DetectionScores
from edgeeff.tasks._detection_scores import floor_notes
from edgeeff.tasks._undecided import answers as answers
from edgeeff.tasks._undecided import decisions as decisions
from edgeeff.tasks._undecided import fidelity as fidelity
from edgeeff.tasks.multilabel import probabilities as _sigmoid

NAME = "detection"
SUMMARY = "boxes with a class and a score each, by anchors and non-maximum suppression"
ACTIVATION = "Sigmoid"
EXCLUSIVE = False
TRUTH = "boxes"
PRIMARY = "map"


def outputs(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Output, ...]:
    """``class_logits`` [1, A, C] and ``box_codes`` [1, A, 4]; or ``detections`` [1, max_boxes, 6].

    Raises:
        OptionError: There are others.
    """
    match (shapes.get(LOGITS), shapes.get(CODES), shapes.get(ROWS), len(shapes)):
        case ((1, anchors, classes), (1, also, 4), None, 2) if anchors == also > 0 < classes:
            return Output(LOGITS, (1, anchors, classes), SCORES), Output(CODES, (1, anchors, 4), BOXES)
        case (None, None, (1, count, 6), 1) if count > 0:
            return (Output(ROWS, (1, count, 6), DETECTIONS),)
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    raise OptionError(
        f"{NAME} means the outputs {LOGITS} [1, anchors, classes] and {CODES} [1, anchors, 4], and the graph "
        f"has {listed}",
        mend="name the outputs so and bring them to these shapes, or choose another --task",
    )


def boxes_of(outputs: Outputs, meaning: Meaning) -> list[Boxes]:
    """All boxes of each of N images over the floor of its NMS, in pixels of the input and not clipped to it.

    Args:
        outputs: ``class_logits`` and ``box_codes``, or ``detections``, [N, …] each.
        meaning: With the detector's facts.

    Raises:
        BundleError: The outputs are not those of a detector with these facts.
    """
    facts = _facts(meaning)
    if set(outputs) == {ROWS} and outputs[ROWS].ndim == 3 and outputs[ROWS].shape[2] == 6:
        return [of_rows(rows, facts.nms.score) for rows in outputs[ROWS]]
    if set(outputs) != {LOGITS, CODES}:
        _refuse_shapes(outputs, facts)
    try:
        pairs = zip(outputs[LOGITS], outputs[CODES], strict=True)
        return [decoded(logits, codes, facts.geometry, facts.nms) for logits, codes in pairs]
    except ValueError:
        _refuse_shapes(outputs, facts)


def artifact_outputs(network: Outputs, meaning: Meaning, names: Sequence[str]) -> Outputs:
    """What the artifact gives where the network gives this: boxes where its runtime makes them."""
    if list(names) != [ROWS] or set(network) == {ROWS}:
        return dict(zip(names, network.values(), strict=True))
    count = _facts(meaning).nms.max_boxes
    return {ROWS: np.stack([rows_of(boxes, count) for boxes in boxes_of(network, meaning)])}


def alike(reference: Outputs, test: Outputs, meaning: Meaning) -> tuple[Outputs, Outputs]:
    """Outputs of two artifacts that can be compared: values of both, else boxes of both, as many of each."""
    if set(reference) == set(test) == {LOGITS, CODES}:
        return reference, test
    one, other = (artifact_outputs(each, meaning, [ROWS])[ROWS] for each in (reference, test))
    count = max(one.shape[1], other.shape[1])
    return {ROWS: _padded(one, count)}, {ROWS: _padded(other, count)}


def _padded(rows: Array, count: int) -> Array:
    """Boxes [N, M, 6] with empty places up to so many."""
    empty = np.zeros((len(rows), count - rows.shape[1], 6), np.float32)
    empty[:, :, 5] = -1
    return np.concatenate([rows, empty], axis=1)


def fidelity_with(reference: Outputs, test: Outputs, meaning: Meaning) -> Fidelity:
    """Output by output, and how many boxes at the operating threshold both find.

    Two boxes are the same where their class is and they overlap by an IoU of 0.5 at least. Of an image that
    are so many agreeing of the larger number of boxes of the two; where neither finds a box it has none.
    Errors of ``class_logits`` and ``box_codes`` are those of what they decide (:func:`weighed`). Boxes that
    an artifact's runtime made are compared pair by pair, since a runtime may write those of one score in any
    order: scores and overlaps, and one that is missing or too many by its score.
    """
    agreeing = decisions = 0
    noise = Noise()
    for one, other in zip(boxes_of(reference, meaning), boxes_of(test, meaning), strict=True):
        first, second = one.at(meaning.threshold), other.at(meaning.threshold)
        agreeing += int((matched(first, second) >= 0).sum())
        decisions += max(len(first), len(second))
        noise += Noise.of(*(vector[None] for vector in paired(one, other)))
    if set(reference) == {ROWS}:
        _same_shapes(reference, test)
        return Fidelity(len(reference[ROWS]), {ROWS: noise}, {}, agreeing, decisions)
    found = compared(weighed(reference, reference), weighed(test, reference))
    return Fidelity(found.images, found.noise, {}, agreeing, decisions)


def weighed(outputs: Outputs, reference: Outputs) -> Outputs:
    """``class_logits`` and ``box_codes`` as errors in them matter: probabilities, and codes by them.

    Nearly all anchors are background, and what a network says of its boxes changes nothing.

    Args:
        outputs: [N, …] each.
        reference: Outputs of the same images, whose probabilities weigh the codes.
    """
    weights = sigmoid(reference[LOGITS].max(axis=2, keepdims=True))
    return {LOGITS: sigmoid(outputs[LOGITS]), CODES: outputs[CODES] * weights}


def decode(outputs: Outputs, meaning: Meaning, naming: Naming) -> list[Prediction]:
    """The boxes of each image at the operating threshold or over it, in pixels of the input."""
    found = []
    for number, every in enumerate(_shown(outputs, meaning)):
        if len(every) and not 0 <= int(every.classes.min()) <= int(every.classes.max()) < len(naming.labels):
            raise BundleError(
                f"the artifact gives class {every.classes.max()}, its labels are {len(naming.labels)}",
                mend="build it again",
            )
        every = every.named(naming.labels)
        boxes = every.at(meaning.threshold)
        boxes = boxes if naming.top is None else boxes.of(np.arange(min(naming.top, len(boxes))))
        own = {name: values[number] for name, values in outputs.items()}
        named, best = (
            tuple(Named(b.index, b.label, b.score) for b in each) for each in (boxes, [*every][:1])
        )
        found.append(Prediction(own, named, named or best, naming.absent, boxes))
    return found


def _shown(outputs: Outputs, meaning: Meaning) -> list[Boxes]:
    """The boxes of each image that can be at the threshold; where none can, the best one.

    A box drops none of a better score, so that those under the threshold need not be looked at: few of the
    candidates that average precision wants are over it.
    """
    facts = _facts(meaning)
    # A little lower: scores are rounded.
    shown = replace(facts.nms, score=max(facts.nms.score, meaning.threshold * (1 - 1e-5)))
    found = boxes_of(outputs, replace(meaning, detection=replace(facts, nms=shown)))
    best = replace(meaning, detection=replace(facts, nms=replace(facts.nms, max_boxes=1)))
    return [
        boxes or boxes_of({name: values[i : i + 1] for name, values in outputs.items()}, best)[0]
        for i, boxes in enumerate(found)
    ]


def to_json(prediction: Prediction, meaning: Meaning) -> dict[str, Any]:
    """Each box with its class, score and corners, in pixels of the photo."""
    boxes = prediction.boxes if prediction.boxes is not None else Boxes.none()
    found = {"task": NAME, "threshold": meaning.threshold, "boxes": [box.to_json() for box in boxes]}
    return {**found, "invalid": boxes.invalid} if boxes.invalid else found


def scorer(meaning: Meaning, classes: int, name: str) -> Scorer:
    """Average precision, and precision and recall at the operating threshold.

    Raises:
        MissingRuntimeError: hotcoco is not installed.
    """
    del name
    nms = _facts(meaning).nms
    notes = floor_notes(nms.score, nms.max_boxes)
    return DetectionScorer(partial(boxes_of, meaning=meaning), classes, meaning.threshold, notes)


def probabilities(logits: Array) -> Probabilities:
    """Sigmoid of each logit, [N, A, C]."""
    return _sigmoid(logits)


def _facts(meaning: Meaning) -> Detection:
    if meaning.detection is None:
        raise OptionError(
            "a detector's anchors are not known", mend="build it again with --model efficientdet-…"
        )
    return meaning.detection


def _same_shapes(reference: Outputs, test: Outputs) -> None:
    if {k: v.shape for k, v in reference.items()} != {k: v.shape for k, v in test.items()}:
        raise ValueError(f"outputs {', '.join(test)}, the reference has {', '.join(reference)}")


def _refuse_shapes(outputs: Outputs, facts: Detection) -> NoReturn:
    given = ", ".join(f"{name} {list(np.shape(values))}" for name, values in outputs.items())
    wanted = f"{LOGITS} [N, {facts.geometry.count}, classes] and {CODES} [N, {facts.geometry.count}, 4]"
    raise BundleError(f"a detector's outputs are {given}; there should be {wanted}", mend="build it again")
