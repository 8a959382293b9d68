"""What a network's outputs mean: one file for each task, found by listing.

A task's file holds

- ``SUMMARY``: one line for a person;
- ``ACTIVATION``: the ONNX operator that makes probabilities of logits;
- ``EXCLUSIVE``: whether an image has exactly one class, so that adding one number to all logits of an image
  changes no answer;
- ``outputs(shapes)``: what the outputs of a graph mean, by their names and shapes;
- ``probabilities(logits)``: float32 [N, classes];
- ``decisions(outputs, cut)``: what is decided for each image, an array whose elements are compared for
  agreement; ``cut`` is the threshold in the unit of the outputs;
- ``fidelity(reference, test, cut)``: how near two batches of outputs are, output by output, and on how many
  decisions both agree;
- ``TRUTH``: what is known of an image that scores go by: ``class`` (one of the network's), ``labels``;
- ``PRIMARY``: the metric that a budget speaks of, a name of ``Scores.to_json``;
- ``scorer(meaning, classes, name)``: what adds up scores against what is known of images; ``name`` is the
  bundle's, for a message;
- ``answers(probabilities, top, threshold)``: the classes to name for one image, best first;
- ``decode(outputs, meaning, naming)``: what is said of each image;
- ``to_json(prediction, meaning)``: that as plain data.

Where outputs cannot be understood without more of what the artifact says of itself than a threshold, as a
detector's anchors, the file holds also

- ``fidelity_with(reference, test, meaning)``: instead of ``fidelity``;
- ``artifact_outputs(network, meaning, names)``: what the artifact gives where the network gives this, where
  that is more than probabilities of logits;
- ``alike(reference, test, meaning)``: outputs of two artifacts, one of which may end elsewhere than the
  other, brought to what can be compared.

``BY_PIXEL``, True, says that what is decided is decided of pixels, not of an image as a whole.

What several tasks share is in the files whose names begin with an underscore.

numpy alone is needed here: a device reads its bundles with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from edgeeff.detection import Detection
from edgeeff.errors import OptionError
from edgeeff.plugins import Finder, Guarded
from edgeeff.tasks._fidelity import Fidelity as Fidelity
from edgeeff.tasks._fidelity import compared as compared
from edgeeff.tasks._fidelity import lowest as lowest
from edgeeff.tasks._prediction import Named as Named
from edgeeff.tasks._prediction import Naming as Naming
from edgeeff.tasks._prediction import Placed
from edgeeff.tasks._prediction import Prediction as Prediction
from edgeeff.tasks._prediction import Said as Said
from edgeeff.tasks._prediction import best as best
from edgeeff.tasks._prediction import told as told
from edgeeff.tasks._scores import Drawn as Drawn
from edgeeff.tasks._scores import Scorer as Scorer
from edgeeff.tasks._scores import Scores as Scores
from edgeeff.tasks._scores import Truth as Truth
from edgeeff.tasks._scores import drawn as drawn

Array = npt.NDArray[Any]
Probabilities = npt.NDArray[np.float32]
#: What a network gives for a batch of images: each output by its name in the artifact, batch first.
Outputs = Mapping[str, Array]

CLASSIFICATION, MULTILABEL, FEATURES_TASK = "classification", "multilabel", "features"
DETECTION, SEGMENTATION = "detection", "segmentation"
#: Of a probability, where nobody says another one.
THRESHOLD = 0.5


#: What an output means; errors in it are compared with what is usual for that.
SCORES, FEATURES, EMBEDDING = "scores", "features", "embedding"
#: Of a detector: numbers that move and scale anchors; boxes with scores and classes.
BOXES, DETECTIONS = "boxes", "detections"
#: Of a network that decides of pixels: classes, int32 [N, H, W], and scores of them, [N, classes, H, W].
MASK, MASK_LOGITS = "mask", "mask_logits"
#: A classifier's only output, with or without probabilities.
LOGITS = "logits"


@dataclass(frozen=True)
class Output:
    """One output of a network, as the hub graph has it.

    Args:
        name: Its name in the graph and in the artifact: ``logits``, ``features_8``, ``embedding``,
            ``class_logits``, ``box_codes``, ``detections``, ``mask_logits``, ``mask``.
        shape: For one image, batch first: (1, classes), (1, channels, height, width), (1, anchors, classes);
            of a mask (1, height, width).
        meaning: ``scores``, ``features``, ``embedding``, ``boxes``, ``detections`` or ``mask``.
        divided: Whether the graph divides it by its length (L2 norm).
    """

    name: str
    shape: tuple[int, ...]
    meaning: str = SCORES
    divided: bool = False


def joined(parts: Iterable[Outputs]) -> dict[str, Array]:
    """Batches as one: the same outputs, their images one after another.

    Raises:
        ValueError: There is no part.
    """
    found = list(parts)
    if len(found) == 1:
        return dict(found[0])
    if not found:
        raise ValueError("no outputs to join")
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def only(outputs: Outputs) -> Array:
    """The single output of a network that has no other.

    Raises:
        ValueError: It has several.
    """
    (found,) = outputs.values()
    return found


def only_scores(task: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Output, ...]:
    """The outputs of a task that has one, of scores [1, classes].

    Raises:
        OptionError: There are others.
    """
    match [*shapes.items()]:
        case [(name, (1, classes) as shape)] if classes > 0:
            return (Output(name, shape, SCORES),)
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    raise OptionError(
        f"{task} means one output [1, classes], and the graph has {listed}",
        mend=f"choose another --task; there are {', '.join(names())}",
    )


class Task(Protocol):
    """A task's file."""

    SUMMARY: str
    ACTIVATION: str
    EXCLUSIVE: bool
    TRUTH: str
    PRIMARY: str
    outputs: Callable[[Mapping[str, tuple[int, ...]]], tuple[Output, ...]]
    probabilities: Callable[[Array], Probabilities]
    decisions: Callable[[Array, float], Array]
    fidelity: Callable[[Outputs, Outputs, float], Fidelity]
    answers: Callable[[Array, int | None, float], list[int]]
    scorer: Callable[[Meaning, int, str], Scorer]
    decode: Callable[[Outputs, Meaning, Naming], list[Prediction]]
    to_json: Callable[[Prediction, Meaning], dict[str, Any]]


