"""What the outputs mean."""

from __future__ import annotations

from edgeeff import tasks
from edgeeff.detection import Detection
from edgeeff.detection.settings import THRESHOLD as BOX_THRESHOLD
from edgeeff.errors import OptionError
from edgeeff.pipeline.options import Options
from edgeeff.tasks import (
    CLASSIFICATION,
    DETECTION,
    FEATURES_TASK,
    MULTILABEL,
    SEGMENTATION,
    THRESHOLD,
    Meaning,
)
from edgeeff.zoo.sources import Identity


def resolve_task(task: str | None) -> str | None:
    """A task's name, if there is one of it."""
    if task is not None:
        tasks.room(task)
    return task


def resolve_meaning(options: Options, identity: Identity, detection: Detection | None = None) -> Meaning:
    """What the outputs mean: what the user says, else what the source says, else one class an image.

    A network with one logit can only be multilabel: a softmax of one value is always 1.

    Args:
        options: What the user says.
        identity: The network.
        detection: A detector's facts.

    Raises:
        OptionError: No such task, or one that cannot be what the network was trained for.
    """
    if identity.outputs:
        return _features(options)
    if detection is not None:
        return _detection(options, identity, detection)
    if identity.by_pixel:
        return _segmentation(options, identity)
    if options.task == SEGMENTATION:
        raise OptionError(
            f"--task segmentation, and {identity.model} gives an image's pixels no classes",
            mend="leave it out; a segmenter's output is [1, classes, height, width]",
        )
    if options.task == DETECTION:
        raise OptionError(
            f"--task detection, and {identity.model} finds no boxes",
            mend="leave it out; detectors are efficientdet-d0 and the like (edgeeff models)",
        )
    task, threshold = options.task, options.threshold
    single, competing = identity.classes == 1, identity.ends_in.endswith("softmax")
    if task is None:
        task = MULTILABEL if single or identity.ends_in == "sigmoid" else CLASSIFICATION
    exclusive = tasks.room(task).EXCLUSIVE
    if single and (exclusive or competing):
        raise OptionError(
            f"{identity.model} has one output, and a softmax of one value is always 1",
            mend="one logit is a label that is there or not (--task multilabel): pass the network that ends "
            "in the logit or its sigmoid",
        )
    if competing and not exclusive:
        raise OptionError(
            f"--task {task}, and {identity.source} ends in a softmax: it was trained for one class an image",
            mend="leave out --task; or pass the network that ends in logits",
        )
    if exclusive and threshold is not None:
        raise OptionError(
            f"--threshold has no meaning for {task}, which names the likeliest class",
            mend="leave it out, or say --task multilabel",
        )
    if options.softmax and not exclusive:
        raise OptionError(
            "--softmax would let the labels of a multilabel network compete",
            mend="pass --probabilities: the artifact ends in a sigmoid then",
        )
    if threshold is None:
        threshold = THRESHOLD if exclusive or identity.threshold is None else identity.threshold
    return Meaning(task, threshold, options.softmax or options.probabilities)


def _detection(options: Options, identity: Identity, detection: Detection) -> Meaning:
    """What a detector's outputs mean.

    Raises:
        OptionError: Another task, or an option that only classifiers have a use for.
    """
    if options.task not in (None, DETECTION):
        raise OptionError(
            f"--task {options.task}, and {identity.model} is a detector",
            mend="leave it out; --taps puts out features of its backbone",
        )
    if options.softmax or options.probabilities:
        named = "--softmax" if options.softmax else "--probabilities"
        raise OptionError(
            f"{named} for a detector, whose scores are sigmoids",
            mend="leave it out: boxes have probabilities, whoever makes them (--nms)",
        )
    threshold = BOX_THRESHOLD if options.threshold is None else options.threshold
    if threshold < detection.nms.score:
        raise OptionError(
            f"--threshold {threshold:g}, and boxes of a score under {detection.nms.score:g} are dropped",
            mend="give --threshold at least --score",
        )
    return Meaning(DETECTION, threshold, detection=detection)


def _segmentation(options: Options, identity: Identity) -> Meaning:
    """What a segmenter's outputs mean.

    Raises:
        OptionError: Another task, or an option that only classifiers have a use for.
    """
    if options.task not in (None, SEGMENTATION):
        raise OptionError(
            f"--task {options.task}, and {identity.model} gives each pixel a class",
            mend="leave it out; --taps puts out features of its encoder",
        )
    given = {
        "--threshold": options.threshold is not None,
        "--softmax": options.softmax,
        "--probabilities": options.probabilities,
    }
    if named := [option for option, is_given in given.items() if is_given]:
        raise OptionError(
            f"{', '.join(named)} for a segmenter, whose pixels have the class of the largest logit",
            mend="leave it out",
        )
    return Meaning(SEGMENTATION)


def _features(options: Options) -> Meaning:
    """What features mean: nothing is decided by them.

    Raises:
        OptionError: An option that only logits have a use for.
    """
    given = {
        "--threshold": options.threshold is not None,
        "--softmax": options.softmax,
        "--probabilities": options.probabilities,
    }
    if named := [option for option, is_given in given.items() if is_given]:
        raise OptionError(
            f"{', '.join(named)} with --task features, which has no logits", mend="leave it out"
        )
    return Meaning(FEATURES_TASK)


def task_warnings(meaning: Meaning, identity: Identity, task: str | None) -> tuple[str, ...]:
    """What an option, or the default where there is none, makes of the outputs that their source does not."""
    if meaning.detection is not None or meaning.by_pixel:
        return ()
    if identity.classes == 1 and not identity.ends_in and task is None:
        return (
            "the network has one output, which is taken for a label's logit, and its sigmoid for the label's "
            "probability: an output that is a measure (an age, a score) has no task yet (--task)",
        )
    if meaning.exclusive and identity.ends_in == "sigmoid":
        return (
            "the network's source ends in a sigmoid, and it is built for one class an image: probabilities "
            "are a softmax of its logits, and not those of the source",
        )
    return ()


def task_line(meaning: Meaning, identity: Identity) -> str:
    """What the outputs are taken to mean, and why: shown at every build where it is not one class."""
    if meaning.detection is not None:
        return f"task     detection: boxes of {identity.classes} classes"
    if identity.by_pixel:
        return f"task     segmentation: each pixel has one of {identity.classes} classes"
    if identity.outputs:
        return f"task     features: {', '.join(output.name for output in identity.outputs)}"
    why = "by option"
    if identity.classes == 1:
        why = "one logit"
    elif identity.ends_in == "sigmoid":
        why = "its source ends in a sigmoid"
    return (
        f"task     {meaning.task} ({why}): a label is there if its sigmoid is {meaning.threshold:g} or more"
    )
