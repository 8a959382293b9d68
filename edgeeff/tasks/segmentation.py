"""A class for each pixel: the largest score at that pixel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgeeff.errors import BundleError, OptionError
from edgeeff.metrics import Noise, softmax
from edgeeff.segmentation.masks import Mask, classes_of, void_of
from edgeeff.tasks import (
    MASK,
    MASK_LOGITS,
    SCORES,
    Array,
    Fidelity,
    Meaning,
    Naming,
    Output,
    Outputs,
    Prediction,
    Probabilities,
    compared,
    only,
)
from edgeeff.tasks._segmentation_scores import SegmentationScorer as SegmentationScorer
from edgeeff.tasks._segmentation_scores import SegmentationScores as SegmentationScores
from edgeeff.tasks._undecided import answers as answers

NAME = "segmentation"
SUMMARY = "a class for each pixel, by the largest score"
ACTIVATION = "Softmax"
#: Of a pixel: one number added to all of its scores changes nothing.
EXCLUSIVE = True
#: What is decided is decided of pixels, not of an image as a whole.
BY_PIXEL = True
TRUTH = "mask"
PRIMARY = "miou"
#: Scores that are compared at once.
_AT_ONCE = 1 << 21


def outputs(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Output, ...]:
    """``mask_logits`` [1, classes, H, W], or ``mask`` [1, H, W].

    Raises:
        OptionError: There are others.
    """
    match [*shapes.items()]:
        case [(name, (1, classes, height, width) as shape)] if min(classes, height, width) > 0:
            return (Output(name, shape, SCORES),)
        case [(name, (1, height, width) as shape)] if min(height, width) > 0:
            return (Output(name, shape, MASK),)
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    raise OptionError(
        f"{NAME} means one output {MASK_LOGITS} [1, classes, height, width] or {MASK} [1, height, width], "
        f"and the graph has {listed}",
        mend="name the output of the last layer with its classes, or choose another --task",
    )


def probabilities(logits: Array) -> Probabilities:
    """Softmax over the classes of each pixel, [N, C, H, W]."""
    return softmax(logits).astype(np.float32, copy=False)


def decisions(outputs: Array, cut: float) -> Array:
    """The class of each pixel, [N, H, W]: of equal scores the lower one; :func:`void_of` where one is NaN."""
    del cut
    return classes_of(outputs, outputs.shape[1] if outputs.ndim == 4 else _MOST)


#: Classes that a mask can have at most; of a mask alone it is not known how many there are.
_MOST = 65_535


def alike(reference: Outputs, test: Outputs, meaning: Meaning) -> tuple[Outputs, Outputs]:
    """Outputs of two artifacts that can be compared: scores of both, else classes of both."""
    one, other = only(reference), only(test)
    if one.ndim == other.ndim:
        return dict(zip(test, [one], strict=True)), test
    return tuple({MASK: meaning.decisions(each).astype(np.int32)} for each in (one, other))  # type: ignore[return-value]


def artifact_outputs(network: Outputs, meaning: Meaning, names: Sequence[str]) -> Outputs:
    """What the artifact gives where the network gives this: classes where its runtime takes the arg-max."""
    (values,) = network.values()
    if list(names) != [MASK] or values.ndim == 3:
        return dict(zip(names, network.values(), strict=True))
    return {MASK: meaning.decisions(values).astype(np.int32)}


def fidelity(reference: Outputs, test: Outputs, cut: float) -> Fidelity:
    """By the scores, and on how many pixels both agree.

    A number added to all scores of a pixel counts for nothing in the centred SQNR. Of classes alone the SQNR
    is that of one-hot vectors: 10·log10(pixels / (2 · those that differ)).

    Raises:
        ValueError: Names or shapes differ.
    """
    del cut
    ((name, one),), ((also, other),) = reference.items(), test.items()
    if name != also or one.shape != other.shape:
        raise ValueError(f"{also} {list(other.shape)}, the reference has {name} {list(one.shape)}")
    if one.ndim == 3:
        differing = int((one != other).sum())
        noise = Noise(float(one.size), 2.0 * differing)
        return Fidelity(len(one), {name: noise}, {}, one.size - differing, one.size, together=True)
    found = Fidelity(together=True)
    for first, second in _parts(one, other):
        same = decisions(first, 0) == decisions(second, 0)
        found += compared({name: first}, {name: second}, same=same, centred=True)
    # Parts are rows of images.
    return replace(found, images=len(one))


def _parts(one: Array, other: Array) -> Iterator[tuple[Array, Array]]:
    """Rows of two batches [N, C, H, W] that are compared at once, so that float64 copies stay small."""
    rows = max(1, _AT_ONCE // max(one.shape[1] * one.shape[3], 1))
    for image in range(len(one)):
        for row in range(0, one.shape[2], rows):
            where = (slice(image, image + 1), slice(None), slice(row, row + rows))
            yield one[where], other[where]


def decode(outputs: Outputs, meaning: Meaning, naming: Naming) -> list[Prediction]:
    """The class of each pixel of each image, in pixels of the input, and the classes by what they cover.

    Raises:
        BundleError: The artifact gives a class that the network has not, or scores of other classes.
    """
    del meaning
    (values,) = outputs.values()
    labels = naming.labels
    if values.ndim == 4 and values.shape[1] != len(labels):
        raise BundleError(
            f"the artifact gives scores of {values.shape[1]} classes, its labels are {len(labels)}",
            mend="build it again",
        )
    if values.ndim == 3 and values.size and not 0 <= int(values.min()) <= int(values.max()) < len(labels):
        raise BundleError(
            f"the artifact gives class {int(values.max())}, its labels are {len(labels)}",
            mend="build it again",
        )
    found, void = classes_of(values, len(labels)), void_of(len(labels))
    predictions = []
    for number, classes in enumerate(found):
        mask = Mask(classes, labels, invalid=int((classes == void).sum()))
        own = {name: each[number] for name, each in outputs.items()}
        predictions.append(Prediction.of_mask(own, mask))
    return predictions


def to_json(prediction: Prediction, meaning: Meaning) -> dict[str, Any]:
    """The mask's size and how much each class covers; pixels are saved on request."""
    del meaning
    mask = prediction.mask
    return {"task": NAME} if mask is None else {"task": NAME, **mask.to_json()}


def scorer(meaning: Meaning, classes: int, name: str) -> SegmentationScorer:
    """Mean IoU, pixels that are right, and both by class."""
    del meaning, name
    return SegmentationScorer(classes)