def _task(module: Any, name: str) -> Task:
    absent = [fact for fact in Task.__annotations__ if not hasattr(module, fact)]
    if absent:
        raise ValueError(f"{module.__name__} has no {' and no '.join(absent)}")
    return cast(Task, module)


#: Where tasks are found.
TASKS = Finder("tasks", __name__, _task)
#: Those of this folder that were asked for: a frame is no time to look for plug-ins, which replace none.
_OURS: dict[str, Task] = {}


def names() -> list[str]:
    """The tasks that can be used, sorted: the files of this folder, and those of plug-ins."""
    return TASKS.usable()


def room(name: str) -> Task:
    """A task's file.

    Raises:
        OptionError: There is no such task.
    """
    if name in _OURS:
        return _OURS[name]
    try:
        found = TASKS.get(name)
    except KeyError:
        raise OptionError(f"no task {name!r}", mend=f"choose one of {', '.join(names())}") from None
    plugin = TASKS.plugin(name)
    if plugin is not None:
        return cast(Task, Guarded(plugin, found))
    _OURS[name] = found
    return found


@dataclass(frozen=True)
class Meaning:
    """What the outputs of an artifact mean.

    Args:
        task: The file of this folder that says it.
        threshold: Of a label's probability, where labels do not exclude each other, 0…1.
        probable: Whether the outputs are probabilities already, not logits.
        detection: A detector's anchors, which boxes are kept, and who makes them; of another network None.
    """

    task: str = CLASSIFICATION
    threshold: float = THRESHOLD
    probable: bool = False
    detection: Detection | None = None

    @property
    def exclusive(self) -> bool:
        """Whether an image has exactly one class."""
        return room(self.task).EXCLUSIVE

    @property
    def decides(self) -> bool:
        """Whether something is decided of an image, so that two networks can agree or not; features are used
        as they are."""
        return bool(getattr(room(self.task), "DECIDES", True))

    @property
    def by_pixel(self) -> bool:
        """Whether what is decided is decided of pixels, not of an image as a whole."""
        return bool(getattr(room(self.task), "BY_PIXEL", False))

    @property
    def activation(self) -> str:
        """The ONNX operator that makes probabilities of logits: ``Softmax`` or ``Sigmoid``."""
        return room(self.task).ACTIVATION

    def with_threshold(self, value: float | None) -> Meaning:
        """The same with another threshold; None leaves it.

        Raises:
            OptionError: The task has none, or it is no probability; a detector drops boxes of that score.
        """
        if value is None:
            return self
        if self.exclusive:
            raise OptionError(
                f"--threshold has no meaning for {self.task}, which names the likeliest class",
                mend="leave it out; a multilabel network is built with --task multilabel",
            )
        value = checked_threshold(value)
        if self.detection is not None and value < self.detection.nms.score:
            raise OptionError(
                f"--threshold {value:g}, and boxes of a score under {self.detection.nms.score:g} are dropped "
                "by the bundle's NMS",
                mend=f"give {self.detection.nms.score:g} or more, or build with a lower --score",
            )
        return replace(self, threshold=value)

    def outputs(self, network: Outputs, named: Sequence[Output] = ()) -> Outputs:
        """What the artifact gives where the network, ending in logits, gives this.

        Args:
            network: Its outputs, [N, …] each.
            named: The artifact's outputs, where their names are others: in the order of the network's.
        """
        names = [output.name for output in named] or list(network)
        if (own := getattr(room(self.task), "artifact_outputs", None)) is not None:
            return cast(Outputs, own(network, self, names))
        values = [self.probabilities_of(x) for x in network.values()] if self.probable else network.values()
        return dict(zip(names, values, strict=True))

    def probabilities(self, outputs: Array) -> Array:
        """The probabilities in the artifact's outputs, [N, classes]."""
        return outputs if self.probable else self.probabilities_of(outputs)

    def probabilities_of(self, logits: Array) -> Probabilities:
        """The probabilities of logits, [N, classes]."""
        return room(self.task).probabilities(logits)

    @property
    def cut(self) -> float:
        """The threshold in the unit of the artifact's scores."""
        return self.threshold if self.probable else math.log(self.threshold / (1 - self.threshold))

    def decisions(self, outputs: Array) -> Array:
        """What the artifact decides for each of N images: [N], or [N, classes]."""
        return room(self.task).decisions(outputs, self.cut)

    def fidelity(self, reference: Outputs, test: Outputs) -> Fidelity:
        """How near a batch of the artifact's outputs is to a reference's."""
        if (own := getattr(room(self.task), "fidelity_with", None)) is not None:
            return cast(Fidelity, own(reference, test, self))
        return room(self.task).fidelity(reference, test, self.cut)

    @property
    def brings_alike(self) -> bool:
        """Whether outputs of two artifacts may differ in form, and still be compared."""
        return hasattr(room(self.task), "alike")

    def alike(self, reference: Outputs, test: Outputs) -> tuple[Outputs, Outputs]:
        """Outputs of two artifacts of this task as :meth:`fidelity` compares them."""
        own = getattr(room(self.task), "alike", None)
        return (
            (reference, test) if own is None else cast("tuple[Outputs, Outputs]", own(reference, test, self))
        )

    def scorer(self, classes: int, name: str) -> Scorer:
        """What adds up scores against what is known of images."""
        scorer, plugin = room(self.task).scorer(self, classes, name), TASKS.plugin(self.task)
        if plugin is None or type(scorer).__module__.startswith("edgeeff."):
            return scorer
        return cast(Scorer, Guarded(plugin, scorer))

    def decode(self, outputs: Outputs, naming: Naming, fits: Sequence[Placed] = ()) -> list[Prediction]:
        """What the artifact says of each of N images.

        Args:
            outputs: [N, …] each.
            naming: How classes are called.
            fits: Where the photo of each image lies in the input; none: boxes and masks stay in pixels of the
                input.
        """
        found = room(self.task).decode(outputs, self, naming)
        if not fits or all(one.boxes is None and one.mask is None for one in found):
            return found
        return [one.placed(fit) for one, fit in zip(found, fits, strict=True)]

    def to_json(self, prediction: Prediction) -> dict[str, Any]:
        """What it says of an image, as plain data."""
        return room(self.task).to_json(prediction, self)

    def answers(self, probabilities: Array, top: int | None = None) -> list[int]:
        """The classes to name for one image [classes], best first; ``top`` at most, None: the task's own."""
        return room(self.task).answers(probabilities, top, self.threshold)


def checked_threshold(value: float) -> float:
    """A threshold that a user wrote.

    Raises:
        OptionError: It is no probability between 0 and 1.
    """
    number = isinstance(value, Real)
    if not number or not 0 < value < 1:
        said = f"{value:g}" if number else f"{value!r:.80}"
        raise OptionError(f"--threshold {said}", mend="give a probability between 0 and 1, such as 0.5")
    return value
